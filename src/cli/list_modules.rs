//! `backup list-modules`: which modules are in, which are out, and why.

use crate::cli::exit::{self, Exit};
use crate::cli::output::{self, Report};
use crate::cli::settings::{self, Settings};
use crate::cli::{text, time};
use crate::error::Result;
use crate::license;
use crate::modules::{self, ListedModule, State};
use serde::Serialize;

/// List the modules: enabled, licensed, or excluded with the reason
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help("backup list-modules\nbackup list-modules --tenant acme -v", &[Exit::NotFound]))]
pub struct Args {
    /// As this tenant's licence and choice have it
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
}

/// Field names are a contract.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    tenant_id: Option<&'a str>,
    modules: &'a [ListedModule],
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let scope = settings::scope(args.tenant.as_deref())?;
    let cancel = settings.cancel()?;
    let config = settings.load_for(&scope, &cancel)?;
    let grants = license::grants(&config, &scope, time::now());
    for warning in grants.warnings() {
        settings.events.warn(warning);
    }
    let modules = modules::list(&config, &grants, scope.tenant())?;
    let document = Document { tenant_id: args.tenant.as_deref(), modules: &modules };
    Report::new(render(&modules, settings.verbose, output::width()), &document)
}

fn render(modules: &[ListedModule], verbose: bool, width: Option<u16>) -> String {
    let rows = modules.iter().map(|module| {
        vec![
            module.priority.to_string(),
            module.name.clone(),
            module.display_name.clone(),
            state(module.state).to_owned(),
            module.reason.clone(),
            module.source.clone().unwrap_or_else(|| "-".into()),
            text::number(module.collections.len() as u64),
            text::number(module.file_uploads.len() as u64),
        ]
    });
    let header = ["PRIORITY", "MODULE", "NAME", "STATE", "REASON", "SOURCE", "COLLECTIONS", "UPLOADS"];
    let mut report = text::table(&header, &[0, 6, 7], rows.collect(), width);
    if verbose {
        report.push('\n');
        report.push_str(&collections(modules, width));
    }
    report
}

fn collections(modules: &[ListedModule], width: Option<u16>) -> String {
    let mut rows = Vec::new();
    for module in modules {
        for collection in &module.collections {
            let optional = if collection.optional { "optional" } else { "" };
            rows.push(vec![
                module.name.clone(),
                format!("{}.{}", collection.source, collection.name),
                collection.owner.clone(),
                optional.to_owned(),
            ]);
        }
        for directory in &module.file_uploads {
            rows.push(vec![module.name.clone(), format!("uploads/{directory}"), String::new(), String::new()]);
        }
    }
    text::table(&["MODULE", "COLLECTION", "OWNER", ""], &[], rows, width)
}

fn state(state: State) -> &'static str {
    match state {
        State::Required => "required",
        State::Enabled => "enabled",
        State::Excluded => "excluded",
    }
}
