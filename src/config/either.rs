//! Values with more than one form. Written by hand: serde's `untagged` would lose every error message.

use super::model::Plain;
use super::raw::{RawClass, RawPolicy, RawPolicyName};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// A word or a map.
pub(super) enum Either<A, B> {
    Word(A),
    Map(B),
}

impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> Deserialize<'de> for Either<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<A, B>(PhantomData<(A, B)>);
        impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> Visitor<'de> for V<A, B> {
            type Value = Either<A, B>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a map")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
                A::deserialize(word.into_deserializer()).map(Either::Word)
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
                B::deserialize(MapAccessDeserializer::new(map)).map(Either::Map)
            }
        }
        deserializer.deserialize_any(V(PhantomData))
    }
}

impl<A: JsonSchema, B: JsonSchema> JsonSchema for Either<A, B> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Or{}", A::schema_name(), B::schema_name()).into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (word, map) = (generator.subschema_for::<A>(), generator.subschema_for::<B>());
        json_schema!({ "anyOf": [word, map] })
    }
}

/// A text or a list of texts. Only its form matters here: `module_files` has read it from the tree.
pub(super) struct Patterns;

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for Patterns {
    fn schema_name() -> Cow<'static, str> {
        "Patterns".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

/// A text, or a list of texts.
pub(super) enum Texts {
    One(String),
    List(Vec<String>),
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts::One(text.to_owned()))
            }
            fn visit_seq<S: SeqAccess<'de>>(self, list: S) -> Result<Texts, S::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Texts::List)
            }
        }
        deserializer.deserialize_any(V)
    }
}

impl JsonSchema for Texts {
    fn schema_name() -> Cow<'static, str> {
        "Texts".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

/// A map, or a list of such.
pub(super) struct Several<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = Several<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map or a list of maps")
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|one| Several(vec![one]))
            }
            fn visit_seq<S: SeqAccess<'de>>(self, list: S) -> Result<Self::Value, S::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Several)
            }
        }
        deserializer.deserialize_any(V(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Several<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Several{}", T::schema_name()).into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// A text, a truth value or a whole number.
pub(super) struct RawPlain(pub Plain);

impl<'de> Deserialize<'de> for RawPlain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = RawPlain;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a truth value or a whole number")
            }
            fn visit_str<E>(self, text: &str) -> Result<RawPlain, E> {
                Ok(RawPlain(Plain::Text(text.to_owned())))
            }
            fn visit_bool<E>(self, on: bool) -> Result<RawPlain, E> {
                Ok(RawPlain(Plain::Bool(on)))
            }
            fn visit_i64<E>(self, number: i64) -> Result<RawPlain, E> {
                Ok(RawPlain(Plain::Int(number)))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<RawPlain, E> {
                i64::try_from(number).map(|number| RawPlain(Plain::Int(number))).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(V)
    }
}

impl JsonSchema for RawPlain {
    fn schema_name() -> Cow<'static, str> {
        "Plain".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "boolean" }, { "type": "integer", "format": "int64" }] })
    }
}

/// A number of bytes, as text or number.
pub(super) struct Size(pub String);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size")
            }
            fn visit_str<E>(self, text: &str) -> Result<Size, E> {
                Ok(Size(text.to_owned()))
            }
            fn visit_u64<E>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes.to_string()))
            }
            fn visit_i64<E>(self, bytes: i64) -> Result<Size, E> {
                Ok(Size(bytes.to_string()))
            }
        }
        deserializer.deserialize_any(V)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "integer", "minimum": 0 }] })
    }
}

impl Size {
    /// The number of bytes; `None` when it is no size or is zero.
    pub fn bytes(&self) -> Option<u64> {
        super::size::parse_size(&self.0)
    }
}

/// Classes by name, or a policy under the key `policy`.
#[derive(Default)]
pub(super) struct RawRetention {
    pub policy: Option<Either<RawPolicyName, RawPolicy>>,
    pub classes: BTreeMap<String, RawClass>,
}

impl<'de> Deserialize<'de> for RawRetention {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = RawRetention;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("classes or a policy")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RawRetention, M::Error> {
                let mut made = RawRetention::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key == "policy" {
                        made.policy = Some(map.next_value()?);
                    } else {
                        made.classes.insert(key, map.next_value()?);
                    }
                }
                Ok(made)
            }
        }
        deserializer.deserialize_map(V)
    }
}

impl JsonSchema for RawRetention {
    fn schema_name() -> Cow<'static, str> {
        "Retention".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let policy = generator.subschema_for::<Either<RawPolicyName, RawPolicy>>();
        let class = generator.subschema_for::<RawClass>();
        json_schema!({ "type": "object", "properties": { "policy": policy }, "additionalProperties": class })
    }
}
