//! What holds a run back: jobs and rates.

use crate::support::app::{App, ended};
use crate::support::mongod::{Mongod, fresh_database, until, wait};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use rusqlite::Connection;

const CONFIG: &str = r"
installation: clinic
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
uploads: [{root: ./uploads}]
modules: {core: {required: true, collections: [patients], fileUploads: [letters]}}
";

/// A small database, and `bytes` of uploads.
fn app(bytes: usize) -> App {
    let app = App::new(CONFIG);
    let connection = Connection::open(app.path("clinic.db")).unwrap();
    connection.execute_batch("CREATE TABLE patients (name TEXT); INSERT INTO patients VALUES ('Ada');").unwrap();
    app.write("uploads/letters/a.bin", &vec![7; bytes / 2]);
    app.write("uploads/letters/b.bin", &vec![9; bytes - bytes / 2]);
    app
}

/// The numbers of a line of the log that holds `word`.
#[track_caller]
fn numbers(log: &str, word: &str) -> Vec<u64> {
    let line = log.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("no {word}: {log}"));
    let (_, line) = line.split_once(word).unwrap();
    line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[test]
fn every_byte_of_a_source_passes_below_the_rate() {
    let app = app(1_400_000);
    let ended = app.run(&["create", "-v", "--rate-limit", "1MiB"]).expect(0);
    let [bytes, waits] = numbers(&ended.stderr, "rate limit:")[..] else { panic!("{}", ended.stderr) };
    let manifest = app.run(&["show", "latest", "--json"]).expect(0).json();
    let archive = app.backup(manifest["id"].as_str().unwrap()).join("core/clinic.tar.gz");
    let listed = std::process::Command::new("tar").arg("-tvzf").arg(archive).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let database = listed.lines().find(|line| line.ends_with(".db")).unwrap();
    let database: u64 = database.split_whitespace().nth(2).unwrap().parse().unwrap();
    assert_eq!(bytes, 1_400_000 + database);
    assert!(waits > 0, "{}", ended.stderr);

    // Said in the configuration; the command line outweighs it.
    app.reconfigure("installation: clinic", "installation: clinic\nrateLimit: 512MiB");
    let ended = app.run(&["create", "-v"]).expect(0);
    assert_eq!(numbers(&ended.stderr, "rate limit:")[0], bytes);
    let refused = app.run(&["create", "--rate-limit", "100KiB"]).expect(2);
    assert!(refused.stderr.contains("at least 1MiB"), "{}", refused.stderr);
}

#[test]
fn jobs_are_compress_workers_and_whoever_is_held_back_hears_a_signal() {
    // A minute and more at this rate.
    let app = app(80 << 20);
    let run = app.spawn(&["create", "--jobs", "3", "--rate-limit", "1MiB"]);
    let threads = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", run.id())).unwrap().flatten();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.starts_with("compress-")).count()
    };
    until("three workers", || threads() == 3);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(run.id().cast_signed()), nix::sys::signal::Signal::SIGTERM)
        .unwrap();
    assert_eq!(ended(run.wait_with_output().unwrap()).code, 143);
}

#[test]
fn jobs_that_make_no_sense_are_refused_and_too_many_are_warned_of() {
    let app = app(1000);
    for jobs in ["0", "65", "many"] {
        app.run(&["create", "--jobs", jobs]).expect(2);
    }
    let ended = app.run(&["create", "-v", "--jobs", "1"]).expect(0);
    assert_eq!(numbers(&ended.stderr, "readers:")[..2], [1, 1], "{}", ended.stderr);
    assert!(!ended.stderr.contains("more than four"), "{}", ended.stderr);
    if std::thread::available_parallelism().unwrap().get() < 16 {
        let ended = app.run(&["create", "--jobs", "64"]).expect(0);
        assert!(ended.stderr.contains("64 jobs are more than four"), "{}", ended.stderr);
    }
}

#[test]
fn documents_are_read_from_the_members_that_the_source_prefers() {
    let server = Mongod::replica_set();
    let name = fresh_database();
    let uri = server.uri().replace("directConnection=true", "replicaSet=rs0");
    let app = App::new(&format!(
        "installation: clinic\nrepository: {{location: ./backups}}\nmodules: {{core: {{required: true, collections: [patients]}}}}\n\
         sources:\n  hr: {{engine: mongodb, uri: \"{uri}\", database: {name}, timeouts: {{connect: 1s}}, readPreference: primary}}\n",
    ));
    server.command(&name, doc! {"insert": "patients", "documents": [{"_id": 1}, {"_id": 2}]});
    server.command(&name, doc! {"profile": 2});
    // What the server itself has noted of our reads of documents: preference and read concern, both where there is one.
    let asked = || -> Vec<(String, String)> {
        server.command(&name, doc! {"profile": 0});
        let profile = server.client().database(&name).collection::<Document>("system.profile");
        let noted: Vec<Document> = wait(async {
            let ours = doc! {"command.find": {"$exists": true}, "appName": "backup"};
            profile.find(ours).await.unwrap().try_collect().await.unwrap()
        });
        wait(async { profile.drop().await.unwrap() });
        server.command(&name, doc! {"profile": 2});
        let text = |document: &Document, outer: &str, inner: &str| {
            let found = document.get_document("command").unwrap().get_document(outer).ok();
            found.and_then(|found| found.get_str(inner).ok()).unwrap_or_default().to_owned()
        };
        noted.iter().map(|op| (text(op, "$readPreference", "mode"), text(op, "readConcern", "level"))).collect()
    };
    app.run(&["create"]).expect(0);
    let modes = asked();
    assert!(modes.iter().any(|(_, level)| level == "snapshot"), "{modes:?}");
    assert!(modes.iter().all(|(mode, _)| mode.is_empty() || mode == "primary"), "{modes:?}");

    app.reconfigure("readPreference: primary", "readPreference: secondaryPreferred");
    let created = app.run(&["create", "--json", "-v", "--rate-limit", "512MiB"]).expect(0);
    let manifest = created.json();
    assert_eq!(numbers(&created.stderr, "rate limit:")[0], manifest["totals"]["bytes"].as_u64().unwrap());
    assert_eq!(manifest["components"][0]["consistency"]["level"], "snapshot");
    assert_eq!(manifest["totals"]["documents"], 2);
    let modes = asked();
    assert!(modes.iter().any(|(_, level)| level == "snapshot"), "{modes:?}");
    assert!(modes.iter().all(|(mode, _)| mode == "secondaryPreferred"), "{modes:?}");
    // What is restored is written to the primary, and read back from it.
    app.run(&["restore", "latest", "--existing", "merge", "--yes", "--no-safety-backup"]).expect(0);
    assert!(asked().iter().all(|(mode, _)| mode.is_empty() || mode == "primary"));

    // There is no secondary.
    app.reconfigure("secondaryPreferred", "secondary");
    app.run(&["create"]).expect(1);
    app.reconfigure("readPreference: secondary", "readPreference: slave");
    let wrong = app.run(&["create"]).expect(2);
    assert!(wrong.stderr.contains("'slave' is none of primary, primaryPreferred"), "{}", wrong.stderr);
}
