//! Licences, resolved: where each is written, how it is checked, and what one that is not valid leads to.

use crate::config::SecretSource;
use crate::keys::TokenAlgorithm;
use std::path::PathBuf;

/// A licence, as it is configured. Nothing of it is read until a run asks what it grants.
#[derive(Debug, Clone)]
pub struct License {
    /// Where what it grants is written.
    pub origin: LicenseOrigin,
    /// What has signed the token: text or file of a PEM public key.
    pub public_key: Option<SecretSource>,
    /// The only algorithm that is accepted; none: the one of the key.
    pub algorithm: Option<TokenAlgorithm>,
    /// The issuer that the claims must name.
    pub issuer: Option<String>,
    /// Claim that holds the features; dots reach into it.
    pub features_claim: String,
    /// What one that is not valid leads to.
    pub on_invalid: OnInvalid,
    /// For how many days the last valid one counts on.
    pub grace_days: u32,
}

/// Where what a licence grants is written.
#[derive(Debug, Clone)]
pub enum LicenseOrigin {
    /// In the configuration.
    Features(Vec<String>),
    /// In a signed token.
    Token(SecretSource),
    /// In a JSON file.
    File(PathBuf),
}

impl License {
    /// One that grants these, as they are written in the configuration.
    pub fn plain(features: Vec<String>) -> Self {
        Self {
            origin: LicenseOrigin::Features(features),
            public_key: None,
            algorithm: None,
            issuer: None,
            features_claim: "features".into(),
            on_invalid: OnInvalid::Keep,
            grace_days: 30,
        }
    }
}

/// What a licence that is not valid leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInvalid {
    /// The features of the last valid one stay for the days of grace.
    Keep,
    /// What needs a licence is left out.
    Exclude,
    /// Nothing is backed up.
    Fail,
}
