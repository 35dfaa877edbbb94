//! What is licensed.

use super::RawSecret;
use crate::config::either::Either;
use schemars::JsonSchema;
use serde::Deserialize;

section! {
/// What is licensed: exactly one of `features`, `token` and `file`, and how the latter two are checked. A tenant's own
/// licence takes what it does not say itself from the installation's, except for those three.
RawLicense {
    /// Granted features, as a plain list.
    features: Option<Vec<String>>,
    /// A signed token (JWT), whose claims say what is granted and until when.
    token: Option<Either<String, RawSecret>>,
    /// A licence file: JSON with the same claims, believed as it is.
    file: Option<String>,
    /// Public key that has signed the token: a PEM file, or its text.
    public_key: Option<String>,
    /// The only algorithm that is accepted; default: the one of the key (RSA: RS256, Ed25519: EdDSA).
    algorithm: Option<RawTokenAlgorithm>,
    /// The issuer (`iss`) that the claims must name.
    issuer: Option<String>,
    /// Claim that holds the features, a list of names or a map of switches; dots reach into it. Default `features`.
    features_claim: Option<String>,
    /// What a token or file that is not valid leads to: `keep` (default) the features of the last valid one for
    /// `graceDays`, with a warning each run; `exclude` what needs a licence at once; `fail`, and back nothing up.
    on_invalid: Option<RawOnInvalid>,
    /// With `keep`: how many days; default 30.
    grace_days: Option<u32>,
}}

/// How a token is signed.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
pub(in crate::config) enum RawTokenAlgorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// What a licence that is not valid leads to.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawOnInvalid {
    Keep,
    Exclude,
    Fail,
}
