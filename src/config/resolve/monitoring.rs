//! Metrics and checks.

use super::Resolver;
use crate::config::duration::parse_duration;
use crate::config::either::Size;
use crate::config::model::{BackupType, Checks, Limits, Metrics, Module, Space, SpaceLimits, Tenancy, TenantCheck};
use crate::config::node::At;
use crate::config::raw::{RawChecks, RawLimits, RawMetrics, RawSpaceLimits, RawTenantCheck};
use crate::config::size::parse_size;
use crate::names::TenantId;
use std::collections::BTreeMap;
use std::time::Duration;

/// Each tenant has a series for each module and figure: of a hundred, some thousands.
const MAX_TENANTS: u32 = 100;

impl Resolver<'_> {
    pub(super) fn metrics(&mut self, raw: Option<RawMetrics>) -> Option<Metrics> {
        let raw = raw?;
        let textfile = self.path(&raw.textfile?);
        if textfile.extension().is_none_or(|extension| extension != "prom") {
            // The collector reads no other.
            self.problem(
                &At::root("metrics").key("textfile"),
                "must end in .prom: the node exporter reads no other file",
            );
        }
        let max_tenants = raw.max_tenants.unwrap_or(MAX_TENANTS) as usize;
        Some(Metrics { textfile, max_tenants })
    }

    pub(super) fn checks(
        &mut self,
        raw: Option<RawChecks>,
        modules: &BTreeMap<String, Module>,
        tenancy: &Tenancy,
    ) -> Checks {
        let Some(raw) = raw else { return Checks::default() };
        let at = At::root("checks");
        let age = self.limits(&at, raw.warning, raw.critical, Limits::default());
        let mut types = BTreeMap::new();
        if let Some(raw) = raw.types {
            let written = [raw.daily, raw.weekly, raw.monthly];
            for (backup_type, raw) in BackupType::ALL.into_iter().zip(written) {
                let Some(RawLimits { warning, critical }) = raw else { continue };
                let at = at.key("types").key(backup_type.as_str());
                types.insert(backup_type, self.limits(&at, warning, critical, Limits::of_type(backup_type)));
            }
        }
        let mut of_modules = BTreeMap::new();
        for (name, RawLimits { warning, critical }) in raw.modules {
            let at = at.key("modules").key(&name);
            if !modules.contains_key(&name) {
                self.unknown(&at, "module", &name, super::names(modules));
            }
            of_modules.insert(name, self.limits(&at, warning, critical, age));
        }
        let mut tenants = BTreeMap::new();
        for (name, raw) in raw.tenants {
            let at = at.key("tenants").key(&name);
            let is_open = tenancy.discover.is_some() || tenancy.tenants.is_empty();
            match TenantId::parse(&name) {
                // One that has left is none of the configured any more, and its backups are there.
                Ok(id) if is_open || raw.ignore == Some(true) || tenancy.tenants.contains_key(&id) => {
                    let check = self.tenant_check(&at, raw, age);
                    tenants.insert(id, check);
                }
                _ => self.unknown(&at, "tenant", &name, tenancy.tenants.keys().map(TenantId::as_str)),
            }
        }
        let free_space = raw.free_space.and_then(|raw| self.space_limits(&at.key("freeSpace"), raw));
        let unverified = raw
            .unverified
            .map(|RawLimits { warning, critical }| self.limits(&at.key("unverified"), warning, critical, age));
        Checks { age, types, modules: of_modules, tenants, free_space, unverified }
    }

    fn tenant_check(&mut self, at: &At, raw: RawTenantCheck, age: Limits) -> TenantCheck {
        if raw.ignore == Some(true) {
            if raw.warning.is_some() || raw.critical.is_some() {
                self.problem(at, "has `ignore` and ages; keep one of the two");
            }
            return TenantCheck::Ignore;
        }
        TenantCheck::Age(self.limits(at, raw.warning, raw.critical, age))
    }

    fn limits(&mut self, at: &At, warning: Option<String>, critical: Option<String>, default: Limits) -> Limits {
        let both = warning.is_none() && critical.is_none();
        let warning = self.age(&at.key("warning"), warning);
        let critical = self.age(&at.key("critical"), critical);
        let limits =
            Limits { warning: warning.unwrap_or(default.warning), critical: critical.unwrap_or(default.critical) };
        if !both && limits.warning > limits.critical {
            self.problem(at, "`warning` is more than `critical`: it would never warn");
        }
        limits
    }

    fn age(&mut self, at: &At, written: Option<String>) -> Option<Duration> {
        match parse_duration(&written?) {
            Ok(age) if !age.is_zero() => return Some(age),
            _ => self.problem(at, "is no age; write it as 90m, 26h or 8d"),
        }
        None
    }

    fn space_limits(&mut self, at: &At, raw: RawSpaceLimits) -> Option<SpaceLimits> {
        let warning = self.space(&at.key("warning"), raw.warning?);
        let critical = self.space(&at.key("critical"), raw.critical?);
        let limits = SpaceLimits { warning: warning?, critical: critical? };
        let is_less = match (limits.warning, limits.critical) {
            (Space::Bytes(warning), Space::Bytes(critical)) => warning < critical,
            (Space::Percent(warning), Space::Percent(critical)) => warning < critical,
            // Which is more depends on the disk.
            _ => false,
        };
        if is_less {
            self.problem(at, "`warning` is less than `critical`: it would never warn");
        }
        Some(limits)
    }

    fn space(&mut self, at: &At, written: Size) -> Option<Space> {
        let percent = written.0.strip_suffix('%').map(|number| number.trim_end().parse().ok());
        let space = match percent {
            Some(percent) => percent.filter(|percent| (1..=99).contains(percent)).map(Space::Percent),
            None => parse_size(&written.0).map(Space::Bytes),
        };
        if space.is_none() {
            self.problem(at, "is no amount of space; write 20GiB, or 10% of the file system");
        }
        space
    }
}
