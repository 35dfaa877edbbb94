//! Public keys that check signed tokens (JWS, RFC 7515). The algorithm follows from the kind of the key (RFC 7518 for
//! RS256, RFC 8037 for EdDSA) and never from the token, so a token cannot choose a weaker one.

use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAlgorithm {
    /// RSA PKCS#1 v1.5 with SHA-256; keys of 2048 to 8192 bits.
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl fmt::Display for TokenAlgorithm {
    /// As the header of a token names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenAlgorithm::Rs256 => "RS256",
            TokenAlgorithm::EdDsa => "EdDSA",
        })
    }
}

/// A public key that checks tokens.
#[derive(Debug)]
pub struct TokenKey {
    algorithm: TokenAlgorithm,
    key: ParsedPublicKey,
}

impl TokenKey {
    /// Reads a PEM file (`BEGIN PUBLIC KEY`, as `openssl pkey -pubout` writes it).
    ///
    /// # Errors
    /// What is wrong with it; nothing of the text is repeated.
    pub fn parse(pem: &str) -> Result<Self, String> {
        let Some(body) = pem.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)) else {
            return Err(match pem {
                _ if pem.contains("PRIVATE KEY") => "is a private key, which belongs to the licence server alone",
                _ if pem.contains("BEGIN CERTIFICATE") => "is a certificate; `openssl x509 -pubkey -noout` has its key",
                _ => "is no PEM file of one public key (`BEGIN PUBLIC KEY`)",
            }
            .to_owned());
        };
        let body: String = body.split_whitespace().collect();
        let der = BASE64_STANDARD.decode(body).map_err(|_| "is no PEM file: its base64 is broken".to_owned())?;
        let unusable = |_| "is no RSA (2048 to 8192 bits) or Ed25519 public key".to_owned();
        // The library takes a weaker RSA key and then refuses every signature; here it is told why.
        if PublicEncryptingKey::from_der(&der).is_ok() {
            let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &der).map_err(unusable)?;
            return Ok(Self { algorithm: TokenAlgorithm::Rs256, key });
        }
        let key = ParsedPublicKey::new(&ED25519, &der).map_err(unusable)?;
        Ok(Self { algorithm: TokenAlgorithm::EdDsa, key })
    }

    /// The one algorithm whose signatures this key checks.
    pub fn algorithm(&self) -> TokenAlgorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's of `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}
