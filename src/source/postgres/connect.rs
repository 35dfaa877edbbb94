//! Connections: where to, as whom, and how it is kept from others.

use super::conninfo::{self, Conninfo};
use super::errors::Failure;
use super::passfile::{self, Found};
use super::tls::Tls;
use super::uri::{self, Options};
use crate::config::{self, Timeouts};
use crate::error::{Error, Kind, Result};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;
use tokio_postgres::config::{ChannelBinding, LoadBalanceHosts, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Options of libpq that ask for what is not done here.
const UNSUPPORTED: &[&str] = &[
    "gsslib",
    "krbsrvname",
    "gssdelegation",
    "require_auth",
    "requirepeer",
    "service",
    "servicefile",
    "sslcrl",
    "sslcrldir",
    "sslpassword",
    "sslcertmode",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "replication",
    "scram_client_key",
    "scram_server_key",
    "oauth_issuer",
    "oauth_client_id",
];

/// Options that change nothing here: what they ask for is so anyway, or is not used.
const WITHOUT_EFFECT: &[&str] =
    &["client_encoding", "fallback_application_name", "gssencmode", "sslcompression", "sslnegotiation", "sslsni"];

/// What a session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Read: the server itself refuses writes.
    Read,
    /// Restore.
    Write,
}

/// How to connect to one database.
pub struct Settings {
    config: Config,
    tls: Tls,
    /// The same for PostgreSQL's own programs.
    pub conninfo: Conninfo,
    /// What sessions are opened for.
    pub purpose: Purpose,
    /// How long a host, and another session's lock, is waited for.
    pub limit: Duration,
    /// Where it is, without any secret.
    pub address: String,
    /// Name of the database.
    pub database: String,
    /// Why a file of passwords was not used.
    pub note: Option<String>,
}

impl std::fmt::Debug for Settings {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Settings({}/{})", self.address, self.database)
    }
}

impl Settings {
    /// Reads what the configuration says of the source `name`; `limit` is that of reaching it, where one is configured.
    ///
    /// # Errors
    /// [`Kind::Config`] when it cannot be used.
    pub fn of(name: &str, source: &config::Postgres, purpose: Purpose, limit: Option<Duration>) -> Result<Self> {
        let made = uri::options(source.uri.reveal()).map_err(ToOwned::to_owned);
        let made = made.and_then(|options| Self::from_options(&options, source, purpose, limit));
        made.map_err(|why| {
            Error::new(Kind::Config, format!("cannot use the `uri` of PostgreSQL source '{name}'"))
                .cause(why)
                .hint("write postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…, user and password percent-encoded")
        })
    }

    fn from_options(
        options: &Options,
        source: &config::Postgres,
        purpose: Purpose,
        limit: Option<Duration>,
    ) -> Result<Self, String> {
        let needed = |key: &str, what: &str| {
            options.get(key).filter(|value| !value.is_empty()).ok_or_else(|| format!("it names no {what}"))
        };
        let (user, database) = (needed("user", "user")?, needed("dbname", "database")?);
        let hosts = options.get("host").or_else(|| options.get("hostaddr")).filter(|hosts| !hosts.is_empty());
        let hosts: Vec<&str> = hosts.ok_or("it names no host")?.split(',').collect();
        let ports: Vec<&str> = options.get("port").map_or_else(Vec::new, |ports| ports.split(',').collect());
        if ports.len() > 1 && ports.len() != hosts.len() {
            return Err("it names neither one port nor one for each host".into());
        }
        let seconds = options.get("connect_timeout").map(|seconds| number("connect_timeout", seconds)).transpose()?;
        let said = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        let limit = limit.or(said).unwrap_or(Timeouts::CONNECT);
        let mut config = Config::new();
        config.user(user).dbname(database).application_name("backup").connect_timeout(limit);
        let mut places = Vec::new();
        for (index, host) in hosts.iter().enumerate() {
            let port = ports.get(index).or(ports.first()).filter(|port| !port.is_empty()).unwrap_or(&"5432");
            let port = number("port", port)?;
            if options.contains_key("host") {
                config.host(*host);
            }
            config.port(port);
            places.push((*host, port));
        }
        let note = match options.get("password").filter(|password| !password.is_empty()) {
            Some(password) => {
                config.password(password);
                None
            }
            None => kept_password(&mut config, options, source, &places, database, user),
        };
        let all_sockets = hosts.iter().all(|host| host.starts_with('/'));
        let tls = if all_sockets { Tls::none() } else { Tls::of(options, &source.folder)? };
        config.ssl_mode(tls.mode);
        for (key, value) in options {
            set(&mut config, key, value)?;
        }
        config.options(conninfo::unlimited(options));
        let address = places.iter().map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>().join(",");
        let kept = config.get_password().map(|password| String::from_utf8_lossy(password).into_owned());
        let conninfo = Conninfo::new(options, &source.folder, kept);
        Ok(Self { config, tls, conninfo, purpose, limit, address, database: database.clone(), note })
    }

    /// The hosts and ports, for telling whether two sources are one place.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.address.split(',')
    }

    /// Another database of the same server.
    pub fn name_database(&mut self, database: &str) {
        self.config.dbname(database);
        self.conninfo.name_database(database);
        database.clone_into(&mut self.database);
    }

    /// What the driver is told.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What negotiates TLS; none: in clear.
    pub fn connector(&self) -> Option<MakeRustlsConnect> {
        self.tls.connector.clone()
    }

    /// Opens a connection. What it does in the background ends with the runtime, or with the client.
    pub async fn connect(&self) -> Result<Client, Failure> {
        Ok(match self.tls.connector.clone() {
            Some(connector) => {
                let (client, connection) = self.config.connect(connector).await?;
                tokio::spawn(connection);
                client
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::spawn(connection);
                client
            }
        })
    }
}

/// Sets the option of a connection, where it is none of those that are read elsewhere.
fn set(config: &mut Config, key: &str, value: &str) -> Result<(), String> {
    let wrong = |known: &str| format!("`{key}` is none of {known}");
    match key {
        "user" | "dbname" | "host" | "port" | "password" | "passfile" | "connect_timeout" | "application_name"
        | "options" => {}
        "sslmode" | "sslrootcert" | "sslcert" | "sslkey" => {}
        "hostaddr" => {
            for address in value.split(',') {
                config.hostaddr(IpAddr::from_str(address).map_err(|_| "`hostaddr` is no IP address")?);
            }
        }
        "keepalives" => _ = config.keepalives(value != "0"),
        "keepalives_idle" => _ = config.keepalives_idle(Duration::from_secs(number(key, value)?)),
        "keepalives_interval" => _ = config.keepalives_interval(Duration::from_secs(number(key, value)?)),
        "keepalives_count" => _ = config.keepalives_retries(number(key, value)?),
        "tcp_user_timeout" => _ = config.tcp_user_timeout(Duration::from_millis(number(key, value)?)),
        "channel_binding" => {
            let binding = match value {
                "disable" => ChannelBinding::Disable,
                "prefer" => ChannelBinding::Prefer,
                "require" => ChannelBinding::Require,
                _ => return Err(wrong("disable, prefer, require")),
            };
            config.channel_binding(binding);
        }
        "target_session_attrs" => {
            let attributes = match value {
                "any" => TargetSessionAttrs::Any,
                "read-write" | "primary" => TargetSessionAttrs::ReadWrite,
                "read-only" | "standby" => TargetSessionAttrs::ReadOnly,
                _ => return Err(wrong("any, read-write, read-only, primary, standby")),
            };
            config.target_session_attrs(attributes);
        }
        "load_balance_hosts" => {
            let order = match value {
                "disable" => LoadBalanceHosts::Disable,
                "random" => LoadBalanceHosts::Random,
                _ => return Err(wrong("disable, random")),
            };
            config.load_balance_hosts(order);
        }
        key if WITHOUT_EFFECT.contains(&key) => {}
        key if UNSUPPORTED.contains(&key) => return Err(format!("the option `{key}` is not supported")),
        // It may be a piece of a password.
        _ => return Err("it has an option that PostgreSQL's clients do not know".into()),
    }
    Ok(())
}

fn number<T: FromStr>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{key}` is no number that it may be"))
}

/// Takes the password from the file that clients share; why that file was not used, where it was not.
fn kept_password(
    config: &mut Config,
    options: &Options,
    source: &config::Postgres,
    places: &[(&str, u16)],
    database: &str,
    user: &str,
) -> Option<String> {
    let file = options.get("passfile").map(|file| source.folder.join(file)).or_else(|| source.passfile.clone())?;
    for (host, port) in places {
        match passfile::password(&file, host, *port, database, user) {
            Found::Password(password) => {
                config.password(password);
                return None;
            }
            Found::Ignored(why) => return Some(why),
            Found::Nothing => {}
        }
    }
    None
}
