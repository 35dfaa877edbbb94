//! Who the tenants are: those of the configuration, and those that `tenancy.discover` finds in a source.

use crate::config::{Config, Discovery, IdType, License, Tenant};
use crate::error::{Context, Error, Kind, Result};
use crate::modules;
use crate::names::{Scope, TenantId};
use crate::pipeline::Cancel;
use crate::source::{self, NamedTenant};
use serde_json::Value;
use std::collections::BTreeMap;

/// The configuration in which every tenant is known, and what the operator should know of them.
#[derive(Debug)]
pub struct Known {
    /// With the tenants that were found among its own, and nowhere else to look.
    pub config: Config,
    /// What is wrong with records of tenants, a line each: those tenants are not known.
    pub mistakes: Vec<String>,
    /// Worth a word, and no mistake.
    pub notes: Vec<String>,
    /// No tenant is listed anywhere, so that any id is one.
    pub is_open: bool,
}

impl Known {
    fn of(config: &Config) -> Self {
        let is_open = config.tenancy.discover.is_none() && config.tenancy.tenants.is_empty();
        Self { config: config.clone(), mistakes: Vec::new(), notes: Vec::new(), is_open }
    }
}

/// Looks up every tenant.
///
/// # Errors
/// When the source cannot be reached or read.
pub fn all(config: &Config, cancel: &Cancel) -> Result<Known> {
    let mut known = Known::of(config);
    let Some(discovery) = known.config.tenancy.discover.take() else { return Ok(known) };
    let (name, collection) = (discovery.source.as_str(), discovery.collection.as_str());
    let unknown = || Error::new(Kind::Internal, format!("source '{name}' is not configured"));
    let source = config.sources.get(name).ok_or_else(unknown)?;
    let opened = source::open(name, source, cancel).context(|| format!("cannot look up tenants in source '{name}'"))?;
    let found = opened.tenants(&discovery)?;
    let place = format!("{name}.{collection}");
    let mut first: BTreeMap<TenantId, ()> = BTreeMap::new();
    for named in found {
        match id_of(&named, config.tenancy.id_type) {
            Err(why) => known.mistakes.push(format!("{place}: {why}")),
            Ok(id) if first.insert(id.clone(), ()).is_some() => {
                known
                    .config
                    .tenancy
                    .tenants
                    .retain(|other, _| *other != id || config.tenancy.tenants.contains_key(other));
                known.mistakes.push(format!("{place}: tenant '{id}' is there more than once"));
            }
            Ok(id) if config.tenancy.tenants.contains_key(&id) => {
                known.notes.push(format!("tenant '{id}' is as the configuration has it, not as {place}"));
            }
            Ok(id) => match tenant(&named, config, &discovery) {
                Ok((tenant, strangers)) => {
                    let note =
                        |module| format!("{place}: tenant '{id}' uses module '{module}', which is not configured");
                    known.notes.extend(strangers.into_iter().map(note));
                    known.config.tenancy.tenants.insert(id, tenant);
                }
                Err(why) => known.mistakes.push(format!("{place}: tenant '{id}': {why}")),
            },
        }
    }
    Ok(known)
}

/// The configuration for a run of one scope, its tenant known. Where the configuration has that tenant itself, nothing is
/// looked up.
///
/// # Errors
/// [`Kind::NotFound`] for a tenant that is nowhere, with names like it; as [`all`].
pub fn of_scope(config: &Config, scope: &Scope, cancel: &Cancel) -> Result<Known> {
    let static_one = scope.tenant().is_none_or(|id| config.tenancy.tenants.contains_key(id));
    if static_one || config.tenancy.discover.is_none() {
        return Ok(Known::of(config));
    }
    let known = all(config, cancel)?;
    if let Some(id) = scope.tenant() {
        require(&known, id)?;
    }
    Ok(known)
}

/// Makes sure that a tenant is among those that were looked up.
///
/// # Errors
/// [`Kind::NotFound`] with names like it; [`Kind::Config`] when its own record is wrong.
pub fn require(known: &Known, id: &TenantId) -> Result<()> {
    if known.is_open || known.config.tenancy.tenants.contains_key(id) {
        return modules::require_tenant(&known.config, id);
    }
    let own: Vec<_> = known.mistakes.iter().filter(|line| line.contains(&format!("'{id}'"))).cloned().collect();
    if own.is_empty() { Err(modules::unknown_tenant(&known.config, id)) } else { Err(refused(own)) }
}

/// The refusal of a run over all tenants, when some of them cannot be told.
pub fn refused(mistakes: Vec<String>) -> Error {
    let many = if mistakes.len() == 1 {
        "a tenant's record is wrong".into()
    } else {
        format!("{} records of tenants are wrong", mistakes.len())
    };
    Error::new(Kind::Config, many)
        .details(mistakes)
        .hint("correct them where they are; meanwhile `--tenant` and `--tenants-file` back up the others")
}

/// A checked id. Refused by name: it becomes part of paths and filters.
fn id_of(named: &NamedTenant, id_type: IdType) -> Result<TenantId, String> {
    // Rows write ObjectIds, and often UUIDs, as text.
    let fits = match (named.id_type, id_type) {
        (Some(IdType::String), IdType::ObjectId | IdType::Uuid) => true,
        (found, wanted) => found == Some(wanted),
    };
    if !fits {
        let found = named.id_type.map(word).unwrap_or(&named.id);
        let which =
            if named.id_type.is_some() { format!("id '{}' is", named.id.escape_debug()) } else { "an id is".into() };
        return Err(format!("{which} of type {found}, and `tenancy.idType` is {}", word(id_type)));
    }
    let id = TenantId::parse(&named.id).map_err(|error| error.message)?;
    modules::check_tenant_type(&id, id_type).map_err(|error| error.message)?;
    Ok(id)
}

fn word(id_type: IdType) -> &'static str {
    match id_type {
        IdType::String => "string",
        IdType::ObjectId => "objectId",
        IdType::Int => "int",
        IdType::Uuid => "uuid",
    }
}

/// Its settings, and modules that are not configured.
fn tenant(named: &NamedTenant, config: &Config, discovery: &Discovery) -> Result<(Tenant, Vec<String>), String> {
    let listed = |path: &Option<String>, value: &Value| match path {
        Some(path) => words(value).map_err(|why| format!("`{path}` {why}")),
        None => Ok(None),
    };
    let modules = listed(&discovery.modules, &named.modules)?;
    let features = listed(&discovery.features, &named.features)?;
    let (modules, strangers) = match modules {
        Some(modules) => {
            let (known, strangers) = modules.into_iter().partition(|name| config.modules.contains_key(name));
            (Some(known), strangers)
        }
        None => (None, Vec::new()),
    };
    // One that says nothing of a licence has what the installation has; one that lists nothing has nothing.
    Ok((Tenant { modules, license: features.map(License::plain) }, strangers))
}

/// A list of names, or a map of names that are switched on; none where nothing is said.
fn words(value: &Value) -> Result<Option<Vec<String>>, &'static str> {
    const ODD: &str = "is neither a list of names nor a map of `true` or `{enabled: true}`";
    match value {
        Value::Null => Ok(None),
        Value::Array(names) => {
            names.iter().map(|name| name.as_str().map(ToOwned::to_owned).ok_or(ODD)).collect::<Result<_, _>>().map(Some)
        }
        Value::Object(switches) => {
            let mut on = Vec::new();
            for (name, switch) in switches {
                if switch.as_bool().or_else(|| switch.get("enabled")?.as_bool()).ok_or(ODD)? {
                    on.push(name.clone());
                }
            }
            Ok(Some(on))
        }
        _ => Err(ODD),
    }
}
