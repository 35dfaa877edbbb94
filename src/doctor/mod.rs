//! `doctor`: looks at all that a backup needs before a night depends on it. Changes nothing.

mod keys;
mod repository;
mod sources;
mod tenants;
mod uploads;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::keys::Identities;
use crate::license;
use crate::modules;
use crate::names::Scope;
use crate::pipeline::Cancel;
use crate::repository::{Catalog, Repository};
use chrono::{DateTime, Utc};
use serde::Serialize;

pub use crate::source::health::{Finding, Outcome};

/// Everything a look needs from outside.
#[derive(Debug)]
pub struct Options<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// What opens encrypted archives, or why it cannot be read.
    pub identities: Result<&'a Identities>,
    /// What is known of the scheduler: only the command line asks it.
    pub schedule: Vec<Finding>,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
    /// The cancel flag.
    pub cancel: Cancel,
}

/// What was found. Field names are a contract.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The worst outcome.
    pub status: Outcome,
    /// In the order they were looked at.
    pub findings: Vec<About>,
}

/// A finding, and what it is about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// `configuration`, `repository`, `keys`, `schedule`, `source NAME`, `uploads`, `uploads NAME` or `files NAME`.
    pub subject: String,
    /// How bad it is.
    pub outcome: Outcome,
    /// What was found.
    pub message: String,
    /// What to do; none where all is well.
    pub advice: Option<String>,
}

impl Report {
    fn add(&mut self, subject: &str, findings: impl IntoIterator<Item = Finding>) {
        for Finding { outcome, message, advice } in findings {
            self.status = self.status.max(outcome);
            self.findings.push(About { subject: subject.to_owned(), outcome, message, advice });
        }
    }

    /// How many findings have this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == outcome).count()
    }
}

/// Looks at everything. What is wrong is a finding, and stops nothing of the rest.
///
/// # Errors
/// When the look is cancelled.
pub fn run(options: &Options<'_>) -> Result<Report> {
    let mut report = Report { status: Outcome::Ok, findings: Vec::new() };
    report.add("configuration", configuration(options.config, (options.now)()));
    let stored = Stored::read(options.config);
    report.add("repository", repository::look(options, &stored));
    report.add("keys", keys::look(options));
    report.add("schedule", options.schedule.iter().cloned());
    let of_tenants = options.config.has_templates().then(|| tenants::Tenants::look_up(options));
    for (name, source) in &options.config.sources {
        options.cancel.check()?;
        let findings = match of_tenants.as_ref().filter(|_| source.per_tenant) {
            Some(tenants) => tenants.look(options, &stored, name),
            None => sources::look(options, &stored, name),
        };
        options.cancel.check()?;
        report.add(&format!("source {name}"), findings);
    }
    for root in &options.config.uploads {
        report.add(&format!("uploads {}", root.name), uploads::look(options, &stored, root));
    }
    report.add("uploads", uploads::look_for_folders(options.config));
    for (name, files) in &options.config.extra_files {
        report.add(&format!("files {name}"), uploads::look_extra(options, name, files));
    }
    Ok(report)
}

/// The repository and what it lists, as far as they can be had.
struct Stored {
    repository: Result<Repository>,
    catalog: Result<Catalog, Option<Error>>,
}

impl Stored {
    fn read(config: &Config) -> Self {
        let repository = Repository::open(&config.repository);
        let catalog = match &repository {
            Ok(repository) => repository.catalog().map_err(Some),
            // That there is none is said once.
            Err(_) => Err(None),
        };
        Self { repository, catalog }
    }
}

fn configuration(config: &Config, now: DateTime<Utc>) -> Vec<Finding> {
    let counts = [
        (config.sources.len(), "source", "sources"),
        (config.modules.len(), "module", "modules"),
        (config.jobs.len(), "job", "jobs"),
    ];
    let counts = counts.map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }));
    let mut found = vec![Finding::ok(format!("it is valid: {}", counts.join(", ")))];
    let mend = "`backup config check` says where";
    found.extend(config.warnings.iter().map(|warning| Finding::warning(warning, mend)));
    match license::required(config, &Scope::SystemWide, now) {
        Ok(grants) => {
            let advice = "`backup license` shows what is granted, and which modules depend on it";
            found.extend(grants.warnings().into_iter().map(|warning| Finding::warning(warning, advice)));
            if let Err(error) = modules::choose(config, &grants, None, &[]) {
                found.push(Finding::from(&error));
            }
        }
        Err(error) => found.push(Finding::from(&error)),
    }
    found
}
