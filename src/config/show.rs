//! The resolved configuration for people and programs, without secrets.

use super::duration::show_duration;
use super::model::{
    AnomalyAction, BeforeBackup, Config, Discovery, Encryption, Engine, FileReferences, IdType, JobAction, JobLevel,
    Owner, Plain, Postgres, ReadPreference, Repository, Retention, Sealing, Timeouts,
};
use super::model::{Channel, CommandLine, Commands, Email, Notifier};
use super::model::{Checks, Limits, Metrics, Space, TenantCheck};
use super::secret::mask_uri;
use crate::config::{License, LicenseOrigin, OnInvalid, Only, SecretSource};
use crate::error::{Error, Kind, Result};
use serde_json::{Map, Value, json};

/// The configuration with defaults filled in, paths absolute and secrets masked.
pub fn show(config: &Config) -> Value {
    let sources = named(&config.sources, |source| {
        let timeouts = timeouts(source.timeouts);
        match &source.engine {
            Engine::MongoDb { uri, database, consistency, read_preference } => json!({
                "engine": "mongodb", "uri": mask_uri(uri.reveal()), "database": database,
                "consistency": format!("{consistency:?}").to_lowercase(),
                "readPreference": read_preference.map(ReadPreference::word), "wholeDatabase": source.whole_database,
                "timeouts": timeouts, "protected": source.protected,
                "encrypt": required(&source.sealing), "recipients": own(&source.sealing),
            }),
            Engine::Postgres(Postgres { uri, schema, ddl, consistency, .. }) => json!({
                "engine": "postgres", "uri": mask_uri(uri.reveal()), "schema": schema,
                "ddl": ddl.word(), "consistency": format!("{consistency:?}").to_lowercase(),
                "wholeDatabase": source.whole_database, "timeouts": timeouts, "protected": source.protected,
                "encrypt": required(&source.sealing), "recipients": own(&source.sealing),
            }),
            Engine::Sqlite { path } => json!({
                "engine": "sqlite", "path": path, "wholeDatabase": source.whole_database, "timeouts": timeouts,
                "protected": source.protected, "encrypt": required(&source.sealing), "recipients": own(&source.sealing),
            }),
        }
    });
    let uploads = config.uploads.iter().map(|upload| {
        json!({
            "name": upload.name, "root": upload.root, "layout": upload.layout, "exclude": upload.exclude,
            "maxFileSize": upload.max_file_size, "allowedExtensions": upload.allowed_extensions,
            "fileReferences": upload.references.iter().map(references).collect::<Vec<_>>(),
            "protected": upload.protected,
        })
    });
    let extra_files = named(&config.extra_files, |extra| {
        let paths: Vec<_> = extra.paths.iter().map(|(path, _)| path).collect();
        json!({
            "paths": paths, "exclude": extra.exclude, "optional": extra.optional,
            "encrypt": required(&extra.sealing), "recipients": own(&extra.sealing),
        })
    });
    let modules = named(&config.modules, |module| {
        let collections = module
            .collections
            .iter()
            .map(|c| json!({ "name": c.name, "source": c.source, "optional": c.optional, "tenant": owner(&c.owner) }));
        let relationships = module
            .relationships
            .iter()
            .map(|r| json!({ "parent": r.parent, "child": r.child, "foreignKey": r.foreign_key }));
        json!({
            "displayName": module.display_name, "required": module.required, "priority": module.priority,
            "licenseFeature": module.license_feature, "dependencies": module.dependencies,
            "collections": collections.collect::<Vec<_>>(), "fileUploads": module.file_uploads,
            "relationships": relationships.collect::<Vec<_>>(),
            "encrypt": required(&module.sealing), "recipients": own(&module.sealing),
        })
    });
    let id_type = match config.tenancy.id_type {
        IdType::String => "string",
        IdType::ObjectId => "objectId",
        IdType::Int => "int",
        IdType::Uuid => "uuid",
    };
    let tenants = config.tenancy.tenants.iter().map(|(id, tenant)| {
        (id.to_string(), {
            let license = tenant.license.as_ref().map(license);
            json!({ "modules": tenant.modules, "license": license })
        })
    });
    let mut shown = json!({
        "installation": config.installation,
        "timezone": config.timezone.name(),
        "repository": repository(&config.repository),
        "compression": { "algorithm": config.compression.algorithm.word(), "level": config.compression.level },
        "rateLimit": config.rate_limit,
        "sources": sources,
        "uploads": uploads.collect::<Vec<_>>(),
        "extraFiles": extra_files,
        "license": license(&config.license),
        "tenancy": {
            "field": config.tenancy.field, "idType": id_type, "tenants": tenants.collect::<Map<_, _>>(),
            "discover": config.tenancy.discover.as_ref().map(discovery),
        },
        "modules": modules,
        "verification": {
            "criticalCollections": config.verification.critical_collections,
            "minimumRecords": config.verification.minimum_records,
            "beforeBackup": match config.verification.before_backup {
                BeforeBackup::Off => "off",
                BeforeBackup::Warn => "warn",
                BeforeBackup::Refuse => "refuse",
            },
        },
        "anomaly": {
            "maxShrink": format!("{}%", config.anomaly.max_shrink),
            "action": match config.anomaly.action {
                AnomalyAction::Warn => "warn",
                AnomalyAction::Fail => "fail",
            },
        },
        "retention": retention(&config.retention),
        "jobs": named(&config.jobs, |job| {
            let (key, options) = action(&job.action);
            json!({ "schedule": job.schedule, key: options, "commands": commands(&job.commands) })
        }),
        "metrics": config.metrics.as_ref().map(|Metrics { textfile, max_tenants }| {
            json!({ "textfile": textfile, "maxTenants": max_tenants })
        }),
        "checks": checks(&config.checks),
        "notifications": config.notifications.iter().map(notifier).collect::<Vec<_>>(),
        "alerts": {
            "consecutiveFailures": config.alerts.consecutive_failures,
            "unusualSize": config.alerts.unusual_size, "unusualDuration": config.alerts.unusual_duration,
            "freeSpace": config.alerts.free_space.map(|space| space.to_string()),
            "maxAge": config.alerts.max_age.map(show_duration),
        },
        "commands": commands(&config.commands),
    });
    without_null(&mut shown);
    shown
}

/// The same as YAML.
///
/// # Errors
/// [`Kind::Internal`] when it cannot be written.
pub fn show_yaml(config: &Config) -> Result<String> {
    serde_saphyr::to_string(&show(config))
        .map_err(|error| Error::new(Kind::Internal, "cannot write the configuration as YAML").cause(error))
}

fn checks(checks: &Checks) -> Value {
    let limits = |Limits { warning, critical }: &Limits| json!({ "warning": show_duration(*warning), "critical": show_duration(*critical) });
    let types = checks.types.iter().map(|(of, ages)| (of.as_str().to_owned(), limits(ages))).collect::<Map<_, _>>();
    let tenant = |check: &TenantCheck| match check {
        TenantCheck::Age(ages) => limits(ages),
        TenantCheck::Ignore => json!({ "ignore": true }),
    };
    let tenants = checks.tenants.iter().map(|(id, check)| (id.to_string(), tenant(check))).collect::<Map<_, _>>();
    let space = |space: Space| match space {
        Space::Bytes(bytes) => json!(bytes),
        Space::Percent(percent) => json!(format!("{percent}%")),
    };
    let free =
        checks.free_space.map(|free| json!({ "warning": space(free.warning), "critical": space(free.critical) }));
    json!({
        "warning": show_duration(checks.age.warning), "critical": show_duration(checks.age.critical),
        "types": types, "modules": named(&checks.modules, limits), "tenants": tenants,
        "freeSpace": free, "unverified": checks.unverified.as_ref().map(limits),
    })
}

fn discovery(discovery: &Discovery) -> Value {
    let filter = named(&discovery.filter, |value| match value {
        Plain::Text(text) => json!(text),
        Plain::Bool(on) => json!(on),
        Plain::Int(number) => json!(number),
    });
    json!({
        "source": discovery.source, "collection": discovery.collection, "id": discovery.id,
        "modules": discovery.modules, "features": discovery.features, "where": filter,
    })
}

fn repository(repository: &Repository) -> Value {
    let Encryption { recipients, passphrase, identities, .. } = &repository.encryption;
    let set_up = !(recipients.is_empty() && identities.is_empty());
    // Those of `recipientsFile` are among them: what is shown is resolved.
    let keys: Vec<_> = recipients.keys().iter().map(ToString::to_string).collect();
    json!({
        "location": repository.location,
        "id": repository.id,
        "encryption": set_up.then(|| json!({
            "recipients": keys, "passphrase": passphrase.as_ref().map(|_| "***"), "identities": identities,
        })),
        "signing": repository.signing.as_ref().map(|signing| json!({
            "privateKey": signing.private_key,
            "publicKeys": signing.public_keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })),
    })
}

fn license(license: &License) -> Value {
    // What it grants is shown by `backup license`; here is what was written, and of a secret only that it is there.
    let (key, value) = match &license.origin {
        LicenseOrigin::Features(features) => return json!({ "features": features }),
        LicenseOrigin::Token(token) => ("token", kept(token)),
        LicenseOrigin::File(path) => ("file", json!(path)),
    };
    let public_key = license.public_key.as_ref().map(|key| match key {
        SecretSource::File(path) => json!(path),
        // Public, and what makes the output a configuration again.
        SecretSource::Text(text) => text.reveal().into(),
        SecretSource::Command { .. } => Value::Null,
    });
    let on_invalid = match license.on_invalid {
        OnInvalid::Keep => "keep",
        OnInvalid::Exclude => "exclude",
        OnInvalid::Fail => "fail",
    };
    json!({
        key: value, "publicKey": public_key, "algorithm": license.algorithm.map(|algorithm| algorithm.to_string()),
        "issuer": license.issuer, "featuresClaim": license.features_claim, "onInvalid": on_invalid,
        "graceDays": license.grace_days,
    })
}

fn required(sealing: &Sealing) -> Value {
    if sealing.required { "required".into() } else { Value::Null }
}

fn own(sealing: &Sealing) -> Value {
    if sealing.recipients.is_empty() { Value::Null } else { json!(sealing.recipients) }
}

fn named<V>(map: &std::collections::BTreeMap<String, V>, show: impl Fn(&V) -> Value) -> Value {
    Value::Object(map.iter().map(|(name, value)| (name.clone(), show(value))).collect())
}

fn timeouts(timeouts: Timeouts) -> Value {
    let Timeouts { connect, idle, collection, total } = timeouts;
    let [connect, collection, total] = [connect, collection, total].map(|limit| limit.map(show_duration));
    json!({ "connect": connect, "idle": show_duration(idle), "collection": collection, "total": total })
}

fn references(references: &FileReferences) -> Value {
    let FileReferences { source, collection, field, directory, prefix, .. } = references;
    json!({ "source": source, "collection": collection, "field": field, "directory": directory, "prefix": prefix })
}

fn owner(owner: &Owner) -> Value {
    match owner {
        Owner::Field(field) => json!({ "field": field }),
        Owner::Via { parent, foreign_key } => json!({ "via": parent, "foreignKey": foreign_key }),
        Owner::Shared => "shared".into(),
        Owner::Excluded => "excluded".into(),
        Owner::Unknown => Value::Null,
    }
}

fn retention(retention: &Retention) -> Value {
    match retention {
        Retention::Policy(policy) => json!({ "policy": {
            "maxBackups": policy.max_backups, "maxAgeDays": policy.max_age_days, "keepMinimum": policy.keep_minimum,
        } }),
        Retention::Classes(classes) => named(classes, |class| {
            json!({
                "modules": class.modules, "daily": class.daily, "weekly": class.weekly, "monthly": class.monthly,
            })
        }),
    }
}

fn action(action: &JobAction) -> (&'static str, Value) {
    match action {
        JobAction::VerifyCollections => ("verifyCollections", json!({})),
        JobAction::Verify(verify) => {
            let level = verify.level.map(JobLevel::as_str);
            ("verify", json!({ "level": level, "backups": if verify.all { "all" } else { "latest" } }))
        }
        JobAction::Prune => ("prune", json!({})),
        JobAction::KeyRotation => ("keyRotation", json!({})),
        JobAction::Create(create) => {
            let only = create.only.map(|only| match only {
                Only::Database => "database",
                Only::Files => "files",
            });
            let tenant = create.tenant.as_ref().map(|tenant| tenant.as_str());
            let kind = create.backup_type.as_str();
            let options = json!({
                "type": kind, "modules": create.modules, "tenant": tenant, "only": only,
                "allTenants": create.all_tenants.then_some(true),
            });
            ("create", options)
        }
    }
}

fn notifier(notifier: &Notifier) -> Value {
    let (mut email, mut url, mut key) = (Value::Null, Value::Null, Value::Null);
    match &notifier.channel {
        Channel::Webhook { url: place, secret } => {
            (url, key) = (kept_url(place), secret.as_ref().map_or(Value::Null, kept));
        }
        Channel::Slack(place) | Channel::Healthcheck(place) => url = kept_url(place),
        Channel::Email(Email { to, from, smtp }) => {
            let (user, password) = smtp.login.as_ref().map(|(user, password)| (user, kept(password))).unzip();
            email = json!({ "to": to, "from": from, "smtp": {
                "host": smtp.host, "port": smtp.port, "user": user, "password": password, "tls": smtp.tls.word(),
            } });
        }
    }
    let is_ping = matches!(notifier.channel, Channel::Healthcheck(_));
    let on = (!is_ping).then(|| notifier.on.iter().map(|on| on.word()).collect::<Vec<_>>());
    json!({
        "name": notifier.name, notifier.channel.word(): if email.is_null() { url } else { email }, "secret": key,
        "on": on, "jobs": notifier.jobs, "perTenant": notifier.per_tenant, "timeout": show_duration(notifier.limit),
    })
}

fn kept(secret: &SecretSource) -> Value {
    match secret {
        SecretSource::File(path) => json!({ "file": path }),
        SecretSource::Text(_) | SecretSource::Command { .. } => "***".into(),
    }
}

/// Of a URL the host alone: its path is what lets one in.
fn kept_url(secret: &SecretSource) -> Value {
    let SecretSource::Text(text) = secret else { return kept(secret) };
    let Some((scheme, rest)) = text.reveal().split_once("://") else { return "***".into() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}/***").into()
}

fn commands(commands: &Commands) -> Value {
    if commands.is_empty() {
        return Value::Null;
    }
    // A text for the shell, and any argument, may hold what lets one in: the program is what is shown.
    let line = |line: &Option<CommandLine>| match line {
        None => Value::Null,
        Some(CommandLine::Shell(_)) => json!("***"),
        Some(CommandLine::Program(words)) => {
            let masked = (words.len() > 1).then_some("***");
            json!(words.first().map(String::as_str).into_iter().chain(masked).collect::<Vec<_>>())
        }
    };
    json!({
        "before": line(&commands.before), "after": line(&commands.after), "onFailure": line(&commands.on_failure),
        "finally": line(&commands.finally), "timeout": show_duration(commands.limit),
    })
}

/// Leaves out what is not set, so that the output is a configuration again.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}
