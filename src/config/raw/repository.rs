//! Where backups go, and in what form: encryption, signatures, compression.

use super::RawSecret;
use crate::config::either::Either;
use schemars::JsonSchema;
use serde::Deserialize;

section! {
/// Where backups go.
RawRepository {
    /// Directory of the repository, relative to this file.
    #[schemars(required)]
    location: Option<String>,
    /// The id that the repository must carry: guards against an unmounted disk.
    id: Option<String>,
    /// To whom archives are encrypted, and what opens them.
    encryption: Option<RawEncryption>,
    /// Whose signature manifests carry.
    signing: Option<RawSigning>,
}}

section! {
/// To whom archives are encrypted (age), and what opens them. Without recipients and passphrase they are in clear.
RawEncryption {
    /// Public keys (`age1…`), any of whose owners can read.
    #[serde(default)]
    recipients: Vec<String>,
    /// File of further public keys, one a line; `backup key rotate` keeps it.
    recipients_file: Option<String>,
    /// A passphrase instead of public keys, for small set-ups: whoever makes backups can then read them.
    passphrase: Option<Either<String, RawSecret>>,
    /// Files of private keys, for verify and restore. They need not be on the machine that makes backups.
    #[serde(default)]
    identities: Vec<String>,
}}

section! {
/// Whose signature (Ed25519) manifests carry.
RawSigning {
    /// File of the private key; only where backups are made.
    private_key: Option<String>,
    /// Public keys (`ed25519:…`) whose signature verify and restore accept.
    #[schemars(required)]
    public_keys: Option<Vec<String>>,
}}

/// Whether an archive may be written in clear.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawEncrypt {
    Required,
}

section! {
/// How archives are compressed.
RawCompression {
    /// `gzip` (default) makes `.tar.gz`, which every machine reads; `zstd` makes `.tar.zst`, in less processor time.
    algorithm: Option<RawAlgorithm>,
    /// gzip: 1 (fast) to 12 (small); zstd: 1 to 19; default 3.
    level: Option<u64>,
}}

/// A compression algorithm.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawAlgorithm {
    Gzip,
    Zstd,
}

/// How archives are compressed, in one word, all by gzip: `fast` is level 2, `default` 4, `small` 9.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawPreset {
    Fast,
    Default,
    Small,
}
