//! What the claims of a token or licence file say, and whether that holds here and now.

use crate::config::License;
use crate::names::TenantId;
use chrono::{DateTime, Datelike, Utc};
use serde_json::{Map, Value};

/// What is believed of claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claimed {
    pub features: Vec<String>,
    pub issuer: Option<String>,
    pub expires: Option<DateTime<Utc>>,
}

/// Why claims do not hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// They are not for us, or say nothing usable.
    Wrong(String),
    /// They held until then.
    Expired(Claimed, DateTime<Utc>),
}

/// Reads claims (RFC 7519, section 4.1). The end of its time is the last thing that is looked at, so that what has
/// expired is known to have held before.
pub(super) fn read(
    claims: &Map<String, Value>,
    license: &License,
    tenant: Option<&TenantId>,
    must_expire: bool,
    now: DateTime<Utc>,
) -> Result<Claimed, Unfit> {
    let wrong = |why: String| Unfit::Wrong(why);
    let issuer = text(claims, "iss").map_err(wrong)?;
    if let Some(expected) = license.issuer.as_ref().filter(|expected| Some(*expected) != issuer.as_ref()) {
        let found = issuer.as_ref().map_or("nobody".to_owned(), |issuer| format!("'{}'", issuer.escape_debug()));
        return Err(wrong(format!("it is issued by {found}, not by '{expected}' (`issuer`)")));
    }
    let subject = text(claims, "sub").map_err(wrong)?;
    if let Some(tenant) = tenant.filter(|tenant| subject.as_deref() != Some(tenant.as_str())) {
        let found = subject.as_ref().map_or("nobody".to_owned(), |subject| format!("'{}'", subject.escape_debug()));
        return Err(wrong(format!("its subject (`sub`) is {found}, not the tenant '{tenant}'")));
    }
    if let Some(from) = moment(claims, "nbf").map_err(wrong)?.filter(|from| *from > now) {
        return Err(wrong(format!("it is not valid before {} (`nbf`)", from.format("%Y-%m-%d %H:%M UTC"))));
    }
    let features = features(claims, &license.features_claim).map_err(wrong)?;
    let expires = moment(claims, "exp").map_err(wrong)?;
    let claimed = Claimed { features, issuer, expires };
    match expires {
        None if must_expire => Err(wrong("it has no end (`exp`)".into())),
        Some(end) if end <= now => Err(Unfit::Expired(claimed, end)),
        _ => Ok(claimed),
    }
}

fn text(claims: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("its claim `{name}` is no text")),
    }
}

/// Seconds since 1970, whole or not.
fn moment(claims: &Map<String, Value>, name: &str) -> Result<Option<DateTime<Utc>>, String> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    #[expect(clippy::cast_possible_truncation, reason = "what is too large is no moment of a calendar either")]
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64));
    let at = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    at.filter(|at| (1970..=9999).contains(&at.year()))
        .map(Some)
        .ok_or_else(|| format!("its claim `{name}` is no moment (a number of seconds since 1970)"))
}

/// The features under `path`: a list of names, or a map of `name: true` or `name: {enabled: true}`.
fn features(claims: &Map<String, Value>, path: &str) -> Result<Vec<String>, String> {
    let unusable = |what: &str| format!("its claim `{path}` (`featuresClaim`) {what}");
    // A name with dots in it, a URI say, is tried as it is first.
    let found = claims.get(path).or_else(|| {
        let mut parts = path.split('.');
        let first = claims.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    });
    let mut granted = Vec::new();
    match found {
        None => return Err(unusable("is not there")),
        Some(Value::Array(names)) => {
            for name in names {
                granted.push(name.as_str().ok_or_else(|| unusable("lists what is no name"))?.to_owned());
            }
        }
        Some(Value::Object(switches)) => {
            for (name, switch) in switches {
                match switch.as_bool().or_else(|| switch.get("enabled")?.as_bool()) {
                    Some(true) => granted.push(name.clone()),
                    Some(false) => {}
                    None => {
                        let name = name.escape_debug();
                        return Err(unusable(&format!("does not say of '{name}' whether it is enabled")));
                    }
                }
            }
        }
        Some(_) => return Err(unusable("is neither a list nor a map")),
    }
    granted.sort();
    granted.dedup();
    Ok(granted)
}
