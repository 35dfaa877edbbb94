//! HMAC-SHA256 (RFC 2104), by which a receiver knows that a message is ours.

use aws_lc_rs::hmac;

/// The code of `message` under `key`, hexadecimal.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    code.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
