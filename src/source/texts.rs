//! Texts that a field holds. What is common to engines whose records are rows: what lies deeper than a column is in its
//! JSON.

use super::EachText;
use crate::error::{Error, Kind, Result};
use serde_json::Value;

/// Calls `each` with the texts that `path` leads to in a value; what is there and is no text is none.
pub(super) fn of_json(value: &Value, path: &[&str], each: &mut EachText<'_>) -> Result<()> {
    match (value, path) {
        (Value::Null, _) => Ok(()),
        (Value::Array(items), _) => items.iter().try_for_each(|item| of_json(item, path, each)),
        (Value::String(text), _) => of_text(text.as_bytes(), path, each),
        (Value::Object(fields), [first, rest @ ..]) => {
            fields.get(*first).map_or(Ok(()), |value| of_json(value, rest, each))
        }
        _ => each(None),
    }
}

/// As [`of_json`], of a text, which may be JSON itself.
pub(super) fn of_text(text: &[u8], path: &[&str], each: &mut EachText<'_>) -> Result<()> {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    let json =
        first.filter(|byte| matches!(byte, b'[' | b'{')).and_then(|_| serde_json::from_slice::<Value>(text).ok());
    match json {
        Some(value) => of_json(&value, path, each),
        None => each(path.is_empty().then_some(text)),
    }
}

/// That a table lacks the column that was to be read.
pub(super) fn no_column(table: &str, column: &str) -> Error {
    Error::new(Kind::Config, format!("table {table} has no column `{column}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(value: &Value, path: &[&str]) -> Vec<Option<String>> {
        let mut found = Vec::new();
        let mut each = |text: Option<&[u8]>| {
            found.push(text.map(|text| String::from_utf8(text.to_vec()).unwrap()));
            Ok(())
        };
        of_json(value, path, &mut each).unwrap();
        found
    }

    #[test]
    fn texts_are_found_in_lists_objects_and_json_within_texts() {
        let some = |texts: &[&str]| -> Vec<Option<String>> { texts.iter().map(|t| Some((*t).to_owned())).collect() };
        assert_eq!(found(&json!("a.pdf"), &[]), some(&["a.pdf"]));
        assert_eq!(found(&json!(["a", ["b"], null]), &[]), some(&["a", "b"]));
        assert_eq!(found(&json!([{"f": "a"}, {"f": ["b"]}, {"g": "c"}]), &["f"]), some(&["a", "b"]));
        assert_eq!(found(&json!("[{\"f\": \"a\"}]"), &["f"]), some(&["a"]));
        assert_eq!(found(&json!("[draft] a.pdf"), &[]), some(&["[draft] a.pdf"]));
        assert_eq!(found(&json!([7, true, {"f": 1}]), &[]), [None, None, None]);
        assert_eq!(found(&json!("a"), &["f"]), [None]);
    }
}
