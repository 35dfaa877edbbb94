//! Reads a large table in pieces, by more than one session of the view's moment: whoever has nothing left to read helps.
//! A piece is a range of the table's blocks, which the server finds without reading the others (a TID range scan,
//! PostgreSQL 14). Whose snapshot is held, and whose lock, keeps every row that it sees where it is.

use super::copy::all_of_it;
use super::errors::{self, Failure};
use super::inventory::{Relation, RelationKind};
use super::reader::Reader;
use super::view::PgView;
use crate::error::{Error, Kind, Result};
use crate::pipeline::{Idle, RecordBlock};
use crate::source::RecordStream;
use crossbeam_channel::Sender;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a piece on the server's disk, with what is stored beside the rows' blocks (TOAST).
const PIECE: i64 = 32 << 20;

/// The first server that scans a range of blocks, as `server_version_num`.
const RANGES: u32 = 140_000;

/// The COPY statements that together read a large table; none where it is to be read as a whole: it is small, keeps no
/// rows in blocks of its own, the server would read all of it for each, or there is no moment that sessions share.
///
/// # Errors
/// When the server fails.
pub fn of(view: &PgView<'_>, reader: &Reader, relation: &Relation, names: &str) -> Result<Vec<String>> {
    let is_one = matches!(relation.kind, RelationKind::Table | RelationKind::Inherited);
    // Without a snapshot each session sees a moment of its own, and a row that moves meanwhile would be in no piece, or in two.
    if view.snapshot.is_none() || !is_one || names.is_empty() || reader.session.version < RANGES {
        return Ok(Vec::new());
    }
    let sql = "SELECT pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8,
        pg_catalog.pg_table_size(c.oid) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid = c.relam
        WHERE c.oid = $1 AND a.amname = 'heap'";
    let place = view.source.place(&relation.name);
    let failed = |e: Failure| errors::relation(&e, "look at table", &place);
    let rows = view.source.block(async { reader.session.query(sql, &[&relation.oid]).await.map_err(failed) })?;
    let (blocks, bytes): (i64, i64) = rows.first().map(|row| (row.get(0), row.get(1))).unwrap_or_default();
    let copy = |which: String| format!("COPY (SELECT {names} FROM ONLY {place} WHERE {which}) TO STDOUT");
    Ok(ranges(blocks, bytes / PIECE).into_iter().map(copy).collect())
}

/// Conditions that each are true of the rows in as many blocks as in the others; every row is in one. None for less than two.
fn ranges(blocks: i64, pieces: i64) -> Vec<String> {
    let pieces = pieces.min(blocks);
    if pieces < 2 {
        return Vec::new();
    }
    let from = |piece: i64| format!("'({},0)'::pg_catalog.tid", blocks * piece / pieces);
    let range = |piece: i64| match piece + 1 == pieces {
        // What was appended since is of a later moment, but nothing relies on the number of blocks.
        true => format!("ctid >= {}", from(piece)),
        false => format!("ctid >= {} AND ctid < {}", from(piece), from(piece + 1)),
    };
    (0..pieces).map(range).collect()
}

/// Reads the pieces into one stream, in any order, by `reader` and as many more as are idle while some are left. Returns the
/// rows that the server says it sent.
///
/// # Errors
/// The first of any of them; the others end with their next block.
pub fn read(
    view: &PgView<'_>,
    reader: &Reader,
    place: &str,
    pieces: Vec<String>,
    idle: &dyn Idle,
    stream: &mut dyn RecordStream,
) -> Result<u64> {
    let reading =
        Reading { view, place, left: Mutex::new(pieces), told: Mutex::new(Ok(0)), alone: AtomicBool::new(false) };
    let (send, blocks) = crossbeam_channel::bounded(1);
    let written = std::thread::scope(|scope| {
        // Whoever reads holds the stream open; when all have ended, nobody joins them any more.
        let sender = Arc::new(send);
        let open = Arc::downgrade(&sender);
        scope.spawn(|| reading.note(reading.all(reader, sender)));
        let mut blocks = blocks.into_iter();
        loop {
            if reading.wants_help()
                && let Some(sender) = open.upgrade()
                && idle.take()
            {
                scope.spawn(|| {
                    reading.note(reading.help(reader, sender));
                    idle.give_back();
                });
            }
            let Some(block) = blocks.next().filter(|_| !reading.has_failed()) else { return Ok(()) };
            stream.write(block)?;
        }
    });
    written.and(reading.told.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// A table that is read by several.
struct Reading<'r> {
    view: &'r PgView<'r>,
    place: &'r str,
    /// Pieces that nobody has begun.
    left: Mutex<Vec<String>>,
    /// Rows that the server says it sent, or what went wrong first.
    told: Mutex<Result<u64>>,
    /// Nobody more could be had.
    alone: AtomicBool,
}

impl Reading<'_> {
    fn next(&self) -> Option<String> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Whether another reader is of use.
    fn wants_help(&self) -> bool {
        !self.alone.load(Ordering::Relaxed) && !self.left.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn has_failed(&self) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).is_err()
    }

    /// Reads what is left, one piece after the other.
    fn all(&self, reader: &Reader, blocks: Arc<Sender<RecordBlock>>) -> Result<u64> {
        let gone = |_| Error::new(Kind::Internal, "the stream that is read into has failed");
        let mut told = 0;
        while let Some(sql) = self.next() {
            let take = |block| blocks.send(block).map_err(gone);
            told += reader.copy(self.view.source, &sql, self.place, all_of_it, take)?;
        }
        Ok(told)
    }

    /// As another reader, who waits no longer for the server than the first.
    fn help(&self, first: &Reader, blocks: Arc<Sender<RecordBlock>>) -> Result<u64> {
        let Ok(mut helper) = self.view.reader() else {
            // The server lets no more in, say. Nothing was begun, and the first goes on alone.
            self.alone.store(true, Ordering::Relaxed);
            return Ok(0);
        };
        helper.session.patience = Arc::clone(&first.session.patience);
        let told = self.all(&helper, blocks)?;
        self.view.rest(helper);
        Ok(told)
    }

    fn note(&self, done: Result<u64>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut *told, done) {
            (Ok(told), Ok(more)) => *told += more,
            (Err(_), _) => {}
            (first, Err(error)) => *first = Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_meet_without_a_gap_and_the_last_one_is_open() {
        assert_eq!(
            ranges(10, 3),
            [
                "ctid >= '(0,0)'::pg_catalog.tid AND ctid < '(3,0)'::pg_catalog.tid",
                "ctid >= '(3,0)'::pg_catalog.tid AND ctid < '(6,0)'::pg_catalog.tid",
                "ctid >= '(6,0)'::pg_catalog.tid",
            ]
        );
        assert_eq!(ranges(2, 9).len(), 2);
        assert!(ranges(9, 1).is_empty() && ranges(0, 0).is_empty() && ranges(1, 5).is_empty());
    }
}
