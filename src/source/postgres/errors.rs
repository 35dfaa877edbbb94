//! Turns the driver's errors into ours: what it was doing, why, with the server's SQLSTATE, and what to do. The driver's
//! text holds no URI; what the server says of a row (its DETAIL) is data, and left out.

use crate::error::{Error, Kind};
use crate::source::waiting::Stalled;
use std::error::Error as _;
use tokio_postgres::error::SqlState;

/// Why something that was asked of the server failed.
#[derive(Debug)]
pub enum Failure {
    /// The driver, or the server through it.
    Driver(tokio_postgres::Error),
    /// The network, below the driver.
    Network(std::io::Error),
    /// Nobody answered, and we gave up.
    Stalled(Stalled),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Network(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<Stalled> for Failure {
    fn from(stalled: Stalled) -> Self {
        Self::Stalled(stalled)
    }
}

impl Failure {
    /// The server's SQLSTATE, where the failure came from a server.
    pub fn state(&self) -> Option<&SqlState> {
        match self {
            Self::Driver(error) => error.code(),
            Self::Network(_) | Self::Stalled(_) => None,
        }
    }

    /// What the server or the driver says, in one line.
    pub fn text(&self) -> String {
        let error = match self {
            Self::Stalled(stalled) => return stalled.to_string(),
            Self::Network(error) => return error.to_string(),
            Self::Driver(error) => error,
        };
        if let Some(server) = error.as_db_error() {
            return format!("{} (SQLSTATE {})", server.message(), server.code().code());
        }
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// A failure while connecting. `note` says why a file of passwords was not used.
pub fn connect(failure: &Failure, doing: &str, note: Option<&str>) -> Error {
    let text = failure.text();
    let hint = match failure.state() {
        Some(state) if *state == SqlState::INVALID_PASSWORD => {
            "check user and password of the source's `uri`, or the line for it in ~/.pgpass"
        }
        Some(state) if *state == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "the server's pg_hba.conf does not let this user in from here, or only with TLS: check user, database and sslmode of the source's `uri`"
        }
        Some(state) if *state == SqlState::INVALID_CATALOG_NAME => {
            "the source's `uri` names a database that is not there: check the name behind the host"
        }
        Some(state) if *state == SqlState::INSUFFICIENT_PRIVILEGE => {
            "the user may not connect to the database: `GRANT CONNECT ON DATABASE … TO …`"
        }
        Some(state) if *state == SqlState::TOO_MANY_CONNECTIONS => {
            "all connections of the server or the user are in use: raise max_connections or the role's CONNECTION LIMIT, or run when it is less busy"
        }
        Some(state) if *state == SqlState::CANNOT_CONNECT_NOW => "the server is starting or stopping: try again",
        Some(state) if *state == SqlState::PROTOCOL_VIOLATION && text.contains("startup parameter") => {
            "a connection pooler answers, which hands sessions from one client to the next: let the source's `uri` name the server itself"
        }
        Some(_) => "check the source's `uri`",
        None if text.contains("TLS") => {
            "check that the server speaks TLS, and sslmode, sslrootcert and the host's name in the source's `uri`: the certificate must name that host (subjectAltName)"
        }
        None if text.contains("password missing") => {
            "the server asks for a password: write it into the source's `uri`, or into ~/.pgpass (mode 0600)"
        }
        None => {
            "check that the server runs, that host and port of the source's `uri` are right, and that no firewall is between; `timeouts.connect` is how long it is waited for"
        }
    };
    let mut error = Error::new(Kind::Connect, doing).cause(text).hint(hint);
    if let Some(note) = note {
        error = error.cause(note);
    }
    error
}

/// A failure while working on a table, or whatever `name` is.
pub fn relation(failure: &Failure, doing: &str, name: &str) -> Error {
    let made = |kind| Error::new(kind, format!("cannot {doing} {name}")).cause(failure.text());
    let Some(state) = failure.state() else {
        return made(Kind::Source)
            .hint("look at the server's log and the network between; if it is only slow, raise that limit");
    };
    match state.code() {
        "42P01" | "3F000" => made(Kind::Missing).hint("it was dropped or renamed while the run was under way"),
        "42501" => made(Kind::Connect)
            .hint(format!("the user lacks a privilege: `GRANT SELECT ON {name} TO …`, or the role pg_read_all_data")),
        "55P03" => made(Kind::Source).hint(
            "another session holds a lock on it, as a migration (ALTER TABLE) does: run when it is done, or raise `timeouts.connect`",
        ),
        "57014" => made(Kind::Source).hint("an administrator cancelled the query, or a limit of the server did"),
        "57P01" | "57P02" | "57P03" | "57P05" => {
            made(Kind::Source).hint("the server was stopped or ended the session; look at its log")
        }
        // Of a standby: what we read was vacuumed away on the primary.
        "40001" | "72000" => made(Kind::SnapshotLost)
            .hint("on a standby, set hot_standby_feedback or raise max_standby_streaming_delay, or read the primary"),
        "53100" => made(Kind::DiskFull).hint("a disk of the server is full"),
        _ => made(Kind::Source),
    }
}

/// A failure while changing the target. What the server says names columns and constraints; of values it says nothing here.
pub fn writing(failure: &Failure, doing: &str, name: &str) -> Error {
    let made = |kind| Error::new(kind, format!("cannot {doing} {name}")).cause(failure.text());
    let Some(state) = failure.state() else { return relation(failure, doing, name) };
    match state.code() {
        "42501" => made(Kind::Source).hint(
            "restore as the owner of the tables (or a superuser); what is made anew needs CREATE on schema and database",
        ),
        "23503" => made(Kind::Source).hint(
            "rows outside of what is restored name rows that would be gone, or the other way round: restore those tables with it",
        ),
        "23505" => made(Kind::Source)
            .hint("a row that is there and stays has the same unique key as a stored one: use --existing replace, or change it by hand"),
        "23502" | "23514" | "22001" | "22003" | "22P02" => {
            made(Kind::Source).hint("the table there is stricter than it was: restore into another database with --into")
        }
        "42P07" | "42710" | "42723" | "42P06" => {
            made(Kind::Refused).hint("it was made while the restore was under way: run it again")
        }
        "25006" => made(Kind::Connect).hint("the server is a standby, or read-only: restore into the primary"),
        _ => relation(failure, doing, name),
    }
}
