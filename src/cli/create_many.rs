//! `backup create` for many tenants: whose, and how the outcome reads.

use super::create::is_worth_a_word;
use crate::cli::around::Told;
use crate::cli::exit::Exit;
use crate::cli::output::{self, Report};
use crate::cli::settings::Settings;
use crate::cli::{failure, plan, text};
use crate::create::{self, Created, Options, Outcome};
use crate::error::{Error, Kind, Result};
use crate::manifest::{Manifest, Status};
use crate::names::TenantId;
use crate::notify::{Message, RunStatus, TenantLine};
use crate::tenants::{self, Known};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Every tenant there is.
///
/// # Errors
/// [`Kind::Config`] when the record of one is wrong, or none is known.
pub fn all(known: &Known) -> Result<Vec<TenantId>> {
    if !known.mistakes.is_empty() {
        return Err(tenants::refused(known.mistakes.clone()));
    }
    let ids: Vec<_> = known.config.tenancy.tenants.keys().cloned().collect();
    if ids.is_empty() {
        return Err(Error::new(Kind::Config, "no tenants are known")
            .hint("list them under `tenancy.tenants`, or say under `tenancy.discover` where they are written"));
    }
    Ok(ids)
}

/// The tenants of `--tenant` and of a file, each once.
///
/// # Errors
/// [`Kind::Config`] when the file cannot be read, or something is no tenant's id.
pub fn listed(ids: &[String], file: Option<&Path>) -> Result<Vec<TenantId>> {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    let mut listed = Vec::new();
    let mut take = |place: &str, id: &str| match TenantId::parse(id) {
        Ok(id) if seen.insert(id.clone()) => listed.push(id),
        Ok(_) => {}
        Err(error) => wrong.push(format!("{place}{}", error.message)),
    };
    ids.iter().for_each(|id| take("", id));
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, &e).kind(Kind::Config))?;
        for (number, line) in text.lines().enumerate() {
            let id = line.split('#').next().unwrap_or_default().trim();
            if !id.is_empty() {
                take(&format!("{}:{}: ", path.display(), number + 1), id);
            }
        }
    }
    match (wrong.as_slice(), listed.is_empty()) {
        ([], false) => Ok(listed),
        ([], true) => Err(Error::new(Kind::Config, "the file of tenants names none")),
        ([one], _) => Err(Error::new(Kind::Config, one.clone())),
        (many, _) => Err(Error::new(Kind::Config, format!("{} are no tenant ids", many.len())).details(wrong)),
    }
}

/// Shows the plan of each.
///
/// # Errors
/// As [`create::plan`], of the first that fails.
pub fn plan(options: &Options<'_>, ids: &[TenantId]) -> Result<Report> {
    let (mut shown, mut plans) = (String::new(), Vec::new());
    for id in ids {
        let plan = create::plan_of(options, id)?;
        shown.push_str(&plan::render(&plan, output::width()));
        shown.push('\n');
        plans.push(plan);
    }
    Report::new(shown, &json!({ "tenants": plans }))
}

/// Backs up each, and reports on all.
///
/// # Errors
/// When nothing could be begun, or a signal came.
pub fn run(
    options: &Options<'_>,
    ids: &[TenantId],
    jobs: usize,
    settings: &Settings,
    message: Message,
) -> Result<Told> {
    let outcomes = create::many(options, ids, jobs)?;
    if outcomes.iter().any(|outcome| outcome.result.as_ref().is_ok_and(is_worth_a_word)) {
        settings.log.release();
    }
    let counted = |wanted: Option<Status>| {
        outcomes.iter().filter(|o| o.result.as_ref().ok().map(|created| created.manifest.status) == wanted).count()
    };
    let (succeeded, partial) = (counted(Some(Status::Success)), counted(Some(Status::Partial)));
    let failed = outcomes.len() - succeeded - partial;
    let exit = match (succeeded + partial, partial + failed) {
        (_, 0) => Exit::Success,
        (0, _) => Exit::Failed,
        _ => Exit::Partial,
    };
    let document = Document { tenants: outcomes.iter().map(Made::of).collect(), succeeded, partial, failed };
    let shown = || format!("{}\n{succeeded} succeeded, {partial} partial, {failed} failed\n", table(&outcomes));
    let report = Report::one_of(settings.json, shown, &document)?.exit(exit);
    let each: Vec<_> = outcomes.iter().map(|outcome| told(outcome, options, &message)).collect();
    let status = match exit {
        Exit::Success => RunStatus::Success,
        Exit::Partial => RunStatus::Partial,
        _ => RunStatus::Failed,
    };
    Ok(Told { report, message: summary(message, status, &each), each })
}

/// What is told of one tenant.
fn told(Outcome { tenant, result }: &Outcome, options: &Options<'_>, message: &Message) -> Message {
    let of = Message { tenant_id: Some(tenant.to_string()), ..message.clone() };
    match result {
        Ok(created) => of.made(&created.manifest, options.config),
        Err(error) => of.failed(error),
    }
}

/// What is told of the run: the sum of all, and a line for each.
fn summary(mut message: Message, status: RunStatus, each: &[Message]) -> Message {
    message.status = status;
    message.size = each.iter().map(|one| one.size).sum();
    let modules: BTreeSet<_> = each.iter().flat_map(|one| &one.enabled_modules).cloned().collect();
    message.enabled_modules = modules.into_iter().collect();
    message.backup_type = each.iter().find_map(|one| one.backup_type);
    let line = |one: &Message| TenantLine {
        tenant_id: one.tenant_id.clone().unwrap_or_default(),
        status: one.status,
        backup_id: one.backup_id.clone(),
        error: one.errors.first().cloned(),
    };
    message.tenants = each.iter().map(line).collect();
    message
}

/// What programs are told. Of a thousand tenants it is long: it is written as it is, with no tree of values between.
#[derive(Serialize)]
struct Document<'a> {
    tenants: Vec<Made<'a>>,
    succeeded: usize,
    partial: usize,
    failed: usize,
}

/// The manifest, or the error.
#[derive(Serialize)]
#[serde(untagged)]
enum Made<'a> {
    Manifest(&'a Manifest),
    #[serde(rename_all = "camelCase")]
    Failed {
        tenant_id: &'a TenantId,
        error: Value,
    },
}

impl<'a> Made<'a> {
    fn of(Outcome { tenant, result }: &'a Outcome) -> Self {
        match result {
            Ok(created) => Self::Manifest(&created.manifest),
            Err(error) => Self::Failed { tenant_id: tenant, error: failure::value(error) },
        }
    }
}

fn table(outcomes: &[Outcome]) -> String {
    let row = |Outcome { tenant, result }: &Outcome| {
        let (status, id, documents, size, why) = match result {
            Ok(Created { manifest, .. }) => {
                let status = if manifest.status == Status::Success { "success" } else { "partial" };
                let documents = text::number(manifest.totals.documents);
                let why = manifest.errors.first().cloned().unwrap_or_default();
                (status, manifest.id.clone(), documents, text::size(manifest.totals.stored_bytes), why)
            }
            Err(error) => {
                let why = error.causes.first().map_or(String::new(), |cause| format!(": {cause}"));
                ("failed", String::new(), String::new(), String::new(), format!("{}{why}", error.message))
            }
        };
        vec![tenant.to_string(), status.to_owned(), id, documents, size, failure::redact(&why)]
    };
    let header = ["TENANT", "STATUS", "ID", "DOCUMENTS", "SIZE", "WHY"];
    text::table(&header, &[3, 4], outcomes.iter().map(row).collect(), output::width())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_tenants_is_read_line_by_line_without_comments_and_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tenants");
        std::fs::write(&path, "# ours\nacme\n\n  birch # large\nacme\n").unwrap();
        let ids: Vec<_> = listed(&["cedar".into()], Some(&path)).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(ids, ["cedar", "acme", "birch"]);
        std::fs::write(&path, "acme\n../x\na/b\n").unwrap();
        let wrong = listed(&[], Some(&path)).unwrap_err();
        assert_eq!(wrong.kind, Kind::Config);
        assert!(wrong.details[0].contains("tenants:2: '../x'"), "{:?}", wrong.details);
    }
}
