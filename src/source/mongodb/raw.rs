//! Commands built as bytes, so that stored values pass through them as they are (BSON specification 1.1).

use super::key::{Id, Key, id_of, key_of};
use super::records::RawValue;
use crate::error::{Error, Kind, Result};
use bson::{Bson, Document, RawDocumentBuf, doc};

/// An embedded document.
pub const DOCUMENT: u8 = 0x03;

/// An array.
pub const ARRAY: u8 = 0x04;

/// The filter that every document passes.
pub const EVERYTHING: &[u8] = &[5, 0, 0, 0, 0];

/// A document that grows element by element.
#[derive(Debug, Default)]
pub struct Builder {
    body: Vec<u8>,
    elements: usize,
}

impl Builder {
    /// Begins with the elements of `head`.
    ///
    /// # Errors
    /// [`Kind::Internal`] when `head` cannot be written.
    pub fn of(head: &Document) -> Result<Self> {
        let bytes = bson::serialize_to_vec(head).map_err(|e| odd(&e))?;
        Ok(Self { body: bytes[4..bytes.len() - 1].to_vec(), elements: head.len() })
    }

    /// Adds a value under `key`.
    pub fn put(&mut self, key: &str, kind: u8, value: &[u8]) {
        self.body.push(kind);
        self.body.extend_from_slice(key.as_bytes());
        self.body.push(0);
        self.body.extend_from_slice(value);
        self.elements += 1;
    }

    /// Adds an element to what is an array.
    pub fn push(&mut self, kind: u8, value: &[u8]) {
        self.put(&self.elements.to_string(), kind, value);
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.elements
    }

    /// Bytes so far.
    pub fn size(&self) -> usize {
        self.body.len()
    }

    /// Its bytes as BSON.
    ///
    /// # Errors
    /// [`Kind::Internal`] when it is longer than BSON can say.
    pub fn finish(&self) -> Result<Vec<u8>> {
        let length = i32::try_from(self.body.len() + 5).map_err(|e| odd(&e))?;
        Ok([&length.to_le_bytes()[..], &self.body, &[0]].concat())
    }

    /// As a command.
    ///
    /// # Errors
    /// As [`Builder::finish`].
    pub fn command(&self) -> Result<RawDocumentBuf> {
        RawDocumentBuf::from_bytes(self.finish()?).map_err(|e| odd(&e))
    }
}

/// The document `{key: value}`.
///
/// # Errors
/// As [`Builder::finish`].
pub fn single(key: &str, kind: u8, value: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::default();
    builder.put(key, kind, value);
    builder.finish()
}

/// The filter `{path: {$in: values}}`.
///
/// # Errors
/// As [`Builder::finish`].
pub fn among<'v>(path: &str, values: impl IntoIterator<Item = RawValue<'v>>) -> Result<Vec<u8>> {
    let mut list = Builder::default();
    values.into_iter().for_each(|(kind, value)| list.push(kind, value));
    single(path, DOCUMENT, &single("$in", ARRAY, &list.finish()?)?)
}

/// A decoded value as it is stored.
///
/// # Errors
/// [`Kind::Internal`] when it cannot be written.
pub fn value(value: &Bson) -> Result<Id> {
    let document = bson::serialize_to_vec(&doc! {"_id": value.clone()}).map_err(|e| odd(&e))?;
    id_of(&document)?.ok_or_else(|| odd(&"a value that is none"))
}

/// The key that a decoded value is.
pub fn key(decoded: &Bson) -> Option<Key> {
    let (kind, raw) = value(decoded).ok()?;
    key_of((kind, &raw))
}

/// An `_id` for people; a long one is cut.
pub fn show((kind, id): &Id) -> String {
    const LONGEST: usize = 60;
    let document =
        single("_id", *kind, id).ok().and_then(|bytes| bson::deserialize_from_slice::<Document>(&bytes).ok());
    let text = document.and_then(|document| document.get("_id").map(ToString::to_string));
    let text = text.unwrap_or_else(|| "that cannot be shown".into());
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn odd(e: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Internal, "a command cannot be built").cause(e)
}
