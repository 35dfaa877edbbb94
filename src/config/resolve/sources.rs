//! Sources, uploads and extra files.

use super::Resolver;
use crate::config::duration::parse_duration;
use crate::config::either::Either;
use crate::config::model::{
    Consistency, Ddl, Engine, ExtraFiles, Module, Postgres, ReadPreference, Source, Timeouts, UploadRoot,
};
use crate::config::node::At;
use crate::config::raw::{
    RawConsistency, RawDdl, RawEngine, RawExtraFiles, RawReadPreference, RawSecret, RawSource, RawTimeouts, RawUpload,
};
use crate::config::secret::Secret;
use crate::config::{conninfo, secret, template};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl Resolver<'_> {
    pub(super) fn sources(&mut self, raw: BTreeMap<String, RawSource>, timeouts: Timeouts) -> BTreeMap<String, Source> {
        let mut made = BTreeMap::new();
        for (name, mut source) in raw {
            let at = At::root("sources").key(&name);
            self.name(&at, "a source", &name);
            let whole_database = source.whole_database.unwrap_or(false);
            let sealing = self.sealing(&at, source.encrypt, &source.recipients);
            if !whole_database && (sealing.required || !sealing.recipients.is_empty()) {
                self.problem(&at, "`encrypt` and `recipients` go with `wholeDatabase`; a module says them for its own");
            }
            let protected = source.protected.unwrap_or(false);
            let timeouts = self.timeouts(&at.key("timeouts"), source.timeouts.take(), timeouts);
            let engine = match source.engine {
                Some(RawEngine::Mongodb) => self.mongodb(&at, source),
                Some(RawEngine::Postgres) => self.postgres(&at, source),
                Some(RawEngine::Sqlite) => self.sqlite(&at, source),
                // Found missing or unknown already; kept so that names that refer to it are not faulted too.
                None => Engine::Sqlite { path: self.base.to_owned() },
            };
            let per_tenant = template::is_of(&engine);
            if per_tenant && whole_database {
                self.problem(
                    &at,
                    "a database of each tenant's own is listed by modules, and cannot be `wholeDatabase`",
                );
            }
            made.insert(name, Source { engine, whole_database, sealing, timeouts, protected, per_tenant });
        }
        made
    }

    /// What `raw` says, else `default`.
    pub(super) fn timeouts(&mut self, at: &At, raw: Option<RawTimeouts>, default: Timeouts) -> Timeouts {
        let Some(raw) = raw else { return default };
        Timeouts {
            connect: self.limit(&at.key("connect"), raw.connect).or(default.connect),
            idle: self.limit(&at.key("idle"), raw.idle).unwrap_or(default.idle),
            collection: self.limit(&at.key("collection"), raw.collection).or(default.collection),
            total: self.limit(&at.key("total"), raw.total).or(default.total),
        }
    }

    pub(super) fn limit(&mut self, at: &At, written: Option<String>) -> Option<Duration> {
        match parse_duration(&written?) {
            Ok(limit) if limit.is_zero() => {
                self.problem(at, "must be longer than nothing; leave it out for the default")
            }
            Ok(limit) => return Some(limit),
            Err(_) => self.problem(at, "is no duration; write it as 30s, 10m, 2h or 1h30m"),
        }
        None
    }

    /// Whether a value is what it is because a variable has none, which has been said already.
    pub(super) fn is_unset(&self, at: &At, value: &str) -> bool {
        value.contains("${") && self.root.locate(at).0.substituted
    }

    fn mongodb(&mut self, at: &At, source: RawSource) -> Engine {
        self.foreign(at, "mongodb", &source);
        let known = |uri: &str| uri.starts_with("mongodb://") || uri.starts_with("mongodb+srv://");
        let uri = self.uri(at, "mongodb", source.uri, known, "must begin with mongodb:// or mongodb+srv://");
        let database = source.database.unwrap_or_default();
        if database.is_empty() {
            self.problem(at, "a mongodb source needs `database`");
        } else if !(template::is_mongodb_name(&database) || self.is_unset(&at.key("database"), &database)) {
            self.problem(&at.key("database"), "is no name MongoDB allows for a database");
        }
        let read_preference = source.read_preference.map(|preference| match preference {
            RawReadPreference::Primary => ReadPreference::Primary,
            RawReadPreference::PrimaryPreferred => ReadPreference::PrimaryPreferred,
            RawReadPreference::Secondary => ReadPreference::Secondary,
            RawReadPreference::SecondaryPreferred => ReadPreference::SecondaryPreferred,
            RawReadPreference::Nearest => ReadPreference::Nearest,
        });
        let consistency = consistency(source.consistency);
        Engine::MongoDb { uri: Secret::new(uri), database, consistency, read_preference }
    }

    fn postgres(&mut self, at: &At, source: RawSource) -> Engine {
        self.foreign(at, "postgres", &source);
        let known = |uri: &str| {
            uri.starts_with("postgres://") || uri.starts_with("postgresql://") || conninfo::key_values(uri).is_some()
        };
        let wrong = "must begin with postgres:// or postgresql://, or be written as `host=… dbname=… user=…`";
        let uri = self.uri(at, "postgres", source.uri, known, wrong);
        let schema = source.schema.unwrap_or_else(|| "public".into());
        let schema_at = at.key("schema");
        if !(template::is_postgres_name(&schema) || self.is_unset(&schema_at, &schema)) {
            self.problem(&schema_at, "is no name PostgreSQL allows for a schema");
        }
        Engine::Postgres(Postgres {
            uri: Secret::new(uri),
            schema,
            ddl: match source.ddl {
                Some(RawDdl::None) => Ddl::None,
                Some(RawDdl::WithGrants) => Ddl::WithGrants,
                Some(RawDdl::Dump) | None => Ddl::Dump,
            },
            consistency: consistency(source.consistency),
            passfile: self.environment.passfile(),
            folder: self.base.to_owned(),
        })
    }

    fn sqlite(&mut self, at: &At, source: RawSource) -> Engine {
        self.foreign(at, "sqlite", &source);
        let path = source.path.unwrap_or_default();
        if path.is_empty() {
            self.problem(at, "a sqlite source needs `path`");
        }
        Engine::Sqlite { path: self.path(&path) }
    }

    /// Keys that belong to other engines.
    fn foreign(&mut self, at: &At, engine: &str, source: &RawSource) {
        let keys: [(&str, bool, &[&str]); 7] = [
            ("uri", source.uri.is_some(), &["mongodb", "postgres"]),
            ("database", source.database.is_some(), &["mongodb"]),
            ("schema", source.schema.is_some(), &["postgres"]),
            ("ddl", source.ddl.is_some(), &["postgres"]),
            ("consistency", source.consistency.is_some(), &["mongodb", "postgres"]),
            ("readPreference", source.read_preference.is_some(), &["mongodb"]),
            ("path", source.path.is_some(), &["sqlite"]),
        ];
        for (key, _, owners) in keys.into_iter().filter(|(_, there, owners)| *there && !owners.contains(&engine)) {
            let named = if (key, engine) == ("database", "postgres") { "; name the database in `uri`" } else { "" };
            let owners = owners.join(" and ");
            self.problem(&at.key(key), format!("belongs to engine {owners}, not {engine}{named}"));
        }
    }

    /// The URI of a server, out of its file or program where it is kept elsewhere.
    fn uri(
        &mut self,
        at: &At,
        engine: &str,
        raw: Option<Either<String, RawSecret>>,
        known: impl Fn(&str) -> bool,
        wrong: &str,
    ) -> String {
        let uri_at = at.key("uri");
        let before = self.problems.len();
        let uri = match raw {
            Some(Either::Word(uri)) => uri,
            Some(Either::Map(kept)) => secret::read(&kept, self.base).unwrap_or_else(|message| {
                self.problem(&uri_at, message);
                String::new()
            }),
            None => {
                self.problem(at, format!("a {engine} source needs `uri`"));
                String::new()
            }
        };
        let unset = self.root.locate(&uri_at).0.substituted && uri.contains("${");
        if self.problems.len() == before && !unset && !known(&uri) {
            self.problem(&uri_at, wrong);
        }
        uri
    }

    pub(super) fn uploads(&mut self, raw: Vec<RawUpload>) -> Vec<UploadRoot> {
        let mut seen = BTreeSet::new();
        let mut made = Vec::new();
        for (index, upload) in raw.into_iter().enumerate() {
            let at = At::root("uploads").index(index);
            let Some(root) = upload.root.map(|root| self.path(&root)) else { continue };
            let base = || root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let name = upload.name.clone().unwrap_or_else(base);
            self.name(&at, "an upload root", &name);
            if !seen.insert(name.clone()) {
                self.problem(&at, format!("another upload root is named '{name}' too; give each its own `name`"));
            }
            let layout = upload.layout.unwrap_or_else(|| "{directory}".into());
            let bad_part = layout.split('/').any(|part| matches!(part, "" | "." | ".."));
            let plain = layout.replace("{directory}", "").replace("{tenant}", "");
            if !layout.contains("{directory}") {
                self.problem(&at.key("layout"), "must contain `{directory}`");
            } else if bad_part || layout.contains('\\') {
                self.problem(&at.key("layout"), "must be a relative path without empty, `.` and `..` parts");
            } else if plain.contains(['{', '}']) {
                self.problem(&at.key("layout"), "knows only `{directory}` and `{tenant}`");
            }
            self.globs(&at.key("exclude"), &upload.exclude);
            let max_file_size = upload.max_file_size.and_then(|size| {
                if size.bytes().is_none() {
                    self.problem(&at.key("maxFileSize"), "is no size; write 100MiB, 5GB or a number of bytes");
                }
                size.bytes()
            });
            for (index, extension) in upload.allowed_extensions.iter().enumerate() {
                let rest = extension.strip_prefix('.').unwrap_or_default();
                if rest.is_empty() || rest.contains(['/', '*', ' ']) {
                    let at = at.key("allowedExtensions").index(index);
                    self.problem(&at, "is no extension; write it with its dot, like .pdf");
                }
            }
            let allowed_extensions = upload.allowed_extensions.iter().map(|e| e.to_lowercase()).collect();
            let protected = upload.protected.unwrap_or(false);
            let exclude = upload.exclude;
            // Known once the modules are.
            let references = Vec::new();
            let root =
                UploadRoot { name, root, layout, exclude, max_file_size, allowed_extensions, references, protected };
            made.push(root);
        }
        made
    }

    pub(super) fn extra_files(&mut self, raw: BTreeMap<String, RawExtraFiles>) -> BTreeMap<String, ExtraFiles> {
        let mut made = BTreeMap::new();
        for (name, extra) in raw {
            let at = At::root("extraFiles").key(&name);
            self.name(&at, "an extraFiles entry", &name);
            self.globs(&at.key("exclude"), &extra.exclude);
            let written = extra.paths.unwrap_or_default();
            if written.is_empty() && !matches!(self.root.locate(&at.key("paths")).1.as_str(), "") {
                self.problem(&at, "needs at least one path in `paths`");
            }
            let paths = written.into_iter().map(|path| (self.path(&path), path)).collect();
            let optional = extra.optional.unwrap_or(false);
            let sealing = self.sealing(&at, extra.encrypt, &extra.recipients);
            made.insert(name, ExtraFiles { paths, exclude: extra.exclude, optional, sealing });
        }
        made
    }

    /// Whole databases, extra files and modules lie side by side in a backup's folder.
    pub(super) fn archive_names(
        &mut self,
        sources: &BTreeMap<String, Source>,
        extra: &BTreeMap<String, ExtraFiles>,
        modules: &BTreeMap<String, Module>,
    ) {
        let whole = sources.iter().filter(|(_, source)| source.whole_database).map(|(name, _)| ("sources", name));
        let extra = extra.keys().map(|name| ("extraFiles", name));
        let modules = modules.keys().map(|name| ("modules", name));
        let mut seen: BTreeMap<String, (&str, &String)> = BTreeMap::new();
        for (section, name) in modules.chain(extra).chain(whole) {
            // Letter case does not tell names apart on every file system.
            if let Some((other, first)) = seen.insert(name.to_lowercase(), (section, name)) {
                let message = format!("clashes with `{other}.{first}`: both lie in the same folder of a backup");
                self.problem(&At::root(section).key(name), message);
            }
        }
    }
}

fn consistency(raw: Option<RawConsistency>) -> Consistency {
    match raw {
        Some(RawConsistency::Required) => Consistency::Required,
        Some(RawConsistency::Preferred) | None => Consistency::Preferred,
    }
}
