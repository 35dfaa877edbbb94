//! Licences: reads what is configured, checks it, and says what it grants now. A licence that is not valid (an invoice
//! that was paid late, a key whose path broke) is never an accident of the backup: `onInvalid` says what it leads to.

mod claims;
mod history;
mod json;
mod token;

use crate::config::{Config, License, LicenseOrigin, OnInvalid};
use crate::error::{Error, Kind, Result};
use crate::keys::TokenKey;
use crate::modules::{Grant, GrantState, Grants};
use crate::names::{Scope, TenantId};
use chrono::{DateTime, TimeDelta, Utc};
use claims::{Claimed, Unfit};
use history::LastValid;

/// What the licences grant to `scope` at `now`. One that is not valid is told in the grant.
pub fn grants(config: &Config, scope: &Scope, now: DateTime<Utc>) -> Grants {
    grants_beside(config, installation(config, now), scope, now)
}

fn grants_beside(config: &Config, installation: Grant, scope: &Scope, now: DateTime<Utc>) -> Grants {
    let own = scope.tenant().and_then(|id| Some((id, config.tenancy.tenants.get(id)?.license.as_ref()?)));
    Grants { installation, tenant: own.map(|(id, license)| grant(config, license, Some(id), now)) }
}

/// The same for a run.
///
/// # Errors
/// [`Kind::Config`] where a licence is not valid and `onInvalid` is `fail`.
pub fn required(config: &Config, scope: &Scope, now: DateTime<Utc>) -> Result<Grants> {
    required_beside(config, installation(config, now), scope, now)
}

/// What the installation's licence grants, for a run over many tenants that asks for it once.
pub fn installation(config: &Config, now: DateTime<Utc>) -> Grant {
    grant(config, &config.license, None, now)
}

/// As [`required`], where the installation's grant is known.
///
/// # Errors
/// As [`required`].
pub fn required_beside(config: &Config, installation: Grant, scope: &Scope, now: DateTime<Utc>) -> Result<Grants> {
    let grants = grants_beside(config, installation, scope, now);
    let own = scope.tenant().and_then(|id| config.tenancy.tenants.get(id)?.license.as_ref());
    let judged = [
        (Some(&grants.installation), Some(&config.license), "the licence"),
        (grants.tenant.as_ref(), own, "the tenant's licence"),
    ];
    for (grant, license, whose) in judged {
        let (Some(grant), Some(OnInvalid::Fail)) = (grant, license.map(|license| license.on_invalid)) else { continue };
        if grant.state != GrantState::Valid {
            let error = Error::new(Kind::Config, format!("{whose} is not valid, and `onInvalid` is `fail`"));
            let remedy = grant.remedy.clone().unwrap_or_default();
            return Err(error
                .cause(grant.problem.clone().unwrap_or_default())
                .hint(format!("{remedy}; `onInvalid: keep` backs up meanwhile what was licensed before")));
        }
    }
    Ok(grants)
}

/// Why a licence is not valid, what to do, and what it granted while it was.
struct Invalid {
    problem: String,
    remedy: &'static str,
    expired: Option<(Claimed, DateTime<Utc>)>,
}

impl Invalid {
    fn new(problem: String, remedy: &'static str) -> Self {
        Self { problem, remedy, expired: None }
    }
}

fn grant(config: &Config, license: &License, tenant: Option<&TenantId>, now: DateTime<Utc>) -> Grant {
    let source = match &license.origin {
        LicenseOrigin::Features(_) => "features",
        LicenseOrigin::Token(_) => "token",
        LicenseOrigin::File(_) => "file",
    };
    let base = Grant { source: Some(source.into()), verified_at: Some(now), ..Grant::default() };
    match check(license, tenant, now) {
        Ok(claimed) => Grant { features: claimed.features, issuer: claimed.issuer, expires: claimed.expires, ..base },
        Err(invalid) => on_grace(config, license, tenant, invalid, base, now),
    }
}

/// What is valid now.
fn check(license: &License, tenant: Option<&TenantId>, now: DateTime<Utc>) -> Result<Claimed, Invalid> {
    let (claims, must_expire) = match &license.origin {
        LicenseOrigin::Features(features) => {
            return Ok(Claimed { features: features.clone(), issuer: None, expires: None });
        }
        LicenseOrigin::File(path) => {
            let text = std::fs::read(path).map_err(|e| {
                let problem = format!("cannot read the licence file {}: {e}", path.display());
                Invalid::new(problem, "put the file back, or correct `file`")
            })?;
            let claims = json::object(&text).map_err(|why| {
                Invalid::new(format!("of the licence file {}: {why}", path.display()), "ask who made it for a new one")
            })?;
            (claims, false)
        }
        LicenseOrigin::Token(source) => {
            let key = key(license).map_err(|why| {
                Invalid::new(format!("the public key (`publicKey`) {why}"), "correct `publicKey`, or the key it names")
            })?;
            let token = source.read().map_err(|why| {
                Invalid::new(format!("the token cannot be had: {why}"), "correct `token`, or what it names")
            })?;
            let claims = token::verified_claims(token.reveal(), &key).map_err(|why| {
                Invalid::new(why, "get a token from the licence server, or its new public key if that has changed")
            })?;
            (claims, true)
        }
    };
    claims::read(&claims, license, tenant, must_expire, now).map_err(|unfit| match unfit {
        Unfit::Wrong(why) => {
            Invalid::new(why, "get the right licence from who issues it, or correct `license` in the configuration")
        }
        Unfit::Expired(claimed, end) => Invalid {
            problem: format!("it expired {}", end.format("%Y-%m-%d %H:%M UTC")),
            remedy: "renew it",
            expired: Some((claimed, end)),
        },
    })
}

fn key(license: &License) -> Result<TokenKey, String> {
    let source = license.public_key.as_ref().ok_or("is not configured")?;
    let text = source.read().map_err(|why| format!("cannot be had: {why}"))?;
    let key = TokenKey::parse(text.reveal())?;
    match license.algorithm.filter(|pinned| *pinned != key.algorithm()) {
        Some(pinned) => Err(format!("is for {}, and `algorithm` is {pinned}", key.algorithm())),
        None => Ok(key),
    }
}

/// What follows for the grant: the features of the last valid licence for the days of grace, or none.
fn on_grace(
    config: &Config,
    license: &License,
    tenant: Option<&TenantId>,
    invalid: Invalid,
    base: Grant,
    now: DateTime<Utc>,
) -> Grant {
    let Invalid { mut problem, remedy, expired } = invalid;
    let mut grant = Grant { state: GrantState::Invalid, verified_at: None, remedy: Some(remedy.into()), ..base };
    if let Some((claimed, end)) = &expired {
        (grant.issuer, grant.expires) = (claimed.issuer.clone(), Some(*end));
    }
    if license.on_invalid == OnInvalid::Keep {
        let grace = TimeDelta::days(i64::from(license.grace_days));
        let scope = tenant.map(|id| Scope::Tenant(id.clone()));
        // A backup knows what was valid before it was made: one older than the days of grace cannot help.
        let since = now.checked_sub_signed(grace).unwrap_or_default();
        let remembered = history::last_valid(config, scope.as_ref(), since).unwrap_or_else(|error| {
            problem += &format!("; what was licensed before cannot be looked up: {error}");
            None
        });
        // What a token that only ran out says of itself counts like a manifest.
        let itself = expired.map(|(claimed, end)| LastValid { features: claimed.features, at: end });
        let last = remembered.into_iter().chain(itself).max_by_key(|last| last.at);
        let until = last.as_ref().and_then(|last| last.at.min(now).checked_add_signed(grace));
        match (last, until) {
            (Some(last), Some(until)) if until > now => {
                grant.state = GrantState::Grace;
                grant.features = last.features;
                grant.verified_at = Some(last.at.min(now));
                grant.grace_until = Some(until);
            }
            (Some(_), _) => problem += &format!("; its {} days of grace are over", license.grace_days),
            (None, _) => problem += &format!("; no backup of the last {} days knows a valid one", license.grace_days),
        }
    }
    grant.problem = Some(problem);
    grant
}
