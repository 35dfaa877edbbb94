//! Signed tokens: a JWT (RFC 7519) in the compact form of JWS (RFC 7515). Whatever a header may ask for, the key of the
//! configuration checks the signature by its own algorithm or the token is refused (RFC 8725, section 3.1).

use super::json;
use crate::keys::TokenKey;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Far more than any licence needs.
const LONGEST: usize = 64 * 1024;

/// The claims of a token that `key` has signed. Of one that it has not, nothing is believed and nothing but the
/// algorithm repeated.
///
/// # Errors
/// Why it is refused, as a phrase.
pub(super) fn verified_claims(token: &str, key: &TokenKey) -> Result<Map<String, Value>, String> {
    if token.len() > LONGEST {
        return Err(format!("the token is longer than {} KiB", LONGEST / 1024));
    }
    let parts: Vec<&str> = token.trim().split('.').collect();
    let [header, claims, signature] = parts.as_slice() else {
        return Err("the token is not three parts with dots between them".into());
    };
    let decode = |part: &str, what: &str| {
        BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| format!("the token's {what} is no base64url without padding"))
    };
    let fields = json::object(&decode(header, "header")?).map_err(|why| format!("of the token's header: {why}"))?;
    let pinned = key.algorithm().to_string();
    match fields.get("alg").and_then(Value::as_str) {
        Some(alg) if alg == pinned => {}
        Some(alg) => {
            let alg: String = alg.chars().take(20).collect();
            return Err(format!("the token is signed with '{}', the key is for {pinned}", alg.escape_debug()));
        }
        None => return Err("the token's header names no algorithm".into()),
    }
    // Extensions that must be understood (RFC 7515, section 4.1.11); none is.
    if fields.contains_key("crit") {
        return Err("the token's header asks for extensions (`crit`)".into());
    }
    let signature = decode(signature, "signature")?;
    let signed = format!("{header}.{claims}");
    if !key.verifies(signed.as_bytes(), &signature) {
        return Err(
            "the token is not signed by the key of `publicKey`: it is forged, changed, or of another key".into()
        );
    }
    json::object(&decode(claims, "body")?).map_err(|why| format!("of the token's claims: {why}"))
}
