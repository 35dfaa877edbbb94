//! Turns the driver's errors into ours: what it was doing, why, and what to do. The driver's text holds no URI.

use crate::error::{Error, Kind};
use crate::source::waiting::Stalled;
use mongodb::error::{Error as DriverError, ErrorKind, WriteFailure};

/// We gave up, not the driver.
impl From<Stalled> for DriverError {
    fn from(stalled: Stalled) -> Self {
        Self::custom(stalled)
    }
}

/// The server's error code, where the error came from a server.
pub fn code(error: &DriverError) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        _ => None,
    }
}

/// The server does not know snapshot reads (a standalone: 123), or not outside transactions (before 5.0: 72, 263, or
/// the driver says so itself).
pub fn has_no_snapshots(error: &DriverError) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::IncompatibleServer { .. })
        || matches!(code(error), Some(20 | 72 | 123 | 263))
}

fn text(error: &DriverError) -> String {
    if let Some(stalled) = error.get_custom::<Stalled>() {
        return stalled.to_string();
    }
    match error.kind.as_ref() {
        // The driver quotes what it cannot read of a URI, and that may be a piece of a password.
        ErrorKind::InvalidArgument { message, .. }
            if !(message.ends_with("must be URL encoded") || message.ends_with("cannot contain unescaped %")) =>
        {
            "it cannot be read".into()
        }
        ErrorKind::InvalidArgument { message, .. } => message.clone(),
        ErrorKind::ServerSelection { message, .. } => no_server(message),
        ErrorKind::Command(command) => format!("{} ({} {})", command.message, command.code, command.code_name),
        other => other.to_string(),
    }
}

/// The driver prints all it knows of a topology; what each server said is what helps.
fn no_server(message: &str) -> String {
    let of_servers = message.split("Address: ").skip(1).filter_map(|server| {
        let (address, rest) = server.split_once(", ")?;
        let error = rest.split_once("Error: Kind: ")?.1;
        Some(format!("{address}: {}", error.split(", labels:").next()?.trim_start_matches("I/O error: ")))
    });
    let said: Vec<_> = of_servers.collect();
    match (lacking(message), said.as_slice()) {
        (Some(member), []) => format!("no member of the replica set is {member}"),
        (Some(member), said) => format!("no member that can be reached is {member} ({})", said.join("; ")),
        (None, []) => message.to_owned(),
        (None, said) => format!("no server could be used ({})", said.join("; ")),
    }
}

/// What the members that are there are not: the driver says what was asked for only here.
fn lacking(message: &str) -> Option<&'static str> {
    let (_, asked) = message.split_once("suitable for criteria ReadPreference(")?;
    let word = asked.split(|c: char| !c.is_alphabetic()).next()?;
    [("Primary", "the primary"), ("Secondary", "a secondary")]
        .into_iter()
        .find_map(|(is, it)| (word == is).then_some(it))
}

/// No secondary is there, and nothing else is to be read.
fn lacks_a_secondary(error: &DriverError) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::ServerSelection { message, .. } if lacking(message) == Some("a secondary"))
}

/// An error while connecting.
pub fn connect(error: &DriverError, doing: &str) -> Error {
    let kind = match error.kind.as_ref() {
        ErrorKind::InvalidArgument { .. } => Kind::Config,
        _ => Kind::Connect,
    };
    let hint = match error.kind.as_ref() {
        ErrorKind::Authentication { .. } => "check user, password and authSource of the source's `uri`",
        ErrorKind::ServerSelection { .. }
        | ErrorKind::Io(_)
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::Custom(_) => {
            "check that the server runs, that host, port and TLS of the source's `uri` are right, and that no firewall is between; `timeouts.connect` is how long it is waited for"
        }
        ErrorKind::DnsResolve { .. } => "the host name of the source's `uri` cannot be resolved",
        ErrorKind::InvalidTlsConfig { .. } => "check the TLS options of the source's `uri`",
        ErrorKind::InvalidArgument { .. } => {
            "the source's `uri` is no valid MongoDB connection string; user and password must be percent-encoded (@ is %40, / is %2F, : is %3A)"
        }
        _ if matches!(code(error), Some(13 | 18)) => {
            "check user, password and authSource of the source's `uri`; the user needs the `read` role on the database, or `backup`"
        }
        _ => "check the source's `uri`",
    };
    Error::new(kind, doing).cause(text(error)).hint(hint)
}

/// An error while working on a collection.
pub fn collection(error: &DriverError, doing: &str, name: &str) -> Error {
    let made = |kind| Error::new(kind, format!("cannot {doing} {name}")).cause(text(error));
    if error.get_custom::<Stalled>().is_some() {
        return made(Kind::Source)
            .hint("look at the server's log and the network between; if it is only slow, raise that limit");
    }
    if lacks_a_secondary(error) {
        return made(Kind::Connect).hint(
            "look at `rs.status()`; `readPreference: secondaryPreferred` reads the primary while there is no secondary",
        );
    }
    match code(error) {
        Some(26 | 246) => made(Kind::Missing).hint("it was dropped, renamed or made anew while the run was under way"),
        Some(175) => made(Kind::Missing).hint("it was dropped or renamed while it was read"),
        Some(136) => {
            made(Kind::Missing).hint("a capped collection overtook its reader: writes were faster than the backup")
        }
        Some(239) => made(Kind::SnapshotLost)
            .hint("raise minSnapshotHistoryWindowInSeconds on the server, or run when it is less busy"),
        Some(13) => made(Kind::Connect)
            .hint(format!("the user lacks a privilege on {name}: grant `read`, or the `backup` role")),
        _ => made(Kind::Source),
    }
}
