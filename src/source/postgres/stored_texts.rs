//! Texts that a column of stored rows holds. They are what the server's JSON of the live column would be: here there is no
//! server to ask, so that types are understood by their names, and what is not known is refused.

use super::copy::value;
use super::restore::{read_schema, relation_of};
use super::scope;
use crate::error::{Error, Kind, Result};
use crate::source::texts::{no_column, of_json};
use crate::source::{EachText, Input, StoredCollection};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

/// See [`crate::source::stored_texts`].
pub fn stored_texts(stored: &StoredCollection, input: &dyn Input, field: &str, each: &mut EachText<'_>) -> Result<()> {
    let schemas = |input: &dyn Input| read_schema(input, &stored.directory).map(Arc::new);
    let path: Vec<&str> = field.split('.').collect();
    let schema = schemas(input)?;
    let relation = relation_of(&schema, &stored.name)?;
    let at = relation.columns.iter().position(|column| column.name == path[0]);
    let at = at.ok_or_else(|| no_column(&stored.name, path[0]))?;
    let type_name = &relation.columns[at].type_name;
    let unknown = || {
        let what = format!("column {} of table {} is of type {type_name}", path[0], stored.name);
        Error::new(Kind::Refused, format!("{what}: which files it names cannot be told without a server"))
            .hint("take the files from a backup of the tenant's own")
    };
    let column = Type::of(type_name).ok_or_else(unknown)?;
    let mut rows = BufReader::with_capacity(1 << 20, scope::open(stored, input, &schemas)?);
    let mut row = Vec::new();
    let unreadable = |e| Error::unreadable(e, format!("the stored rows of {} cannot be read", stored.name));
    loop {
        row.clear();
        if rows.read_until(b'\n', &mut row).map_err(unreadable)? == 0 {
            return Ok(());
        }
        let Some(text) = value(&row, at) else { continue };
        let odd =
            || Error::new(Kind::Damaged, format!("a stored value of {}.{} is no {type_name}", stored.name, path[0]));
        let text = String::from_utf8(text).map_err(|_| odd())?;
        of_json(&column.value(text).ok_or_else(odd)?, &path[1..], each)?;
    }
}

/// What a column holds, as far as it matters here.
#[derive(Debug, Clone, Copy)]
enum Scalar {
    Text,
    Json,
    /// Numbers and the like, which name nothing.
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Type {
    scalar: Scalar,
    is_array: bool,
}

impl Type {
    /// By its name, as DDL writes it; none where it is not known.
    fn of(name: &str) -> Option<Self> {
        let (name, is_array) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
        let scalar = match name.split('(').next()? {
            "text" | "character varying" | "character" | "bpchar" | "name" | "uuid" => Scalar::Text,
            name if name.rsplit('.').next() == Some("citext") => Scalar::Text,
            "json" | "jsonb" => Scalar::Json,
            "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" | "boolean" => Scalar::Other,
            _ => return None,
        };
        Some(Self { scalar, is_array })
    }

    fn value(self, text: String) -> Option<Value> {
        if !self.is_array {
            return self.scalar.value(text);
        }
        // `[2:3]={a,b}`: subscripts that do not begin with 1.
        let text = if text.starts_with('[') { text.split_once('=')?.1 } else { &text };
        let mut rest = text.chars().peekable();
        let array = self.array(&mut rest)?;
        rest.next().is_none().then_some(array)
    }

    /// The array that begins here (<https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>).
    fn array(self, rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Value> {
        let mut items = Vec::new();
        rest.next_if_eq(&'{')?;
        if rest.next_if_eq(&'}').is_some() {
            return Some(Value::Array(items));
        }
        loop {
            items.push(match rest.peek()? {
                '{' => self.array(rest)?,
                '"' => self.scalar.value(quoted(rest)?)?,
                _ => {
                    let mut bare = String::new();
                    while let Some(c) = rest.next_if(|c| !matches!(c, ',' | '}')) {
                        bare.push(c);
                    }
                    if bare == "NULL" { Value::Null } else { self.scalar.value(bare)? }
                }
            });
            match rest.next()? {
                ',' => {}
                '}' => return Some(Value::Array(items)),
                _ => return None,
            }
        }
    }
}

impl Scalar {
    fn value(self, text: String) -> Option<Value> {
        match self {
            Self::Text => Some(Value::String(text)),
            Self::Json => serde_json::from_str(&text).ok(),
            Self::Other => Some(Value::Bool(true)),
        }
    }
}

fn quoted(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut text = String::new();
    rest.next_if_eq(&'"')?;
    loop {
        match rest.next()? {
            '"' => return Some(text),
            '\\' => text.push(rest.next()?),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stored_values_are_what_the_servers_json_of_them_would_be() {
        let of = |type_name: &str, text: &str| Type::of(type_name).unwrap().value(text.into());
        assert_eq!(of("text", "{a,b}"), Some(json!("{a,b}")));
        assert_eq!(
            of("character varying(20)[]", "{a,\"b,\\\"c\\\\\",NULL,\"NULL\",{}}"),
            Some(json!(["a", "b,\"c\\", null, "NULL", []]))
        );
        assert_eq!(of("text[]", "[0:1]={{a,b},{c,d}}"), Some(json!([["a", "b"], ["c", "d"]])));
        assert_eq!(of("text[]", "{}"), Some(json!([])));
        assert_eq!(of("jsonb[]", r#"{"{\"f\": \"a\"}",7}"#), Some(json!([{"f": "a"}, 7])));
        assert_eq!(of("jsonb", "[\"a\"]"), Some(json!(["a"])));
        assert_eq!(of("public.citext", "A"), Some(json!("A")));
        assert_eq!(of("integer", "7"), Some(json!(true)));
        for (type_name, wrong) in
            [("text[]", "a"), ("text[]", "{a"), ("text[]", "{\"a}"), ("text[]", "{a}b"), ("json", "{")]
        {
            assert_eq!(of(type_name, wrong), None, "{wrong}");
        }
        for unknown in ["public.address", "point", "hstore", "text[]x"] {
            assert!(Type::of(unknown).is_none(), "{unknown}");
        }
    }
}
