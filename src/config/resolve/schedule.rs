//! Anomalies, retention and jobs.

use super::Resolver;
use crate::config::Only;
use crate::config::either::{Either, RawRetention};
use crate::config::model::Commands;
use crate::config::model::{
    Anomaly, AnomalyAction, BackupType, CreateJob, Encryption, Job, JobAction, JobLevel, Module, Retention,
    RetentionClass, RetentionPolicy, Tenancy, VerifyJob,
};
use crate::config::node::At;
use crate::config::raw::{
    RawAnomaly, RawAnomalyAction, RawBackupType, RawCreate, RawJob, RawLevel, RawOnly, RawPolicyName, RawVerify,
    RawWhich,
};
use crate::names::TenantId;
use std::collections::BTreeMap;

type Modules = BTreeMap<String, Module>;

impl Resolver<'_> {
    pub(super) fn anomaly(&mut self, raw: Option<RawAnomaly>) -> Anomaly {
        let Some(raw) = raw else { return Anomaly::default() };
        let mut made = Anomaly::default();
        if let Some(written) = raw.max_shrink {
            let number = written.strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
            match number.filter(|percent| (1..=100).contains(percent)) {
                Some(percent) => made.max_shrink = percent,
                None => {
                    let at = At::root("anomaly").key("maxShrink");
                    self.problem(&at, "is no percentage from 1% to 100%; write it as 50%");
                }
            }
        }
        if let Some(RawAnomalyAction::Fail) = raw.action {
            made.action = AnomalyAction::Fail;
        }
        made
    }

    pub(super) fn retention(&mut self, raw: Option<RawRetention>, modules: &Modules) -> Retention {
        let at = At::root("retention");
        let Some(raw) = raw else { return Retention::Policy(policy(RawPolicyName::Default)) };
        match (raw.policy, raw.classes.is_empty()) {
            (Some(_), false) => {
                self.problem(&at, "has `policy` and classes; keep one of the two");
                Retention::Policy(policy(RawPolicyName::Default))
            }
            (None, true) => {
                self.problem(&at, "is empty and would keep nothing; name a `policy` or classes");
                Retention::Policy(policy(RawPolicyName::Default))
            }
            (Some(Either::Word(name)), true) => Retention::Policy(policy(name)),
            (Some(Either::Map(custom)), true) => {
                let at = at.key("policy");
                let keep_minimum = custom.keep_minimum.unwrap_or(1);
                let numbers = [
                    ("maxBackups", custom.max_backups),
                    ("maxAgeDays", custom.max_age_days),
                    ("keepMinimum", Some(keep_minimum)),
                ];
                for (key, _) in numbers.iter().filter(|(_, number)| *number == Some(0)) {
                    self.problem(&at.key(key), "must be at least 1");
                }
                let max_backups = custom.max_backups.unwrap_or(1);
                if custom.max_backups.is_some_and(|max| max < keep_minimum) {
                    self.problem(&at, "`keepMinimum` is more than `maxBackups`");
                }
                let max_age_days = custom.max_age_days.unwrap_or(1);
                Retention::Policy(RetentionPolicy { name: "custom".into(), max_backups, max_age_days, keep_minimum })
            }
            (None, false) => self.classes(raw.classes, modules),
        }
    }

    fn classes(&mut self, raw: BTreeMap<String, crate::config::raw::RawClass>, modules: &Modules) -> Retention {
        let mut classes: BTreeMap<String, RetentionClass> = BTreeMap::new();
        for (name, class) in raw {
            let at = At::root("retention").key(&name);
            self.module_names(&at.key("modules"), &class.modules, modules);
            for (other, earlier) in &classes {
                for (index, module) in class.modules.iter().enumerate() {
                    if earlier.modules.contains(module) {
                        let message = format!("module '{module}' is in class '{other}' too");
                        self.problem(&at.key("modules").index(index), message);
                    }
                }
            }
            for (key, number) in [("daily", class.daily), ("weekly", class.weekly), ("monthly", class.monthly)] {
                if number == Some(0) {
                    self.problem(&at.key(key), "must be at least 1: zero would keep nothing");
                }
            }
            let (daily, weekly, monthly) = (class.daily, class.weekly, class.monthly);
            let made = RetentionClass {
                modules: class.modules,
                daily: daily.unwrap_or(1),
                weekly: weekly.unwrap_or(1),
                monthly: monthly.unwrap_or(1),
            };
            classes.insert(name, made);
        }
        // Every module needs a class: those that are not listed are `standard`.
        let listed = |name: &String| classes.values().any(|class| class.modules.contains(name));
        if !classes.contains_key("standard") && modules.keys().any(|name| !listed(name)) {
            self.problem(&At::root("retention"), "the class `standard` is missing, and some modules are in no class");
        }
        Retention::Classes(classes)
    }

    pub(super) fn jobs(
        &mut self,
        raw: BTreeMap<String, RawJob>,
        modules: &Modules,
        tenancy: &Tenancy,
        encryption: &Encryption,
        commands: &Commands,
    ) -> BTreeMap<String, Job> {
        let mut made = BTreeMap::new();
        for (name, job) in raw {
            let at = At::root("jobs").key(&name);
            self.name(&at, "a job", &name);
            if let Some(schedule) = &job.schedule {
                let five = schedule.split_whitespace().count() == 5;
                if !five || schedule.parse::<croner::Cron>().is_err() {
                    self.problem(&at.key("schedule"), "is no five-field cron expression, like \"0 2 * * *\"");
                }
            }
            let asked: Vec<JobAction> = [
                job.create.map(|create| self.create_job(&at.key("create"), create, modules, tenancy)),
                job.verify_collections.map(|_| JobAction::VerifyCollections),
                job.verify.map(verify_job),
                job.prune.map(|_| JobAction::Prune),
                job.key_rotation.map(|_| JobAction::KeyRotation),
            ]
            .into_iter()
            .flatten()
            .collect();
            if asked.iter().any(|action| matches!(action, JobAction::KeyRotation))
                && (encryption.recipients_file.is_none() || encryption.identities.is_empty())
            {
                let message =
                    "needs `recipientsFile` and `identities` in `repository.encryption`: keys are changed there";
                self.problem(&at.key("keyRotation"), message);
            }
            let Ok([action]) = <[JobAction; 1]>::try_from(asked) else {
                let kinds = "`create`, `verifyCollections`, `verify`, `prune` and `keyRotation`";
                self.problem(&at, format!("needs exactly one of {kinds}"));
                continue;
            };
            let common = if matches!(action, JobAction::Create(_)) { commands.clone() } else { Commands::default() };
            let commands = self.commands(&at.key("commands"), job.commands, &common);
            made.insert(name, Job { schedule: job.schedule, action, commands });
        }
        made
    }

    fn create_job(&mut self, at: &At, create: RawCreate, modules: &Modules, tenancy: &Tenancy) -> JobAction {
        self.module_names(&at.key("modules"), &create.modules, modules);
        let tenant = create.tenant.and_then(|tenant| match TenantId::parse(&tenant) {
            Ok(id) if tenancy.tenants.contains_key(&id) || tenancy.discover.is_some() => Some(id),
            _ => {
                let known = tenancy.tenants.keys().map(TenantId::as_str);
                self.unknown(&at.key("tenant"), "tenant", &tenant, known);
                None
            }
        });
        let backup_type = match create.backup_type {
            None | Some(RawBackupType::Daily) => BackupType::Daily,
            Some(RawBackupType::Weekly) => BackupType::Weekly,
            Some(RawBackupType::Monthly) => BackupType::Monthly,
        };
        let only = create.only.map(|only| match only {
            RawOnly::Database => Only::Database,
            RawOnly::Files => Only::Files,
        });
        let all_tenants = create.all_tenants.unwrap_or(false);
        if all_tenants && tenant.is_some() {
            self.problem(at, "has `tenant` and `allTenants`; keep one of the two");
        }
        JobAction::Create(CreateJob { backup_type, modules: create.modules, tenant, all_tenants, only })
    }
}

fn verify_job(verify: RawVerify) -> JobAction {
    let level = verify.level.map(|level| match level {
        RawLevel::Stored => JobLevel::Stored,
        RawLevel::Decoded => JobLevel::Decoded,
        RawLevel::Restored => JobLevel::Restored,
    });
    JobAction::Verify(VerifyJob { level, all: matches!(verify.backups, Some(RawWhich::All)) })
}

fn policy(name: RawPolicyName) -> RetentionPolicy {
    let [default, aggressive, conservative, compliance] = RetentionPolicy::built_in();
    match name {
        RawPolicyName::Default => default,
        RawPolicyName::Aggressive => aggressive,
        RawPolicyName::Conservative => conservative,
        RawPolicyName::Compliance => compliance,
    }
}
