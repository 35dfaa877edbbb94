//! A stream of BSON documents, cut at document borders: a document begins with its own length (BSON specification 1.1).

use crate::error::{Error, Kind, Result};
use crate::source::StreamTotals;
use std::io::Read;

/// The longest document a server stores: 16 MiB, and 16 KiB for what it adds itself.
const LONGEST: usize = (16 << 20) + (16 << 10);

/// Levels of documents in documents; no server takes more than 250.
const DEEPEST: usize = 256;

/// Reads documents one by one, in memory for one.
pub struct Documents<R> {
    inner: R,
    buffer: Vec<u8>,
}

impl<R: Read> Documents<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, buffer: Vec::new() }
    }

    /// The next document's bytes; none at the end.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when the stream ends within one or a length is impossible.
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        let damaged = |what: &str| Error::new(Kind::Damaged, format!("the BSON stream {what}"));
        let mut length = [0; 4];
        match fill(&mut self.inner, &mut length)? {
            0 => return Ok(None),
            4 => {}
            _ => return Err(damaged("ends within a document")),
        }
        let size = usize::try_from(i32::from_le_bytes(length)).unwrap_or(0);
        if !(5..=LONGEST).contains(&size) {
            return Err(damaged("holds a document of impossible length"));
        }
        self.buffer.resize(size, 0);
        self.buffer[..4].copy_from_slice(&length);
        if fill(&mut self.inner, &mut self.buffer[4..])? != size - 4 {
            return Err(damaged("ends within a document"));
        }
        if !is_well_formed(&self.buffer) {
            return Err(damaged("holds a document that is none"));
        }
        Ok(Some(&self.buffer))
    }
}

fn fill(inner: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match inner.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::unreadable(e, "stored records cannot be read")),
        }
    }
    Ok(filled)
}

/// Counts and digests the documents of a stream.
///
/// # Errors
/// [`Kind::Damaged`] when it is malformed.
pub fn digest_records(body: &mut dyn Read) -> Result<StreamTotals> {
    let mut totals = StreamTotals::default();
    let mut documents = Documents::new(body);
    while let Some(document) = documents.next()? {
        totals.add(document);
    }
    Ok(totals)
}

/// Whether every length in a document leads to where something ends, down to the deepest level. What a server takes
/// besides (invalid UTF-8, duplicate keys) is none of our business.
fn is_well_formed(document: &[u8]) -> bool {
    walk(document).is_some()
}

/// One level a step, not one call: the depth is the author's choice.
fn walk(document: &[u8]) -> Option<()> {
    let mut at = 4;
    // Where each document that is open ends: the place of its last byte.
    let mut open = vec![document.len().checked_sub(1)?];
    while let Some(end) = open.last().copied() {
        if at == end {
            open.pop();
            at += 1;
            if document.get(end) != Some(&0) {
                return None;
            }
            continue;
        }
        let (kind, rest) = document.get(at..end)?.split_first()?;
        let key = rest.iter().position(|b| *b == 0)?;
        let value = &rest[key + 1..];
        let begins = at + key + 2;
        let size = value_size(*kind, value).filter(|size| *size <= value.len())?;
        match kind {
            0x03 | 0x04 if size < 5 || open.len() == DEEPEST => return None,
            0x03 | 0x04 => {
                open.push(begins + size - 1);
                at = begins + 4;
            }
            0x02 | 0x0D | 0x0E if size < 5 || value[size - 1] != 0 => return None,
            _ => at = begins + size,
        }
    }
    Some(())
}

/// The raw value of an element: its type byte and its bytes.
pub type RawValue<'a> = (u8, &'a [u8]);

/// Calls `each` with every top-level element of a document until it returns false. Invalid UTF-8, duplicate keys and
/// deep nesting do not matter: nothing below the top level is looked at.
///
/// # Errors
/// [`Kind::Damaged`] when the structure is broken.
pub fn elements<'a>(document: &'a [u8], mut each: impl FnMut(&'a [u8], RawValue<'a>) -> bool) -> Result<()> {
    let broken = || Error::new(Kind::Damaged, "a BSON document is malformed");
    let mut rest = document.get(4..document.len().saturating_sub(1)).ok_or_else(broken)?;
    while let Some((kind, after)) = rest.split_first() {
        let end = after.iter().position(|b| *b == 0).ok_or_else(broken)?;
        let (key, value) = (&after[..end], &after[end + 1..]);
        let size = value_size(*kind, value).filter(|size| *size <= value.len()).ok_or_else(broken)?;
        if !each(key, (*kind, &value[..size])) {
            return Ok(());
        }
        rest = &value[size..];
    }
    Ok(())
}

/// Bytes of a value, by its type (BSON specification 1.1).
fn value_size(kind: u8, value: &[u8]) -> Option<usize> {
    let int = || value.first_chunk().and_then(|four| usize::try_from(i32::from_le_bytes(*four)).ok());
    let c_string = |from: usize| value.get(from..)?.iter().position(|b| *b == 0).map(|end| from + end + 1);
    match kind {
        0x06 | 0x0A | 0x7F | 0xFF => Some(0),
        0x08 => Some(1),
        0x10 => Some(4),
        0x01 | 0x09 | 0x11 | 0x12 => Some(8),
        0x07 => Some(12),
        0x13 => Some(16),
        0x02 | 0x0D | 0x0E => int()?.checked_add(4),
        0x0C => int()?.checked_add(16),
        0x05 => int()?.checked_add(5),
        0x03 | 0x04 | 0x0F => int().filter(|size| *size >= 4),
        0x0B => c_string(c_string(0)?),
        _ => None,
    }
}

/// The type of a document's `_id`, for people; none where there is none.
pub fn id_type(document: &[u8]) -> Option<&'static str> {
    let mut found = None;
    let walked = elements(document, |key, (kind, _)| {
        if key == b"_id" {
            found = Some(kind);
        }
        found.is_none()
    });
    walked.ok()?;
    Some(match found? {
        0x02 => "a string",
        0x03 => "a document",
        0x05 => "binary",
        0x07 => "an ObjectId",
        0x01 | 0x10 | 0x12 | 0x13 => "a number",
        0x09 => "a date",
        _ => "of a rare type",
    })
}

/// Whether a document has a top-level `Timestamp(0, 0)`, which a server replaces on insert (all but in `_id`).
pub fn has_zero_timestamp(document: &[u8]) -> bool {
    let mut found = false;
    let walked = elements(document, |key, (kind, value)| {
        found = kind == 0x11 && value == [0; 8] && key != b"_id";
        !found
    });
    walked.is_ok() && found
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Timestamp, doc};

    #[test]
    fn documents_are_cut_at_their_borders() {
        let one = bson::serialize_to_vec(&doc! {"a": 1}).unwrap();
        let two = bson::serialize_to_vec(&doc! {"b": "x".repeat(100)}).unwrap();
        let both = [one.clone(), two.clone()].concat();
        let totals = digest_records(&mut &both[..]).unwrap();
        assert_eq!((totals.records, totals.bytes), (2, both.len() as u64));
        for cut in (1..both.len()).filter(|cut| *cut != one.len()) {
            assert!(digest_records(&mut &both[..cut]).is_err(), "{cut}");
        }
        for length in [0i32, 4, -1, i32::MAX] {
            assert!(digest_records(&mut &length.to_le_bytes()[..]).is_err());
        }
    }

    #[test]
    fn a_document_whose_lengths_lead_astray_is_none() {
        let inner = bson::serialize_to_vec(&doc! {"s": "x", "in": {"a": [1, "y"]}}).unwrap();
        let is_one = |document: &[u8]| digest_records(&mut &document[..]).is_ok();
        assert!(is_one(&inner));
        let string = |length: i32, bytes: &[u8]| {
            let body = [b"\x02s\0", length.to_le_bytes().as_slice(), bytes, b"\0"].concat();
            [i32::try_from(body.len() + 4).unwrap().to_le_bytes().as_slice(), &body].concat()
        };
        assert!(is_one(&string(2, b"x\0")));
        for (length, bytes) in
            [(0, &b"x\0"[..]), (-1, b"x\0"), (9, b"x\0"), (i32::MAX, b"x\0"), (2, b"xy"), (1, b"x\0")]
        {
            assert!(!is_one(&string(length, bytes)), "{length} {bytes:?}");
        }
    }

    #[test]
    fn documents_nest_as_deep_as_servers_take_and_no_deeper() {
        let nested = |levels: usize| (1..levels).fold(doc! {}, |inner, _| doc! {"a": inner});
        let bytes = |levels| bson::serialize_to_vec(&nested(levels)).unwrap();
        assert!(digest_records(&mut &bytes(250)[..]).is_ok());
        assert!(digest_records(&mut &bytes(257)[..]).is_err());
    }

    #[test]
    fn every_type_is_stepped_over() {
        let all = doc! {
            "d": 1.5, "s": "x", "o": {"a": 1}, "a": [1, 2], "b": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2] },
            "i": bson::oid::ObjectId::new(), "t": true, "dt": bson::DateTime::from_millis(5), "n": bson::Bson::Null,
            "r": bson::Regex { pattern: "a".try_into().unwrap(), options: "i".try_into().unwrap() },
            "i32": 1, "ts": Timestamp { time: 0, increment: 0 }, "i64": 1i64, "min": bson::Bson::MinKey, "last": 9,
        };
        let bytes = bson::serialize_to_vec(&all).unwrap();
        let mut keys = 0;
        elements(&bytes, |_, _| {
            keys += 1;
            true
        })
        .unwrap();
        assert_eq!(keys, 15);
        assert!(has_zero_timestamp(&bytes));
        let fine = doc! {"_id": Timestamp { time: 0, increment: 0 }, "in": {"ts": Timestamp { time: 0, increment: 0 }}};
        assert!(!has_zero_timestamp(&bson::serialize_to_vec(&fine).unwrap()));
    }
}
