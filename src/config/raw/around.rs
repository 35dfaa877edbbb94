//! What is done around a run, as it may be written: notifications, alerts, commands.

use super::RawSecret;
use crate::config::either::{Either, Size, Texts};
use schemars::JsonSchema;
use serde::Deserialize;

section! {
/// Who is told of runs: exactly one of `webhook`, `slack`, `healthcheck` and `email`, and of what.
RawNotifier {
    /// Name in messages and of `backup notify test`; default: the kind, with a number where there are several.
    name: Option<String>,
    /// URL that gets a JSON document by POST. It is a secret: only its host is ever shown.
    webhook: Option<Either<String, RawSecret>>,
    /// With `webhook`: key of the HMAC-SHA256 of the body, sent as `X-Backup-Signature: sha256=…`.
    secret: Option<Either<String, RawSecret>>,
    /// URL of an incoming webhook of Slack, or what speaks as it does (Mattermost, Rocket.Chat).
    slack: Option<Either<String, RawSecret>>,
    /// URL that is pinged: `URL/start`, `URL`, `URL/fail`. Of `create` alone, unless `jobs` says otherwise.
    healthcheck: Option<Either<String, RawSecret>>,
    /// Mail.
    email: Option<RawEmail>,
    /// Of what; default failed, partial, recovered. Not with `healthcheck`.
    on: Option<Vec<RawOccasion>>,
    /// Only of runs of these jobs; default: of every run.
    #[serde(default)]
    jobs: Vec<String>,
    /// Of a run over many tenants also a message for each; default: one for the run.
    per_tenant: Option<bool>,
    /// All the time that it may take, with its repetitions; default 30s.
    timeout: Option<String>,
}}

/// What is told.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawOccasion {
    Started,
    Success,
    Partial,
    Failed,
    Recovered,
    VerificationFailed,
    Deleted,
    Restored,
}

section! {
/// Mail.
RawEmail {
    /// To whom: an address, or several.
    #[schemars(required)]
    to: Option<Texts>,
    /// From whom.
    #[schemars(required)]
    from: Option<String>,
    /// The server that takes it.
    #[schemars(required)]
    smtp: Option<RawSmtp>,
}}

section! {
/// A server that takes mail.
RawSmtp {
    /// Its name, which its certificate must bear.
    #[schemars(required)]
    host: Option<String>,
    /// Default 587 with `starttls`, 465 with `implicit`, 25 with `none`.
    port: Option<u16>,
    /// Who logs in; default: nobody.
    user: Option<String>,
    /// With `user`.
    password: Option<Either<String, RawSecret>>,
    /// `starttls` (default, and required of the server), `implicit`, or `none`, which takes no password to other machines.
    tls: Option<RawSmtpTls>,
}}

/// How a connection to a mail server is encrypted.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(in crate::config) enum RawSmtpTls {
    Starttls,
    Implicit,
    None,
}

section! {
/// What is worth a warning after `create`, though the run itself went well. What is not named is not looked at.
RawAlerts {
    /// This many runs of a scope in a row that did not succeed.
    consecutive_failures: Option<u32>,
    /// A size far from that of earlier backups of the scope and type.
    unusual_size: Option<bool>,
    /// A duration far above that of earlier backups of the scope and type.
    unusual_duration: Option<bool>,
    /// Less free space on the repository's disk: `10GiB`, or `5%` of it.
    free_space: Option<Size>,
    /// A module whose newest good copy is older: `26h`, `8d`.
    max_age: Option<String>,
}}

section! {
/// Programs that are run around a run: a list of a program and its arguments, or a text for `/bin/sh`.
RawCommands {
    /// Before anything. Exit code 75 skips the run, any other but 0 fails it.
    before: Option<Texts>,
    /// After a run that made what it was to make, in part at least.
    after: Option<Texts>,
    /// After a run that failed.
    on_failure: Option<Texts>,
    /// After all of these, whatever happened, signals included.
    finally: Option<Texts>,
    /// How long each may take; default 10m.
    timeout: Option<String>,
}}
