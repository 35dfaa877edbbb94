use super::*;
use crate::error::{Error, Kind};
use std::path::PathBuf;
use std::time::Duration;

fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.yaml");
    std::fs::write(&file, text).unwrap();
    std::fs::write(folder.path().join("secret"), "mongodb://u:from-file@h/\n").unwrap();
    load(&file, &Environment::fixed(folder.path(), variables.iter().copied()))
}

/// The mistakes of `text`, without the name of the file.
fn mistakes(text: &str) -> Vec<String> {
    lines(load_with(text, &[]).expect_err("the file is wrong"))
}

fn lines(error: Error) -> Vec<String> {
    assert_eq!(error.kind, Kind::Config, "{error:?}");
    error.details.iter().map(|line| line.split_once("backup.yaml:").unwrap().1.to_owned()).collect()
}

const MINIMAL: &str = "installation: x\nrepository: {location: b}\n";

fn with(rest: &str) -> String {
    format!("{MINIMAL}{rest}")
}

#[test]
fn every_mistake_of_a_file_is_told_at_its_place_with_a_suggestion() {
    let text = r#"instalation: hr
timezone: Europe/Berln
repository: {location: b}
compression: {level: 40}
sources:
  main: {engine: mongodb, uri: "http://u:hunter2@h", database: a}
  other: {engine: sqlit, path: x}
uploads:
  - {root: up, layout: "{tenant}", maxFileSize: 5 apples}
modules:
  core:
    prioritty: 1
    dependencies: [insurence]
    source: mian
    collections: [a, {nam: b}, {name: c, source: main, tenant: {via: zzz, foreignKey: f}}]
  insurance:
    dependencies: [core]
    collections: []
    required: yes
anomaly: {maxShrink: 50, action: fial}
retention: {}
jobs:
  nightly: {schedule: "99 * * * *", create: {modules: [cor]}}
"#;
    let expected = [
        "1:1: instalation: unknown key; did you mean `installation`?",
        "1:1: the key `installation` is missing",
        "2:11: timezone: unknown time zone 'Europe/Berln'; did you mean `Europe/Berlin`?",
        "4:22: compression.level: must be from 1 to 12 for gzip",
        "6:32: sources.main.uri: must begin with mongodb:// or mongodb+srv://",
        "7:19: sources.other.engine: 'sqlit' is none of mongodb, postgres, sqlite; did you mean `sqlite`?",
        "9:24: uploads[0].layout: must contain `{directory}`",
        "9:49: uploads[0].maxFileSize: is no size; write 100MiB, 5GB or a number of bytes",
        "12:5: modules.core.prioritty: unknown key; did you mean `priority`?",
        "13:20: modules.core.dependencies[0]: unknown module 'insurence'; did you mean `insurance`?",
        "14:13: modules.core.source: unknown source 'mian'; did you mean `main`?",
        "15:22: modules.core.collections[1]: the key `name` is missing",
        "15:23: modules.core.collections[1].nam: unknown key; did you mean `name`?",
        "15:70: modules.core.collections[2].tenant.via: unknown collection 'zzz'",
        "19:15: modules.insurance.required: must be true or false, but is text",
        "20:22: anomaly.maxShrink: must be text, but is a number; put it in quotes",
        "20:34: anomaly.action: 'fial' is none of warn, fail; did you mean `fail`?",
        "21:12: retention: is empty and would keep nothing; name a `policy` or classes",
        "23:23: jobs.nightly.schedule: is no five-field cron expression, like \"0 2 * * *\"",
        "23:56: jobs.nightly.create.modules[0]: unknown module 'cor'; did you mean `core`?",
    ];
    similar(&mistakes(text), &expected);
}

fn similar(found: &[String], expected: &[&str]) {
    assert_eq!(found.join("\n"), expected.join("\n"), "found:\n{}", found.join("\n"));
}

#[test]
fn the_sample_loads_without_a_warning_and_its_output_loads_again() {
    let config = load_with(SAMPLE, &[]).unwrap_or_else(|error| panic!("{:#?}", error.details));
    assert!(config.warnings.is_empty());
    let shown = show_yaml(&config).unwrap();
    let again = load_with(&shown, &[]).unwrap_or_else(|error| panic!("{shown}\n{:#?}", error.details));
    assert_eq!(show(&again), show(&config));
}

#[test]
fn a_shrink_is_a_percentage_and_without_the_section_half_is_a_warning() {
    let of = |section: &str| load_with(&with(section), &[]).unwrap().anomaly;
    assert_eq!(of(""), Anomaly { max_shrink: 50, action: AnomalyAction::Warn });
    assert_eq!(of("anomaly: {}"), of(""));
    assert_eq!(of("anomaly: {action: fail}"), Anomaly { max_shrink: 50, action: AnomalyAction::Fail });
    for (written, expected) in [("1%", 1), ("100 %", 100)] {
        assert_eq!(of(&format!("anomaly: {{maxShrink: {written}}}")).max_shrink, expected);
    }
    for wrong in ["0%", "101%", "300%", "5.5%", "half", "'50'", "-5%", "'%'", "''"] {
        let found = mistakes(&with(&format!("anomaly: {{maxShrink: {wrong}}}")));
        assert_eq!(found, ["3:22: anomaly.maxShrink: is no percentage from 1% to 100%; write it as 50%"], "{wrong}");
    }
}

#[test]
fn a_duplicate_key_is_refused_at_its_place() {
    let found = mistakes("installation: x\nrepository: {location: b}\ninstallation: y\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("3:1:") && found[0].contains("duplicate"), "{found:?}");
}

#[test]
fn broken_yaml_is_told_without_the_lines_around_it() {
    let error = load_with("a: hunter2\nb: [hunter2\nc: }\n", &[]).unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(",");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    // Written out it would be 9^12 texts: nobody would see the end of it.
    assert_eq!(load_with(&text, &[]).unwrap_err().kind, Kind::Config);
}

#[test]
fn variables_are_filled_in_after_parsing_and_unset_ones_are_all_told() {
    let text = with(
        "sources: {m: {engine: mongodb, uri: \"mongodb://${HOST}/\", database: \"${DB:-d}\"}}\n\
        compression: {level: \"${LEVEL}\"}\ntenancy: {field: \"$${x}\"}\n",
    );
    let found = mistakes(&text);
    assert!(found.iter().any(|line| line.contains("the variable HOST is not set")), "{found:?}");
    assert!(found.iter().any(|line| line.contains("the variable LEVEL is not set")), "{found:?}");
    let config = load_with(&text, &[("HOST", "a: {b"), ("LEVEL", "7")]).unwrap();
    assert_eq!(config.compression.level, 7);
    assert_eq!(config.tenancy.field.as_deref(), Some("${x}"));
    let Engine::MongoDb { uri, database, .. } = &config.sources["m"].engine else { panic!("another engine") };
    assert_eq!((uri.reveal(), database.as_str()), ("mongodb://a: {b/", "d"));
}

#[test]
fn mistakes_in_metrics_and_checks_are_named() {
    for (text, at, message) in [
        ("metrics: {}", "metrics", "`textfile` is missing"),
        ("metrics: {textfile: a.txt}", "metrics.textfile", "must end in .prom"),
        ("metrics: {textfile: a.prom, maxTenants: many}", "metrics.maxTenants", "must be"),
        ("checks: {warning: soon}", "checks.warning", "is no age"),
        ("checks: {critical: 0h}", "checks.critical", "is no age"),
        ("checks: {warning: 3d}", "checks", "`warning` is more than `critical`"),
        ("checks: {types: {hourly: {warning: 1h, critical: 2h}}}", "checks.types.hourly", "unknown key"),
        ("checks: {types: {weekly: {warning: 1h}}}", "checks.types.weekly", "`critical` is missing"),
        ("checks: {modules: {nonsense: {warning: 1h, critical: 2h}}}", "checks.modules.nonsense", "unknown module"),
        ("checks: {tenants: {a: {ignore: true, warning: 1h}}}", "checks.tenants.a", "keep one of the two"),
        ("checks: {freeSpace: {warning: 101%, critical: 1%}}", "checks.freeSpace.warning", "is no amount of space"),
        ("checks: {freeSpace: {warning: 1%, critical: 2%}}", "checks.freeSpace", "`warning` is less than `critical`"),
        ("checks: {unverified: {warning: 9d, critical: 8d}}", "checks.unverified", "would never warn"),
    ] {
        let found = mistakes(&with(text)).join("\n");
        assert!(found.contains(at) && found.contains(message), "{text}: {found}");
    }
    let config = load_with(
        &with(
            "checks: {warning: 2h, tenants: {a: {ignore: true}}, freeSpace: {warning: 20GiB, critical: 5%}}\n\
         metrics: {textfile: m/backup.prom}",
        ),
        &[],
    );
    let config = config.unwrap();
    assert_eq!(config.checks.age.critical, Duration::from_secs(50 * 3600));
    assert_eq!(config.checks.free_space.map(|free| free.critical.of(1000)), Some(50));
    let metrics = config.metrics.unwrap();
    assert!(metrics.textfile.is_absolute() && metrics.max_tenants == 100);
}

#[test]
fn mistakes_in_keys_are_named_and_private_ones_not_repeated() {
    let private = "AGE-SECRET-KEY-1QQPQYRQAHPQ6D8CJVXNY0X5PZVV7ZQ0D9C3S9Y6H4J4R6S6Q8K0S7TLT4";
    for (section, at, message) in [
        ("encryption: {recipients: [age1nonsense]}", "repository.encryption.recipients[0]", "is no age public key"),
        (
            &format!("encryption: {{recipients: [{private}]}}"),
            "repository.encryption.recipients[0]",
            "is a private key",
        ),
        ("encryption: {recipientsFile: absent.txt}", "repository.encryption.recipientsFile", "cannot read"),
        ("encryption: {passphrase: short}", "repository.encryption.passphrase", "is too short"),
        ("signing: {publicKeys: []}", "repository.signing.publicKeys", "at least one"),
        ("signing: {publicKeys: [ed25519:abc]}", "repository.signing.publicKeys[0]", "is no public key for signatures"),
        ("signing: {privateKey: a}", "repository.signing", "the key `publicKeys` is missing"),
    ] {
        let found = mistakes(&format!("installation: x\nrepository: {{location: b, {section}}}\n")).join("\n");
        assert!(found.contains(at) && found.contains(message), "{section}: {found}");
        assert!(!found.contains(private), "{found}");
    }
    let found = mistakes(&with("sources: {m: {engine: sqlite, path: a, encrypt: required}}")).join("\n");
    assert!(found.contains("go with `wholeDatabase`"), "{found}");
}

#[test]
fn secrets_are_in_no_output() {
    let uri = "uri: \"mongodb://u:hunter2@h/?tlsCertificateKeyFilePassword=hunter2\"";
    let source = |uri: &str| with(&format!("sources: {{m: {{engine: mongodb, {uri}, database: d}}}}\n"));
    let config = load_with(&source(uri), &[]).unwrap();
    assert_eq!(config.warnings.len(), 1);
    for output in [format!("{config:?}"), show(&config).to_string(), show_yaml(&config).unwrap()] {
        assert!(!output.contains("hunter2"), "{output}");
    }
    let config = load_with(&source("uri: {file: secret}"), &[]).unwrap();
    assert!(config.warnings.is_empty() && show(&config).to_string().contains("u:***@h"));
    let command = "uri: {command: [sh, -c, 'echo hunter2; echo hunter2 >&2; exit 3']}";
    let found = mistakes(&source(command)).join("\n");
    assert!(found.contains("exit status: 3; run it by hand") && !found.contains("hunter2"), "{found}");
    for text in ["engine: \"${S}\"", "engine: mongodb, uri: \"${S}\", database: d"] {
        let error = load_with(&with(&format!("sources: {{m: {{{text}}}}}\n")), &[("S", "hunter2")]).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn masking_shows_no_password_whatever_the_uri_looks_like() {
    assert_eq!(mask_uri("mongodb://u:hunter2@h:1,i:2/db?replicaSet=r"), "mongodb://u:***@h:1,i:2/db?replicaSet=r");
    assert_eq!(mask_uri("mongodb+srv://h/db"), "mongodb+srv://h/db");
    let verified = "sslmode=verify-full&sslrootcert=/ca";
    let shown = mask_uri(&format!("postgres://u:hunter2@h:1,i/db?{verified}&password=hunter2"));
    assert_eq!(shown, format!("postgres://u:***@h:1,i/db?{verified}&password=***"));
    assert_eq!(mask_uri("host=h password=hunter2 dbname='a b'"), "host=h password=*** dbname='a b'");
    // A space that should have been quoted: what follows is a piece of the password.
    assert_eq!(mask_uri("host=h password=correct horse=battery"), "***");
    for uri in [
        "mongodb://u:hun@hunter2@h/",
        "mongodb://u:a/hunter2@h/",
        "mongodb://u:a?hunter2@h/",
        "mongodb://u:a#hunter2@h",
        "hunter2",
        "u:hunter2@h",
        "://hunter2",
        "mongodb://h/?x=hunter2",
        "mongodb://h?tlsPassword=a@hunter2",
        "",
        "hunter2 mongodb://u:p@h",
        "mongodb://u:@hunter2:x@h",
        "host=h password='hunter\\2' sslpassword = hunter2",
        "host=h options='-c a=hunter2'",
        "host=h password=a hunter2=b",
        "host=h password=a hunter=hunter2",
        "host=h password=hunter2 user='open",
        "host=h password=a://hunter2@b",
    ] {
        assert!(!mask_uri(uri).contains("hunter2"), "{uri} -> {}", mask_uri(uri));
    }
}

#[test]
fn names_that_would_meet_in_a_backup_folder_are_refused() {
    let found =
        mistakes(&with("modules: {a: {}, shared: {}, x.: {}, '../y': {}}\nextraFiles: {A: {paths: [p]}}\n")).join("\n");
    for part in ["extraFiles.A: clashes with `modules.a`", "modules.shared: ", "modules.x.: ", "'../y' cannot name"] {
        assert!(found.contains(part), "{part}: {found}");
    }
}

#[test]
fn circles_are_refused() {
    let found = mistakes(&with(
        "sources: {l: {engine: sqlite, path: p}}\nmodules:\n  a: {dependencies: [b]}\n  b: {dependencies: [a], collections: \
         [{name: c, tenant: {via: d, foreignKey: k}}, {name: d, tenant: {via: c, foreignKey: k}}]}\n",
    ))
    .join("\n");
    assert!(found.contains("a -> b -> a") && found.contains("c -> d -> c"), "{found}");
}

#[test]
fn retention_has_a_default_and_named_policies_and_no_zero() {
    let policy = |text: &str| match load_with(&with(text), &[]).unwrap().retention {
        Retention::Policy(p) => (p.max_backups, p.max_age_days, p.keep_minimum),
        Retention::Classes(_) => panic!("classes"),
    };
    assert_eq!(policy(""), (10, 30, 1));
    assert_eq!(policy("retention: {policy: aggressive}"), (5, 7, 1));
    assert_eq!(policy("retention: {policy: conservative}"), (30, 90, 1));
    assert_eq!(policy("retention: {policy: compliance}"), (100, 365, 1));
    assert_eq!(policy("retention: {policy: {maxBackups: 3, maxAgeDays: 4, keepMinimum: 2}}"), (3, 4, 2));
    for wrong in ["{policy: {maxBackups: 0, maxAgeDays: 4}}", "{standard: {daily: 0, weekly: 1, monthly: 1}}", ""] {
        assert!(!mistakes(&with(&format!("retention: {wrong}\n"))).is_empty());
    }
}

#[test]
fn the_file_is_looked_for_where_the_documentation_says() {
    let folder = tempfile::tempdir().unwrap();
    let error = find(None, &Environment::fixed(folder.path(), [])).unwrap_err();
    assert!(error.message.contains("/etc/backup/backup.yaml") && error.hint.unwrap().contains("backup config init"));
    std::fs::write(folder.path().join("backup.yaml"), "").unwrap();
    assert_eq!(find(None, &Environment::fixed(folder.path(), [])).unwrap(), folder.path().join("backup.yaml"));
    let named = Environment::fixed(folder.path(), [("BACKUP_CONFIG", "/nowhere/x.yaml")]);
    assert!(find(None, &named).unwrap_err().message.contains("/nowhere/x.yaml"));
    let explicit: PathBuf = folder.path().join("backup.yaml");
    assert_eq!(find(Some(&explicit), &named).unwrap(), explicit);
}

#[test]
fn the_schema_knows_every_section_and_describes_every_key() {
    let schema = schema();
    for section in [
        "installation",
        "timezone",
        "repository",
        "compression",
        "sources",
        "uploads",
        "extraFiles",
        "license",
        "tenancy",
        "modules",
        "verification",
        "retention",
        "jobs",
        "metrics",
        "checks",
    ] {
        assert!(schema["properties"][section]["description"].is_string(), "{section}");
    }
    assert!(!schema.to_string().contains("\"null\""));
}

#[test]
fn a_source_is_waited_for_as_it_says_else_as_the_file_says_else_as_ever() {
    let seconds = Duration::from_secs;
    let sources = "sources:\n  a: {engine: sqlite, path: a, timeouts: {idle: 1m}}\n  b: {engine: sqlite, path: b}\n";
    let config = load_with(&with(sources), &[]).unwrap();
    assert_eq!(
        config.sources["b"].timeouts,
        Timeouts { connect: None, idle: seconds(600), collection: None, total: None }
    );
    assert_eq!(config.sources["a"].timeouts.idle, seconds(60));
    let config =
        load_with(&with(&format!("timeouts: {{connect: 5s, idle: 2h, collection: 3h, total: 1d}}\n{sources}")), &[])
            .unwrap();
    let [idle, collection, total] = [7200, 10_800, 86_400].map(seconds);
    let all = Timeouts { connect: Some(seconds(5)), idle, collection: Some(collection), total: Some(total) };
    assert_eq!(config.sources["b"].timeouts, all);
    assert_eq!(config.sources["a"].timeouts, Timeouts { idle: seconds(60), ..all });
    let shown = show(&config);
    let expected = serde_json::json!({"connect": "5s", "idle": "1m", "collection": "3h", "total": "1d"});
    assert_eq!(shown["sources"]["a"]["timeouts"], expected);
}

#[test]
fn a_limit_that_is_none_is_told_at_its_place() {
    let text = with(
        "timeouts: {connect: 10, idle: 0s, total: soon}\nsources: {a: {engine: sqlite, path: a, timeouts: {idel: 5s}}}\n",
    );
    let expected = [
        "3:21: timeouts.connect: must be text, but is a number; put it in quotes",
        "3:31: timeouts.idle: must be longer than nothing; leave it out for the default",
        "3:42: timeouts.total: is no duration; write it as 30s, 10m, 2h or 1h30m",
        "4:51: sources.a.timeouts.idel: unknown key; did you mean `idle`?",
    ];
    similar(&mistakes(&text), &expected);
}

#[test]
fn a_postgres_source_names_a_schema_and_finds_the_password_file() {
    let of = |keys: &str, variables: &[(&str, &str)]| {
        let text = with(&format!("sources: {{p: {{engine: postgres, uri: 'postgres://u@h/d'{keys}}}}}\n"));
        match load_with(&text, variables).unwrap().sources.remove("p").unwrap().engine {
            Engine::Postgres(postgres) => postgres,
            other => panic!("{other:?}"),
        }
    };
    let plain = of("", &[]);
    assert_eq!((plain.schema.as_str(), plain.ddl, plain.passfile), ("public", Ddl::Dump, None));
    assert!(plain.folder.is_absolute());
    let said = of(", schema: t_acme, ddl: none, consistency: required", &[("HOME", "/home/b")]);
    assert_eq!((said.schema.as_str(), said.ddl), ("t_acme", Ddl::None));
    assert_eq!(said.consistency, Consistency::Required);
    assert_eq!(said.passfile, Some(PathBuf::from("/home/b/.pgpass")));
    let named = of("", &[("HOME", "/home/b"), ("PGPASSFILE", "/run/pass")]);
    assert_eq!(named.passfile, Some(PathBuf::from("/run/pass")));
}

#[test]
fn a_postgres_source_is_shown_as_it_loads_again() {
    let text =
        with("sources: {p: {engine: postgres, uri: \"host=h dbname='a b' user=u password=hunter2\", ddl: none}}\n");
    let config = load_with(&text, &[]).unwrap();
    let shown = show_yaml(&config).unwrap();
    assert!(shown.contains("password=***") && !shown.contains("hunter2"), "{shown}");
    assert_eq!(show(&load_with(&shown, &[]).unwrap()), show(&config));
}

#[test]
fn a_string_of_keys_and_values_is_a_secret_only_with_a_password() {
    for (uri, warnings) in [("host = h  user=u dbname=d", 0), ("host=h user=u dbname=d password=hunter2", 1)] {
        let text = with(&format!("sources: {{p: {{engine: postgres, uri: '{uri}'}}}}\n"));
        assert_eq!(load_with(&text, &[]).unwrap().warnings.len(), warnings, "{uri}");
    }
}

#[test]
fn mistakes_of_a_postgres_source_are_told_at_their_place() {
    let of = |keys: &str| mistakes(&with(&format!("sources: {{p: {{engine: {keys}}}}}\n"))).join("\n");
    for (keys, message) in [
        ("postgres", "a postgres source needs `uri`"),
        ("postgres, uri: 'mysql://u:hunter2@h'", "sources.p.uri: must begin with postgres:// or postgresql://"),
        (
            "postgres, uri: 'postgres://h/d', database: d",
            "belongs to engine mongodb, not postgres; name the database in `uri`",
        ),
        ("postgres, uri: 'postgres://h/d', path: p", "belongs to engine sqlite, not postgres"),
        ("postgres, uri: 'postgres://h/d', schema: ''", "sources.p.schema: is no name PostgreSQL allows"),
        ("postgres, uri: 'postgres://h/d', schema: pg_catalog", "sources.p.schema: is no name PostgreSQL allows"),
        ("postgres, uri: 'postgres://h/d', ddl: full", "'full' is none of dump, withGrants, none"),
        ("sqlite, path: p, schema: s", "belongs to engine postgres, not sqlite"),
        ("mongodb, uri: 'mongodb://h', database: d, ddl: none", "belongs to engine postgres, not mongodb"),
    ] {
        let found = of(keys);
        assert!(found.contains(message) && !found.contains("hunter2"), "{keys}: {found}");
    }
}

#[test]
fn compression_is_a_word_or_a_method_with_a_level_of_its_own() {
    let of = |text: &str| {
        let Compression { algorithm, level } = load_with(&with(text), &[]).unwrap().compression;
        (algorithm.word(), level)
    };
    for (text, made) in [
        ("", ("gzip", 4)),
        ("compression: fast", ("gzip", 2)),
        ("compression: default", ("gzip", 4)),
        ("compression: small", ("gzip", 9)),
        ("compression: {algorithm: gzip, level: 12}", ("gzip", 12)),
        ("compression: {algorithm: zstd}", ("zstd", 3)),
        ("compression: {algorithm: zstd, level: 19}", ("zstd", 19)),
    ] {
        assert_eq!(of(text), made, "{text}");
    }
    for (text, mistake) in [
        ("compression: {level: 13}", "compression.level: must be from 1 to 12 for gzip"),
        ("compression: {level: 0}", "compression.level: must be from 1 to 12 for gzip"),
        ("compression: {algorithm: zstd, level: 20}", "compression.level: must be from 1 to 19 for zstd"),
        ("compression: {algorithm: zstd, level: 300}", "compression.level: must be from 1 to 19 for zstd"),
        ("compression: smal", "compression: 'smal' is none of fast, default, small; did you mean `small`?"),
        ("compression: {algorithm: lz4}", "compression.algorithm: 'lz4' is none of gzip, zstd"),
    ] {
        assert!(mistakes(&with(text)).join("\n").contains(mistake), "{text}: {:?}", mistakes(&with(text)));
    }
}

#[test]
fn a_rate_is_a_size_that_lets_a_backup_end() {
    assert_eq!(load_with(&with("rateLimit: 20MiB"), &[]).unwrap().rate_limit, Some(20 << 20));
    assert_eq!(load_with(&with("rateLimit: 5000000"), &[]).unwrap().rate_limit, Some(5_000_000));
    for (text, mistake) in [("rateLimit: 20KiB", "must be at least 1MiB"), ("rateLimit: fast", "is no size")] {
        assert!(mistakes(&with(text)).join("\n").contains(mistake), "{text}: {:?}", mistakes(&with(text)));
    }
}
