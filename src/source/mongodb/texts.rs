//! Texts that a field of a document holds, as raw bytes.

use super::raw::{ARRAY, DOCUMENT};
use super::records::{RawValue, elements};
use crate::error::Result;
use crate::source::EachText;

const TEXT: u8 = 0x02;

/// Calls `each` with the texts that `path` leads to, through lists too; what is there and is no text is none.
pub fn of_document(document: &[u8], path: &[&[u8]], each: &mut EachText<'_>) -> Result<()> {
    let Some((first, rest)) = path.split_first() else { return each(None) };
    let mut outcome = Ok(());
    elements(document, |key, value| {
        if key == *first {
            outcome = of_value(value, rest, each);
        }
        outcome.is_ok()
    })?;
    outcome
}

fn of_value((kind, raw): RawValue<'_>, path: &[&[u8]], each: &mut EachText<'_>) -> Result<()> {
    match kind {
        // Undefined and null.
        0x06 | 0x0A => Ok(()),
        ARRAY => {
            let mut outcome = Ok(());
            elements(raw, |_, item| {
                outcome = of_value(item, path, each);
                outcome.is_ok()
            })?;
            outcome
        }
        DOCUMENT => of_document(raw, path, each),
        // Its length, the text, and a zero.
        TEXT if path.is_empty() => each(raw.get(4..raw.len().saturating_sub(1))),
        _ => each(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn texts_are_found_in_lists_and_sub_documents() {
        let document = doc! {
            "f": "a", "l": ["b", ["c"], bson::Bson::Null, 7], "o": [{"f": "d"}, {"g": "x"}, {"f": ["e"]}], "n": 1, "s": {"f": "g"},
        };
        let raw = bson::serialize_to_vec(&document).unwrap();
        let found = |path: &str| {
            let mut found = Vec::new();
            let path: Vec<_> = path.split('.').map(str::as_bytes).collect();
            let mut each = |text: Option<&[u8]>| {
                found.push(text.map_or_else(|| "-".into(), |text| String::from_utf8(text.to_vec()).unwrap()));
                Ok(())
            };
            of_document(&raw, &path, &mut each).unwrap();
            found.join(" ")
        };
        let all = ["f", "l", "o.f", "n", "s.f", "o", "f.g", "none", "s.none"].map(found);
        assert_eq!(all, ["a", "b c -", "d e", "-", "g", "- - -", "-", "", ""]);
    }
}
