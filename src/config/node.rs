//! The YAML file as a tree that remembers where everything stands, so that each mistake can be shown at its place.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// A place in a file, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Place {
    /// Number of the file in the order of reading; the main file is 0.
    pub file: usize,
    pub line: u64,
    pub column: u64,
}

impl From<serde_saphyr::Location> for Place {
    fn from(location: serde_saphyr::Location) -> Self {
        Self { file: 0, line: location.line(), column: location.column() }
    }
}

/// A value and its place.
#[derive(Clone)]
pub(super) struct Node {
    pub at: Place,
    pub value: Value,
    /// The text came out of a variable: it may be a secret and is never shown.
    pub substituted: bool,
}

/// What a node holds.
#[derive(Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    /// Items with their position in the file: items found wrong are taken out.
    List(Vec<(usize, Node)>),
    Map(Vec<Entry>),
}

/// One key of a map.
#[derive(Clone)]
pub(super) struct Entry {
    pub key: String,
    pub key_at: Place,
    pub node: Node,
}

/// A path of keys and positions from the root of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct At(Vec<Step>);

#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Index(usize),
}

impl At {
    pub fn root(key: &str) -> Self {
        Self::default().key(key)
    }

    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

/// `path` with `key` behind it.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl Node {
    /// The node that `at` leads to, or the nearest one above it, with its path as written for people.
    pub fn locate(&self, at: &At) -> (&Node, String) {
        let (mut node, mut path) = (self, String::new());
        for step in &at.0 {
            let next = match (step, &node.value) {
                (Step::Key(key), Value::Map(entries)) => {
                    path = join(&path, key);
                    entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.node)
                }
                (Step::Index(index), Value::List(items)) => items.get(*index).map(|(written, item)| {
                    path.push_str(&format!("[{written}]"));
                    item
                }),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        (node, path)
    }

    fn set_file(&mut self, number: usize) {
        self.at.file = number;
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|(_, item)| item.set_file(number)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.key_at.file = number;
                    entry.node.set_file(number);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }

    /// The same content without places.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(value) => Json::Number(value.clone()),
            Value::Text(value) => Json::String(value.clone()),
            Value::List(items) => items.iter().map(|(_, item)| item.to_json()).collect(),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect())
            }
        }
    }
}

/// Reads YAML, the text of file `number`. The error is a message without any text of the file beyond keys, and a place.
pub(super) fn parse(text: &str, number: usize) -> Result<Node, (Place, String)> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    match serde_saphyr::from_str_with_options::<Node>(text, options) {
        Ok(mut node) => {
            node.set_file(number);
            Ok(node)
        }
        Err(error) => {
            let place = error.location().map(Place::from).unwrap_or_default();
            Err((Place { file: number, ..place }, error.without_snippet().to_string()))
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { at: spanned.referenced.into(), value: spanned.value, substituted: false })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push((items.len(), item));
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let key_at = key.referenced.into();
            let key = key.value;
            if entries.iter().any(|entry| entry.key == key) {
                return Err(A::Error::custom(format!("duplicate key '{key}'")));
            }
            entries.push(Entry { key, key_at, node: map.next_value()? });
        }
        Ok(Value::Map(entries))
    }
}
