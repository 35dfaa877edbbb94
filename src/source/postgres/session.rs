//! Sessions: connections whose settings are pinned, whatever the server has for this role or database.

use super::connect::{Purpose, Settings};
use super::errors::{self, Failure};
use crate::error::{Error, Kind, Result};
use crate::source::waiting::Patience;
use std::sync::Arc;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, SimpleQueryMessage};

/// Oldest server that is supported, as `server_version_num`.
const OLDEST: u32 = 120_000;

/// What each session is set to, and the oldest server that knows the setting. What a role, a database or a file of the
/// server says otherwise would change what values look like, which rows are seen, or end the session midway.
const PINNED: &[(&str, &str, u32)] = &[
    ("client_encoding", "UTF8", 0),
    ("DateStyle", "ISO, MDY", 0),
    ("IntervalStyle", "postgres", 0),
    ("extra_float_digits", "3", 0),
    ("bytea_output", "hex", 0),
    // Moments name their offset anyway; in one zone equal moments are equal text, which digests compare.
    ("TimeZone", "UTC", 0),
    ("xmloption", "content", 0),
    ("standard_conforming_strings", "on", 0),
    ("array_nulls", "on", 0),
    ("transform_null_equals", "off", 0),
    ("search_path", "", 0),
    // A policy that hides rows is an error then, and no smaller backup.
    ("row_security", "off", 0),
    ("synchronize_seqscans", "off", 0),
    ("default_transaction_isolation", "read committed", 0),
    ("default_transaction_deferrable", "off", 0),
    ("client_min_messages", "warning", 0),
    ("statement_timeout", "0", 0),
    ("idle_in_transaction_session_timeout", "0", 0),
    ("idle_session_timeout", "0", 140_000),
    ("transaction_timeout", "0", 170_000),
];

/// Ends a query whose client is gone; a server whose system cannot tell refuses the setting.
const GONE: &str = "SET client_connection_check_interval = '2s'";

/// A connection whose settings are pinned.
#[derive(Debug)]
pub struct Session {
    /// The driver's.
    pub client: Client,
    /// As `server_version_num`: 150014 is 15.14.
    pub version: u32,
    /// How long it is waited for.
    pub patience: Arc<Patience>,
}

impl Session {
    /// Opens one.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, or is too old. `doing` says what for.
    pub async fn open(settings: &Settings, patience: &Arc<Patience>, doing: &str) -> Result<Self> {
        let failed = |failure: &Failure| errors::connect(failure, doing, settings.note.as_deref());
        let client = settings.connect().await.map_err(|e| failed(&e))?;
        let version = server_version(&client).await.map_err(|e| failed(&e))?;
        if version < OLDEST {
            let (major, minor) = (version / 10_000, version % 10_000);
            let what = format!(
                "the server is PostgreSQL {major}.{minor}, older than 12, which is the oldest that is supported"
            );
            return Err(Error::new(Kind::Connect, doing).cause(what).hint("upgrade the server"));
        }
        let read_only = if settings.purpose == Purpose::Read { "on" } else { "off" };
        let lock = settings.limit.as_millis().to_string();
        let ours = [("default_transaction_read_only", read_only, 0), ("lock_timeout", lock.as_str(), 0)];
        let pinned = PINNED.iter().copied().chain(ours).filter(|(.., since)| *since <= version);
        let sql: String = pinned.map(|(name, value, _)| format!("SET {name} = '{value}';")).collect();
        client.batch_execute(&sql).await.map_err(|e| failed(&e.into()))?;
        if version >= 140_000 {
            let _ = client.batch_execute(GONE).await;
        }
        Ok(Self { client, version, patience: Arc::clone(patience) })
    }

    /// Rows of something that a healthy server answers soon.
    ///
    /// # Errors
    /// When it does not, or refuses.
    pub async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
        self.patience.answer(async { Ok(self.client.query(sql, parameters).await?) }).await
    }

    /// Runs statements that a healthy server runs soon.
    ///
    /// # Errors
    /// As [`Session::query`].
    pub async fn run(&self, sql: &str) -> Result<(), Failure> {
        self.patience.answer(async { Ok(self.client.batch_execute(sql).await?) }).await
    }
}

/// A name as SQL writes it.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn server_version(client: &Client) -> Result<u32, Failure> {
    let messages = client.simple_query("SHOW server_version_num").await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(row.and_then(|version| version.parse().ok()).unwrap_or(0))
}
