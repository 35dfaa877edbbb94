//! The file as it may be written. What is required is said to the schema; the structures themselves are lenient, so
//! that checks of meaning still run over a file in which a part is missing.

use super::either::{Either, Patterns, RawPlain, RawRetention, Several, Size};
use super::monitoring::{RawChecks, RawMetrics};
use around::{RawAlerts, RawCommands, RawNotifier};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

macro_rules! section {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident : $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(in crate::config) struct $name { $($(#[$field_meta])* pub $field: $type,)* }
    };
}

pub(super) mod around;

section! {
/// The configuration of `backup` for one installation.
RawConfig {
    /// Name of the installation, written into every backup.
    #[schemars(required)]
    installation: Option<String>,
    /// Calendar of types, retention and schedules (an IANA name; default UTC). Names on disk are always UTC.
    timezone: Option<String>,
    /// Where backups go.
    #[schemars(required)]
    repository: Option<RawRepository>,
    /// How archives are compressed.
    compression: Option<Either<RawPreset, RawCompression>>,
    /// The most that is read of all sources in a second: `20MiB`; default: no limit.
    rate_limit: Option<Size>,
    /// How long databases are waited for, unless a source says otherwise.
    timeouts: Option<RawTimeouts>,
    /// Databases, by name.
    #[serde(default)]
    sources: BTreeMap<String, RawSource>,
    /// Upload roots; a module's directory is looked for under every root.
    #[serde(default)]
    uploads: Vec<RawUpload>,
    /// Extra archives of a system backup, beside the modules.
    #[serde(default)]
    extra_files: BTreeMap<String, RawExtraFiles>,
    /// What the installation is licensed for.
    license: Option<RawLicense>,
    /// Who the tenants are and how they own records.
    tenancy: Option<RawTenancy>,
    /// Modules, by name.
    #[serde(default)]
    modules: BTreeMap<String, RawModule>,
    /// Files with further modules, each beside its code: a glob relative to this file, or several.
    #[expect(dead_code, reason = "read from the tree, before it takes this form")]
    modules_from: Option<Patterns>,
    /// What `verify-collections` checks beyond existence.
    verification: Option<RawVerification>,
    /// What `create` does when a collection or upload directory holds much less than in the previous good backup.
    anomaly: Option<RawAnomaly>,
    /// What prune keeps: classes of modules, or one `policy`.
    retention: Option<RawRetention>,
    /// Named, scheduled requests.
    #[serde(default)]
    jobs: BTreeMap<String, RawJob>,
    /// Figures for a monitoring system.
    metrics: Option<RawMetrics>,
    /// When `check` warns; default: of copies older than 26h and 50h.
    checks: Option<RawChecks>,
    /// Who is told of runs.
    #[serde(default)]
    notifications: Vec<RawNotifier>,
    /// What is worth a warning after `create`.
    alerts: Option<RawAlerts>,
    /// Programs that are run around every `create`.
    commands: Option<RawCommands>,
}}

section! {
/// A file that `modulesFrom` names: modules, written as in the main file. Sources, upload roots and all else are those
/// of the main file.
RawModuleFile {
    /// Modules, by name.
    #[schemars(required)]
    #[expect(dead_code, reason = "read by the schema check only: the modules join those of the main file")]
    modules: Option<BTreeMap<String, RawModule>>,
}}

section! {
/// Where backups go.
RawRepository {
    /// Directory of the repository, relative to this file.
    #[schemars(required)]
    location: Option<String>,
    /// The id that the repository must carry: guards against an unmounted disk.
    id: Option<String>,
    /// To whom archives are encrypted, and what opens them.
    encryption: Option<RawEncryption>,
    /// Whose signature manifests carry.
    signing: Option<RawSigning>,
}}

section! {
/// To whom archives are encrypted (age), and what opens them. Without recipients and passphrase they are in clear.
RawEncryption {
    /// Public keys (`age1…`), any of whose owners can read.
    #[serde(default)]
    recipients: Vec<String>,
    /// File of further public keys, one a line; `backup key rotate` keeps it.
    recipients_file: Option<String>,
    /// A passphrase instead of public keys, for small set-ups: whoever makes backups can then read them.
    passphrase: Option<Either<String, RawSecret>>,
    /// Files of private keys, for verify and restore. They need not be on the machine that makes backups.
    #[serde(default)]
    identities: Vec<String>,
}}

section! {
/// Whose signature (Ed25519) manifests carry.
RawSigning {
    /// File of the private key; only where backups are made.
    private_key: Option<String>,
    /// Public keys (`ed25519:…`) whose signature verify and restore accept.
    #[schemars(required)]
    public_keys: Option<Vec<String>>,
}}

/// Whether an archive may be written in clear.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawEncrypt {
    Required,
}

section! {
/// How archives are compressed.
RawCompression {
    /// `gzip` (default) makes `.tar.gz`, which every machine reads; `zstd` makes `.tar.zst`, in less processor time.
    algorithm: Option<RawAlgorithm>,
    /// gzip: 1 (fast) to 12 (small); zstd: 1 to 19; default 3.
    level: Option<u64>,
}}

/// A compression algorithm.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawAlgorithm {
    Gzip,
    Zstd,
}

/// How archives are compressed, in one word, all by gzip: `fast` is level 1, `default` 3, `small` 9.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawPreset {
    Fast,
    Default,
    Small,
}

/// A database engine.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawEngine {
    Mongodb,
    Postgres,
    Sqlite,
}

/// What is stored of the definitions of tables.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawDdl {
    Dump,
    WithGrants,
    None,
}

/// Whether all collections must be read at one moment.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawConsistency {
    Preferred,
    Required,
}

/// Which members of a replica set are read from.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawReadPreference {
    Primary,
    PrimaryPreferred,
    Secondary,
    SecondaryPreferred,
    Nearest,
}

section! {
/// A database.
RawSource {
    /// Which engine.
    #[schemars(required)]
    engine: Option<RawEngine>,
    /// MongoDB, PostgreSQL: connection URI; PostgreSQL: with the database's name, or as `host=… dbname=…`.
    uri: Option<Either<String, RawSecret>>,
    /// MongoDB: name of the database.
    database: Option<String>,
    /// PostgreSQL: name of the schema; default `public`.
    schema: Option<String>,
    /// PostgreSQL: `dump` (default) stores definitions by `pg_dump`; `withGrants` also who may do what; `none` stores data alone.
    ddl: Option<RawDdl>,
    /// MongoDB, PostgreSQL: `required` fails where one snapshot of all collections cannot be had.
    consistency: Option<RawConsistency>,
    /// MongoDB: which members of a replica set documents are read from; default: what `uri` says, else `primary`.
    read_preference: Option<RawReadPreference>,
    /// SQLite: the database file.
    path: Option<String>,
    /// Back up every collection, as an archive of its own outside the modules.
    whole_database: Option<bool>,
    /// With `wholeDatabase`: `required` is never written in clear, even if nobody to encrypt it to is configured.
    encrypt: Option<RawEncrypt>,
    /// With `wholeDatabase`: public keys (`age1…`) this is encrypted to, instead of those of `repository.encryption`.
    #[serde(default)]
    recipients: Vec<String>,
    /// How long it is waited for; default: `timeouts` of the file.
    timeouts: Option<RawTimeouts>,
    /// A restore that writes to it wants `--allow-protected NAME`.
    protected: Option<bool>,
}}

section! {
/// How long a database is waited for: `30s`, `10m`, `2h`.
RawTimeouts {
    /// Reaching it and being let in; PostgreSQL, SQLite: another program's lock. Default 10s.
    connect: Option<String>,
    /// MongoDB, PostgreSQL: the longest silence while it has work of ours; default 10m.
    idle: Option<String>,
    /// MongoDB, PostgreSQL: all the time that a run may take to read one collection of it; default: no limit.
    collection: Option<String>,
    /// MongoDB, PostgreSQL: all the time that a run may take to read it; default: no limit.
    total: Option<String>,
}}

section! {
/// A secret that is kept elsewhere: exactly one of `file` and `command`.
RawSecret {
    /// File that holds it.
    file: Option<String>,
    /// Program, with its arguments, that prints it.
    command: Option<Vec<String>>,
    /// How long the program may take; default 30s.
    timeout: Option<String>,
}}

section! {
/// A directory tree of uploads.
RawUpload {
    /// Unique name; default: last part of `root`.
    name: Option<String>,
    /// The directory.
    #[schemars(required)]
    root: Option<String>,
    /// Path of a module's directory below the root, with `{directory}` and maybe `{tenant}`; default `{directory}`.
    layout: Option<String>,
    /// Globs of names or relative paths to leave out.
    #[serde(default)]
    exclude: Vec<String>,
    /// Larger files are left out and listed: `100MiB`, `5GB`, or bytes.
    max_file_size: Option<Size>,
    /// Only files with these extensions; others are left out and listed.
    #[serde(default)]
    allowed_extensions: Vec<String>,
    /// Whose the files are that lie in folders of all tenants: the records that name them, or several such. Only where
    /// `layout` has no `{tenant}`.
    file_references: Option<Several<RawFileReferences>>,
    /// A restore that writes to it wants `--allow-protected NAME`.
    protected: Option<bool>,
}}

section! {
/// Records that name files of an upload root: a tenant's files are those that the tenant's records name.
RawFileReferences {
    /// The collection or table whose records name files. A module must list it.
    #[schemars(required)]
    collection: Option<String>,
    /// The field that holds the names: a text, or a list of texts; dots lead into sub-documents, lists and JSON columns.
    #[schemars(required)]
    field: Option<String>,
    /// The source that holds the collection, where several have one of that name.
    source: Option<String>,
    /// The upload directory that names are relative to; default: they are relative to the root.
    directory: Option<String>,
    /// What names begin with before the path, and is taken off: `/uploads/`.
    prefix: Option<String>,
}}

section! {
/// Files that belong to no module.
RawExtraFiles {
    /// Files and directories, relative to this file.
    #[schemars(required)]
    paths: Option<Vec<String>>,
    /// Globs of names or relative paths to leave out.
    #[serde(default)]
    exclude: Vec<String>,
    /// Need not exist.
    optional: Option<bool>,
    /// `required`: never written in clear, even if nobody to encrypt it to is configured.
    encrypt: Option<RawEncrypt>,
    /// Public keys (`age1…`) this is encrypted to, instead of those of `repository.encryption`.
    #[serde(default)]
    recipients: Vec<String>,
}}

section! {
/// What is licensed: exactly one of `features`, `token` and `file`, and how the latter two are checked. A tenant's own
/// licence takes what it does not say itself from the installation's, except for those three.
RawLicense {
    /// Granted features, as a plain list.
    features: Option<Vec<String>>,
    /// A signed token (JWT), whose claims say what is granted and until when.
    token: Option<Either<String, RawSecret>>,
    /// A licence file: JSON with the same claims, believed as it is.
    file: Option<String>,
    /// Public key that has signed the token: a PEM file, or its text.
    public_key: Option<String>,
    /// The only algorithm that is accepted; default: the one of the key (RSA: RS256, Ed25519: EdDSA).
    algorithm: Option<RawTokenAlgorithm>,
    /// The issuer (`iss`) that the claims must name.
    issuer: Option<String>,
    /// Claim that holds the features, a list of names or a map of switches; dots reach into it. Default `features`.
    features_claim: Option<String>,
    /// What a token or file that is not valid leads to: `keep` (default) the features of the last valid one for
    /// `graceDays`, with a warning each run; `exclude` what needs a licence at once; `fail`, and back nothing up.
    on_invalid: Option<RawOnInvalid>,
    /// With `keep`: how many days; default 30.
    grace_days: Option<u32>,
}}

/// How a token is signed.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
pub(super) enum RawTokenAlgorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// What a licence that is not valid leads to.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawOnInvalid {
    Keep,
    Exclude,
    Fail,
}

/// The type of tenant ids inside records.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawIdType {
    String,
    ObjectId,
    Int,
    Uuid,
}

section! {
/// Who the tenants are and how they own records.
RawTenancy {
    /// Default owner field of every collection.
    field: Option<String>,
    /// Type of tenant ids inside records; default string.
    id_type: Option<RawIdType>,
    /// Tenants, by id.
    #[serde(default)]
    tenants: BTreeMap<String, RawTenant>,
    /// The collection whose records are the tenants; those of `tenants` are there besides, and go first.
    discover: Option<RawDiscovery>,
}}

section! {
/// A collection whose records are the tenants. Fields may reach into sub-documents (or JSON columns) with dots.
RawDiscovery {
    /// The source that holds it.
    #[schemars(required)]
    source: Option<String>,
    /// Name of the collection or table.
    #[schemars(required)]
    collection: Option<String>,
    /// Field with the tenant's id.
    #[schemars(required)]
    id: Option<String>,
    /// Field with the modules the tenant uses: a list of names, or a map of `true` or `{enabled: true}`; default: every
    /// enabled one.
    modules: Option<String>,
    /// Field with the features the tenant's own licence grants, in the same forms; default: the installation's decides.
    features: Option<String>,
    /// Only records whose fields hold these values: `{status: active}`.
    #[serde(default, rename = "where")]
    filter: BTreeMap<String, RawPlain>,
}}

section! {
/// A tenant.
RawTenant {
    /// Modules the tenant uses; default: every enabled one.
    modules: Option<Vec<String>>,
    /// Features the tenant's own licence grants; default: the installation's licence decides.
    features: Option<Vec<String>>,
    /// The tenant's own licence, instead of `features`; its subject (`sub`) must be the tenant.
    license: Option<RawLicense>,
}}

section! {
/// A module of the application.
RawModule {
    /// Name for people; default: the module's name.
    display_name: Option<String>,
    /// Always enabled, needs no licence.
    required: Option<bool>,
    /// Lower first; default 100.
    priority: Option<i64>,
    /// Feature that a licence must grant.
    license_feature: Option<String>,
    /// Modules that must be enabled too.
    #[serde(default)]
    dependencies: Vec<String>,
    /// Default source of the module's collections.
    source: Option<String>,
    /// Collections: names, or details.
    #[serde(default)]
    collections: Vec<Either<String, RawCollection>>,
    /// Upload directories.
    #[serde(default)]
    file_uploads: Vec<String>,
    /// Foreign keys to check.
    #[serde(default)]
    relationships: Vec<RawRelationship>,
    /// `required`: never written in clear, even if nobody to encrypt it to is configured.
    encrypt: Option<RawEncrypt>,
    /// Public keys (`age1…`) this is encrypted to, instead of those of `repository.encryption`.
    #[serde(default)]
    recipients: Vec<String>,
}}

section! {
/// A collection in detail.
RawCollection {
    /// Name in the database.
    #[schemars(required)]
    name: Option<String>,
    /// The source that holds it; default: the module's, else the only one.
    source: Option<String>,
    /// Need not exist: databases create collections on first write.
    optional: Option<bool>,
    /// Who owns its records; default: `tenancy.field`.
    tenant: Option<Either<RawOwnerWord, RawOwnerRule>>,
}}

/// An owner in one word.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawOwnerWord {
    Shared,
    Excluded,
}

section! {
/// An owner rule: `field`, or `via` with `foreignKey`.
RawOwnerRule {
    /// Field that names the tenant; dots reach into sub-documents.
    field: Option<String>,
    /// Parent collection, whose owner is the owner.
    via: Option<String>,
    /// Field that holds the parent's id.
    foreign_key: Option<String>,
}}

section! {
/// A foreign key to check.
RawRelationship {
    /// The collection that is pointed at.
    #[schemars(required)]
    parent: Option<String>,
    /// The collection that points.
    #[schemars(required)]
    child: Option<String>,
    /// The pointing field.
    #[schemars(required)]
    foreign_key: Option<String>,
}}

section! {
/// What `verify-collections` checks beyond existence.
RawVerification {
    /// Collections whose absence fails the verification.
    #[serde(default)]
    critical_collections: Vec<String>,
    /// Least number of records, by collection.
    #[serde(default)]
    minimum_records: BTreeMap<String, u64>,
    /// Whether `create` verifies first: `off` (default), `warn` of what is found, or `refuse` to go on when it failed.
    before_backup: Option<RawBeforeBackup>,
}}

/// Whether `create` verifies first.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawBeforeBackup {
    Off,
    Warn,
    Refuse,
}

section! {
/// What `create` does when data shrinks from one backup to the next.
RawAnomaly {
    /// Losing more than this share of its records or files is an anomaly, like vanishing or being empty: `1%` to
    /// `100%`; default `50%`.
    max_shrink: Option<String>,
    /// `warn` (default), or `fail`: the component does not count as a good copy.
    action: Option<RawAnomalyAction>,
}}

/// What an anomaly leads to.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawAnomalyAction {
    Warn,
    Fail,
}

section! {
/// How long backups are wanted for the modules of one class.
RawClass {
    /// Modules of the class.
    #[serde(default)]
    modules: Vec<String>,
    /// Days a daily backup is kept.
    #[schemars(required)]
    daily: Option<u32>,
    /// Weeks a weekly backup is kept.
    #[schemars(required)]
    weekly: Option<u32>,
    /// Months a monthly backup is kept.
    #[schemars(required)]
    monthly: Option<u32>,
}}

/// A policy with fixed numbers.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawPolicyName {
    Default,
    Aggressive,
    Conservative,
    Compliance,
}

section! {
/// A policy of one's own.
RawPolicy {
    /// At most this many backups a scope.
    #[schemars(required)]
    max_backups: Option<u32>,
    /// None older than this many days.
    #[schemars(required)]
    max_age_days: Option<u32>,
    /// But never fewer than this many; default 1.
    keep_minimum: Option<u32>,
}}

section! {
/// A request with a schedule: exactly one of `create`, `verifyCollections`, `verify`, `prune` and `keyRotation`.
RawJob {
    /// Five-field cron expression in `timezone`.
    schedule: Option<String>,
    /// `backup create`.
    create: Option<RawCreate>,
    /// `backup verify-collections`.
    verify_collections: Option<RawNothing>,
    /// `backup verify`.
    verify: Option<RawVerify>,
    /// `backup prune`.
    prune: Option<RawNothing>,
    /// `backup key rotate`.
    key_rotation: Option<RawNothing>,
    /// Programs that are run around this job, each instead of that of the file.
    commands: Option<RawCommands>,
}}

section! {
/// Options of `backup verify`.
RawVerify {
    /// How deep; default: decoded, or stored where no key here opens an encrypted archive.
    level: Option<RawLevel>,
    /// Which backups; default latest, the newest system-wide one.
    backups: Option<RawWhich>,
}}

/// How deep to verify.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawLevel {
    Stored,
    Decoded,
    Restored,
}

/// Which backups to verify.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawWhich {
    Latest,
    All,
}

section! {
/// An action without options.
RawNothing {}}

section! {
/// Options of `backup create`.
RawCreate {
    /// Retention type; default daily.
    #[serde(rename = "type")]
    backup_type: Option<RawBackupType>,
    /// Each tenant's backup of its own.
    all_tenants: Option<bool>,
    /// Only these modules.
    #[serde(default)]
    modules: Vec<String>,
    /// Only this tenant.
    tenant: Option<String>,
    /// Only databases or only files.
    only: Option<RawOnly>,
}}

/// Retention type.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawBackupType {
    Daily,
    Weekly,
    Monthly,
}

/// Half of a backup.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum RawOnly {
    Database,
    Files,
}
