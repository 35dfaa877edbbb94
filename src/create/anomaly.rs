//! The anomaly gate: compares what was stored with the previous good copy. A bad migration or a wrong connection
//! string empties a collection without any error, and every backup made after it is complete, and worthless.
//!
//! An archive is compared with the newest one of its scope that holds the same thing and did not fail. So a shrink that
//! fails its component is measured against the same copy again in the next run, and one that was warned of, or accepted,
//! is what the next run starts from.

use super::{Options, record};
use crate::config::{Anomaly, AnomalyAction};
use crate::error::counted;
use crate::manifest::{Collection, Component, ComponentStatus};
use crate::names::BackupId;
use crate::plan::{Plan, PlannedComponent};
use crate::repository::{Catalog, Repository, SummaryComponent};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// What each archive of a plan is compared with.
#[derive(Debug, Default)]
pub struct Previous(Vec<Option<(BackupId, Component)>>);

impl Previous {
    /// Looks for the newest copies made before `began`: what a wrong clock dated later may be older. Nothing is compared
    /// with a safety backup, nor is one compared: it holds what a restore is about to change, and no more.
    pub fn find(
        options: &Options<'_>,
        repository: &Repository,
        catalog: &Catalog,
        plan: &Plan,
        began: DateTime<Utc>,
        warnings: &mut Vec<String>,
    ) -> Self {
        if options.safety_for.is_some() {
            return Self::default();
        }
        let candidates = catalog.candidates(&plan.scope, Some(began));
        let mut read = BTreeMap::new();
        let mut previous = |planned: &PlannedComponent| {
            let good = |c: &SummaryComponent| c.status != ComponentStatus::Failed && is_of(c, planned);
            let entry = candidates.iter().find(|entry| entry.summary.components.iter().any(good))?;
            let manifest = read.entry(&entry.id).or_insert_with(|| {
                let manifest = repository.manifest(&entry.id);
                warnings
                    .extend(manifest.as_ref().err().map(|e| format!("there is no comparison with {}: {e}", entry.id)));
                manifest.ok()
            });
            let found = manifest.iter().flat_map(|manifest| &manifest.components);
            let found = found.into_iter().find(|component| is_same(component, planned))?;
            Some((entry.id.clone(), found.clone()))
        };
        Self(plan.components.iter().map(&mut previous).collect())
    }

    /// Judges what was stored, one component for each of the plan: a component with an anomaly fails, or the anomaly is
    /// a warning. What a failed component holds stays with it, to be looked at and restored by the backup's id.
    pub fn judge(&self, options: &Options<'_>, components: &mut [Component]) -> Vec<String> {
        let Anomaly { max_shrink, action } = options.config.anomaly;
        let mut warnings = Vec::new();
        for (component, previous) in components.iter_mut().zip(&self.0) {
            let Some((id, before)) = previous else { continue };
            let found = Comparison { id, max_shrink }.anomalies(component, before);
            if found.is_empty() {
                continue;
            }
            // What failed for another reason is no good copy already.
            let fails = action == AnomalyAction::Fail && component.status != ComponentStatus::Failed;
            if fails && !options.accept_shrink {
                component.status = ComponentStatus::Failed;
                component.error =
                    Some(format!("{}; if that is right, run `backup create --accept-shrink`", found.join("; ")));
                continue;
            }
            let place = record::place(component);
            let accepted = if options.accept_shrink { "accepted: " } else { "" };
            warnings.extend(found.into_iter().map(|what| format!("{accepted}{place}: {what}")));
        }
        warnings
    }
}

/// The same archive: two runs may be narrowed differently, and a shared archive of other modules holds other things.
fn same<'a>(
    planned: &PlannedComponent,
    name: &str,
    module: Option<&str>,
    shared_by: impl Iterator<Item = &'a str>,
) -> bool {
    planned.name == name && planned.module.as_deref() == module && shared_by.eq(planned.shared_by.iter())
}

fn is_of(component: &SummaryComponent, planned: &PlannedComponent) -> bool {
    let shared_by = component.shared_by.iter().map(|name| &**name);
    same(planned, &component.name, component.module.as_deref(), shared_by)
}

fn is_same(component: &Component, planned: &PlannedComponent) -> bool {
    let shared_by = component.shared_by.iter().map(String::as_str);
    same(planned, &component.name, component.module.as_deref(), shared_by)
}

/// A comparison with one earlier backup.
struct Comparison<'a> {
    id: &'a BackupId,
    max_shrink: u8,
}

impl Comparison<'_> {
    /// What is suspicious, a line each.
    fn anomalies(&self, now: &Component, before: &Component) -> Vec<String> {
        let stored = before.collections.iter().filter(|was| was.status == ComponentStatus::Complete);
        let mut found: Vec<_> = match &before.files {
            None => stored.filter_map(|was| self.collection(now, was)).collect(),
            Some(files) if files.files == 0 => Vec::new(),
            Some(_) => stored.filter_map(|was| self.directory(now, was)).collect(),
        };
        if let (Some(was), Some(is)) = (&before.files, &now.files) {
            found.extend(self.fewer(was.files, is.files).map(|lost| match is.files {
                0 => format!("no file is left; {} holds {}", self.id, was.files),
                left => format!(
                    "{} left, {lost} % fewer than the {} in {}",
                    counted(left, "file is", "files are"),
                    was.files,
                    self.id
                ),
            }));
        }
        found
    }

    fn collection(&self, now: &Component, was: &Collection) -> Option<String> {
        let (name, held, id) = (&was.name, was.documents, self.id);
        let records = |count| counted(count, "record", "records");
        let gone = || (held > 0).then(|| format!("{name} is gone; it held {} in {id}", records(held)));
        let Some(is) = now.collections.iter().find(|is| is.name == *name) else {
            // Taken out of the configuration. A whole database's collections are in none.
            return if now.module.is_none() && now.shared_by.is_empty() { gone() } else { None };
        };
        match is.status {
            ComponentStatus::Failed => None,
            // Another share of the records, or another kind of thing, says nothing about this one.
            _ if is.tenant_rule != was.tenant_rule => None,
            ComponentStatus::Absent => gone(),
            ComponentStatus::Complete if is.kind != was.kind => None,
            ComponentStatus::Complete => self.fewer(held, is.documents).map(|lost| match is.documents {
                0 => format!("{name} is empty; it held {} in {id}", records(held)),
                left => format!("{name} holds {}, {lost} % fewer than the {held} in {id}", records(left)),
            }),
        }
    }

    fn directory(&self, now: &Component, was: &Collection) -> Option<String> {
        let is = now.collections.iter().find(|is| is.name == was.name)?;
        (is.status == ComponentStatus::Absent).then(|| format!("{} is gone; {} holds it", was.name, self.id))
    }

    /// The per cent that are lost, when that is too many: all of them always are.
    fn fewer(&self, before: u64, after: u64) -> Option<u64> {
        let lost = before.saturating_sub(after);
        let too_many = u128::from(lost) * 100 > u128::from(before) * u128::from(self.max_shrink);
        (too_many || (before > 0 && after == 0)).then(|| lost.saturating_mul(100) / before.max(1))
    }
}
