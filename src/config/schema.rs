//! The JSON Schema of the configuration, for editors and for [`super::check`].

use super::raw::{RawConfig, RawModuleFile};
use schemars::JsonSchema;
use serde_json::Value;

/// The JSON Schema of `backup.yaml`.
pub fn schema() -> Value {
    titled::<RawConfig>("backup.yaml")
}

/// The JSON Schema of a file that `modulesFrom` names.
pub fn module_file_schema() -> Value {
    titled::<RawModuleFile>("a module file of backup.yaml")
}

fn titled<T: JsonSchema>(title: &str) -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    without_null(&mut schema);
    if let Some(top) = schema.as_object_mut() {
        top.insert("title".into(), title.into());
    }
    schema
}

/// A key that is there has a value: takes the `null` out that schemars gives every optional field.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(words)) = map.get_mut("enum") {
                words.retain(|word| !word.is_null());
            }
            if let Some(Value::Array(branches)) = map.get_mut("anyOf") {
                branches.retain(|branch| branch["type"] != "null");
                if let [Value::Object(only)] = branches.as_slice() {
                    let only = only.clone();
                    map.remove("anyOf");
                    for (key, value) in only {
                        map.entry(key).or_insert(value);
                    }
                }
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}
