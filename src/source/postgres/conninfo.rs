//! Where to connect and as whom, for PostgreSQL's own programs: the same place as ours, without the password.

use super::uri::Options;
use std::path::Path;

/// Options that mean the same to libpq as to us. The others are set by us, or need a libpq that is newer than ours.
const SHARED: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "user",
    "dbname",
    "sslmode",
    "sslcert",
    "sslkey",
    "sslrootcert",
    "options",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "channel_binding",
    "target_session_attrs",
];

/// Where the authorities of the system are: libpq before 16 does not find them by itself.
const AUTHORITIES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Limits that a role or a database may set and that a session must be without from its first statement on: the one
/// that lifts a limit would be ended by it.
const UNLIMITED: &str = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0";

/// What the server is told about a session as it begins: what the URI says, and to set no limits.
pub fn unlimited(options: &Options) -> String {
    let told = options.get("options").map(|told| format!("{told} ")).unwrap_or_default();
    format!("{told}{UNLIMITED}")
}

/// How the programs connect.
#[derive(Clone)]
pub struct Conninfo {
    options: Options,
    /// To be handed over where nobody else sees it.
    pub password: Option<String>,
}

impl Conninfo {
    /// As the options say; relative paths in them are relative to `folder`.
    pub fn new(options: &Options, folder: &Path, password: Option<String>) -> Self {
        let shared = options.iter().filter(|(key, value)| SHARED.contains(&key.as_str()) && !value.is_empty());
        let mut options: Options = shared.map(|(key, value)| (key.clone(), value.clone())).collect();
        let sslmode = options.get("sslmode").cloned().unwrap_or_default();
        // What we make of `allow` is never less safe.
        if sslmode == "allow" {
            options.insert("sslmode".into(), "prefer".into());
        }
        let named = options.get("sslrootcert").is_some_and(|file| file != "system");
        match (sslmode.as_str(), AUTHORITIES.iter().find(|file| Path::new(file).is_file())) {
            ("verify-full", Some(file)) if !named => _ = options.insert("sslrootcert".into(), (*file).into()),
            // Without a name, a file of the user's home is taken, which we do not look at.
            ("" | "disable" | "prefer" | "allow" | "require", _) if !named => {
                options.insert("sslrootcert".into(), "/dev/null/none".into());
            }
            _ => {}
        }
        for key in ["sslrootcert", "sslcert", "sslkey"] {
            if let Some(path) = options.get_mut(key).filter(|path| *path != "system") {
                *path = folder.join(&*path).display().to_string();
            }
        }
        options.insert("options".into(), unlimited(&options));
        options.insert("gssencmode".into(), "disable".into());
        options.insert("application_name".into(), "backup".into());
        Self { options, password }
    }

    /// Another database of the same server.
    pub fn name_database(&mut self, database: &str) {
        self.options.insert("dbname".into(), database.into());
    }

    /// As an argument, which others may see. `passfile` is where the password is.
    pub fn argument(&self, passfile: &str) -> String {
        let quote = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
        let pairs = self.options.iter().map(|(key, value)| format!("{key}='{}'", quote(value)));
        pairs.chain([format!("passfile='{}'", quote(passfile))]).collect::<Vec<_>>().join(" ")
    }
}

impl std::fmt::Debug for Conninfo {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Conninfo")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::postgres::uri;

    fn argument(uri: &str) -> String {
        let options = uri::options(uri).unwrap();
        let password = options.get("password").cloned();
        Conninfo::new(&options, Path::new("/etc/backup"), password).argument("/p")
    }

    #[test]
    fn the_programs_are_told_the_same_place_and_no_password() {
        let told = argument(
            "postgres://u:can'ary@h,[::1]:5433/d%20'e?sslmode=require&sslrootcert=ca.crt&sslsni=1&client_encoding=LATIN1",
        );
        assert_eq!(
            told,
            "application_name='backup' dbname='d \\'e' gssencmode='disable' host='h,::1' options='-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0' port=',5433' sslmode='require' sslrootcert='/etc/backup/ca.crt' user='u' passfile='/p'"
        );
    }
}
