//! What is told of a run: one document, and the same as a text for people. Field names are a contract.

use crate::config::{BackupType, Config, Occasion};
use crate::error::{Error, Kind};
use crate::event::bytes;
use crate::manifest::{Manifest, Status};
use crate::modules::{Excluded, GrantState};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::fmt::Write;

/// Lines of one kind that a text holds at most; the document holds all.
const LINES: usize = 20;

/// What is told of a run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// What happened.
    #[serde(rename = "type")]
    pub event: Occasion,
    /// How the run ended.
    pub status: RunStatus,
    /// The installation.
    pub installation: String,
    /// What was run.
    pub operation: Operation,
    /// The job of the configuration, where it was one.
    pub job: Option<String>,
    /// The name of the run, as in each line of its log.
    pub run: String,
    /// The machine.
    pub host: String,
    /// When this is said.
    pub at: DateTime<Utc>,
    /// Always true.
    pub module_aware: bool,
    /// Modules that are in.
    pub enabled_modules: Vec<String>,
    /// Modules that are out, with the reason.
    pub excluded_modules: Vec<Excluded>,
    /// Modules that are in though the licence that enables them is not valid any more.
    pub kept_on_grace: Vec<String>,
    /// The tenant; none for the whole installation, and for several.
    pub tenant_id: Option<String>,
    /// The backup.
    pub backup_id: Option<String>,
    /// Its retention class.
    pub backup_type: Option<BackupType>,
    /// SHA-256 of its manifest's file, hexadecimal.
    pub manifest_hash: Option<String>,
    /// Bytes on disk: of what was made, or of what was removed.
    pub size: u64,
    /// Seconds.
    pub duration: f64,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// What failed.
    pub errors: Vec<String>,
    /// Backups that were removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Of a run over many tenants, each of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<TenantLine>,
}

/// One tenant of a run over many.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantLine {
    /// The tenant.
    pub tenant_id: String,
    /// How its backup ended.
    pub status: RunStatus,
    /// The backup.
    pub backup_id: Option<String>,
    /// What failed, in a line.
    pub error: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RunStatus {
    /// It has not.
    Running,
    /// All that was planned is done.
    Success,
    /// Something that was planned is missing.
    Partial,
    /// It failed.
    Failed,
    /// A command said that it should not be now.
    Skipped,
}

impl RunStatus {
    /// The word in messages and in the environment of commands.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl From<Status> for RunStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Success => Self::Success,
            Status::Partial => Self::Partial,
            Status::Failed => Self::Failed,
        }
    }
}

/// What was run: the command of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    Create,
    Verify,
    VerifyCollections,
    Prune,
    Forget,
    Restore,
    KeyRotate,
    Notify,
}

impl Operation {
    /// The command's name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Verify => "verify",
            Self::VerifyCollections => "verify-collections",
            Self::Prune => "prune",
            Self::Forget => "forget",
            Self::Restore => "restore",
            Self::KeyRotate => "key-rotate",
            Self::Notify => "notify",
        }
    }
}

impl Message {
    /// That `operation` is at work at `at`, and nothing else yet.
    pub fn new(config: &Config, operation: Operation, run: &str, host: String, at: DateTime<Utc>) -> Self {
        Self {
            event: Occasion::Started,
            status: RunStatus::Running,
            installation: config.installation.clone(),
            operation,
            job: None,
            run: run.to_owned(),
            host,
            at,
            module_aware: true,
            enabled_modules: Vec::new(),
            excluded_modules: Vec::new(),
            kept_on_grace: Vec::new(),
            tenant_id: None,
            backup_id: None,
            backup_type: None,
            manifest_hash: None,
            size: 0,
            duration: 0.0,
            warnings: Vec::new(),
            errors: Vec::new(),
            removed: Vec::new(),
            tenants: Vec::new(),
        }
    }

    /// The same run, having made this backup.
    #[must_use]
    pub fn made(mut self, manifest: &Manifest, config: &Config) -> Self {
        self.status = manifest.status.into();
        self.enabled_modules.clone_from(&manifest.enabled_modules);
        self.excluded_modules.clone_from(&manifest.excluded_modules);
        let grants = std::iter::once(&manifest.license).chain(&manifest.tenant_license);
        if grants.into_iter().any(|grant| grant.state == GrantState::Grace) {
            let is_licensed = |name: &&String| config.modules.get(*name).is_some_and(|m| m.license_feature.is_some());
            self.kept_on_grace = manifest.enabled_modules.iter().filter(is_licensed).cloned().collect();
        }
        self.tenant_id.clone_from(&manifest.tenant_id);
        self.backup_id = Some(manifest.id.clone());
        self.backup_type = Some(manifest.backup_type);
        self.size = manifest.totals.stored_bytes;
        self.duration = manifest.duration_seconds;
        self.warnings.clone_from(&manifest.warnings);
        self.errors.clone_from(&manifest.errors);
        self
    }

    /// The same run, having failed.
    #[must_use]
    pub fn failed(mut self, error: &Error) -> Self {
        self.status = RunStatus::Failed;
        self.errors.push(error.to_string());
        // What a program printed is for the log: it may be anything.
        if error.kind != Kind::Command {
            self.errors.extend(error.details.iter().cloned());
        }
        self
    }

    /// One line for people: `clinic: create failed (job nightly)`.
    pub fn subject(&self) -> String {
        let what = match self.event {
            Occasion::Started => "begins",
            Occasion::Success => "succeeded",
            Occasion::Partial => "is partial",
            Occasion::Failed => "failed",
            Occasion::Recovered => "succeeded again",
            Occasion::VerificationFailed => "found damage or a difference",
            Occasion::Deleted => "removed backups",
            Occasion::Restored => "restored data",
            Occasion::Test => "sends a test message",
        };
        let job = self.job.as_ref().map(|job| format!("job {job}"));
        let tenant = self.tenant_id.as_ref().map(|tenant| format!("tenant {tenant}"));
        let of: Vec<_> = job.into_iter().chain(tenant).collect();
        let of = if of.is_empty() { String::new() } else { format!(" ({})", of.join(", ")) };
        one_line(&format!("{}: {} {what}{of}", self.installation, self.operation.word()))
    }

    /// Lines for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |label: &str, value: &str| {
            let _ = writeln!(out, "{label}: {}", one_line(value));
        };
        line("Installation", &format!("{} on {}", self.installation, self.host));
        line("Operation", self.operation.word());
        line("Status", self.status.word());
        line("At", &self.at.format("%Y-%m-%d %H:%M:%S UTC").to_string());
        let of = [("Job", &self.job), ("Tenant", &self.tenant_id), ("Backup", &self.backup_id)];
        of.iter().filter_map(|(label, value)| Some((label, value.as_ref()?))).for_each(|(label, v)| line(label, v));
        if self.size > 0 {
            line("Size", &bytes(self.size));
        }
        if self.duration > 0.0 {
            line("Duration", &format!("{:.0} s", self.duration));
        }
        if !self.kept_on_grace.is_empty() {
            line("Kept on grace", &self.kept_on_grace.join(", "));
        }
        let excluded: Vec<_> = self.excluded_modules.iter().map(|e| format!("{}: {}", e.module, e.reason)).collect();
        let tenants = self.tenants.iter().filter(|tenant| tenant.status != RunStatus::Success);
        let tenants: Vec<_> = tenants
            .map(|t| format!("{}: {}, {}", t.tenant_id, t.status.word(), t.error.as_deref().unwrap_or("no reason")))
            .collect();
        for (label, lines) in [
            ("Errors", &self.errors),
            ("Tenants that did not succeed", &tenants),
            ("Warnings", &self.warnings),
            ("Excluded modules", &excluded),
            ("Removed", &self.removed),
        ] {
            list(&mut out, label, lines);
        }
        out
    }
}

fn list(out: &mut String, label: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "{label}:");
    for line in lines.iter().take(LINES) {
        let _ = writeln!(out, "- {}", one_line(line));
    }
    if lines.len() > LINES {
        let _ = writeln!(out, "- and {} more", lines.len() - LINES);
    }
}

/// Names come out of files and databases: none of them begins a line, or a header, of its own.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
