//! Metrics of what `verify-collections` found. The sources are not asked again, so the file carries it on.

use super::exposition::{Text, seconds, series};
use super::textfile::Values;
use crate::verify_collections::{Report, VerificationStatus};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;

/// What was found of one scope.
#[derive(Debug)]
pub struct Collections {
    /// The tenant; empty for the installation.
    tenant: String,
    figures: [f64; FIGURES.len()],
}

/// Name, help.
const FIGURES: [(&str, &str); 7] = [
    ("backup_collections_verified_timestamp_seconds", "When the collections were last verified."),
    ("backup_collections_status", "What that found: 0 passed, 1 warnings, 2 failed."),
    ("backup_collections_expected", "Collections that modules list."),
    ("backup_collections_existing", "Listed collections that exist."),
    ("backup_collections_missing", "Listed collections that do not exist."),
    ("backup_collections_extra", "Collections that no module lists."),
    ("backup_collections_orphans", "Records whose parent is missing."),
];

impl Collections {
    /// Of a verification that ended at `at`.
    pub fn of(report: &Report, at: DateTime<Utc>) -> Self {
        let status = match report.verification_status {
            VerificationStatus::Passed => 0.0,
            VerificationStatus::Warning => 1.0,
            VerificationStatus::Failed => 2.0,
        };
        let count = |names: &[String]| names.len() as f64;
        let orphans = report.relationships.iter().map(|relationship| relationship.orphans).fold(0, u64::saturating_add);
        let figures = [
            seconds(at),
            status,
            count(&report.expected_collections),
            count(&report.existing_collections),
            count(&report.missing_collections),
            count(&report.extra_collections),
            orphans as f64,
        ];
        Self { tenant: report.tenant_id.clone().unwrap_or_default(), figures }
    }
}

/// The tenants that the file has figures of. Their ids hold nothing that would be escaped.
pub(super) fn tenants(before: &Values) -> impl Iterator<Item = &str> {
    let [(name, _), ..] = FIGURES;
    let values = before.series().filter_map(move |series| series.strip_prefix(name));
    let tenants = values.filter_map(|labels| labels.strip_prefix("{tenant=\"")?.strip_suffix("\"}"));
    tenants.filter(|tenant| !tenant.is_empty())
}

/// What the last verification of the installation and of each of `tenants` found.
pub(super) fn write(text: &mut Text, before: &Values, now: Option<&Collections>, tenants: &BTreeSet<String>) {
    for (at, (name, help)) in FIGURES.iter().enumerate() {
        text.metric(name, "gauge", help);
        for tenant in std::iter::once("").chain(tenants.iter().map(String::as_str)) {
            let labels = [("tenant", tenant)];
            let found = now.filter(|now| now.tenant == tenant).and_then(|now| now.figures.get(at).copied());
            let value = found.or_else(|| before.get(&series(name, &labels)));
            value.into_iter().for_each(|value| text.sample(&labels, value));
        }
    }
}
