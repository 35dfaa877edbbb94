//! Licence tokens, made by openssl: keys, signatures and MACs are not ours.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A pair of keys in a folder of its own.
pub struct Issuer {
    folder: TempDir,
    /// Name of its algorithm in a token's header.
    pub algorithm: &'static str,
}

impl Issuer {
    /// With an RSA key of so many bits.
    pub fn rsa(bits: u32) -> Self {
        Self::new("RS256", &["-algorithm", "RSA", "-pkeyopt", &format!("rsa_keygen_bits:{bits}")])
    }

    /// With an Ed25519 key.
    pub fn ed25519() -> Self {
        Self::new("EdDSA", &["-algorithm", "ed25519"])
    }

    fn new(algorithm: &'static str, options: &[&str]) -> Self {
        let issuer = Self { folder: tempfile::tempdir().unwrap(), algorithm };
        let private = issuer.path("private.pem");
        openssl(&[&["genpkey", "-out", text(&private)], options].concat());
        openssl(&["pkey", "-in", text(&private), "-pubout", "-out", text(&issuer.path("public.pem"))]);
        issuer
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The text of its public key.
    pub fn public(&self) -> String {
        std::fs::read_to_string(self.path("public.pem")).unwrap()
    }

    /// The text of its private key.
    pub fn private(&self) -> String {
        std::fs::read_to_string(self.path("private.pem")).unwrap()
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": self.algorithm, "typ": "JWT"}).to_string(), &claims.to_string())
    }

    /// A token of exactly these texts, signed.
    pub fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encoded(header), encoded(claims));
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(self.signature(&signed)))
    }

    fn signature(&self, message: &str) -> Vec<u8> {
        let (input, output, private) = (self.path("message"), self.path("signature"), self.path("private.pem"));
        std::fs::write(&input, message).unwrap();
        match self.algorithm {
            "RS256" => openssl(&["dgst", "-sha256", "-sign", text(&private), "-out", text(&output), text(&input)]),
            _ => openssl(&[
                "pkeyutl",
                "-sign",
                "-rawin",
                "-inkey",
                text(&private),
                "-in",
                text(&input),
                "-out",
                text(&output),
            ]),
        }
        std::fs::read(output).unwrap()
    }

    /// A token whose signature is an HMAC with the public key as its secret: the classic confusion of algorithms.
    pub fn confused(&self, claims: &Value) -> String {
        let signed = format!("{}.{}", encoded(r#"{"alg":"HS256"}"#), encoded(&claims.to_string()));
        let (input, output) = (self.path("message"), self.path("mac"));
        std::fs::write(&input, &signed).unwrap();
        let secret: String = self.public().bytes().map(|byte| format!("{byte:02x}")).collect();
        let key = format!("hexkey:{secret}");
        openssl(&[
            "mac",
            "-digest",
            "SHA256",
            "-macopt",
            &key,
            "-binary",
            "-in",
            text(&input),
            "-out",
            text(&output),
            "HMAC",
        ]);
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(std::fs::read(output).unwrap()))
    }
}

/// Base64url without padding.
pub fn encoded(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
