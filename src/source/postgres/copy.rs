//! The rows of COPY in text form: a row is a line, and what would break one is escaped
//! (<https://www.postgresql.org/docs/current/sql-copy.html>).

use crate::error::{Error, Kind, Result};
use crate::pipeline::{RecordBlock, RecordDigest};
use crate::source::StreamTotals;
use std::io::Read;

/// Cuts what arrives into blocks of whole rows.
#[derive(Debug, Default)]
pub struct Rows {
    /// The beginning of a row whose end has not come.
    rest: Vec<u8>,
}

impl Rows {
    /// The whole rows that are there with `bytes`. Each is shown to `keep` first, which says how many bytes of it are kept,
    /// its end aside: all of it, or less, where what follows was only to be looked at.
    ///
    /// # Errors
    /// When `keep` fails.
    pub fn cut(&mut self, bytes: Vec<u8>, mut keep: impl FnMut(&[u8]) -> Result<usize>) -> Result<RecordBlock> {
        let mut block = RecordBlock { bytes: Vec::new(), records: 0, digest: RecordDigest::default() };
        let Some(last) = memchr::memrchr(b'\n', &bytes) else {
            self.rest.extend_from_slice(&bytes);
            return Ok(block);
        };
        let rest = bytes[last + 1..].to_vec();
        let mut whole = std::mem::replace(&mut self.rest, rest);
        if whole.is_empty() {
            whole = bytes;
            whole.truncate(last + 1);
        } else {
            // Of a long row: no more than what is there.
            whole.reserve_exact(last + 1);
            whole.extend_from_slice(&bytes[..=last]);
        }
        // Rows move to the front over what is not kept of those before; where all is, none moves.
        let (mut from, mut to) = (0, 0);
        while let Some(length) = memchr::memchr(b'\n', &whole[from..]) {
            let kept = keep(&whole[from..=from + length])?.min(length);
            if to < from {
                whole.copy_within(from..from + kept, to);
            }
            whole[to + kept] = b'\n';
            block.digest.add(&whole[to..=to + kept]);
            block.records += 1;
            (from, to) = (from + length + 1, to + kept + 1);
        }
        whole.truncate(to);
        block.bytes = whole;
        Ok(block)
    }

    /// Makes sure that nothing is left of a row.
    ///
    /// # Errors
    /// [`Kind::Source`] when the server broke off in the middle of one.
    pub fn finish(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::new(Kind::Source, "the server broke off in a row")) }
    }
}

/// For [`Rows::cut`]: all of every row.
///
/// # Errors
/// None.
pub fn all_of_it(row: &[u8]) -> Result<usize> {
    Ok(row.len())
}

/// The value of column `index` of a row; none for NULL, or where there is no such column.
pub fn value(row: &[u8], index: usize) -> Option<Vec<u8>> {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    let field = row.split(|byte| *byte == b'\t').nth(index)?;
    if field == b"\\N" {
        return None;
    }
    let mut value = Vec::with_capacity(field.len());
    let mut bytes = field.iter().copied();
    while let Some(byte) = bytes.next() {
        value.push(match byte {
            b'\\' => match bytes.next()? {
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                other => other,
            },
            byte => byte,
        });
    }
    Some(value)
}

/// Adds a row of some columns of `row` to `out`, escaped as they are.
pub fn pick(row: &[u8], columns: &[usize], out: &mut Vec<u8>) {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    for (at, column) in columns.iter().enumerate() {
        if at > 0 {
            out.push(b'\t');
        }
        out.extend_from_slice(row.split(|byte| *byte == b'\t').nth(*column).unwrap_or_default());
    }
    out.push(b'\n');
}

/// The row with another value in column `index`, escaped already.
pub fn with(row: &[u8], index: usize, value: &[u8]) -> Vec<u8> {
    let columns = row.strip_suffix(b"\n").unwrap_or(row).split(|byte| *byte == b'\t');
    let columns: Vec<_> = columns.enumerate().map(|(at, old)| if at == index { value } else { old }).collect();
    let mut row = columns.join(&b'\t');
    row.push(b'\n');
    row
}

/// A value as COPY writes it.
pub fn escaped(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for byte in value {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            11 => out.extend_from_slice(b"\\v"),
            byte => out.push(*byte),
        }
    }
    out
}

/// Counts and digests stored rows.
///
/// # Errors
/// [`Kind::Damaged`] when the last one has no end.
pub fn digest_rows(body: &mut dyn Read) -> Result<StreamTotals> {
    let mut rows = Rows::default();
    let mut totals = StreamTotals::default();
    loop {
        let mut piece = Vec::new();
        let read = body
            .take(1 << 20)
            .read_to_end(&mut piece)
            .map_err(|e| Error::unreadable(e, "stored rows cannot be read"))?;
        if read == 0 {
            break;
        }
        let block = rows.cut(piece, all_of_it)?;
        totals.add_block(&block);
    }
    rows.finish().map_err(|_| Error::new(Kind::Damaged, "the last stored row has no end"))?;
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_at_their_ends_however_they_arrive() {
        let text = b"1\tone\n2\ta\\nb\n\n3\t\\N\n";
        for piece in 1..text.len() {
            let mut rows = Rows::default();
            let (mut records, mut bytes, mut digest) = (0, Vec::new(), RecordDigest::default());
            for chunk in text.chunks(piece) {
                let block = rows.cut(chunk.to_vec(), all_of_it).unwrap();
                records += block.records;
                bytes.extend_from_slice(&block.bytes);
                digest.merge(block.digest);
            }
            rows.finish().unwrap();
            assert_eq!((records, bytes.as_slice()), (4, &text[..]));
            let whole = digest_rows(&mut &text[..]).unwrap();
            assert_eq!((whole.records, whole.digest), (4, digest));
        }
        assert!(digest_rows(&mut &b"1\n2"[..]).is_err());
    }

    #[test]
    fn what_is_cut_off_rows_is_neither_kept_nor_counted() {
        let text = b"1\tone\tx\n22\t\tyy\n\t3\t\n";
        let front = |row: &[u8]| Ok(memchr::memrchr(b'\t', row).unwrap());
        for piece in 1..text.len() {
            let mut rows = Rows::default();
            let (mut bytes, mut digest) = (Vec::new(), RecordDigest::default());
            for chunk in text.chunks(piece) {
                let block = rows.cut(chunk.to_vec(), front).unwrap();
                bytes.extend_from_slice(&block.bytes);
                digest.merge(block.digest);
            }
            assert_eq!(bytes, b"1\tone\n22\t\n\t3\n");
            assert_eq!(digest, digest_rows(&mut bytes.as_slice()).unwrap().digest);
        }
    }

    #[test]
    fn a_value_is_put_in_the_place_of_another_and_is_what_it_was() {
        let odd = b"a\tb\\N\n\r\x08\x0b\x0c";
        let row = with(b"1\tx\ty\n", 1, &escaped(odd));
        assert_eq!(value(&row, 1).unwrap(), odd);
        assert_eq!(
            (value(&row, 0).unwrap(), value(&row, 2).unwrap(), row.last()),
            (b"1".to_vec(), b"y".to_vec(), Some(&b'\n'))
        );
    }

    #[test]
    fn values_are_what_they_were_before_they_were_escaped() {
        let row = b"1\tta\\tb\\\\n\t\\N\t\n";
        assert_eq!(value(row, 0).unwrap(), b"1");
        assert_eq!(value(row, 1).unwrap(), b"ta\tb\\n");
        assert_eq!((value(row, 2), value(row, 3).unwrap(), value(row, 4)), (None, Vec::new(), None));
    }
}
