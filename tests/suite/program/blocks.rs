//! Every command that the documents give to be copied is run: a block that no test knows ends the tests.

use super::examples::copy;
use super::round_trip::{config, seed};
use super::told::{document, shell, stand_in};
use crate::support::app::{App, ended};
use crate::support::mongod::{Mongod, fresh_database};
use crate::support::postgres::{Database, Postgres, Version};
use mongodb::bson::{Bson, doc};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

/// A fenced block.
struct Block {
    document: String,
    language: String,
    text: String,
}

/// All fenced blocks of the README and of all in `docs/`.
fn blocks() -> Vec<Block> {
    let docs = std::fs::read_dir(document("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let docs = docs.map(|name| format!("docs/{}", name.to_str().unwrap())).filter(|name| name.ends_with(".md"));
    let mut found = Vec::new();
    for name in docs.chain(["README.md".to_owned()]) {
        let text = std::fs::read_to_string(document(&name)).unwrap();
        let mut open: Option<Block> = None;
        for line in text.lines() {
            let fence = line.trim_start().strip_prefix("```").or(line.trim_start().strip_prefix("~~~"));
            match (fence, &mut open) {
                (Some(language), None) => {
                    let language = language.trim().to_owned();
                    open = Some(Block { document: name.clone(), language, text: String::new() });
                }
                (Some(_), Some(_)) => found.extend(open.take()),
                (None, Some(block)) => block.text.extend([line, "\n"]),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{name}: a block has no end");
    }
    found
}

/// The texts of all blocks of a language.
pub fn of_language(language: &str) -> impl Iterator<Item = String> {
    blocks().into_iter().filter(move |block| block.language == language).map(|block| block.text)
}

/// Documents of which all blocks are run by one test.
const WHOLE: [(&str, &str); 2] = [
    ("docs/recipes.md", "every_line_of_the_recipes_runs"),
    ("docs/session.md", "the_recorded_session_is_what_the_program_says"),
];

/// Runs the blocks of the README that are a session.
const SESSION: &str = "the_session_in_the_readme_is_what_the_program_says";

/// Blocks of the others with how each begins and the test that runs it.
const KNOWN: [(&str, &str, &str); 12] = [
    ("README.md", "examples/quickstart/run.sh", "the_quick_start_builds_backs_up_and_shows"),
    ("README.md", "cd examples/quickstart", "the_readme_walks_through_a_backups_whole_life"),
    ("README.md", "cargo install --path .", "ones_own_application_has_its_first_backup_as_the_readme_says"),
    (
        "README.md",
        "$ backup create\n$ backup restore latest --module life-insurance",
        "the_first_lines_of_the_readme_run",
    ),
    ("README.md", "$ backup create\n(exit 0)", SESSION),
    ("README.md", "$ python3 -c \"import sqlite3; sqlite3.connect('data/clinic.db').execute", SESSION),
    ("README.md", "$ python3 -c \"import sqlite3; sqlite3.connect('data/clinic.db', isolation_level", SESSION),
    ("README.md", "mkdir restored && tar -xzf hrms.tar.gz", "without_the_program_data_comes_back_as_the_readme_says"),
    ("README.md", "tests/run\n", "the_runner_of_the_tests_runs"),
    ("docs/operating.md", "$ backup check", "the_probe_prints_a_line_of_the_form_that_the_documents_show"),
    ("docs/operating.md", "mkdir -p -m 700 keys", "keys_are_made_as_the_documents_say"),
    (
        "docs/restoring.md",
        "backup restore latest --tenant acme --as-tenant acme-demo",
        "one_tenant_becomes_another_as_the_documents_say",
    ),
];

/// The one block that begins so.
#[track_caller]
fn known(begins: &str) -> String {
    assert!(KNOWN.iter().any(|(_, known, _)| *known == begins), "{begins}");
    let mut found = blocks().into_iter().filter(|block| block.text.starts_with(begins));
    let block = found.next().unwrap_or_else(|| panic!("no block begins with {begins:?}"));
    assert!(found.next().is_none(), "several blocks begin with {begins:?}");
    block.text
}

#[test]
fn every_block_of_commands_is_run_by_a_test() {
    let tests = crate::documents::tests();
    let mut seen = BTreeSet::new();
    for Block { document, language, text } in blocks() {
        if matches!(language.as_str(), "yaml" | "json") {
            continue;
        }
        let of = |known: &str, begins: &str| known == document && text.starts_with(begins);
        let one = KNOWN.iter().filter(|(known, begins, _)| of(known, begins)).map(|(_, begins, test)| (*begins, *test));
        let whole = WHOLE.iter().filter(|(known, _)| *known == document).map(|(known, test)| (*known, *test));
        let (what, test) = one
            .chain(whole)
            .next()
            .unwrap_or_else(|| panic!("no test runs this block of {document} ({language:?}):\n{text}"));
        seen.insert(what);
        assert!(tests.contains(test), "{test}, which is to run a block of {document}, is not there");
    }
    assert_eq!(seen.len(), KNOWN.len() + WHOLE.len(), "the documents lack blocks that tests are for");
}

/// Runs the lines, which must all succeed.
#[track_caller]
fn run(app: &App, lines: &str) -> crate::support::app::Ended {
    shell(app, &format!("set -eu\n{lines}"), None).expect(0)
}

/// The lines of a recorded block that were typed.
fn typed(text: &str) -> String {
    text.lines().filter_map(|line| line.strip_prefix("$ ")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_quick_start_builds_backs_up_and_shows() {
    let app = App::new("");
    let example = document("examples/quickstart");
    std::fs::create_dir(app.path("examples")).unwrap();
    let copied = Command::new("cp").arg("-r").arg(&example).arg(app.path("examples")).status().unwrap();
    assert!(copied.success());
    let _ = std::fs::remove_dir_all(app.path("examples/quickstart/backups"));
    // It builds the program, which these tests have done: what it would type is noted.
    stand_in(
        &app,
        "cargo",
        &format!(
            "echo \"$@\" > {}; mkdir -p ../../target/release; cp {} ../../target/release/backup",
            app.path("built").display(),
            env!("CARGO_BIN_EXE_backup")
        ),
    );
    let said = run(&app, &known("examples/quickstart/run.sh"));
    assert_eq!(
        std::fs::read_to_string(app.path("built")).unwrap(),
        "build --release --manifest-path ../../Cargo.toml\n"
    );
    assert!(said.stdout.contains("system-backup-") && said.stdout.contains("RESTORE.txt"), "{}", said.stdout);
    let archives = walkdir::WalkDir::new(app.path("examples/quickstart/backups/daily")).into_iter().map(Result::unwrap);
    assert_eq!(archives.filter(|file| file.path().extension().is_some_and(|e| e == "gz")).count(), 4);
}

#[test]
fn ones_own_application_has_its_first_backup_as_the_readme_says() {
    let app = copy("quickstart");
    std::fs::rename(app.path("backup.yaml"), app.path("known")).unwrap();
    let _ = std::fs::remove_dir_all(app.path("backups"));
    // The program is built already, this machine's schedule is its own, and somebody must write the file.
    stand_in(&app, "cargo", "echo \"$@\" > built");
    stand_in(&app, "crontab", "[ \"$1\" = - ] && exec cat > table; cat table");
    let job = "jobs: {nightly: {schedule: '0 2 * * *', create: {type: daily}}}";
    stand_in(&app, "vi", &format!("grep -q '^modules:' \"$1\" && cp known \"$1\" && echo \"{job}\" >> \"$1\""));
    app.write("table", b"");
    let said = run(&app, &known("cargo install --path ."));
    assert_eq!(std::fs::read_to_string(app.path("built")).unwrap(), "install --path .\n");
    for words in ["backup.yaml is written", "backup.yaml is valid", "Verification passed", "valid (decoded)"] {
        assert!(said.stdout.contains(words), "{words}\n{}", said.stdout);
    }
    assert_eq!(app.ids().len(), 1);
    assert!(std::fs::read_to_string(app.path("table")).unwrap().contains("run nightly"));
}

#[test]
fn keys_are_made_as_the_documents_say() {
    let app = copy("quickstart");
    let said = run(&app, &known("mkdir -p -m 700 keys"));
    assert!(said.stdout.contains("ed25519:"), "{}", said.stdout);
    for file in ["keys/backup.key", "keys/recipients.txt", "keys/signing.key"] {
        assert!(app.path(file).is_file(), "{file}");
    }
    app.reconfigure(
        "location: ./backups",
        "location: ./backups, encryption: {recipientsFile: keys/recipients.txt, identities: [keys/backup.key]}, SIGNING",
    );
    let public = said.stdout.split_whitespace().find(|word| word.starts_with("ed25519:")).unwrap();
    app.reconfigure("SIGNING", &format!("signing: {{privateKey: keys/signing.key, publicKeys: [\"{public}\"]}}"));
    app.run(&["create"]).expect(0);
    app.run(&["verify", "latest"]).expect(0);
}

#[test]
fn the_probe_prints_a_line_of_the_form_that_the_documents_show() {
    let text = known("$ backup check");
    let shown = text.lines().nth(1).unwrap();
    let app = copy("quickstart");
    app.run_at("2026-01-10T02:00:00Z", &["-q", "create"]).expect(0);
    let said = shell(&app, &typed(&text), Some("2026-01-11T07:00:00Z")).expect(1).stdout;
    for words in [
        "BACKUP WARNING - ",
        " of system-wide: newest good copy 29 h old (limit 26 h)",
        "copies recent in",
        " free|",
        "=104400s;93600;180000;0",
    ] {
        assert!(shown.contains(words) && said.contains(words), "{words}\n{shown}\n{said}");
    }
}

/// An address as one word of a shell.
fn into(server: &Mongod, database: &str) -> String {
    format!("'hrms={}'", server.uri().replace("/?", &format!("/{database}?")))
}

fn insurance(server: &Mongod, name: &str) -> App {
    for tenant in ["acme", "birch"] {
        server.command(name, doc! {"insert": "policies", "documents": [{"_id": tenant, "holder": tenant}]});
    }
    App::new(&format!(
        "installation: test\nrepository: {{location: ./backups}}\n\
         sources: {{hrms: {{engine: mongodb, uri: \"{}\", database: {name}}}}}\n\
         tenancy: {{field: tenantId, tenants: {{acme: {{}}, birch: {{}}, acme-demo: {{}}}}}}\n\
         modules: {{life-insurance: {{required: true, collections: [{{name: policies, tenant: {{field: _id}}}}]}}}}\n",
        server.uri()
    ))
}

fn policies(server: &Mongod, name: &str) -> Vec<String> {
    let found = server.command(name, doc! {"find": "policies", "sort": {"_id": 1}});
    let all = found.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    let text = |policy: &Bson| {
        let policy = policy.as_document().unwrap();
        format!("{} {}", policy.get_str("_id").unwrap(), policy.get_str("holder").unwrap())
    };
    all.iter().map(text).collect()
}

#[test]
fn the_first_lines_of_the_readme_run() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    let app = insurance(server, &name);
    let lines = typed(&known("$ backup create\n$ backup restore latest --module life-insurance"));
    let address = "hrms=mongodb://127.0.0.1:27017/hrms-check";
    assert!(lines.contains(address), "{lines}");
    run(&app, &lines.replace(address, &into(server, &format!("{name}_check"))));
    assert_eq!(policies(server, &format!("{name}_check")), ["acme acme", "birch birch"]);
}

#[test]
fn one_tenant_becomes_another_as_the_documents_say() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    let app = insurance(server, &name);
    app.run(&["create"]).expect(0);
    let lines = known("backup restore latest --tenant acme --as-tenant acme-demo");
    let address = "hrms=mongodb://localhost/hrms_demo";
    assert_eq!(lines.matches(address).count(), 2, "{lines}");
    run(&app, &lines.replace(address, &into(server, &format!("{name}_demo"))));
    assert_eq!(policies(server, &format!("{name}_demo")), ["acme-demo acme"]);
    assert_eq!(policies(server, &name), ["acme acme", "acme-demo acme", "birch birch"]);
    assert!(app.path("demo").join(&name).join("policies.bson").is_file());
}

#[test]
fn without_the_program_data_comes_back_as_the_readme_says() {
    let (server, name) = (Mongod::replica_set(), fresh_database());
    seed(server, &name, 40);
    let database = Postgres::shared(Version::V15).database();
    database.run("CREATE TABLE wages (id int PRIMARY KEY); INSERT INTO wages SELECT generate_series(1, 7)");
    let app = App::new(&config(server, &name));
    app.reconfigure("sources:\n", &format!("sources:\n  payroll: {{engine: postgres, uri: \"{}\"}}\n", database.uri()));
    app.reconfigure(
        "    collections:\n      - users\n",
        "    source: hrms\n    collections:\n      - users\n      - {name: wages, source: payroll, tenant: excluded}\n",
    );
    app.reconfigure("claims: {collections", "claims: {source: hrms, collections");
    app.write("uploads/acme/documents/a.pdf", b"one");
    app.run(&["create"]).expect(0);
    // One archive of both databases, where each has its own: the README shows both ways at once.
    let backup = app.backup(&app.ids()[0]);
    let pack = "for archive in core/hrms core/payroll claims/hrms; do tar -xzf \"$1/$archive.tar.gz\"; done; tar -czf ../hrms.tar.gz .";
    std::fs::create_dir(app.path("both")).unwrap();
    let packed = Command::new("sh").args(["-ec", pack, "sh"]).arg(&backup).current_dir(app.path("both")).status();
    assert!(packed.unwrap().success());
    let parts = |folder: &str| {
        let names = std::fs::read_dir(app.path(folder).join(&name)).unwrap().map(|e| e.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().contains("%part-")).count()
    };
    assert!(parts("both") >= 2, "it is large enough for parts");

    // mongorestore is not to be had here: what it is given is looked at.
    stand_in(&app, "mongorestore", &format!("echo \"$@\" > {}", app.path("given").display()));
    let target = format!("{}_by_hand", database.name);
    let folder = std::fs::read_dir(app.path("both")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let folder = folder.filter(|entry| *entry != name && *entry != "RESTORE.txt" && !entry.starts_with('.'));
    let [payroll] = &folder.collect::<Vec<_>>()[..] else { panic!("one folder of PostgreSQL") };
    let lines = known("mkdir restored && tar -xzf hrms.tar.gz");
    let lines = lines.replace("hrms/*", &format!("{name}/*")).replace("hrms.*", &format!("{name}.*"));
    let lines = lines.replace("payroll/", &format!("{payroll}/")).replace("TARGET", &target);
    let mut by_hand = Command::new("sh");
    by_hand.args(["-euc", &lines]).current_dir(app.path(".")).env_clear().stdin(Stdio::null());
    let path = format!("{}:{}:/usr/bin:/bin", app.path("bin").display(), Version::V15.programs().display());
    by_hand.env("PATH", path).env("PGHOST", &database.server.folder).env("PGPORT", database.server.port.to_string());
    ended(by_hand.env("PGUSER", "postgres").output().unwrap()).expect(0);

    let given = std::fs::read_to_string(app.path("given")).unwrap();
    assert_eq!(given, format!("--uri mongodb://HOST --nsInclude {name}.* .\n"));
    assert_eq!(parts("restored"), 0);
    app.run(&["restore", "latest", "--collection", "claims", "--to-directory", "out"]).expect(0);
    let file = |folder: &str| std::fs::read(app.path(folder).join(&name).join("claims.bson")).unwrap();
    assert!(file("restored") == file("out"), "joined by hand it differs");
    let back = Database { server: database.server, name: target };
    assert_eq!(back.run("SELECT sum(id) FROM wages"), "28");
}

#[test]
fn the_runner_of_the_tests_runs() {
    let lines = known("tests/run\n");
    // Not within itself: it says how it is used.
    let mut usage = Command::new("sh");
    usage.args(["-euc", &format!("{} --help", lines.trim())]).current_dir(document("."));
    let said = ended(usage.output().unwrap()).expect(0);
    assert!(said.stdout.contains("tests/run --full"), "{}", said.stdout);
}
