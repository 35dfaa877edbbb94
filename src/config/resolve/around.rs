//! Notifications, alerts and commands.

use super::Resolver;
use crate::config::either::{Either, Texts};
use crate::config::model::Job;
use crate::config::model::{
    Alerts, Channel, CommandLine, Commands, Email, FreeSpace, Notifier, Occasion, Smtp, SmtpTls,
};
use crate::config::node::At;
use crate::config::raw::RawSecret;
use crate::config::raw::{RawAlerts, RawCommands, RawEmail, RawNotifier, RawOccasion, RawSmtp, RawSmtpTls};
use crate::config::secret::Secret;
use crate::config::secret::SecretSource;
use crate::config::size::parse_size;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is told where nobody says.
const DEFAULT: [Occasion; 3] = [Occasion::Failed, Occasion::Partial, Occasion::Recovered];

const LIMIT: Duration = Duration::from_secs(30);

impl Resolver<'_> {
    pub(super) fn notifications(&mut self, raw: Vec<RawNotifier>, jobs: &BTreeMap<String, Job>) -> Vec<Notifier> {
        let mut made: Vec<Notifier> = Vec::new();
        for (index, mut raw) in raw.into_iter().enumerate() {
            let at = At::root("notifications").index(index);
            for (number, job) in raw.jobs.iter().enumerate().filter(|(_, job)| !jobs.contains_key(*job)) {
                self.unknown(&at.key("jobs").index(number), "job", job, super::names(jobs));
            }
            let limit = self.limit(&at.key("timeout"), raw.timeout.take()).unwrap_or(LIMIT);
            let Some(channel) = self.channel(&at, &mut raw) else { continue };
            let is_ping = matches!(channel, Channel::Healthcheck(_));
            if is_ping && raw.on.is_some() {
                self.problem(&at.key("on"), "does not go with `healthcheck`, which is told of every start and end");
            }
            let on = match raw.on {
                _ if is_ping => vec![Occasion::Started, Occasion::Success, Occasion::Partial, Occasion::Failed],
                Some(on) if on.is_empty() => {
                    self.problem(&at.key("on"), "is empty: nothing would ever be told");
                    Vec::new()
                }
                Some(on) => on.into_iter().map(occasion).collect(),
                None => DEFAULT.to_vec(),
            };
            let taken = |name: &String| made.iter().any(|other| other.name == *name);
            let name = match raw.name {
                Some(name) if taken(&name) => {
                    self.problem(&at.key("name"), format!("another one is named '{}' too", name.escape_debug()));
                    name
                }
                Some(name) => name,
                None => {
                    let numbered = (2..).map(|number| format!("{}-{number}", channel.word()));
                    let mut names = std::iter::once(channel.word().to_owned()).chain(numbered);
                    names.find(|name| !taken(name)).unwrap_or_default()
                }
            };
            let per_tenant = raw.per_tenant.unwrap_or(false);
            made.push(Notifier { name, channel, on, jobs: raw.jobs, per_tenant, limit });
        }
        made
    }

    fn channel(&mut self, at: &At, raw: &mut RawNotifier) -> Option<Channel> {
        if raw.secret.is_some() && raw.webhook.is_none() {
            self.problem(&at.key("secret"), "goes with `webhook` alone");
        }
        let secret = raw.secret.take().and_then(|secret| self.kept(&at.key("secret"), secret));
        match (raw.webhook.take(), raw.slack.take(), raw.healthcheck.take(), raw.email.take()) {
            (Some(url), None, None, None) => {
                let url = self.url(&at.key("webhook"), url)?;
                Some(Channel::Webhook { url, secret })
            }
            (None, Some(url), None, None) => self.url(&at.key("slack"), url).map(Channel::Slack),
            (None, None, Some(url), None) => self.url(&at.key("healthcheck"), url).map(Channel::Healthcheck),
            (None, None, None, Some(email)) => self.email(&at.key("email"), email).map(Channel::Email),
            _ => {
                self.problem(at, "needs exactly one of `webhook`, `slack`, `healthcheck` and `email`");
                None
            }
        }
    }

    /// A secret that is read only when it is needed: whoever lists backups must not start programs for a webhook.
    fn kept(&mut self, at: &At, written: Either<String, RawSecret>) -> Option<SecretSource> {
        match written {
            Either::Word(text) if text.is_empty() => {
                self.problem(at, "must not be empty");
                None
            }
            Either::Word(text) => Some(SecretSource::Text(Secret::new(text))),
            Either::Map(kept) => match SecretSource::kept(&kept, self.base) {
                Ok(source) => Some(source),
                Err(message) => {
                    self.problem(at, message);
                    None
                }
            },
        }
    }

    fn url(&mut self, at: &At, written: Either<String, RawSecret>) -> Option<SecretSource> {
        let source = self.kept(at, written)?;
        match &source {
            SecretSource::Text(text) if self.is_unset(at, text.reveal()) => None,
            SecretSource::Text(text) if !is_url(text.reveal()) => {
                // It may be half of a secret, so it is not repeated.
                self.problem(at, "is no http:// or https:// URL");
                None
            }
            _ => Some(source),
        }
    }

    fn email(&mut self, at: &At, raw: RawEmail) -> Option<Email> {
        let to = match raw.to? {
            Texts::One(one) => vec![one],
            Texts::List(many) => many,
        };
        if to.is_empty() {
            self.problem(&at.key("to"), "is empty: nobody would get it");
        }
        for address in to.iter().filter(|address| !is_address(address)) {
            self.problem(&at.key("to"), format!("'{}' is no mail address", address.escape_debug()));
        }
        let from = raw.from?;
        if !is_address(&from) {
            self.problem(&at.key("from"), format!("'{}' is no mail address", from.escape_debug()));
        }
        let smtp = self.smtp(&at.key("smtp"), raw.smtp?)?;
        Some(Email { to, from, smtp })
    }

    fn smtp(&mut self, at: &At, raw: RawSmtp) -> Option<Smtp> {
        let host = raw.host?;
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/' || c == '@') {
            self.problem(&at.key("host"), "is no name of a server");
        }
        let (tls, usual) = match raw.tls {
            None | Some(RawSmtpTls::Starttls) => (SmtpTls::Starttls, 587),
            Some(RawSmtpTls::Implicit) => (SmtpTls::Implicit, 465),
            Some(RawSmtpTls::None) => (SmtpTls::None, 25),
        };
        let login = match (raw.user, raw.password) {
            (None, None) => None,
            (Some(user), Some(password)) => Some((user, self.kept(&at.key("password"), password)?)),
            _ => {
                self.problem(at, "`user` and `password` go together");
                None
            }
        };
        let is_here = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if tls == SmtpTls::None && login.is_some() && !is_here {
            self.problem(&at.key("tls"), "`none` would send the password in clear; use `starttls` or `implicit`");
        }
        Some(Smtp { host, port: raw.port.unwrap_or(usual), login, tls })
    }

    pub(super) fn alerts(&mut self, raw: Option<RawAlerts>) -> Alerts {
        let Some(raw) = raw else { return Alerts::default() };
        let at = At::root("alerts");
        if raw.consecutive_failures == Some(0) {
            self.problem(&at.key("consecutiveFailures"), "must be at least 1");
        }
        let free_space = raw.free_space.and_then(|written| {
            let percent = written.0.strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
            let made = match percent.filter(|percent| (1..=99).contains(percent)) {
                Some(percent) => Some(FreeSpace::Percent(percent)),
                None => parse_size(&written.0).map(FreeSpace::Bytes),
            };
            if made.is_none() {
                self.problem(&at.key("freeSpace"), "is no space; write 10GiB, or a share of the disk from 1% to 99%");
            }
            made
        });
        let max_age = self.limit(&at.key("maxAge"), raw.max_age);
        Alerts {
            consecutive_failures: raw.consecutive_failures,
            unusual_size: raw.unusual_size.unwrap_or(false),
            unusual_duration: raw.unusual_duration.unwrap_or(false),
            free_space,
            max_age,
        }
    }

    /// `raw`, and what it does not say as in `common`.
    pub(super) fn commands(&mut self, at: &At, raw: Option<RawCommands>, common: &Commands) -> Commands {
        let Some(raw) = raw else { return common.clone() };
        let limit = self.limit(&at.key("timeout"), raw.timeout).unwrap_or(common.limit);
        let mut line = |key: &str, written: Option<Texts>, common: &Option<CommandLine>| match written {
            None => common.clone(),
            Some(Texts::One(text)) if !text.trim().is_empty() => Some(CommandLine::Shell(text)),
            Some(Texts::List(words)) if words.first().is_some_and(|program| !program.is_empty()) => {
                Some(CommandLine::Program(words))
            }
            Some(_) => {
                self.problem(&at.key(key), "names no program");
                None
            }
        };
        let before = line("before", raw.before, &common.before);
        let after = line("after", raw.after, &common.after);
        let on_failure = line("onFailure", raw.on_failure, &common.on_failure);
        let finally = line("finally", raw.finally, &common.finally);
        Commands { before, after, on_failure, finally, limit, directory: self.base.to_owned() }
    }
}

fn occasion(raw: RawOccasion) -> Occasion {
    match raw {
        RawOccasion::Started => Occasion::Started,
        RawOccasion::Success => Occasion::Success,
        RawOccasion::Partial => Occasion::Partial,
        RawOccasion::Failed => Occasion::Failed,
        RawOccasion::Recovered => Occasion::Recovered,
        RawOccasion::VerificationFailed => Occasion::VerificationFailed,
        RawOccasion::Deleted => Occasion::Deleted,
        RawOccasion::Restored => Occasion::Restored,
    }
}

/// Whether it is one by its form; whether anybody is there is found out by `notify test`.
fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    host.is_some_and(|host| !host.is_empty()) && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Whether it is one by its form: `name@host`, or `Name <name@host>`.
fn is_address(text: &str) -> bool {
    let address = text.rsplit_once('<').map_or(Some(text), |(_, rest)| rest.trim_end().strip_suffix('>'));
    let parts = address.and_then(|address| address.rsplit_once('@'));
    parts.is_some_and(|(name, host)| {
        !name.is_empty()
            && !host.is_empty()
            && !name.contains(char::is_whitespace)
            && !host.contains(char::is_whitespace)
    }) && !text.contains(char::is_control)
}
