//! What goes around a run: the operator's commands, pings, alerts and messages. Commands may fail a run or make it
//! partial; whoever cannot be told is a warning.

use crate::cli::create::{self, Whose};
mod look_back;

use crate::cli::exit::Exit;
use crate::cli::failure::redact;
use crate::cli::output::Report;
use crate::cli::settings::Settings;
use crate::cli::{process, time};
use crate::config::{BackupType, Channel, CommandLine, Commands, Config, Notifier, Occasion};
use crate::create::Unbegun;
use crate::error::{Error, Kind, Result};
use crate::hooks::{Ended, Hook};
use crate::names::Scope;
use crate::notify::{self, Delivery, Message, Operation, RunStatus};
use crate::pipeline::Cancel;
use crate::repository::Repository;
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A run with all that goes around it.
pub struct Around<'a> {
    settings: &'a Settings,
    config: &'a Config,
    cancel: &'a Cancel,
    commands: Commands,
    message: Message,
    backups: Option<Backups>,
}

/// The backups that a run is to make.
struct Backups {
    whose: Whose,
    backup_type: BackupType,
}

/// What a run came to: how it reads, what is told of it, and, of one over many tenants, of each.
pub struct Told {
    pub report: Report,
    pub message: Message,
    pub each: Vec<Message>,
}

impl Told {
    /// Of a run that is told in one message.
    pub fn plain(report: Report, message: Message) -> Self {
        Self { report, message, each: Vec::new() }
    }
}

impl<'a> Around<'a> {
    /// Around `operation`, which is that of `job` where one is named.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such job.
    pub fn new(
        settings: &'a Settings,
        config: &'a Config,
        cancel: &'a Cancel,
        operation: Operation,
        job: Option<&str>,
    ) -> Result<Self> {
        let commands = match job {
            Some(name) => create::job(name, config)?.commands.clone(),
            None if operation == Operation::Create => config.commands.clone(),
            None => Commands::default(),
        };
        let mut message = Message::new(config, operation, settings.log.run(), process::host(), time::now());
        message.job = job.map(ToOwned::to_owned);
        Ok(Self { settings, config, cancel, commands, message, backups: None })
    }

    /// The same, of one scope.
    #[must_use]
    pub fn of(mut self, scope: &Scope) -> Self {
        self.message.tenant_id = scope.tenant().map(ToString::to_string);
        self
    }

    /// The same, of backups: when the run cannot even begin, each of those has a record of that.
    #[must_use]
    pub fn making(mut self, whose: Whose, backup_type: BackupType) -> Self {
        self.backups = Some(Backups { whose, backup_type });
        self
    }

    /// Runs `work`, which gets what is known so far, and all that goes around it.
    ///
    /// # Errors
    /// As `work`; when the command `before` fails.
    pub fn run(self, work: impl FnOnce(Message) -> Result<Told>) -> Result<Report> {
        self.run_with(|| Ok(()), |(), message| work(message))
    }

    /// The same, where `find` says what `work` is about. A run whose `find` fails has not begun: `work` leaves its own
    /// records.
    ///
    /// # Errors
    /// As `find`, and [`Around::run`].
    pub fn run_with<T>(
        self,
        find: impl FnOnce() -> Result<T>,
        work: impl FnOnce(T, Message) -> Result<Told>,
    ) -> Result<Report> {
        let began = Instant::now();
        let before = self.hook("before", &self.commands.before, &self.message, Some(self.cancel));
        let found = match before {
            Ok(Ended::Skip) => return self.skipped(),
            Ok(Ended::Done) => {
                self.tell(&self.message, &[]);
                find()
            }
            Err(error) => Err(error),
        };
        let found = found.inspect_err(|error| self.not_begun(error));
        let result = found.and_then(|found| work(found, self.message.clone()));
        let (mut result, mut message, each) = match result {
            Ok(Told { report, message, each }) => (Ok(report), message, each),
            Err(error) => {
                let message = self.message.clone().failed(&error);
                (Err(error), message, Vec::new())
            }
        };
        if message.duration == 0.0 {
            message.duration = began.elapsed().as_secs_f64();
        }
        message.at = time::now();
        self.end(&mut result, &mut message);
        let is_told = result.as_ref().err().is_none_or(|error| self.concerns(error));
        if is_told {
            let each = self.look_back(&mut message, each);
            let damaged = match &result {
                Ok(report) => report.ending() == Exit::Damaged,
                Err(error) => error.kind == Kind::Damaged,
            };
            message.event = occasion(&message, damaged);
            self.tell(&message, &each);
        }
        result
    }

    fn not_begun(&self, error: &Error) {
        let Some(Backups { whose, backup_type }) = &self.backups else { return };
        let unbegun = Unbegun {
            config: self.config,
            scopes: &whose.fail_of(error, self.config),
            backup_type: *backup_type,
            began: self.message.at,
            ended: time::now(),
            events: &self.settings.events,
        };
        unbegun.record(error);
    }

    /// What follows a run, whatever became of it.
    fn end(&self, result: &mut Result<Report>, message: &mut Message) {
        let Commands { after, on_failure, finally, .. } = &self.commands;
        let ended = match message.status {
            RunStatus::Skipped => None,
            RunStatus::Failed => Some(("onFailure", on_failure)),
            _ => Some(("after", after)),
        };
        for (phase, line) in ended.into_iter().chain([("finally", finally)]) {
            // No signal ends it: the run has ended already, and what was stopped must be started again.
            let Err(error) = self.hook(phase, line, message, None) else { continue };
            let lines = error.details.iter().map(|line| format!("\n  {line}")).collect::<String>();
            self.settings.events.warn(format!("{error}{lines}"));
            message.errors.push(error.to_string());
            if message.status == RunStatus::Success {
                message.status = RunStatus::Partial;
            }
            if let Ok(report) = result {
                report.worsen(Exit::Partial);
            }
        }
    }

    fn skipped(self) -> Result<Report> {
        self.settings.skipped.store(true, Ordering::Relaxed);
        let mut message = Message { status: RunStatus::Skipped, ..self.message.clone() };
        let operation = message.operation.word();
        if let Ok(repository) = Repository::open(&self.config.repository) {
            let scope = message.tenant_id.as_ref().map_or("system-wide", |tenant| tenant);
            let subject = message.job.as_deref().unwrap_or(scope);
            repository.audit(&self.settings.events, operation, subject, "skipped");
        }
        let text = format!("Skipped: the command `before` says that {operation} should not be now\n");
        let mut result = Report::new(text, &json!({ "skipped": true, "operation": operation, "job": message.job }));
        self.end(&mut result, &mut message);
        // Of a run that is not to be nobody hears, but that things were not put right.
        if !message.errors.is_empty() {
            message.event = Occasion::Partial;
            message.at = time::now();
            self.tell(&message, &[]);
        }
        result
    }

    fn hook(
        &self,
        phase: &'static str,
        line: &Option<CommandLine>,
        message: &Message,
        cancel: Option<&Cancel>,
    ) -> Result<Ended> {
        let Some(line) = line else { return Ok(Ended::Done) };
        let variables = [
            ("BACKUP_CONFIG", Some(self.config.file.display().to_string())),
            ("BACKUP_INSTALLATION", Some(self.config.installation.clone())),
            ("BACKUP_RUN", Some(message.run.clone())),
            ("BACKUP_OPERATION", Some(message.operation.word().to_owned())),
            ("BACKUP_STATUS", Some(message.status.word().to_owned())),
            ("BACKUP_JOB", message.job.clone()),
            ("BACKUP_TENANT", message.tenant_id.clone()),
            ("BACKUP_ID", message.backup_id.clone()),
            ("BACKUP_TYPE", message.backup_type.map(|kind| kind.as_str().to_owned())),
        ];
        let variables: Vec<_> = variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let Commands { directory, limit, .. } = &self.commands;
        let hook = Hook { phase, line, directory, limit: *limit, variables: &variables };
        match hook.run(&self.settings.events, &self.settings.environment, cancel)? {
            Ended::Skip if phase != "before" => {
                Err(Error::new(Kind::Command, format!("command `{phase}` failed: only `before` may skip a run")))
            }
            ended => Ok(ended),
        }
    }

    /// Whether an error is one of the run: who asks for what does not exist is told at once, and nobody else.
    fn concerns(&self, error: &Error) -> bool {
        let is_asked = matches!(error.kind, Kind::Config | Kind::NotFound | Kind::Refused);
        self.message.job.is_some() || self.message.operation == Operation::Create || !is_asked
    }

    fn tell(&self, message: &Message, each: &[Message]) {
        let tell = |notifier: &Notifier| {
            let mut messages: Vec<_> = Some(message).filter(|message| is_for(notifier, message)).into_iter().collect();
            if notifier.per_tenant {
                messages.extend(each.iter().filter(|message| is_for(notifier, message)));
            }
            let messages: Vec<_> = messages.into_iter().map(without_secrets).collect();
            (!messages.is_empty()).then(|| (notifier.clone(), messages))
        };
        let failed: Vec<_> = notify::deliver(self.config.notifications.iter().filter_map(tell).collect())
            .into_iter()
            .filter_map(|Delivery { name, error, .. }| Some((name, error?)))
            .collect();
        if failed.is_empty() {
            return;
        }
        let repository = Repository::open(&self.config.repository).ok();
        for (name, error) in failed {
            self.settings.events.warn(format!("notification '{name}' did not arrive: {error}"));
            if let Some(repository) = &repository {
                repository.audit(&self.settings.events, "notify", &name, &format!("failed: {error}"));
            }
        }
        // Under `--quiet` too: whoever waits for messages must hear that none come.
        self.settings.log.release();
    }
}

fn occasion(message: &Message, damaged: bool) -> Occasion {
    match (message.status, message.operation) {
        (RunStatus::Failed, Operation::Verify | Operation::VerifyCollections) if damaged => {
            Occasion::VerificationFailed
        }
        (RunStatus::Failed, _) => Occasion::Failed,
        (RunStatus::Partial, _) => Occasion::Partial,
        _ if message.event == Occasion::Recovered => Occasion::Recovered,
        _ if !message.removed.is_empty() => Occasion::Deleted,
        (_, Operation::Restore) => Occasion::Restored,
        _ => Occasion::Success,
    }
}

/// Pings are of backups, unless jobs are named: the success of a prune must not hide a backup that is missing.
fn is_for(notifier: &Notifier, message: &Message) -> bool {
    let is_of = match (&message.job, notifier.jobs.is_empty()) {
        (_, true) => message.operation == Operation::Create || !matches!(notifier.channel, Channel::Healthcheck(_)),
        (Some(job), false) => notifier.jobs.contains(job),
        (None, false) => false,
    };
    let is_ping = matches!(notifier.channel, Channel::Healthcheck(_));
    is_of && (is_ping || notifier.on.iter().any(|on| message.event.is(*on)))
}

/// Errors are masked where they are made; this is the second lock, as on the way to the terminal.
fn without_secrets(message: &Message) -> Message {
    let mut message = message.clone();
    let lines = message.errors.iter_mut().chain(&mut message.warnings);
    let tenants = message.tenants.iter_mut().filter_map(|tenant| tenant.error.as_mut());
    lines.chain(tenants).for_each(|line| *line = redact(line));
    message
}
