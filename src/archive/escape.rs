//! Names of databases and collections as file names: reversible, and the same names mongodump gives, so that
//! mongorestore takes an extracted folder. The index holds the true name.
//!
//! Every byte but letters, digits, `.`, `_` and `-` becomes `%XX`; so does a leading `.` or `-`. A name that would be
//! longer than 238 bytes is cut to 208 bytes followed by `%24` and the URL-safe base64 of its SHA-1 in mongodump;
//! we follow the cut and take the first 20 bytes of its SHA-256, which is 27 characters as well. mongorestore reads
//! the true name of such a collection from its metadata. A part's mark, `%part-`, is no valid escape, so it never
//! meets an escaped name.

use crate::source::EntryName;
use sha2::{Digest, Sha256};
use std::fmt::Write;

const LONGEST: usize = 238;
const KEPT: usize = 208;

fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || byte == b'_' || (at > 0 && matches!(byte, b'.' | b'-'));
        if plain {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    if out.len() <= LONGEST {
        return out;
    }
    out.truncate(KEPT);
    out + "%24" + &base64_url(&Sha256::digest(name.as_bytes())[..20])
}

fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let value = chunk.iter().fold(0u32, |v, b| v << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(value >> (18 - 6 * digit) & 63) as usize]));
        }
    }
    out
}

/// Path of the entry that holds `name` whole.
pub fn entry_path(name: &EntryName) -> String {
    format!("{}/{}{}", folder(&name.directory), escape(&name.stem), name.suffix)
}

/// A folder, or one within another: no database's name holds a slash. Input is not trusted to be one of these.
fn folder(directory: &str) -> String {
    let parts: Vec<&str> = directory.split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return escape(directory);
    }
    parts.into_iter().map(escape).collect::<Vec<_>>().join("/")
}

/// Path of part `number` (from 1) of `name`.
pub fn part_path(name: &EntryName, number: u32) -> String {
    format!("{}/{}%part-{number:05}{}", folder(&name.directory), escape(&name.stem), name.suffix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_names_stay_and_others_are_escaped() {
        for (name, path) in [
            ("users", "users"),
            ("system.buckets.temps", "system.buckets.temps"),
            ("..", "%2E."),
            ("-rf", "%2Drf"),
            ("a/b\nc", "a%2Fb%0Ac"),
            ("50%", "50%25"),
            ("é", "%C3%A9"),
        ] {
            assert_eq!(escape(name), path);
        }
        assert_eq!(part_path(&EntryName::new("db", "a b", ".bson"), 7), "db/a%20b%part-00007.bson");
    }

    #[test]
    fn the_longest_name_still_fits_a_file_name() {
        let long = "é".repeat(120);
        let path = part_path(&EntryName::new("d", &long, ".bson"), 1);
        assert!(path.len() - 2 <= 255);
        assert_ne!(escape(&long), escape(&"é".repeat(121)));
    }

    fn unescape(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut bytes = text.bytes();
        while let Some(b) = bytes.next() {
            if b == b'%' {
                let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            } else {
                out.push(b);
            }
        }
        out
    }

    proptest! {
        #[test]
        fn escaping_is_reversible_and_stays_in_its_folder(name in "\\PC{1,18}") {
            let path = escape(&name);
            prop_assert_eq!(unescape(&path), name.as_bytes());
            prop_assert!(!path.contains('/') && path != "." && path != "..");
        }
    }
}
