//! The resolved configuration: what every other part of the program works with. Values here are checked, defaults are
//! filled in, paths are absolute, secrets are wrapped. `config::load` is the only maker.

use super::around::{Alerts, Commands, Notifier};
use super::license::License;
use super::monitoring::{Checks, Metrics};
use crate::keys::{Recipients, VerifyingKey};
use crate::names::TenantId;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A value that must not appear in any output. Debug and Display show `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for handing to a driver and nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One installation: the resolved content of one configuration file.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file this came from.
    pub file: PathBuf,
    /// Further files with modules, in the order of their names.
    pub module_files: Vec<PathBuf>,
    /// The name of the installation.
    pub installation: String,
    /// Calendar of types, retention and schedules.
    pub timezone: chrono_tz::Tz,
    /// Where backups go.
    pub repository: Repository,
    /// How archives are compressed.
    pub compression: Compression,
    /// The most bytes that are read of all sources in a second.
    pub rate_limit: Option<u64>,
    /// Databases by name.
    pub sources: BTreeMap<String, Source>,
    /// Upload roots, in the order of the file.
    pub uploads: Vec<UploadRoot>,
    /// Extra archives of a system backup, by name.
    pub extra_files: BTreeMap<String, ExtraFiles>,
    /// What the installation is licensed for.
    pub license: License,
    /// Who the tenants are and how they own records.
    pub tenancy: Tenancy,
    /// Modules by name.
    pub modules: BTreeMap<String, Module>,
    /// What `verify-collections` checks beyond existence.
    pub verification: Verification,
    /// What `create` does when data shrinks.
    pub anomaly: Anomaly,
    /// What prune keeps.
    pub retention: Retention,
    /// Named, scheduled requests.
    pub jobs: BTreeMap<String, Job>,
    /// Where figures for a monitoring system are written.
    pub metrics: Option<Metrics>,
    /// When `check` warns.
    pub checks: Checks,
    /// Who is told of runs.
    pub notifications: Vec<Notifier>,
    /// What is worth a warning after `create`.
    pub alerts: Alerts,
    /// Programs that are run around every `create`.
    pub commands: Commands,
    /// Findings that are no errors (a world-readable file with a secret in it, say).
    pub warnings: Vec<String>,
}

/// The `repository` section.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Absolute path of the repository.
    pub location: PathBuf,
    /// The id `repository.json` must carry, where configured.
    pub id: Option<String>,
    /// To whom archives are encrypted, and what opens them.
    pub encryption: Encryption,
    /// Whose signature manifests carry; none: they are not signed, and signatures are not looked at.
    pub signing: Option<Signing>,
}

impl Repository {
    /// One at `location`, in clear and not signed, whatever its id.
    pub fn at(location: impl Into<PathBuf>) -> Self {
        Self { location: location.into(), id: None, encryption: Encryption::default(), signing: None }
    }
}

/// The `repository.encryption` section.
#[derive(Debug, Clone, Default)]
pub struct Encryption {
    /// To whom archives are encrypted that say nothing else; nobody: they are in clear.
    pub recipients: Recipients,
    /// The file some of them came from.
    pub recipients_file: Option<PathBuf>,
    /// A passphrase, which also opens.
    pub passphrase: Option<Secret>,
    /// Files of private keys; some may not be on this machine.
    pub identities: Vec<PathBuf>,
}

/// The `repository.signing` section.
#[derive(Debug, Clone)]
pub struct Signing {
    /// File of the private key, where backups are made.
    pub private_key: Option<PathBuf>,
    /// The keys whose signature is accepted.
    pub public_keys: Vec<VerifyingKey>,
}

/// How one archive is encrypted.
#[derive(Debug, Clone, Default)]
pub struct Sealing {
    /// To whom, instead of the repository's recipients where there are any.
    pub recipients: Recipients,
    /// It may not be written in clear.
    pub required: bool,
}

/// How archives are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// The method.
    pub algorithm: Algorithm,
    /// gzip: 1 to 12 as libdeflate counts them (1 to 9 mean what they mean to gzip); zstd: 1 to 19.
    pub level: u8,
}

/// A compression method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// What every machine reads.
    #[default]
    Gzip,
    /// Takes less processor time.
    Zstd,
}

impl Algorithm {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Gzip, Self::Zstd];

    /// The word of the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What ends the name of an archive.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Gzip => ".tar.gz",
            Self::Zstd => ".tar.zst",
        }
    }

    /// The strongest level. zstd has three more, which take ten times the memory for blocks that gain nothing from it.
    pub fn strongest(self) -> u8 {
        match self {
            Self::Gzip => 12,
            Self::Zstd => 19,
        }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self { algorithm: Algorithm::Gzip, level: 3 }
    }
}

/// A configured database.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is and how to reach it.
    pub engine: Engine,
    /// Back up every collection of it, as one component of its own outside the modules.
    pub whole_database: bool,
    /// How that component is encrypted.
    pub sealing: Sealing,
    /// How long it is waited for.
    pub timeouts: Timeouts,
    /// A restore that writes to it must be allowed to by name.
    pub protected: bool,
    /// Each tenant has one of its own: `{tenant}` stands in its name.
    pub per_tenant: bool,
}

/// How long a source is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Reaching it and being let in. None: what its URI says, else ten seconds.
    pub connect: Option<Duration>,
    /// The longest silence while it has work of ours.
    pub idle: Duration,
    /// All the time that a run may take to read one collection of it.
    pub collection: Option<Duration>,
    /// All the time that a run may take to read it.
    pub total: Option<Duration>,
}

impl Timeouts {
    /// How long a source is waited for that nobody said anything about.
    pub const CONNECT: Duration = Duration::from_secs(10);
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: None, idle: Duration::from_secs(600), collection: None, total: None }
    }
}

/// The engine of a source, with what it needs.
#[derive(Debug, Clone)]
pub enum Engine {
    /// MongoDB, 4.4 to 8.
    MongoDb {
        /// Connection URI, `mongodb://` or `mongodb+srv://`.
        uri: Secret,
        /// Name of the database.
        database: String,
        /// Whether one snapshot of all collections is wanted.
        consistency: Consistency,
        /// Which members of a replica set documents are read from; none: what the URI says, else the primary.
        read_preference: Option<ReadPreference>,
    },
    /// PostgreSQL, 12 to 18.
    Postgres(Postgres),
    /// SQLite 3.
    Sqlite {
        /// Absolute path of the database file.
        path: PathBuf,
    },
}

impl Engine {
    /// The engine's name in config, manifest and output.
    pub fn name(&self) -> &'static str {
        match self {
            Engine::MongoDb { .. } => "mongodb",
            Engine::Postgres(_) => "postgres",
            Engine::Sqlite { .. } => "sqlite",
        }
    }

    /// Whether one snapshot of all collections is wanted. SQLite always has one.
    pub fn consistency(&self) -> Consistency {
        match self {
            Engine::MongoDb { consistency, .. } | Engine::Postgres(Postgres { consistency, .. }) => *consistency,
            Engine::Sqlite { .. } => Consistency::Preferred,
        }
    }
}

/// One schema of a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// Connection URI, `postgres://` or `postgresql://`, or a string of `key=value`; it names the database too.
    pub uri: Secret,
    /// Name of the schema.
    pub schema: String,
    /// Whether definitions are stored too.
    pub ddl: Ddl,
    /// Whether one snapshot of all tables is wanted.
    pub consistency: Consistency,
    /// File of passwords (`~/.pgpass`), for a `uri` without one; it need not exist.
    pub passfile: Option<PathBuf>,
    /// What relative paths in `uri` are relative to.
    pub folder: PathBuf,
}

/// What is stored of the definitions of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ddl {
    /// All of them, by `pg_dump`, but not who may do what.
    #[default]
    Dump,
    /// With the privileges that were granted on them, to roles that must be there when they are restored.
    WithGrants,
    /// None: data alone, which needs tables to be restored into.
    None,
}

impl Ddl {
    /// The word of the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dump => "dump",
            Self::WithGrants => "withGrants",
            Self::None => "none",
        }
    }
}

/// Which members of a replica set documents are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadPreference {
    /// The primary alone.
    Primary,
    /// The primary, or a secondary while there is none.
    PrimaryPreferred,
    /// A secondary alone.
    Secondary,
    /// A secondary, or the primary while there is none.
    SecondaryPreferred,
    /// Whichever answers first.
    Nearest,
}

impl ReadPreference {
    /// The word of the configuration, and of MongoDB.
    pub fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::PrimaryPreferred => "primaryPreferred",
            Self::Secondary => "secondary",
            Self::SecondaryPreferred => "secondaryPreferred",
            Self::Nearest => "nearest",
        }
    }
}

/// Whether all collections of a source must be read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// One snapshot where the server can, else collection by collection; the manifest states which.
    #[default]
    Preferred,
    /// One snapshot, or the component fails.
    Required,
}

/// One entry of `uploads`.
#[derive(Debug, Clone)]
pub struct UploadRoot {
    /// Unique name: first path component inside the archive, and the name to restore by.
    pub name: String,
    /// Absolute path of the root.
    pub root: PathBuf,
    /// Path of a module's directory below the root; holds `{directory}` and, where tenants have their own, `{tenant}`.
    pub layout: String,
    /// Globs of relative paths or names to leave out.
    pub exclude: Vec<String>,
    /// Larger files are left out, counted and listed. Bytes.
    pub max_file_size: Option<u64>,
    /// Lower-case extensions with their dot; anything else is left out, counted and listed. Empty: all.
    pub allowed_extensions: Vec<String>,
    /// The records that say whose the files are, where no folder does.
    pub references: Vec<FileReferences>,
    /// A restore that writes to it must be allowed to by name.
    pub protected: bool,
}

impl UploadRoot {
    /// Whether it can be told of a file whose it is: by its folder, or by the records that name it.
    pub fn tells_tenants(&self) -> bool {
        self.has_folders_of_tenants() || !self.references.is_empty()
    }

    /// The folders below the root that modules have there, where its layout names no tenant.
    pub fn folders(&self, config: &Config) -> Vec<String> {
        let directories = config.modules.values().flat_map(|module| &module.file_uploads);
        directories.map(|directory| self.layout.replace("{directory}", directory)).collect()
    }

    /// Whether each tenant has folders of its own.
    pub fn has_folders_of_tenants(&self) -> bool {
        self.layout.contains("{tenant}")
    }
}

/// One entry of `fileReferences`: records that name files of an upload root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReferences {
    /// The source that holds the collection.
    pub source: String,
    /// The collection.
    pub collection: String,
    /// The field that holds names; dots lead deeper.
    pub field: String,
    /// The upload directory that names are relative to; none: the root itself.
    pub directory: Option<String>,
    /// Its folder below the root; empty: the root itself.
    pub below: String,
    /// What is taken off the beginning of a name.
    pub prefix: String,
    /// Where it is written, for people: file, line, column and key.
    pub written: String,
}

/// One entry of `extraFiles`.
#[derive(Debug, Clone)]
pub struct ExtraFiles {
    /// Absolute paths, and each as it was written.
    pub paths: Vec<(PathBuf, String)>,
    /// Globs of relative paths or names to leave out.
    pub exclude: Vec<String>,
    /// Need not exist.
    pub optional: bool,
    /// How the archive is encrypted.
    pub sealing: Sealing,
}

/// The `tenancy` section.
#[derive(Debug, Clone)]
pub struct Tenancy {
    /// Default owner field of every collection; none: a collection needs its own rule in a tenant run.
    pub field: Option<String>,
    /// The type of tenant ids inside records.
    pub id_type: IdType,
    /// Static tenants.
    pub tenants: BTreeMap<TenantId, Tenant>,
    /// Where the other tenants are written; none: there are no others.
    pub discover: Option<Discovery>,
}

impl Tenancy {
    /// Whether a tenant may exist that is not among [`Tenancy::tenants`]: they are not all known here, or none is listed.
    pub fn is_open(&self) -> bool {
        self.discover.is_some() || self.tenants.is_empty()
    }
}

/// The `tenancy.discover` section: a collection whose records are the tenants. Dots reach into what a field holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovery {
    /// The source that holds it.
    pub source: String,
    /// Its name.
    pub collection: String,
    /// Field with the tenant's id.
    pub id: String,
    /// Field with the tenant's modules, a list of names or a map of switches; none: every enabled one.
    pub modules: Option<String>,
    /// Field with the features the tenant is licensed for, in the same forms; none: the installation's licence decides.
    pub features: Option<String>,
    /// Only records whose fields hold these values.
    pub filter: BTreeMap<String, Plain>,
}

/// A value that a record is chosen by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plain {
    /// A text.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
}

/// The type of tenant ids inside records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IdType {
    /// A string.
    #[default]
    String,
    /// A MongoDB ObjectId, written as 24 hexadecimal digits.
    ObjectId,
    /// A whole number.
    Int,
    /// A UUID.
    Uuid,
}

/// One static tenant.
#[derive(Debug, Clone, Default)]
pub struct Tenant {
    /// Modules this tenant uses; none: every module that is enabled.
    pub modules: Option<Vec<String>>,
    /// This tenant's own licence; none: the installation's decides.
    pub license: Option<License>,
}

/// One module.
#[derive(Debug, Clone)]
pub struct Module {
    /// Name for people.
    pub display_name: String,
    /// Always enabled, needs no licence.
    pub required: bool,
    /// Lower first.
    pub priority: i64,
    /// The feature a licence must grant.
    pub license_feature: Option<String>,
    /// Modules that must be enabled too.
    pub dependencies: Vec<String>,
    /// Its collections.
    pub collections: Vec<Collection>,
    /// Its upload directories.
    pub file_uploads: Vec<String>,
    /// Foreign keys between collections.
    pub relationships: Vec<Relationship>,
    /// How its own archives are encrypted.
    pub sealing: Sealing,
}

/// One collection of a module. The source is resolved from the collection, the module, or the only source there is.
#[derive(Debug, Clone)]
pub struct Collection {
    /// Name in the database.
    pub name: String,
    /// The source that holds it.
    pub source: String,
    /// Need not exist.
    pub optional: bool,
    /// Who owns its records.
    pub owner: Owner,
}

/// Who owns the records of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The tenant named by this field (dots reach into sub-documents).
    Field(String),
    /// The owner of the parent record that this foreign key names.
    Via {
        /// Parent collection.
        parent: String,
        /// Field of the child that holds the parent's id.
        foreign_key: String,
    },
    /// Everyone: part of every tenant's backup, never written by a tenant's restore.
    Shared,
    /// No tenant: left out of every tenant's backup.
    Excluded,
    /// Nothing is said and there is no default.
    Unknown,
}

/// A foreign key to check.
#[derive(Debug, Clone)]
pub struct Relationship {
    /// The collection that is pointed at, by its `_id` or primary key.
    pub parent: String,
    /// The collection that points.
    pub child: String,
    /// The pointing field.
    pub foreign_key: String,
    /// The source that holds both.
    pub source: String,
}

/// The `verification` section.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    /// Collections whose absence fails the verification.
    pub critical_collections: Vec<String>,
    /// Least number of records by collection.
    pub minimum_records: BTreeMap<String, u64>,
    /// Whether `create` verifies first.
    pub before_backup: BeforeBackup,
}

/// Whether `create` verifies the collections first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BeforeBackup {
    /// It does not.
    #[default]
    Off,
    /// It warns of what is found.
    Warn,
    /// It makes no backup of what has failed.
    Refuse,
}

/// The `anomaly` section: what `create` does when data shrinks from one backup to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anomaly {
    /// Losing more than this share of the records or files is an anomaly. Per cent, 1 to 100.
    pub max_shrink: u8,
    /// What it leads to.
    pub action: AnomalyAction,
}

impl Default for Anomaly {
    fn default() -> Self {
        Self { max_shrink: 50, action: AnomalyAction::Warn }
    }
}

/// What an anomaly leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnomalyAction {
    /// A warning.
    Warn,
    /// The component fails, and so is no good copy.
    Fail,
}

/// What prune keeps.
#[derive(Debug, Clone)]
pub enum Retention {
    /// Classes of modules, by name; modules of no class are `standard`.
    Classes(BTreeMap<String, RetentionClass>),
    /// One rule for everything.
    Policy(RetentionPolicy),
}

/// How long backups of each type are wanted for the modules of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionClass {
    /// Modules of the class.
    pub modules: Vec<String>,
    /// Days a daily backup is kept.
    pub daily: u32,
    /// Weeks a weekly backup is kept.
    pub weekly: u32,
    /// Months a monthly backup is kept.
    pub monthly: u32,
}

/// A count-and-age rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// `default`, `aggressive`, `conservative`, `compliance` or `custom`.
    pub name: String,
    /// At most this many backups a scope.
    pub max_backups: u32,
    /// None older than this many days.
    pub max_age_days: u32,
    /// But never fewer than this many.
    pub keep_minimum: u32,
}

impl RetentionPolicy {
    /// The policies that have a name: `default`, `aggressive`, `conservative`, `compliance`.
    pub fn built_in() -> [Self; 4] {
        [("default", 10, 30), ("aggressive", 5, 7), ("conservative", 30, 90), ("compliance", 100, 365)].map(
            |(name, max_backups, max_age_days)| Self { name: name.into(), max_backups, max_age_days, keep_minimum: 1 },
        )
    }
}

/// A named, scheduled request.
#[derive(Debug, Clone)]
pub struct Job {
    /// Five-field cron expression in `timezone`.
    pub schedule: Option<String>,
    /// What it does.
    pub action: JobAction,
    /// Programs that are run around it, those of the file included where it makes a backup.
    pub commands: Commands,
}

/// What a job does.
#[derive(Debug, Clone)]
pub enum JobAction {
    /// `backup create` with these options.
    Create(CreateJob),
    /// `backup verify-collections`.
    VerifyCollections,
    /// `backup verify` of the newest system-wide backup, or of all.
    Verify(VerifyJob),
    /// `backup prune`.
    Prune,
    /// `backup key rotate`.
    KeyRotation,
}

/// Options of a `verify` job.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyJob {
    /// How deep; none: as deep as the keys here allow.
    pub level: Option<JobLevel>,
    /// Every backup, and not the newest alone.
    pub all: bool,
}

/// How deep a `verify` job looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobLevel {
    /// The stored bytes.
    Stored,
    /// And every record and file in them.
    Decoded,
    /// And all of it restored beside.
    Restored,
}

impl JobLevel {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Decoded => "decoded",
            Self::Restored => "restored",
        }
    }
}

/// Options of a `create` job.
#[derive(Debug, Clone, Default)]
pub struct CreateJob {
    /// Retention class.
    pub backup_type: BackupType,
    /// Only these modules.
    pub modules: Vec<String>,
    /// Only this tenant.
    pub tenant: Option<TenantId>,
    /// Each tenant, in a backup of its own.
    pub all_tenants: bool,
    /// Only databases or only files.
    pub only: Option<Only>,
}

/// Retention class of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BackupType {
    /// Made every day.
    #[default]
    Daily,
    /// Made every week.
    Weekly,
    /// Made every month.
    Monthly,
}

impl BackupType {
    /// All types.
    pub const ALL: [BackupType; 3] = [BackupType::Daily, BackupType::Weekly, BackupType::Monthly];

    /// The folder in the repository, and the word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            BackupType::Daily => "daily",
            BackupType::Weekly => "weekly",
            BackupType::Monthly => "monthly",
        }
    }
}

/// Half of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Only {
    /// Databases.
    Database,
    /// Upload directories and extra files.
    Files,
}
