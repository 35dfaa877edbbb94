//! Keys: age recipients and identities, which encrypt and open archives, Ed25519 keys, which sign manifests and check
//! them, public keys that check licence tokens, and codes of messages. Knows neither archives, repositories nor licences; the formats are
//! the public ones of age, PKCS#8 and X.509.

mod encryption;
mod file;
mod mac;
mod signing;
mod token;

pub use encryption::{Identities, PublicKey, Recipients, generate};
pub use file::{is_private, write_new, write_over};
pub use mac::hmac_sha256;
pub use signing::{SigningKey, VerifyingKey};
pub use token::{TokenAlgorithm, TokenKey};
