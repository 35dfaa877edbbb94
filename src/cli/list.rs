//! `backup list`: the backups there are.

use crate::cli::args::Type;
use crate::cli::exit;
use crate::cli::output::{self, Report};
use crate::cli::settings::{self, Settings};
use crate::cli::{show, text, time};
use crate::config::BackupType;
use crate::error::Result;
use crate::manifest::{ComponentStatus, Status};
use crate::names::{Scope, TenantId};
use crate::repository::{Catalog, Entry, FailedRun, Interrupted, UnfinishedRestore, VerifyLevel};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeMap;

/// List the backups, newest first
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help("backup list\nbackup list --tenant acme --type weekly --limit 5", &[]))]
pub struct Args {
    /// Only this tenant's
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only this type
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    backup_type: Option<Type>,
    /// At most this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Field names are a contract.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    backups: Vec<Backup<'a>>,
    interrupted: &'a [Interrupted],
    interrupted_restores: &'a [UnfinishedRestore],
    failed: Vec<&'a FailedRun>,
    unreadable: Vec<Unreadable<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Backup<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    backup_type: BackupType,
    mode: &'a str,
    tenant_id: Option<&'a str>,
    timestamp: DateTime<Utc>,
    status: Status,
    modules: BTreeMap<&'a str, ComponentStatus>,
    size: u64,
    verified: Option<Verified>,
    held: bool,
    safety_for: Option<&'a str>,
}

#[derive(Serialize)]
struct Verified {
    level: VerifyLevel,
    at: DateTime<Utc>,
    valid: bool,
}

#[derive(Serialize)]
struct Unreadable<'a> {
    path: &'a str,
    reason: &'a str,
}

impl<'a> Backup<'a> {
    fn new(entry: &'a Entry) -> Self {
        let manifest = &entry.summary;
        Self {
            id: &manifest.id,
            backup_type: manifest.backup_type,
            mode: &manifest.mode,
            tenant_id: manifest.tenant_id.as_deref(),
            timestamp: manifest.timestamp,
            status: manifest.status,
            modules: manifest.module_states(),
            size: manifest.totals.stored_bytes,
            verified: entry.verified.as_ref().map(|v| Verified { level: v.level, at: v.at, valid: v.valid }),
            held: entry.held.is_some(),
            safety_for: manifest.safety_for.as_deref(),
        }
    }
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let config = settings.load()?;
    let tenant = settings::scope(args.tenant.as_deref())?;
    let catalog = settings::catalog(&config)?;
    let wanted = |backup_type: BackupType, tenant_id: Option<&str>| {
        args.backup_type.is_none_or(|wanted| BackupType::from(wanted) == backup_type)
            && (tenant == Scope::SystemWide || tenant.tenant().map(TenantId::as_str) == tenant_id)
    };
    let document = document(&catalog, &wanted, args.limit.unwrap_or(usize::MAX));
    Report::one_of(settings.json, || render(&document, time::now(), output::width()), &document)
}

fn document<'a>(catalog: &'a Catalog, wanted: &dyn Fn(BackupType, Option<&str>) -> bool, limit: usize) -> Document<'a> {
    let backups = catalog.backups.iter().map(Backup::new).filter(|b| wanted(b.backup_type, b.tenant_id));
    let failed = catalog.failed.iter().filter(|run| wanted(run.backup_type, run.tenant_id.as_deref()));
    Document {
        backups: backups.take(limit).collect(),
        interrupted: &catalog.interrupted,
        interrupted_restores: &catalog.restores,
        failed: failed.take(limit).collect(),
        unreadable: catalog.unreadable.iter().map(|u| Unreadable { path: &u.path, reason: &u.reason }).collect(),
    }
}

fn render(document: &Document<'_>, now: DateTime<Utc>, width: Option<u16>) -> String {
    let rows = document.backups.iter().map(|backup| {
        let in_state = |state| backup.modules.values().filter(|s| **s == state).count();
        vec![
            backup.id.to_owned(),
            backup.backup_type.as_str().to_owned(),
            backup.tenant_id.unwrap_or("system-wide").to_owned(),
            if backup.safety_for.is_some() { "safety" } else { show::status(backup.status) }.to_owned(),
            format!("{}/{}", in_state(ComponentStatus::Complete), in_state(ComponentStatus::Failed)),
            text::size(backup.size),
            match &backup.verified {
                Some(verified) if verified.valid => {
                    format!("{} {}", show::depth(verified.level), text::age(verified.at, now))
                }
                Some(_) => "DAMAGED".into(),
                None => "-".into(),
            },
            text::yes(backup.held).to_owned(),
            text::age(backup.timestamp, now),
        ]
    });
    let header = ["ID", "TYPE", "SCOPE", "STATUS", "MODULES OK/FAILED", "SIZE", "VERIFIED", "HELD", "AGE"];
    let mut out = if document.backups.is_empty() {
        "No backups. Make one with: backup create\n".to_owned()
    } else {
        text::long_table(&header, &[4, 5, 6, 8], rows, width)
    };
    let (lost, interrupted): (Vec<_>, Vec<_>) = document.interrupted.iter().partition(|i| i.lost);
    let places =
        |found: Vec<&Interrupted>| -> Vec<_> { found.into_iter().map(|i| format!("{} in {}", i.id, i.path)).collect() };
    out.push_str(&text::list("Running or interrupted", &places(interrupted)));
    out.push_str(&text::list("Folders that have lost their manifest", &places(lost)));
    let restores = document.interrupted_restores.iter();
    let restores: Vec<_> =
        restores.map(|r| format!("{r} ({})", if r.running { "running" } else { "interrupted" })).collect();
    out.push_str(&text::list("Restores that are not finished", &restores));
    let failed: Vec<_> = document.failed.iter().map(|run| failed_line(run)).collect();
    out.push_str(&text::list("Runs that left no backup", &failed));
    let unreadable: Vec<_> = document.unreadable.iter().map(|u| format!("{}: {}", u.path, u.reason)).collect();
    out.push_str(&text::list("Manifests that cannot be read", &unreadable));
    out
}

fn failed_line(run: &FailedRun) -> String {
    let why = run.errors.first().map_or("no reason recorded", String::as_str);
    format!("{}, {}: {why}", run.id, text::time(run.timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::BackupId;

    fn manifest() -> serde_json::Value {
        let at = "2025-12-20T10:30:00Z";
        let component = serde_json::json!({
            "type": "mongodb", "name": "hrms", "module": "hr-core", "database": "hrms", "status": "complete",
            "error": null, "archive": "hr-core/hrms.tar.gz", "size": 10, "sha256": null, "index": null,
            "encrypted": false, "moduleAware": true, "collectionsIncluded": ["users"], "consistency": null,
            "server": null, "collections": [], "files": null, "timestamp": at,
        });
        serde_json::json!({
            "formatVersion": 1, "id": "system-backup-2025-12-20T10-30-00-000Z", "installation": "i", "type": "daily",
            "mode": "full", "parent": null, "tenantId": null, "timestamp": at, "completedAt": at,
            "durationSeconds": 1.0, "status": "success", "warnings": [], "moduleAware": true,
            "enabledModules": ["hr-core"], "excludedModules": [], "license": {"features": []},
            "components": [component], "createdBy": "u@h", "tool": {"name": "backup", "version": "0"}, "errors": [],
            "totals": {"collections": 1, "documents": 2, "files": 0, "bytes": 30, "storedBytes": 10},
            "signature": null,
        })
    }

    fn entry() -> Entry {
        let summary: crate::repository::Summary = serde_json::from_value(manifest()).unwrap();
        Entry { id: BackupId::parse(&summary.id).unwrap(), summary, verified: None, held: None }
    }

    #[test]
    fn the_json_list_has_the_fields_that_are_promised() {
        let catalog = Catalog { backups: vec![entry(), entry()], ..Catalog::default() };
        let shown = serde_json::to_value(document(&catalog, &|_, _| true, 1)).unwrap();
        let expected = serde_json::json!([{
            "id": "system-backup-2025-12-20T10-30-00-000Z", "type": "daily", "mode": "full", "tenantId": null,
            "timestamp": "2025-12-20T10:30:00Z", "status": "success", "modules": {"hr-core": "complete"},
            "size": 10, "verified": null, "held": false, "safetyFor": null,
        }]);
        assert_eq!(shown["backups"], expected);
        assert_eq!(shown["interrupted"], serde_json::json!([]));
    }

    #[test]
    fn the_list_and_the_manifest_read_well() {
        let catalog = Catalog { backups: vec![entry()], ..Catalog::default() };
        let now = entry().summary.timestamp + chrono::TimeDelta::hours(7);
        let text = render(&document(&catalog, &|_, _| true, 1), now, None);
        assert!(text.contains("system-backup-2025-12-20T10-30-00-000Z  daily  system-wide  success"), "{text}");
        assert!(text.lines().nth(1).is_some_and(|line| line.ends_with("7 h")), "{text}");
        let text = show::render(&serde_json::from_value(manifest()).unwrap(), None);
        assert!(text.contains("Total: 1 collection, 2 documents, 0 files, 30 B stored as 10 B"), "{text}");
    }
}
