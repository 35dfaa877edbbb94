//! `backup words`: what shells complete with. Asks no server and reads no secret; says nothing when something is wrong, for
//! the operator is in the middle of a line.

use crate::cli::output::Report;
use crate::cli::settings::Settings;
use crate::config;
use crate::names::Scope;
use crate::repository;
use clap::ValueEnum;
use std::collections::BTreeSet;

/// Print the names that a shell completes with
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of what
    #[arg(value_enum)]
    kind: Words,
}

/// What can be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Words {
    /// Ids of backups, newest first
    Backups,
    /// Those, and `latest`
    Which,
    /// Modules
    Modules,
    /// Collections
    Collections,
    /// Tenants that are configured or have backups
    Tenants,
    /// Jobs
    Jobs,
    /// Sources, each with the sign that its URI comes after
    Sources,
}

pub fn run(args: &Args, settings: &Settings) -> Report {
    Report::document(words(args.kind, settings).into_iter().map(|word| format!("{word}\n")).collect())
}

fn words(kind: Words, settings: &Settings) -> Vec<String> {
    let Ok(file) = config::find(settings.config_file.as_deref(), &settings.environment) else { return Vec::new() };
    let outline = config::outline(&file, &settings.environment);
    let ids = || outline.repository.as_deref().map(repository::ids_in).unwrap_or_default();
    match kind {
        Words::Backups => ids().iter().map(ToString::to_string).collect(),
        Words::Which => std::iter::once("latest".to_owned()).chain(ids().iter().map(ToString::to_string)).collect(),
        Words::Modules => outline.modules,
        Words::Collections => outline.collections,
        Words::Tenants => {
            let stored = ids().into_iter().filter_map(|id| match id.scope() {
                Scope::Tenant(tenant) => Some(tenant.to_string()),
                Scope::SystemWide => None,
            });
            let all: BTreeSet<_> = stored.chain(outline.tenants).collect();
            all.into_iter().collect()
        }
        Words::Jobs => outline.jobs,
        Words::Sources => outline.sources.into_iter().map(|name| format!("{name}=")).collect(),
    }
}
