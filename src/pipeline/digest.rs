//! A digest of a set of records that does not depend on their order, because a parallel restore changes the order.

use std::fmt;
use xxhash_rust::xxh3::xxh3_128;

/// The sum, modulo 2^128, of the XXH3-128 hash (seed 0) of every record. It finds accidental change, loss and
/// duplication; deliberate forgery is the business of the archive's SHA-256 and a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct RecordDigest(u128);

const PREFIX: &str = "xxh3-128-sum:";

impl RecordDigest {
    /// Adds one record.
    pub fn add(&mut self, record: &[u8]) {
        self.0 = self.0.wrapping_add(xxh3_128(record));
    }

    /// Adds all records of another digest.
    pub fn merge(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }

    /// Reads the form that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix(PREFIX)?;
        (hex.len() == 32).then(|| u128::from_str_radix(hex, 16).ok().map(Self))?
    }
}

impl fmt::Display for RecordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:032x}", self.0)
    }
}

impl serde::Serialize for RecordDigest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for RecordDigest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("'{text}' is no record digest")))
    }
}
