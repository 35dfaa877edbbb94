//! Ed25519 keys (RFC 8032) that sign manifests. A private key is a PKCS#8 PEM file as `openssl genpkey -algorithm
//! ed25519` writes it; a public key is the word `ed25519:` and its 32 bytes in base64.

use crate::error::{Error, Kind, Result};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt;
use std::path::Path;

const SCHEME: &str = "ed25519:";
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// The public half: pinned by whoever verifies and restores.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey([u8; 32]);

impl VerifyingKey {
    /// Reads `ed25519:<base64>`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bytes = text.trim().strip_prefix(SCHEME).and_then(|text| BASE64_STANDARD.decode(text).ok());
        let key = bytes.and_then(|bytes| bytes.try_into().ok()).map(Self);
        key.ok_or_else(|| "is no public key for signatures (`ed25519:` and 44 characters of base64)".to_owned())
    }

    /// Whether `signature`, as [`SigningKey::sign`] writes it, is this key's of `message`.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let bytes = signature.strip_prefix(SCHEME).and_then(|text| BASE64_STANDARD.decode(text).ok());
        bytes.is_some_and(|bytes| UnparsedPublicKey::new(&ED25519, &self.0).verify(message, &bytes).is_ok())
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The private half: only where backups are made.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

impl SigningKey {
    /// Makes a new one, and the text of its file.
    ///
    /// # Errors
    /// [`Kind::Internal`] when the kernel gives no random numbers.
    pub fn generate() -> Result<(Self, String)> {
        let failed = |_| Error::new(Kind::Internal, "a signing key cannot be made");
        let pair = Ed25519KeyPair::generate().map_err(failed)?;
        let document = pair.to_pkcs8v1().map_err(failed)?;
        let text = format!("{BEGIN}\n{}\n{END}\n", BASE64_STANDARD.encode(document.as_ref()));
        Ok((Self(pair), text))
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Kind::Key`] when it is not there or no such key.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|e| Error::io("read the signing key", path, &e).kind(Kind::Key))?;
        let wrong = || {
            Error::new(Kind::Key, format!("{} is no Ed25519 private key (PKCS#8, PEM)", path.display()))
                .hint("`backup key generate --signing FILE` makes one")
        };
        let body = text.trim().strip_prefix(BEGIN).and_then(|text| text.strip_suffix(END)).ok_or_else(wrong)?;
        let body: String = body.split_whitespace().collect();
        let document = BASE64_STANDARD.decode(body).map_err(|_| wrong())?;
        Ed25519KeyPair::from_pkcs8(&document).map(Self).map_err(|_| wrong())
    }

    /// The public half.
    pub fn public(&self) -> VerifyingKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        VerifyingKey(bytes)
    }

    /// The signature of `message`: `ed25519:` and 64 bytes in base64.
    pub fn sign(&self, message: &[u8]) -> String {
        format!("{SCHEME}{}", BASE64_STANDARD.encode(self.0.sign(message).as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_message_by_one_key() {
        let (key, text) = SigningKey::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        std::fs::write(&path, text).unwrap();
        let signature = SigningKey::read(&path).unwrap().sign(b"message");
        let public = VerifyingKey::parse(&key.public().to_string()).unwrap();
        assert!(public.verifies(b"message", &signature));
        assert!(!public.verifies(b"massage", &signature));
        let stranger = SigningKey::generate().unwrap().0.public();
        assert!(!stranger.verifies(b"message", &signature));
    }
}
