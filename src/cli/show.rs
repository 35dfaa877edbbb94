//! `backup show`: one manifest, readable. `create` ends with the same picture.

use crate::cli::args::Which;
use crate::cli::exit::{self, Exit};
use crate::cli::output::{self, Report};
use crate::cli::settings::{self, Settings};
use crate::cli::text;
use crate::error::Result;
use crate::manifest::{Collection, Component, ComponentStatus, Manifest, Status};
use crate::modules::{Excluded, Grant, GrantState};
use crate::repository::{Entry, VerifyLevel};
use crate::source::Level;

/// Show one backup's manifest
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help(
    "backup show latest\nbackup show latest --before 2025-12-20 --tenant acme\nbackup --json show system-backup-2025-12-20T10-30-00-000Z",
    &[Exit::NotFound]))]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// With `latest`: among this tenant's backups
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let config = settings.load()?;
    let scope = settings::scope(args.tenant.as_deref())?;
    let which = settings::which(&args.which, &config)?;
    let repository = settings::repository(&config)?;
    let catalog = repository.catalog()?;
    let entry = settings::entry(&catalog, &which, &scope)?;
    let manifest = repository.manifest(&entry.id)?;
    let mut out = render(&manifest, output::width());
    out.push_str(&facts(entry));
    Report::new(out, &manifest)
}

/// A manifest as text.
pub fn render(manifest: &Manifest, width: Option<u16>) -> String {
    let scope = manifest.tenant_id.as_ref().map_or("system-wide".to_owned(), |tenant| format!("tenant {tenant}"));
    let mut out = format!("{}: {}\n\n", manifest.id, status(manifest.status));
    let facts = [
        ("Installation", manifest.installation.clone()),
        ("Scope", scope),
        ("Type", format!("{}, {}", manifest.backup_type.as_str(), manifest.mode)),
        ("Begun", text::time(manifest.timestamp)),
        ("Duration", text::seconds(manifest.duration_seconds)),
        ("Made by", format!("{}, {} {}", manifest.created_by, manifest.tool.name, manifest.tool.version)),
        ("Modules", manifest.enabled_modules.join(", ")),
    ];
    let safety = manifest.safety_for.iter().map(|id| ("Safety copy", format!("of what a restore of {id} changed")));
    for (label, value) in facts.into_iter().chain(safety) {
        out.push_str(&format!("{:<14}{}\n", format!("{label}:"), text::printable(&value)));
    }
    for (label, grant) in [("Licence", Some(&manifest.license)), ("Tenant's", manifest.tenant_license.as_ref())] {
        out.push_str(&grant.map(|grant| license(label, grant)).unwrap_or_default());
    }
    out.push_str(&excluded(&manifest.excluded_modules));
    out.push('\n');
    out.push_str(&components(&manifest.components, width));
    let totals = &manifest.totals;
    out.push_str(&format!(
        "\nTotal: {}, {}, {}, {} stored as {}\n",
        text::count(totals.collections, "collection", "collections"),
        text::count(totals.documents, "document", "documents"),
        text::count(totals.files, "file", "files"),
        text::size(totals.bytes),
        text::size(totals.stored_bytes),
    ));
    out.push_str(&text::list("Failed", &failures(&manifest.components)));
    out.push_str(&text::list("Errors", &manifest.errors));
    out.push_str(&text::list("Warnings", &manifest.warnings));
    out
}

/// A licence that was not valid; nothing of one that was.
fn license(label: &str, grant: &Grant) -> String {
    let problem = text::printable(grant.problem.as_deref().unwrap_or_default());
    let state = match (grant.state, grant.grace_until) {
        (GrantState::Valid, _) => return String::new(),
        (GrantState::Grace, Some(until)) => format!("on grace until {}", text::time(until)),
        (GrantState::Grace, None) => "on grace".to_owned(),
        (GrantState::Invalid, _) => "not valid".to_owned(),
    };
    format!("{:<14}{state}: {problem}\n", format!("{label}:"))
}

/// The modules that are left out, with their reasons.
pub fn excluded(modules: &[Excluded]) -> String {
    modules
        .iter()
        .map(|out| format!("Left out:     {} ({})\n", text::printable(&out.module), text::printable(&out.reason)))
        .collect()
}

fn components(components: &[Component], width: Option<u16>) -> String {
    let rows = components.iter().map(|component| {
        let files = component.files.as_ref();
        let bytes = files.map_or(0, |f| f.bytes).saturating_add(total(component, |c| c.bytes));
        let (items, records) = match files {
            Some(files) => (String::new(), text::count(files.files, "file", "files")),
            None => {
                let complete = component.collections.iter().filter(|c| c.status == ComponentStatus::Complete).count();
                let documents = total(component, |c| c.documents);
                let all = component.collections.len();
                (format!("{complete}/{all}"), text::count(documents, "document", "documents"))
            }
        };
        vec![
            component.archive.clone().unwrap_or_else(|| name(component)),
            component_status(component.status).to_owned(),
            items,
            records,
            text::size(bytes),
            text::size(component.size),
            component.consistency.as_ref().map_or("", |c| level(c.level)).to_owned(),
        ]
    });
    let header = ["COMPONENT", "STATUS", "COLLECTIONS", "CONTENT", "SIZE", "STORED", "CONSISTENCY"];
    text::table(&header, &[2, 3, 4, 5], rows.collect(), width)
}

/// A sum over a component's collections. A manifest may say any number.
fn total(component: &Component, of: impl Fn(&Collection) -> u64) -> u64 {
    component.collections.iter().fold(0, |sum: u64, collection| sum.saturating_add(of(collection)))
}

/// One line for each component or collection that failed.
fn failures(components: &[Component]) -> Vec<String> {
    let mut lines = Vec::new();
    for component in components.iter().filter(|c| c.status == ComponentStatus::Failed) {
        let before = lines.len();
        for collection in component.collections.iter().filter(|c| c.status == ComponentStatus::Failed) {
            let why = collection.error.as_deref().or(component.error.as_deref()).unwrap_or("not stored in full");
            lines.push(format!("{} {}: {why}", name(component), collection.name));
        }
        if let Some(files) = &component.files {
            lines.extend(files.damaged.iter().map(|damage| format!("{} {damage}", name(component))));
        }
        if lines.len() == before {
            let why = component.error.as_deref().unwrap_or("not stored in full");
            lines.push(format!("{}: {why}", name(component)));
        }
    }
    lines
}

fn name(component: &Component) -> String {
    component.module.as_ref().map_or_else(|| component.name.clone(), |module| format!("{module}/{}", component.name))
}

fn facts(entry: &Entry) -> String {
    let verified = match &entry.verified {
        Some(fact) if fact.valid => format!("{}, {}", depth(fact.level), text::time(fact.at)),
        Some(fact) => format!("DAMAGED, {}", text::time(fact.at)),
        None => "not since it was made".into(),
    };
    let held = entry
        .held
        .as_ref()
        .map_or("no".into(), |fact| format!("by {}, {}", text::printable(&fact.by), text::time(fact.at)));
    format!("\nVerified: {verified}\nHeld: {held}\n")
}

/// The word for how deep a verification went.
pub fn depth(level: VerifyLevel) -> &'static str {
    match level {
        VerifyLevel::Stored => "stored",
        VerifyLevel::Decoded => "decoded",
        VerifyLevel::Restored => "restored",
    }
}

/// The word for a backup's status.
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Success => "success",
        Status::Partial => "partial",
        Status::Failed => "failed",
    }
}

fn component_status(status: ComponentStatus) -> &'static str {
    match status {
        ComponentStatus::Complete => "complete",
        ComponentStatus::Absent => "absent",
        ComponentStatus::Failed => "failed",
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Collection => "collection",
        Level::Snapshot => "snapshot",
    }
}
