//! The configuration: loading, validation, secrets, schema. Knows no engine and opens no connection.

mod model;

pub use model::*;

use crate::error::Result;
use std::path::{Path, PathBuf};

/// stub
#[derive(Debug, Clone)]
pub struct Environment;

impl Environment {
    /// stub
    pub fn process() -> Self {
        Self
    }
}

/// stub
pub const SAMPLE: &str = "installation: example\n";

/// stub
#[allow(clippy::missing_errors_doc)]
pub fn find(explicit: Option<&Path>, env: &Environment) -> Result<PathBuf> {
    let _ = (explicit, env);
    unimplemented!()
}

/// stub
#[allow(clippy::missing_errors_doc)]
pub fn load(file: &Path, env: &Environment) -> Result<Config> {
    let _ = (file, env);
    unimplemented!()
}

/// stub
pub fn schema() -> serde_json::Value {
    unimplemented!()
}

/// stub
pub fn show(config: &Config) -> serde_json::Value {
    let _ = config;
    unimplemented!()
}

/// stub
pub fn show_yaml(config: &Config) -> String {
    let _ = config;
    unimplemented!()
}
