//! Tenants that are records of a collection. What is common to engines whose records are rows: what lies deeper than a
//! column is in its JSON.

use crate::config::{Discovery, IdType, Plain};
use serde_json::Value;

/// A tenant, as a record of a source has it. Null stands for what is not there, or was not asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTenant {
    /// Its id, as text.
    pub id: String,
    /// The type of that; none where it is one that no tenant's id has, whose name `id` is then.
    pub id_type: Option<IdType>,
    /// What its modules field holds.
    pub modules: Value,
    /// What its features field holds.
    pub features: Value,
}

/// What is asked of each row: id, modules, features (the id again where they are not asked for), and what rows are
/// chosen by. A column, and the way into its JSON.
pub(super) fn paths(discovery: &Discovery) -> Vec<Vec<&str>> {
    let optional = [&discovery.modules, &discovery.features].map(|path| path.as_ref().unwrap_or(&discovery.id));
    let all = std::iter::once(&discovery.id).chain(optional).chain(discovery.filter.keys());
    all.map(|path| path.split('.').collect()).collect()
}

/// The tenant of a row whose [`paths`] lead to `values`; none where the row is not chosen. An id that is a text is of
/// type `text`.
pub(super) fn named(values: &[Value], text: IdType, discovery: &Discovery) -> Option<NamedTenant> {
    let mut wanted = values.iter().skip(3).zip(discovery.filter.values());
    if !wanted.all(|(value, wanted)| is(value, wanted)) {
        return None;
    }
    let (id, id_type) = match values.first() {
        Some(Value::String(id)) => (id.clone(), Some(text)),
        Some(Value::Number(number)) if number.is_i64() => (number.to_string(), Some(IdType::Int)),
        Some(Value::Null) | None => ("nothing".into(), None),
        Some(_) => ("neither text nor a whole number".into(), None),
    };
    let asked = |path: &Option<String>, at: usize| {
        path.as_ref().and_then(|_| values.get(at)).map_or(Value::Null, |value| json(value.clone()))
    };
    Some(NamedTenant { id, id_type, modules: asked(&discovery.modules, 1), features: asked(&discovery.features, 2) })
}

/// What a path leads to in a column's value; null where it leads nowhere.
pub(super) fn reached(column: Value, path: &[&str]) -> Value {
    match path {
        [] | [_] => column,
        [_, below @ ..] => {
            below.iter().try_fold(&json(column), |value, name| value.get(name)).cloned().unwrap_or_default()
        }
    }
}

/// What a text stands for where it is JSON.
fn json(value: Value) -> Value {
    match &value {
        Value::String(text) if text.trim_start().starts_with(['[', '{']) => serde_json::from_str(text).unwrap_or(value),
        _ => value,
    }
}

fn is(value: &Value, wanted: &Plain) -> bool {
    match wanted {
        Plain::Text(text) => value == text,
        Plain::Int(number) => value.as_i64() == Some(*number),
        // SQLite has no truth values of its own.
        Plain::Bool(on) => value.as_bool() == Some(*on) || value.as_i64() == Some(i64::from(*on)),
    }
}
