//! A repository of very many backups, made of the manifest of a real one.

use chrono::{DateTime, Days, SecondsFormat, Utc};
use rusqlite::Connection;
use std::fs;
use std::path::Path;

/// A small application: a SQLite database `hr.db` with these tables, and an upload, of tenant `t0`.
pub fn application(folder: &Path, tables: &[&str]) {
    let database = Connection::open(folder.join("hr.db")).expect("a database");
    for table in tables {
        let sql = format!(
            "CREATE TABLE {table} (id INTEGER PRIMARY KEY, tenantId TEXT); CREATE INDEX {table}_tenant ON {table} (tenantId);
             INSERT INTO {table} VALUES (1, 't0')"
        );
        database.execute_batch(&sql).expect("a table");
    }
    let uploads = folder.join("uploads/t0/claims");
    fs::create_dir_all(&uploads).expect("a folder");
    fs::write(uploads.join("claim.pdf"), "a claim").expect("a file");
}

/// Makes of the one backup of a repository, which is of tenant `t0`, one of each tenant and day up to its own: the same
/// manifest with another tenant, id and moment, and an empty folder for its archives. Returns the bytes of all manifests.
pub fn multiply(repository: &Path, tenants: u32, days: u32) -> u64 {
    let metadata = repository.join("metadata");
    let entries = fs::read_dir(&metadata).expect("manifests").flatten().map(|entry| entry.path());
    let one = entries.into_iter().find(|path| path.extension().is_some_and(|e| e == "json")).expect("a manifest");
    let text = fs::read_to_string(&one).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&text).expect("a manifest");
    let word = |name: &str| manifest[name].as_str().expect("a text").to_owned();
    let (id, said) = (word("id"), word("timestamp"));
    let at: DateTime<Utc> = said.parse().expect("a moment");
    let mut bytes = 0;
    for day in 0..days {
        let at = at.checked_sub_days(Days::new(u64::from(day))).expect("a day");
        let moment = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let stamp = moment.replace([':', '.'], "-");
        for tenant in 0..tenants {
            let new = format!("tenant-t{tenant}-backup-{stamp}");
            let text = text.replace(&id, &new).replace("\"t0\"", &format!("\"t{tenant}\"")).replace(&said, &moment);
            fs::create_dir_all(repository.join("daily").join(&new)).expect("a folder");
            fs::write(metadata.join(format!("{new}.json")), &text).expect("a manifest");
            bytes += text.len() as u64;
        }
    }
    bytes
}
