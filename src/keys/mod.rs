//! Keys: age recipients and identities, which encrypt and open archives, and Ed25519 keys, which sign manifests and
//! check them. Knows neither archives nor repositories; both formats are the public ones of age and PKCS#8.

mod encryption;
mod file;
mod signing;

pub use encryption::{Identities, PublicKey, Recipients, generate};
pub use file::{is_private, write_new, write_over};
pub use signing::{SigningKey, VerifyingKey};
