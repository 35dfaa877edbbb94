//! The signature of a manifest.
//!
//! A manifest is written as JSON whose last line but one is `  "signature": null`; what is signed are these very bytes.
//! The signature then takes the place of `null`. So nothing needs to be put into a canonical form, and any tool that
//! can replace a word and check Ed25519 can check it.

use crate::error::{Error, Kind, Result};
use crate::keys::{SigningKey, VerifyingKey};
use crate::manifest::Manifest;

const FIELD: &[u8] = b"\n  \"signature\": ";
const UNSIGNED: &[u8] = b"null";
const END: &[u8] = b"\n}";

/// The manifest as it is stored, signed where there is a key. Its field `signature` is set accordingly.
pub fn write(manifest: &mut Manifest, key: Option<&SigningKey>) -> Result<Vec<u8>> {
    manifest.signature = None;
    let body = bytes(manifest)?;
    let Some(key) = key else { return Ok(body) };
    manifest.signature = Some(key.sign(&body));
    bytes(manifest)
}

fn bytes(manifest: &Manifest) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(manifest)
        .map_err(|e| Error::new(Kind::Internal, "the manifest cannot be written").cause(e))
}

/// Whether a stored manifest may be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// One of the keys signed it.
    Signed,
    /// It carries no signature.
    Unsigned,
    /// It carries one that none of the keys made, or not of these bytes.
    Forged,
}

/// Checks the signature of a stored manifest against the pinned keys.
pub fn check(body: &[u8], signature: Option<&str>, pinned: &[VerifyingKey]) -> Verdict {
    let Some(signature) = signature else { return Verdict::Unsigned };
    let quoted = [b"\"", signature.as_bytes(), b"\""].concat();
    // It must stand where it was put: a field of the same name elsewhere would leave a hole in what is signed.
    let rest = body.strip_suffix(END).and_then(|body| body.strip_suffix(quoted.as_slice()));
    let Some(rest) = rest.filter(|rest| rest.ends_with(FIELD)) else { return Verdict::Forged };
    let signed = [rest, UNSIGNED, END].concat();
    if pinned.iter().any(|key| key.verifies(&signed, signature)) { Verdict::Signed } else { Verdict::Forged }
}
