//! What the configuration expects, what the sources hold, and the verdict. Pure.

use super::{RelationshipReport, Report, VerificationStatus};
use crate::config::{Config, Relationship};
use crate::error::counted;
use crate::names::TenantId;
use crate::source::Orphans;
use std::collections::{BTreeMap, BTreeSet};

/// Source and name of a collection.
pub(super) type Key = (String, String);

/// What the configuration expects.
#[derive(Debug, Default)]
pub(super) struct Expectation {
    pub tenant: Option<String>,
    /// Collections of the selected modules, and whether each is optional.
    pub expected: BTreeMap<Key, bool>,
    /// Collections that any module lists.
    pub known: BTreeSet<Key>,
    /// Sources that are backed up whole: nothing in them is extra.
    pub whole: BTreeSet<String>,
    pub critical: BTreeSet<Key>,
    pub minimum: BTreeMap<Key, u64>,
    pub relationships: Vec<Relationship>,
    /// Names of `verification` that no module lists.
    pub unlisted: Vec<String>,
}

/// What the sources hold.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// Collections and their number of records.
    pub collections: BTreeMap<Key, u64>,
    /// Relationships; none where one side does not exist.
    pub relationships: Vec<(Relationship, Option<Orphans>)>,
}

impl Expectation {
    /// `everything` is false when only some modules were asked for: the rest's critical collections are not looked at.
    pub fn new(config: &Config, tenant: Option<&TenantId>, selected: &[String], everything: bool) -> Self {
        let mut made = Self { tenant: tenant.map(ToString::to_string), ..Self::default() };
        made.whole = config.sources.iter().filter(|(_, s)| s.whole_database).map(|(n, _)| n.clone()).collect();
        for (name, module) in &config.modules {
            let is_selected = selected.contains(name);
            for collection in &module.collections {
                let key = (collection.source.clone(), collection.name.clone());
                if is_selected {
                    *made.expected.entry(key.clone()).or_insert(true) &= collection.optional;
                }
                made.known.insert(key);
            }
            if is_selected {
                made.relationships.extend(module.relationships.iter().cloned());
            }
        }
        let verification = &config.verification;
        for name in &verification.critical_collections {
            let keys = made.resolve(name, everything);
            made.critical.extend(keys);
        }
        for (name, least) in &verification.minimum_records {
            let keys = made.resolve(name, everything);
            made.minimum.extend(keys.into_iter().map(|key| (key, *least)));
        }
        made
    }

    /// The expected collections that `name`, plain or `source.collection`, means.
    fn resolve(&mut self, name: &str, everything: bool) -> Vec<Key> {
        let means = |key: &&Key| key.1 == name || format!("{}.{}", key.0, key.1) == name;
        if everything && !self.known.iter().any(|key| means(&key)) && !self.unlisted.iter().any(|n| n == name) {
            self.unlisted.push(name.to_owned());
        }
        self.expected.keys().filter(means).cloned().collect()
    }

    /// Sources that must be opened.
    pub fn sources(&self) -> BTreeSet<String> {
        let listed = self.expected.keys().map(|(source, _)| source);
        listed.chain(self.relationships.iter().map(|r| &r.source)).cloned().collect()
    }

    /// Whether the number of records of `key` matters. An estimate is 0 only where there is none, but of a tenant's share
    /// there is no estimate.
    pub fn counts(&self, key: &Key) -> bool {
        self.minimum.contains_key(key) || (self.tenant.is_some() && self.critical.contains(key))
    }

    /// Plain where no other source has a collection of that name. Names of the configuration depend on the
    /// configuration alone, so that a stray collection does not rename them.
    pub fn label(&self, key: &Key) -> String {
        let elsewhere = self.known.iter().any(|other| other.1 == key.1 && other.0 != key.0);
        if elsewhere { format!("{}.{}", key.0, key.1) } else { key.1.clone() }
    }
}

/// The verdict.
pub(super) fn compare(expectation: &Expectation, observed: &Observed) -> Report {
    let mut status = VerificationStatus::Passed;
    let mut findings = Vec::new();
    let mut find = |worse: VerificationStatus, finding: String| {
        if status != VerificationStatus::Failed {
            status = worse;
        }
        findings.push(finding);
    };
    let (mut existing, mut missing) = (Vec::new(), Vec::new());
    for (key, optional) in &expectation.expected {
        let label = expectation.label(key);
        let critical = expectation.critical.contains(key);
        match observed.collections.get(key) {
            Some(records) => {
                let least = expectation.minimum.get(key).copied().unwrap_or(0);
                if critical && *records == 0 {
                    find(VerificationStatus::Failed, format!("critical collection '{label}' is empty"));
                } else if *records < least {
                    let finding = format!(
                        "collection '{label}' holds {}, fewer than {least}",
                        counted(*records, "record", "records")
                    );
                    find(VerificationStatus::Failed, finding);
                }
                existing.push(label);
            }
            None => {
                let counted = critical || expectation.minimum.get(key).is_some_and(|least| *least > 0);
                let (worse, what) = match (critical, *optional && !counted) {
                    (true, _) => (VerificationStatus::Failed, "critical collection"),
                    (_, true) => (VerificationStatus::Warning, "optional collection"),
                    (_, false) => (VerificationStatus::Failed, "collection"),
                };
                find(worse, format!("{what} '{label}' does not exist in source '{}'", key.0));
                missing.push(label);
            }
        }
    }
    for name in &expectation.unlisted {
        find(VerificationStatus::Failed, format!("`verification` names '{name}', which no module lists"));
    }
    let mut relationships = Vec::new();
    for (Relationship { parent, child, foreign_key, .. }, orphans) in &observed.relationships {
        let Some(orphans) = orphans else {
            let finding = format!(
                "relationship {child}.{foreign_key} → {parent} was not checked: one side is missing, or has no owner rule"
            );
            find(VerificationStatus::Warning, finding);
            continue;
        };
        if orphans.count > 0 {
            let [one, several] = [format!("record of '{child}' names"), format!("records of '{child}' name")];
            let (records, samples) = (counted(orphans.count, &one, &several), orphans.samples.join(", "));
            let finding = format!("{records} no '{parent}' in '{foreign_key}' (such as {samples})");
            find(VerificationStatus::Warning, finding);
        }
        relationships.push(RelationshipReport {
            parent: parent.clone(),
            child: child.clone(),
            foreign_key: foreign_key.clone(),
            orphans: orphans.count,
            samples: orphans.samples.clone(),
        });
    }
    let strays = observed.collections.keys().filter(|key| !expectation.known.contains(key));
    let extra = strays.filter(|key| !expectation.whole.contains(&key.0)).map(|key| expectation.label(key)).collect();
    Report {
        tenant_id: expectation.tenant.clone(),
        expected_collections: expectation.expected.keys().map(|key| expectation.label(key)).collect(),
        existing_collections: existing,
        missing_collections: missing,
        extra_collections: extra,
        relationships,
        owners: Vec::new(),
        file_references: Vec::new(),
        verification_status: status,
        findings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        ("hrms".into(), name.into())
    }

    fn verdict(optional: bool, critical: bool, least: u64, holds: Option<u64>) -> Report {
        let mut expectation = Expectation::default();
        expectation.expected.insert(key("users"), optional);
        expectation.known.insert(key("users"));
        if critical {
            expectation.critical.insert(key("users"));
        }
        expectation.minimum.insert(key("users"), least);
        let mut observed = Observed::default();
        observed.collections.extend(holds.map(|records| (key("users"), records)));
        compare(&expectation, &observed)
    }

    #[test]
    fn absence_emptiness_and_too_few_records_decide_the_status() {
        use VerificationStatus::{Failed, Passed, Warning};
        let cases = [
            (verdict(false, false, 0, Some(0)), Passed),
            (verdict(false, false, 0, None), Failed),
            (verdict(true, false, 0, None), Warning),
            (verdict(true, true, 0, None), Failed),
            (verdict(false, true, 0, Some(0)), Failed),
            (verdict(false, false, 2, Some(1)), Failed),
            (verdict(false, false, 2, Some(2)), Passed),
        ];
        for (report, status) in cases {
            assert_eq!(report.verification_status, status, "{:?}", report.findings);
            assert_eq!(report.findings.is_empty(), status == Passed);
        }
    }

    #[test]
    fn extra_collections_are_reported_and_change_no_status() {
        let mut observed = Observed::default();
        observed.collections.insert(key("stray"), 3);
        let report = compare(&Expectation::default(), &observed);
        assert_eq!(report.extra_collections, ["stray"]);
        assert_eq!(report.verification_status, VerificationStatus::Passed);
    }
}
