//! Commands built as bytes, so that stored values pass through them as they are (BSON specification 1.1).

use crate::error::{Error, Kind, Result};
use bson::{Document, RawDocumentBuf};

/// An embedded document.
pub const DOCUMENT: u8 = 0x03;

/// An array.
pub const ARRAY: u8 = 0x04;

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

fn odd(e: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Internal, "a command cannot be built").cause(e)
}
