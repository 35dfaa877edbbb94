//! Repositories of well-formed manifests, which take no time to make, and an application that makes real ones.

use crate::support::app::App;
use rusqlite::Connection;
use serde_json::{Value, json};

/// Two modules in one database, an archive outside the modules, two tenants.
pub const CONFIG: &str = r#"
installation: clinic
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}}
extraFiles: {settings: {paths: [settings.txt]}}
tenancy: {field: tenant, tenants: {acme: {}, birch: {modules: [core]}}}
modules:
  core: {required: true, priority: 1, collections: [patients]}
  billing: {collections: [invoices]}
retention: {standard: {modules: [], daily: 14, weekly: 8, monthly: 6}}
"#;

/// That application, with a few rows.
pub fn clinic() -> App {
    let app = App::new(CONFIG);
    app.write("settings.txt", b"x");
    sql(
        &app,
        "CREATE TABLE patients (id INTEGER PRIMARY KEY, tenant TEXT);
         CREATE TABLE invoices (id INTEGER PRIMARY KEY, tenant TEXT);
         INSERT INTO patients VALUES (1, 'acme'), (2, 'acme'), (3, 'birch');
         INSERT INTO invoices VALUES (1, 'acme')",
    );
    app
}

pub fn sql(app: &App, text: &str) {
    Connection::open(app.path("clinic.db")).unwrap().execute_batch(text).unwrap();
}

/// An empty repository.
pub fn repository(app: &App) {
    app.write("backups/repository.json", br#"{"id": "invented", "formatVersion": 1}"#);
    for folder in ["daily", "weekly", "monthly", "metadata/facts", "metadata/failed", "staging", "journal", "locks"] {
        std::fs::create_dir_all(app.path("backups").join(folder)).unwrap();
    }
}

/// Invents a backup of this moment (`2026-01-02T03:04:05`) with modules, their states and sizes.
pub fn backup(app: &App, at: &str, kind: &str, tenant: Option<&str>, modules: &[(&str, &str, u64)]) -> String {
    let stamp = format!("{}-000Z", at.replace(':', "-"));
    let id = tenant.map_or(format!("system-backup-{stamp}"), |tenant| format!("tenant-{tenant}-backup-{stamp}"));
    let at = format!("{at}Z");
    let component = |(module, status, size): &(&str, &str, u64)| {
        json!({
            "type": "sqlite", "name": "clinic", "module": module, "database": "clinic", "status": status,
            "error": null, "archive": null, "size": size, "sha256": null, "index": null, "encrypted": false,
            "moduleAware": true, "collectionsIncluded": [], "consistency": null, "server": null, "files": null,
            "timestamp": at, "collections": [{
                "name": "things", "kind": null, "status": status, "documents": size / 10, "bytes": size * 3,
                "recordDigest": null, "tenantRule": "all",
            }],
        })
    };
    let failed = modules.iter().any(|(_, status, _)| *status == "failed");
    let stored: u64 = modules.iter().map(|(_, _, size)| size).sum();
    let names: Vec<_> = modules.iter().map(|(name, ..)| name).collect();
    let manifest = json!({
        "formatVersion": 1, "id": id, "installation": "x", "type": kind, "mode": "full", "parent": null,
        "tenantId": tenant, "timestamp": at, "completedAt": at, "durationSeconds": 2.5,
        "status": if failed { "partial" } else { "success" }, "warnings": [], "only": null, "safetyFor": null,
        "moduleAware": true, "enabledModules": names, "excludedModules": [], "license": {"features": []},
        "components": modules.iter().map(component).collect::<Vec<_>>(), "createdBy": "u@h",
        "tool": {"name": "backup", "version": "0"}, "errors": [], "signature": null,
        "totals": {"collections": 1, "documents": 1, "files": 0, "bytes": stored * 3, "storedBytes": stored},
    });
    std::fs::create_dir_all(app.path("backups").join(kind).join(&id)).unwrap();
    write(app, &format!("metadata/{id}.json"), &manifest);
    id
}

/// Notes a verification of a backup.
pub fn verified(app: &App, id: &str, at: &str, valid: bool) {
    let fact = json!({ "level": "decoded", "at": at, "valid": valid });
    write(app, &format!("metadata/facts/{id}.verified.json"), &fact);
}

pub fn write(app: &App, path: &str, value: &Value) {
    app.write(&format!("backups/{path}"), value.to_string().as_bytes());
}
