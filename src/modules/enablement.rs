//! Which modules are in, and why the others are out: required, licence, tenant, dependencies, `--module`.

use super::grant::day;
use super::{Excluded, Grant, GrantState, Grants, State, close_names, tenants};
use crate::config::{Config, Module, Tenant};
use crate::error::{Error, Kind, Result};
use crate::names::TenantId;
use std::collections::BTreeMap;

/// A module's state with the reason for it, before any `--module`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub state: State,
    pub reason: String,
    /// It is out because a licence is not valid, not because one says so.
    pub lapsed: bool,
}

impl Standing {
    fn new(state: State, reason: impl Into<String>) -> Self {
        Self { state, reason: reason.into(), lapsed: false }
    }

    pub fn is_in(&self) -> bool {
        self.state != State::Excluded
    }
}

/// Modules that are in, and the rest with reasons. Together they are every configured module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// By priority and then name.
    pub modules: Vec<String>,
    /// By name.
    pub excluded: Vec<Excluded>,
    /// What the operator should know of licences.
    pub notes: Vec<String>,
}

/// Decides which modules a run covers. `asked` (from `--module`) narrows the enabled ones and pulls nothing in.
///
/// # Errors
/// [`Kind::NotFound`] for an unknown tenant or module, [`Kind::Config`] when a module asked for is excluded, or a
/// dependency of a module that is in is out. Where that is for a licence that is not valid, it is a note: whoever
/// forgot to renew one must not lose the backup of everything else.
pub fn choose(config: &Config, grants: &Grants, tenant: Option<&TenantId>, asked: &[String]) -> Result<Chosen> {
    let standings = standings(config, grants, tenant)?;
    for name in asked {
        check_asked(config, &standings, name)?;
    }
    let mut chosen = Chosen { modules: Vec::new(), excluded: Vec::new(), notes: grants.warnings() };
    for (name, standing) in &standings {
        let left_out = if !standing.is_in() {
            Some(standing.reason.clone())
        } else if !asked.is_empty() && !asked.contains(name) {
            Some("not asked for (--module)".to_owned())
        } else {
            None
        };
        match left_out {
            Some(reason) => chosen.excluded.push(Excluded { module: name.clone(), reason }),
            None => chosen.modules.push(name.clone()),
        }
    }
    chosen.notes.extend(check_dependencies(config, &standings, &chosen.modules)?);
    let priority = |name: &String| config.modules.get(name).map_or(i64::MAX, |module| module.priority);
    chosen.modules.sort_by_key(priority); // stable: names of one priority stay in order
    Ok(chosen)
}

/// Every configured module's standing for the installation or a tenant.
pub(super) fn standings(
    config: &Config,
    grants: &Grants,
    tenant: Option<&TenantId>,
) -> Result<BTreeMap<String, Standing>> {
    let settings = tenant.map(|id| Ok((id, tenants::find(config, id)?))).transpose()?;
    let settings = settings.as_ref().map(|(id, settings)| (*id, settings));
    let standing = |(name, module): (&String, &Module)| (name.clone(), standing(name, module, grants, settings));
    Ok(config.modules.iter().map(standing).collect())
}

fn standing(name: &str, module: &Module, grants: &Grants, tenant: Option<(&TenantId, &Tenant)>) -> Standing {
    if module.required {
        return Standing::new(State::Required, "always enabled");
    }
    if let Some((id, modules)) = tenant.and_then(|(id, t)| Some((id, t.modules.as_ref()?)))
        && !modules.iter().any(|m| m == name)
    {
        return Standing::new(State::Excluded, format!("not among the modules of tenant '{id}'"));
    }
    let Some(feature) = &module.license_feature else {
        return Standing::new(State::Enabled, "needs no licence");
    };
    let installation = licensed(&grants.installation, feature, "");
    match (tenant, &grants.tenant) {
        (Some((id, _)), Some(own)) if installation.is_in() => {
            let own_standing = licensed(own, feature, &format!(" for tenant '{id}'"));
            // Of two that are in, the one on grace is worth telling of.
            if own_standing.is_in() && own.state == GrantState::Valid { installation } else { own_standing }
        }
        _ => installation,
    }
}

/// What one licence says of a feature. `whom` follows the word "licensed".
fn licensed(grant: &Grant, feature: &str, whom: &str) -> Standing {
    let lapsed = grant.state != GrantState::Valid;
    if grant.features.iter().any(|granted| granted == feature) {
        let reason = match grant.grace_until.filter(|_| lapsed) {
            Some(until) => format!("feature '{feature}' is kept until {}: {}", day(until), grant.why()),
            None => format!("feature '{feature}' is licensed"),
        };
        return Standing::new(State::Enabled, reason);
    }
    let why = if lapsed { format!(": {}", grant.why()) } else { String::new() };
    let reason = format!("feature '{feature}' is not licensed{whom}{why}");
    Standing { lapsed, ..Standing::new(State::Excluded, reason) }
}

fn check_asked(config: &Config, standings: &BTreeMap<String, Standing>, name: &str) -> Result<()> {
    match standings.get(name) {
        None => Err(Error::new(Kind::NotFound, format!("there is no module '{name}'"))
            .hint(close_names::hint(name, config.modules.keys().map(String::as_str)))),
        Some(standing) if !standing.is_in() => {
            Err(Error::new(Kind::Config, format!("module '{name}' is excluded: {}", standing.reason))
                .hint("`backup list-modules` shows every module with its state and reason"))
        }
        Some(_) => Ok(()),
    }
}

/// The dependencies of `module` that are out, each with the reason, and whether a licence that is not valid is it.
pub(super) fn missing_dependencies<'a>(
    module: &'a Module,
    standings: &'a BTreeMap<String, Standing>,
) -> impl Iterator<Item = (&'a str, &'a str, bool)> {
    module.dependencies.iter().filter_map(|name| match standings.get(name) {
        None => Some((name.as_str(), "no such module is configured", false)),
        Some(standing) if !standing.is_in() => Some((name.as_str(), standing.reason.as_str(), standing.lapsed)),
        Some(_) => None,
    })
}

/// Notes of what a licence that is not valid takes from the selected modules.
fn check_dependencies(
    config: &Config,
    standings: &BTreeMap<String, Standing>,
    selected: &[String],
) -> Result<Vec<String>> {
    let (mut findings, mut notes) = (Vec::new(), Vec::new());
    for (name, module) in config.modules.iter().filter(|(name, _)| selected.contains(name)) {
        for (dependency, reason, lapsed) in missing_dependencies(module, standings) {
            let finding = format!("module '{name}' depends on '{dependency}', which is excluded: {reason}");
            if lapsed { notes.push(finding) } else { findings.push(finding) }
        }
    }
    let Some(first) = findings.first().cloned() else { return Ok(notes) };
    let details = if findings.len() > 1 { findings } else { Vec::new() };
    Err(Error::new(Kind::Config, first)
        .details(details)
        .hint("enable the dependency (licence, `tenancy.tenants`), or disable the module that needs it"))
}
