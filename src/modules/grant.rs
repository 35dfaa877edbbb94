//! What a licence grants, as far as modules are concerned: made by `license`, written into manifests.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How long before its end a licence is spoken of.
const SOON: TimeDelta = TimeDelta::days(14);

/// What one licence grants. Field names are a contract: this is `license` in a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Features; on grace those of the last valid licence.
    pub features: Vec<String>,
    /// Whether that is so because the licence says it.
    #[serde(default)]
    pub state: GrantState,
    /// Where it is written: `features`, `token` or `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Who has issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// When it ends, or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<DateTime<Utc>>,
    /// When the features were last granted by a valid licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<DateTime<Utc>>,
    /// Until when they are kept without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_until: Option<DateTime<Utc>>,
    /// Why it is not valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What to do about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// On what a grant rests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GrantState {
    /// The licence is valid.
    #[default]
    Valid,
    /// It is not, and the features of the last valid one are kept for a while.
    Grace,
    /// It is not, and grants nothing.
    Invalid,
}

/// What the licences grant to one scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// The installation's licence.
    pub installation: Grant,
    /// The tenant's own, where the scope is a tenant that has one.
    pub tenant: Option<Grant>,
}

impl Grant {
    /// Why it does not count as it stands, for a sentence.
    pub(super) fn why(&self) -> &str {
        self.problem.as_deref().unwrap_or("the licence is not valid")
    }

    /// What to say of a valid one that is about to end.
    fn ends_soon(&self, whose: &str) -> Option<String> {
        let (end, now) = self.expires.zip(self.verified_at)?;
        let left = match (end - now).num_days() {
            _ if end - now > SOON => return None,
            0 => "in less than a day".to_owned(),
            1 => "in 1 day".to_owned(),
            days => format!("in {days} days"),
        };
        Some(format!("{whose} expires {}, {left}: renew it", day(end)))
    }

    fn warning(&self, whose: &str) -> Option<String> {
        let remedy = self.remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        let why = self.why();
        match (self.state, self.grace_until) {
            (GrantState::Valid, _) => self.ends_soon(whose),
            (GrantState::Grace, Some(until)) => Some(format!(
                "{whose} is not valid: {why}. The modules of the last valid one stay in until {}, then they are left \
                 out{remedy}",
                day(until)
            )),
            (GrantState::Grace, None) => Some(format!("{whose} is not valid: {why}{remedy}")),
            (GrantState::Invalid, _) => {
                Some(format!("{whose} is not valid: {why}. Every module that needs it is left out{remedy}"))
            }
        }
    }
}

impl Grants {
    /// Every licence that is asked of the scope is valid.
    pub fn are_valid(&self) -> bool {
        self.installation.state == GrantState::Valid
            && self.tenant.as_ref().is_none_or(|grant| grant.state == GrantState::Valid)
    }

    /// One sentence for each licence that is not valid, or soon is not: why, what follows, what to do.
    pub fn warnings(&self) -> Vec<String> {
        let tenant = self.tenant.as_ref().and_then(|grant| grant.warning("the tenant's licence"));
        self.installation.warning("the licence").into_iter().chain(tenant).collect()
    }
}

/// `2026-01-31 12:00 UTC`.
pub(super) fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}
