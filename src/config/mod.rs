//! The configuration: loading, validation, secrets, schema. Knows no engine and opens no connection.

mod model;

pub use model::*;
