//! Checks the tree against the schema, collects every mistake and takes the wrong parts out, so that what is left can
//! be read and checked further.

use super::node::{Entry, Node, Value, join};
use super::problems::{Problems, suggestion};
use serde_json::Value as Json;

/// Checks `root` against `schema`.
pub(super) fn check(root: &mut Node, schema: &Json, problems: &mut Problems) {
    Walker { schema, problems }.node(root, schema, "");
}

struct Walker<'a> {
    schema: &'a Json,
    problems: &'a mut Problems,
}

impl<'a> Walker<'a> {
    /// Whether `node` may stay. `path` is for people.
    fn node(&mut self, node: &mut Node, schema: &'a Json, path: &str) -> bool {
        let branches = self.branches(schema);
        let from_text = branches.iter().find_map(|branch| retyped(node, branch));
        if let Some(value) = from_text {
            node.value = value;
        }
        let Some(branch) = branches.iter().find(|branch| fits(node, branch)).copied() else {
            let wanted: Vec<String> = branches.iter().map(|branch| describe(branch)).collect();
            let found = match &node.value {
                Value::Null => "nothing; give it a value or remove the key",
                Value::Bool(_) => "true or false",
                Value::Number(_) => "a number",
                Value::Text(_) => "text",
                Value::List(_) => "a list",
                Value::Map(_) => "a map",
            };
            let quote = matches!(node.value, Value::Bool(_) | Value::Number(_))
                && branches.iter().any(|branch| branch["type"] == "string");
            let quote = if quote { "; put it in quotes" } else { "" };
            self.problems.add(node.at, path, format!("must be {}, but is {found}{quote}", wanted.join(" or ")));
            return false;
        };
        let words = branch["enum"].as_array().cloned().unwrap_or_default();
        let shown = !node.substituted;
        let at = node.at;
        match &mut node.value {
            Value::Text(word) if !words.is_empty() && !words.contains(&Json::String(word.clone())) => {
                let known: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
                let message = if shown {
                    let near = suggestion(word, known.iter().copied());
                    format!("'{}' is none of {}{near}", word.escape_debug(), known.join(", "))
                } else {
                    format!("the value of the variable is none of {}", known.join(", "))
                };
                self.problems.add(at, path, message);
                false
            }
            Value::Number(number) => {
                let low = branch["minimum"].as_f64().is_some_and(|least| number.as_f64() < Some(least));
                let high = branch["maximum"].as_f64().is_some_and(|most| number.as_f64() > Some(most));
                let wide = branch["format"] == "uint32" && number.as_u64().is_none_or(|n| n > u64::from(u32::MAX))
                    || branch["format"] == "uint64" && number.as_u64().is_none()
                    || branch["format"] == "int64" && number.as_i64().is_none();
                if low || high || wide {
                    self.problems.add(at, path, format!("{number} is out of range"));
                }
                !(low || high || wide)
            }
            Value::List(items) => {
                items.retain_mut(|(index, item)| self.node(item, &branch["items"], &format!("{path}[{index}]")));
                true
            }
            Value::Map(entries) => {
                for required in branch["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
                    if !entries.iter().any(|entry| entry.key == required) {
                        self.problems.add(at, path, format!("the key `{required}` is missing"));
                    }
                }
                entries.retain_mut(|entry| self.entry(entry, branch, path));
                true
            }
            _ => true,
        }
    }

    fn entry(&mut self, entry: &mut Entry, schema: &'a Json, path: &str) -> bool {
        let here = join(path, &entry.key);
        if let Some(property) = schema["properties"].get(&entry.key) {
            return self.node(&mut entry.node, property, &here);
        }
        if schema["additionalProperties"].is_object() {
            return self.node(&mut entry.node, &schema["additionalProperties"], &here);
        }
        let keys = schema["properties"].as_object();
        let near = suggestion(&entry.key, keys.into_iter().flat_map(|keys| keys.keys().map(String::as_str)));
        self.problems.add(entry.key_at, &here, format!("unknown key{near}"));
        false
    }

    /// The forms a value may have: references followed, alternatives laid out.
    fn branches(&self, schema: &'a Json) -> Vec<&'a Json> {
        if let Some(name) = schema["$ref"].as_str() {
            let target = name.strip_prefix('#').and_then(|pointer| self.schema.pointer(pointer));
            return target.map(|target| self.branches(target)).unwrap_or_default();
        }
        match schema["anyOf"].as_array() {
            Some(branches) => branches.iter().flat_map(|branch| self.branches(branch)).collect(),
            None => vec![schema],
        }
    }
}

fn fits(node: &Node, schema: &Json) -> bool {
    let kind = schema["type"].as_str().unwrap_or_default();
    match &node.value {
        Value::Null => false,
        Value::Bool(_) => kind == "boolean",
        Value::Number(number) => kind == "integer" && !number.is_f64(),
        Value::Text(_) => kind == "string",
        Value::List(_) => kind == "array",
        Value::Map(_) => kind == "object",
    }
}

/// A variable's text as the number or truth value that is wanted in its place.
fn retyped(node: &Node, schema: &Json) -> Option<Value> {
    match (&node.value, schema["type"].as_str()) {
        (Value::Text(text), Some("integer")) if node.substituted => {
            text.parse::<i64>().ok().map(|n| Value::Number(n.into()))
        }
        (Value::Text(text), Some("boolean")) if node.substituted => text.parse().ok().map(Value::Bool),
        _ => None,
    }
}

fn describe(schema: &Json) -> String {
    match schema["type"].as_str() {
        Some("string") if schema["enum"].is_array() => {
            let words = schema["enum"].as_array().into_iter().flatten().filter_map(Json::as_str);
            format!("one of {}", words.collect::<Vec<_>>().join(", "))
        }
        Some("string") => "text".into(),
        Some("integer") => "a whole number".into(),
        Some("boolean") => "true or false".into(),
        Some("array") => "a list".into(),
        _ => "a map".into(),
    }
}
