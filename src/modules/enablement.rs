//! Which modules are in, and why the others are out: required, licence, tenant, dependencies, `--module`.

use super::{Excluded, State, close_names, tenants};
use crate::config::{Config, Module, Tenant};
use crate::error::{Error, Kind, Result};
use crate::names::TenantId;
use std::collections::BTreeMap;

/// A module's state with the reason for it, before any `--module`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub state: State,
    pub reason: String,
}

impl Standing {
    fn new(state: State, reason: impl Into<String>) -> Self {
        Self { state, reason: reason.into() }
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
}

/// Decides which modules a run covers. `asked` (from `--module`) narrows the enabled ones and pulls nothing in.
///
/// # Errors
/// [`Kind::NotFound`] for an unknown tenant or module, [`Kind::Config`] when a module asked for is excluded, or a
/// dependency of a module that is in is out.
pub fn choose(config: &Config, tenant: Option<&TenantId>, asked: &[String]) -> Result<Chosen> {
    let standings = standings(config, tenant)?;
    for name in asked {
        check_asked(config, &standings, name)?;
    }
    let mut chosen = Chosen { modules: Vec::new(), excluded: Vec::new() };
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
    check_dependencies(config, &standings, &chosen.modules)?;
    let priority = |name: &String| config.modules.get(name).map_or(i64::MAX, |module| module.priority);
    chosen.modules.sort_by_key(priority); // stable: names of one priority stay in order
    Ok(chosen)
}

/// Every configured module's standing for the installation or a tenant.
pub(super) fn standings(config: &Config, tenant: Option<&TenantId>) -> Result<BTreeMap<String, Standing>> {
    let settings = tenant.map(|id| Ok((id, tenants::find(config, id)?))).transpose()?;
    let settings = settings.as_ref().map(|(id, settings)| (*id, settings));
    Ok(config.modules.iter().map(|(name, module)| (name.clone(), standing(config, name, module, settings))).collect())
}

fn standing(config: &Config, name: &str, module: &Module, tenant: Option<(&TenantId, &Tenant)>) -> Standing {
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
    if !config.license.features.contains(feature) {
        return Standing::new(State::Excluded, format!("feature '{feature}' is not licensed"));
    }
    if let Some((id, features)) = tenant.and_then(|(id, t)| Some((id, t.features.as_ref()?)))
        && !features.contains(feature)
    {
        return Standing::new(State::Excluded, format!("feature '{feature}' is not licensed for tenant '{id}'"));
    }
    Standing::new(State::Enabled, format!("feature '{feature}' is licensed"))
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

/// The dependencies of `module` that are out, each with the reason.
pub(super) fn missing_dependencies<'a>(
    module: &'a Module,
    standings: &'a BTreeMap<String, Standing>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    module.dependencies.iter().filter_map(|name| match standings.get(name) {
        None => Some((name.as_str(), "no such module is configured")),
        Some(standing) if !standing.is_in() => Some((name.as_str(), standing.reason.as_str())),
        Some(_) => None,
    })
}

fn check_dependencies(config: &Config, standings: &BTreeMap<String, Standing>, selected: &[String]) -> Result<()> {
    let mut findings = Vec::new();
    for (name, module) in config.modules.iter().filter(|(name, _)| selected.contains(name)) {
        for (dependency, reason) in missing_dependencies(module, standings) {
            findings.push(format!("module '{name}' depends on '{dependency}', which is excluded: {reason}"));
        }
    }
    let Some(first) = findings.first().cloned() else { return Ok(()) };
    let details = if findings.len() > 1 { findings } else { Vec::new() };
    Err(Error::new(Kind::Config, first)
        .details(details)
        .hint("enable the dependency (licence, `tenancy.tenants`), or disable the module that needs it"))
}
