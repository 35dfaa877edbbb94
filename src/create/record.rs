//! Makes the manifest out of what was stored.

use super::Options;
use crate::manifest::{Component, ComponentStatus, FORMAT_VERSION, Manifest, Status, Tool, Totals};
use crate::modules::Records;
use crate::names::BackupId;
use crate::plan::Plan;
use chrono::{DateTime, Utc};

/// The manifest of a finished run.
pub fn manifest(
    options: &Options<'_>,
    id: &BackupId,
    began: DateTime<Utc>,
    plan: &Plan,
    components: Vec<Component>,
    warnings: Vec<String>,
) -> Manifest {
    let completed_at = (options.now)();
    Manifest {
        format_version: FORMAT_VERSION,
        id: id.to_string(),
        installation: options.config.installation.clone(),
        backup_type: options.request.backup_type,
        mode: "full".into(),
        parent: None,
        tenant_id: plan.scope.tenant().map(ToString::to_string),
        timestamp: began,
        completed_at,
        duration_seconds: seconds(began, completed_at),
        status: status(&components),
        only: options.request.only,
        safety_for: options.safety_for.clone(),
        warnings,
        module_aware: true,
        enabled_modules: plan.modules.clone(),
        excluded_modules: plan.excluded.clone(),
        license: plan.license.clone(),
        tenant_license: plan.tenant_license.clone(),
        totals: totals(&components),
        errors: errors(&components),
        components,
        created_by: options.created_by.clone(),
        tool: Tool { name: "backup".into(), version: env!("CARGO_PKG_VERSION").into() },
        signature: None,
    }
}

/// Seconds from one moment to another, never negative: a clock may jump.
pub fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).to_std().unwrap_or_default().as_secs_f64()
}

/// Success when nothing failed; failed when nothing usable was stored; partial between.
fn status(components: &[Component]) -> Status {
    let failed = components.iter().any(|c| c.status == ComponentStatus::Failed);
    let usable = components.iter().any(|c| c.status == ComponentStatus::Complete || !c.collections_included.is_empty());
    match (failed, usable) {
        // Everything absent is a truthful, empty backup (a tenant that has no data yet).
        (false, _) => Status::Success,
        (true, true) => Status::Partial,
        (true, false) => Status::Failed,
    }
}

fn totals(components: &[Component]) -> Totals {
    let mut totals = Totals::default();
    for component in components {
        totals.stored_bytes += component.size;
        if let Some(files) = &component.files {
            totals.files += files.files;
            totals.bytes += files.bytes;
            continue;
        }
        for collection in component.collections.iter().filter(|c| c.status == ComponentStatus::Complete) {
            totals.collections += 1;
            totals.documents += collection.documents;
            totals.bytes += collection.bytes;
        }
    }
    totals
}

/// Whether there is neither a record nor a file, but for what belongs to everyone.
pub fn holds_nothing_owned(components: &[Component]) -> bool {
    let shared = Records::All { shared: true }.describe();
    components.iter().all(|component| {
        let records =
            component.collections.iter().filter(|c| c.tenant_rule != shared).map(|c| c.documents).sum::<u64>();
        let failed = component.status == ComponentStatus::Failed;
        !failed && records == 0 && component.files.as_ref().is_none_or(|files| files.files == 0)
    })
}

/// Where a component's data is from, for a person.
pub fn place(component: &Component) -> String {
    match &component.module {
        Some(module) => format!("module {module}, source {}", component.name),
        None if !component.shared_by.is_empty() => {
            format!("modules {}, source {}", component.shared_by.join(" and "), component.name)
        }
        None => format!("source {}", component.name),
    }
}

/// One line for each thing that failed, naming the module.
fn errors(components: &[Component]) -> Vec<String> {
    let mut errors = Vec::new();
    for component in components.iter().filter(|c| c.status == ComponentStatus::Failed) {
        let place = place(component);
        let collections = component.collections.iter().filter_map(|c| Some((&c.name, c.error.as_ref()?)));
        let mut lines: Vec<_> = collections.map(|(name, error)| format!("{place}: {name}: {error}")).collect();
        if let Some(error) = &component.error
            && lines.is_empty()
        {
            lines.push(format!("{place}: {error}"));
        }
        lines.extend(component.files.iter().flat_map(|f| &f.damaged).map(|file| format!("{place}: {file}")));
        errors.append(&mut lines);
    }
    errors
}
