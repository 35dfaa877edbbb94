//! The repository on disk: each step is done to it and to the model, and the two are compared.

use super::model::{MODULES, Made, Model, PARTS};
use super::stored::{bytes, manifest};
use super::{Fault, Kill, Run, Step};
use crate::support::app::files_below;
use backup::config::{self, BackupType, Environment, Retention};
use backup::error::{Error, Kind};
use backup::event::{Event, Events, Observer};
use backup::manifest::ComponentStatus::Complete;
use backup::names::{BackupId, Scope, TenantId};
use backup::pipeline::Cancel;
use backup::repository::{FailedRun, Repository, VerifyLevel, Wait};
use backup::{hold, prune, restore, verify};
use chrono::{DateTime, TimeDelta, Utc};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

thread_local! {
    static NOW: Cell<DateTime<Utc>> = const { Cell::new(DateTime::UNIX_EPOCH) };
}

fn now() -> DateTime<Utc> {
    NOW.get()
}

struct Silent;

impl Observer for Silent {
    fn observe(&self, _: &Event) {}
}

/// How often what the histories are about has happened: a history in which nothing does proves nothing.
#[derive(Debug, Default)]
pub struct Fired {
    removed: Cell<u32>,
    wanted_consent: Cell<u32>,
    clock_behind: Cell<u32>,
    listing_failed: Cell<u32>,
    damage_found: Cell<u32>,
    swept: Cell<u32>,
}

impl Fired {
    pub fn assert_all(&self) {
        let Self { removed, wanted_consent, clock_behind, listing_failed, damage_found, swept } = self;
        for counter in [removed, wanted_consent, clock_behind, listing_failed, damage_found, swept] {
            assert!(counter.get() > 0, "{self:?}");
        }
    }
}

fn count(counter: &Cell<u32>) {
    counter.set(counter.get() + 1);
}

/// A repository and its model.
pub struct History<'f> {
    fired: &'f Fired,
    model: Model,
    folder: tempfile::TempDir,
    config: config::Config,
    repository: Repository,
}

impl<'f> History<'f> {
    pub fn new(fired: &'f Fired) -> Self {
        NOW.set("2025-12-20T05:00:00Z".parse().unwrap());
        // In memory, where that can be: thousands of fsyncs are not what is tested here.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let file = folder.path().join("backup.yaml");
        std::fs::write(&file, "installation: x\nrepository: {location: ./backups}\n").unwrap();
        let config = config::load(&file, &Environment::fixed(folder.path(), [])).unwrap();
        let (repository, _) = Repository::open_or_create(&config.repository).unwrap();
        Self { fired, model: Model::default(), folder, config, repository }
    }

    pub fn take(&mut self, step: Step) {
        NOW.set(now() + TimeDelta::hours(1));
        let count = self.model.backups.len().max(1);
        match step {
            Step::Create(run, nights) => {
                for _ in 0..nights {
                    self.create(run.clone());
                    NOW.set(now() + TimeDelta::days(1));
                }
            }
            Step::Fail(scope) => self.fail(&scope),
            Step::Kill(_, Kill::Removing(of)) => self.die_removing(of % count),
            Step::Kill(scope, kill) => self.die(&scope, kill),
            Step::Flip(of, part) => {
                let newest = count - 1 - of % count.min(3);
                self.flip(newest, part % PARTS.len());
                self.verify(newest);
            }
            Step::Verify(of) => self.verify(of % count),
            Step::Hold(of, hold) => self.hold(of % count, hold),
            Step::Clock(days) => NOW.set(now() + TimeDelta::days(days)),
            Step::Hide(fault, retention) => self.hide(fault, retention),
            Step::Prune(retention, yes) => self.prune(retention, yes),
        }
    }

    fn at(&self, relative: &str) -> PathBuf {
        self.repository.location().join(relative)
    }

    fn create(&mut self, run: Run) {
        self.repository.sweep(&run.scope).unwrap();
        let id = self.repository.free_id(&run.scope, now());
        let staging = self.repository.begin(&id, run.backup_type).unwrap();
        for (part, _) in PARTS.iter().zip(&run.parts).filter(|(_, status)| **status == Some(Complete)) {
            staging.create(part.path).unwrap().write_all(bytes(&id, part.path).as_bytes()).unwrap();
        }
        staging.publish(manifest(&id, &run)).unwrap();
        let Run { backup_type, parts, only_databases, is_safety, .. } = run;
        let made =
            Made { id, backup_type, parts, only_databases, is_safety, is_held: false, flipped: None, verified: None };
        self.model.backups.push(made);
    }

    fn fail(&self, scope: &Scope) {
        self.repository.sweep(scope).unwrap();
        let id = self.repository.free_id(scope, now());
        let run = FailedRun {
            id: id.to_string(),
            backup_type: BackupType::Daily,
            tenant_id: scope.tenant().map(TenantId::to_string),
            timestamp: id.at(),
            duration_seconds: 1.0,
            errors: Vec::new(),
        };
        self.repository.record_failure(&run).unwrap();
    }

    fn die(&self, scope: &Scope, kill: Kill) {
        self.repository.sweep(scope).unwrap();
        let id = self.repository.free_id(scope, now());
        let staging = self.repository.begin(&id, BackupType::Daily).unwrap();
        staging.create(PARTS[0].path).unwrap().write_all(b"half").unwrap();
        let staged = staging.path().to_owned();
        // Nothing runs in a process that is killed.
        std::mem::forget(staging);
        if !matches!(kill, Kill::Reading) {
            std::fs::rename(staged, self.repository.folder(&id, BackupType::Daily)).unwrap();
        }
        if matches!(kill, Kill::WritingManifest) {
            std::fs::write(self.at(&format!("metadata/.{id}.json.tmp")), "{").unwrap();
        }
    }

    fn die_removing(&mut self, of: usize) {
        if of < self.model.backups.len() {
            let gone = self.model.backups.remove(of);
            std::fs::remove_file(self.repository.manifest_path(&gone.id)).unwrap();
        }
    }

    fn flip(&mut self, of: usize, part: usize) {
        let Some(made) = self.model.backups.get_mut(of).filter(|made| made.has(part) && made.flipped.is_none()) else {
            return;
        };
        made.flipped = Some(part);
        let path = self.repository.archive(&made.id, made.backup_type, PARTS[part].path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[3] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }

    fn verify(&mut self, of: usize) {
        let Some(made) = self.model.backups.get_mut(of) else { return };
        let options = verify::Options {
            jobs: None,
            config: &self.config,
            which: verify::Which::One(&made.id),
            level: Some(VerifyLevel::Stored),
            identities: Arc::default(),
            scratch: None,
            servers: BTreeMap::new(),
            wait: Wait::No,
            now,
            events: Events::new(Arc::new(Silent)),
            cancel: Cancel::default(),
        };
        let report = verify::run(&options).unwrap().remove(0);
        assert_eq!(report.valid, made.flipped.is_none(), "{report:?}");
        made.verified = Some(report.valid);
        if !report.valid {
            count(&self.fired.damage_found);
        }
    }

    fn hold(&mut self, of: usize, hold: bool) {
        let Some(made) = self.model.backups.get_mut(of) else { return };
        let (id, by) = (made.id.clone(), "somebody".to_owned());
        let events = Events::new(Arc::new(Silent));
        hold::run(&hold::Options { config: &self.config, id, hold, by, wait: Wait::No, now, events }).unwrap();
        made.is_held = hold;
    }

    fn hide(&mut self, fault: Fault, retention: Retention) {
        let write = |relative: &str, body: &str| {
            let path = self.at(relative);
            std::fs::write(&path, body).unwrap();
            path
        };
        let any = "system-backup-2001-01-01T00-00-00-000Z";
        let broken = match fault {
            Fault::TornManifest => write(&format!("metadata/{any}.json"), "{"),
            Fault::ForeignManifest => {
                let Some(made) = self.model.backups.first() else { return };
                let body = std::fs::read_to_string(self.repository.manifest_path(&made.id)).unwrap();
                write(&format!("metadata/{any}.json"), &body)
            }
            Fault::TornFact => {
                let Some(made) = self.model.backups.iter().find(|made| !made.is_held) else { return };
                write(&format!("metadata/facts/{}.held.json", made.id), "{")
            }
            Fault::MissingFolder(folder) => {
                std::fs::rename(self.at(folder), self.folder.path().join("aside")).unwrap();
                self.at(folder)
            }
        };
        count(&self.fired.listing_failed);
        let before = self.files();
        let error = self.run_prune(retention, true, false).unwrap_err();
        assert!(matches!(error.kind, Kind::Refused | Kind::Repository), "{error:?}");
        assert!(self.files() == before, "something changed");
        match fault {
            Fault::MissingFolder(_) => std::fs::rename(self.folder.path().join("aside"), broken).unwrap(),
            _ => std::fs::remove_file(broken).unwrap(),
        }
    }

    fn run_prune(&mut self, retention: Retention, yes: bool, dry_run: bool) -> Result<prune::Report, Error> {
        self.config.retention = retention;
        prune::run(&prune::Options {
            config: &self.config,
            dry_run,
            policy: None,
            yes,
            wait: Wait::No,
            now,
            events: Events::new(Arc::new(Silent)),
            cancel: Cancel::default(),
        })
    }

    fn prune(&mut self, retention: Retention, yes: bool) {
        let before = self.files();
        let dry = self.run_prune(retention.clone(), yes, true);
        assert!(self.files() == before, "a dry run changed something");
        let real = self.run_prune(retention.clone(), yes, false);
        if self.model.backups.iter().any(|made| made.id.at() > now()) {
            assert_eq!((dry.unwrap_err().kind, real.unwrap_err().kind), (Kind::Refused, Kind::Refused));
            assert!(self.files() == before, "something changed");
            return count(&self.fired.clock_behind);
        }
        let dry = dry.unwrap();
        let going: BTreeSet<_> = dry.removed.iter().map(|line| line.id.clone()).collect();
        let needed = self.model.must_stay(now());
        assert!(going.is_disjoint(&needed), "{going:?} would go, {needed:?} must stay");
        let overdue = self.model.must_go(&retention, now());
        assert!(going.is_superset(&overdue), "{going:?} would go, {overdue:?} must: {:?}", dry.kept);
        let refused = !yes && self.model.wants_consent(&going);
        assert_eq!(dry.refused.is_some(), refused, "{:?}", dry.refused);
        if refused {
            assert_eq!(real.unwrap_err().kind, Kind::Refused);
            assert!(self.files() == before, "something changed");
            return count(&self.fired.wanted_consent);
        }
        let real = real.unwrap();
        assert_eq!(real.removed.iter().map(|line| line.id.clone()).collect::<BTreeSet<_>>(), going);
        self.model.backups.retain(|made| !going.contains(&made.id));
        self.fired.removed.set(self.fired.removed.get() + u32::try_from(going.len()).unwrap());
        self.fired.swept.set(self.fired.swept.get() + u32::try_from(real.swept.len()).unwrap());
        let again = self.run_prune(retention, true, false).unwrap();
        assert!(again.removed.is_empty() && again.swept.is_empty(), "a second run found more: {again:?}");
    }

    /// What is stored, but for the locks, which name who looked last.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = files_below(self.repository.location());
        files.retain(|path, _| !path.starts_with("locks/"));
        files
    }

    /// The catalog is the model's list, and what is listed has its bytes.
    pub fn compare(&self) {
        let catalog = self.repository.catalog().unwrap();
        assert!(catalog.unreadable.is_empty(), "{:?}", catalog.unreadable);
        let listed: BTreeSet<_> = catalog.backups.iter().map(|entry| entry.id.clone()).collect();
        assert_eq!(listed, self.model.ids());
        for made in &self.model.backups {
            let entry = catalog.find(&made.id).unwrap();
            assert_eq!(entry.held.is_some(), made.is_held, "{made:?}");
            assert_eq!(entry.verified.as_ref().map(|verified| verified.valid), made.verified, "{made:?}");
            for (index, part) in PARTS.iter().enumerate().filter(|(index, _)| made.has(*index)) {
                let path = self.repository.archive(&made.id, made.backup_type, part.path).unwrap();
                let intact = std::fs::read(&path).unwrap() == bytes(&made.id, part.path).as_bytes();
                assert_eq!(intact, made.flipped != Some(index), "{}", path.display());
            }
        }
    }

    /// What `latest` means is what the model says, for every module of every scope.
    pub fn compare_latest(&self) {
        for scope in [Scope::SystemWide, Scope::Tenant(TenantId::parse("acme").unwrap())] {
            for module in MODULES {
                assert_eq!(self.latest(&scope, module), self.model.latest(&scope, module), "{module} of {scope}");
            }
        }
    }

    fn latest(&self, scope: &Scope, module: &str) -> Option<BackupId> {
        let options = restore::Options {
            jobs: None,
            config: &self.config,
            which: restore::Which::Latest { before: None },
            tenant: scope.tenant().cloned(),
            as_tenant: None,
            modules: vec![module.to_owned()],
            collections: Vec::new(),
            only: None,
            into: BTreeMap::new(),
            files_into: None,
            to_directory: Some(self.folder.path().join("nowhere")),
            existing: restore::Existing::Refuse,
            safety_backup: true,
            consent: &|_| Ok(()),
            allow_protected: Vec::new(),
            allow_unsigned: false,
            identities: Arc::default(),
            dry_run: true,
            wait: Wait::No,
            now,
            created_by: "somebody".into(),
            events: Events::new(Arc::new(Silent)),
            cancel: Cancel::default(),
        };
        match restore::run(&options) {
            // What a system-wide backup holds of a tenant is no backup of the tenant's.
            Ok(report) => Some(BackupId::parse(&report.id).unwrap()).filter(|id| id.scope() == *scope),
            Err(error) => {
                // A tenant without a backup is looked for in system-wide ones; whose their records are no rule says here.
                let elsewhere = scope.tenant().is_some() && error.kind == Kind::Config;
                assert!(elsewhere || error.kind == Kind::NotFound, "{error:?}");
                None
            }
        }
    }
}
