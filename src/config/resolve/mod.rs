//! From the file as written to the configuration the program works with: defaults, absolute paths, secrets, and every
//! check of meaning. Findings are collected, never returned one by one.

mod around;
mod keys;
mod license;
mod modules;
mod monitoring;
mod references;
mod schedule;
mod sources;
mod tenancy;

use super::either::Either;
use super::environment::Environment;
use super::model::Commands;
use super::model::License;
use super::model::{Algorithm, Compression, Config, Timeouts};
use super::node::{At, Node};
use super::problems::{Problems, suggestion};
use super::raw::{RawAlgorithm, RawCompression, RawConfig, RawPreset};
use super::size::parse_rate;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What every check needs at hand.
pub(super) struct Resolver<'a> {
    pub root: &'a Node,
    pub base: &'a Path,
    pub environment: &'a Environment,
    pub problems: Problems,
    pub warnings: Vec<String>,
}

impl Resolver<'_> {
    fn problem(&mut self, at: &At, message: impl AsRef<str>) {
        self.problems.add_at(self.root, at, message);
    }

    /// A reference to something that does not exist.
    fn unknown<'n>(&mut self, at: &At, what: &str, name: &str, known: impl IntoIterator<Item = &'n str>) {
        let near = suggestion(name, known);
        let message = match self.root.locate(at).0.substituted {
            true => format!("the value of the variable is no known {what}"),
            false => format!("unknown {what} '{}'{near}", name.escape_debug()),
        };
        self.problem(at, message);
    }

    /// An absolute path, without `.` parts.
    fn path(&self, written: &str) -> PathBuf {
        self.base.join(written).components().collect()
    }

    /// Checks a name that becomes one part of a path in every backup.
    fn name(&mut self, at: &At, what: &str, name: &str) {
        let fine = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@'))
            && name.starts_with(|c: char| c.is_alphanumeric() || c == '_')
            && !name.ends_with('.')
            && name.len() <= 128;
        if !fine {
            let rule = "letters, digits, '.', '_', '-' and '@', beginning with a letter or digit, not ending in a dot";
            self.problem(at, format!("'{}' cannot name {what}: {rule}", name.escape_debug()));
        } else if name.eq_ignore_ascii_case("shared") {
            self.problem(at, format!("'{name}' cannot name {what}: the folder `shared` has a meaning in backups"));
        }
    }

    fn compression(&mut self, raw: Option<Either<RawPreset, RawCompression>>) -> Compression {
        let gzip = |level| Compression { algorithm: Algorithm::Gzip, level };
        let raw = match raw {
            None | Some(Either::Word(RawPreset::Default)) => return Compression::default(),
            Some(Either::Word(RawPreset::Fast)) => return gzip(2),
            Some(Either::Word(RawPreset::Small)) => return gzip(9),
            Some(Either::Map(raw)) => raw,
        };
        let algorithm = match raw.algorithm {
            None | Some(RawAlgorithm::Gzip) => Algorithm::Gzip,
            Some(RawAlgorithm::Zstd) => Algorithm::Zstd,
        };
        let (strongest, default) = (algorithm.strongest(), Compression::by(algorithm).level);
        let level = raw.level.map_or(Some(default), |level| u8::try_from(level).ok());
        let level = level.filter(|level| (1..=strongest).contains(level)).unwrap_or_else(|| {
            let wrong = format!("must be from 1 to {strongest} for {}", algorithm.word());
            self.problem(&At::root("compression").key("level"), wrong);
            default
        });
        Compression { algorithm, level }
    }

    fn globs(&mut self, at: &At, globs: &[String]) {
        for (index, glob) in globs.iter().enumerate() {
            if globset::Glob::new(glob).is_err() {
                self.problem(&at.index(index), "is no valid glob");
            }
        }
    }
}

/// Resolves `raw`. The result counts only when the resolver has no problems.
pub(super) fn resolve(raw: RawConfig, file: &Path, resolver: &mut Resolver<'_>) -> Config {
    let installation = raw.installation.unwrap_or_default();
    if installation.trim().is_empty() && resolver.root.locate(&At::root("installation")).0.at != resolver.root.at {
        resolver.problem(&At::root("installation"), "must not be empty");
    }
    let timezone = raw.timezone.map_or(chrono_tz::UTC, |zone| {
        zone.parse().unwrap_or_else(|_| {
            let at = At::root("timezone");
            resolver.unknown(&at, "time zone", &zone, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
            chrono_tz::UTC
        })
    });
    let compression = resolver.compression(raw.compression);
    let rate_limit = raw
        .rate_limit
        .and_then(|rate| parse_rate(&rate.0).map_err(|wrong| resolver.problem(&At::root("rateLimit"), wrong)).ok());
    let repository = resolver.repository(raw.repository);
    let timeouts = resolver.timeouts(&At::root("timeouts"), raw.timeouts, Timeouts::default());
    let sources = resolver.sources(raw.sources, timeouts);
    let mut written = raw.uploads;
    let references: Vec<_> = written.iter_mut().map(|upload| upload.file_references.take()).collect();
    let mut uploads = resolver.uploads(written);
    let extra_files = resolver.extra_files(raw.extra_files);
    let field = raw.tenancy.as_ref().and_then(|tenancy| tenancy.field.clone());
    let modules = resolver.modules(raw.modules, &sources, field.as_deref());
    resolver.file_references(file, references, &mut uploads, &modules);
    resolver.archive_names(&sources, &extra_files, &modules);
    let license = License::plain(Vec::new());
    let license = match raw.license {
        Some(raw) => resolver.license(&At::root("license"), raw, &license),
        None => license,
    };
    let tenancy = resolver.tenancy(raw.tenancy, &modules, &sources, &license);
    let verification = resolver.verification(raw.verification, &modules);
    let anomaly = resolver.anomaly(raw.anomaly);
    let retention = resolver.retention(raw.retention, &modules);
    let commands = resolver.commands(&At::root("commands"), raw.commands, &Commands::default());
    let jobs = resolver.jobs(raw.jobs, &modules, &tenancy, &repository.encryption, &commands);
    let metrics = resolver.metrics(raw.metrics);
    let checks = resolver.checks(raw.checks, &modules, &tenancy);
    let notifications = resolver.notifications(raw.notifications, &jobs);
    let alerts = resolver.alerts(raw.alerts);
    Config {
        file: file.to_owned(),
        module_files: Vec::new(),
        installation,
        timezone,
        repository,
        compression,
        rate_limit,
        sources,
        uploads,
        extra_files,
        license,
        tenancy,
        modules,
        verification,
        anomaly,
        retention,
        jobs,
        metrics,
        checks,
        notifications,
        alerts,
        commands,
        warnings: std::mem::take(&mut resolver.warnings),
    }
}

fn names<V>(map: &BTreeMap<String, V>) -> impl Iterator<Item = &str> {
    map.keys().map(String::as_str)
}
