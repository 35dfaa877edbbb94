//! Resolves a request: modules first, then the archives they make.

use super::components::Components;
use super::enablement::choose;
use super::references::tenant_references;
use super::{Content, Grants, Only, Request, Selection};
use crate::config::Config;
use crate::error::{Error, Kind, Result};

/// Resolves a request.
///
/// # Errors
/// [`Kind::NotFound`] for an unknown tenant or module (with close names as hint), and when nothing at all is
/// selected; [`Kind::Config`] when a module asked for by name is excluded, a dependency is out, or an owner rule is
/// missing.
pub fn select(config: &Config, grants: &Grants, request: &Request) -> Result<Selection> {
    let chosen = choose(config, grants, request.scope.tenant(), &request.modules)?;
    let mut components = Components::new(config, &request.scope, &chosen.modules);
    // Databases before files, so that every file a record names is there.
    if request.only != Some(Only::Files) {
        components.add_collections()?;
        if request.modules.is_empty() {
            components.add_whole_databases();
        }
    }
    if request.only != Some(Only::Database) {
        components.add_uploads();
        if request.modules.is_empty() {
            components.add_extra_files();
        }
    }
    let (components, more) = components.finish()?;
    let has_uploads = components.iter().any(|component| matches!(component.content, Content::Uploads { .. }));
    let references = match request.scope.tenant() {
        Some(tenant) if has_uploads => tenant_references(config, tenant)?,
        _ => Vec::new(),
    };
    let mut notes = chosen.notes;
    notes.extend(more);
    if components.is_empty() {
        return Err(Error::new(Kind::NotFound, format!("nothing is selected ({})", request.scope))
            .details(notes)
            .hint("`backup list-modules` shows what each module holds; check --module and --only"));
    }
    Ok(Selection {
        scope: request.scope.clone(),
        modules: chosen.modules,
        excluded: chosen.excluded,
        grants: grants.clone(),
        components,
        references,
        notes,
    })
}

#[cfg(test)]
#[path = "selection_tests.rs"]
mod tests;
