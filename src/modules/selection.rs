//! stub
use super::{ListedModule, Request, Selection};
use crate::config::Config;
use crate::error::Result;
use crate::names::TenantId;

/// Resolves a request.
///
/// # Errors
/// [`crate::error::Kind::NotFound`] for an unknown tenant or module (with close names as hint),
/// [`crate::error::Kind::Config`] when a module asked for by name is excluded or a rule is missing.
pub fn select(config: &Config, request: &Request) -> Result<Selection> {
    let _ = (config, request);
    unimplemented!()
}

/// Every module with its state for the installation or a tenant, by priority and then name.
///
/// # Errors
/// [`crate::error::Kind::NotFound`] for an unknown tenant.
pub fn list(config: &Config, tenant: Option<&TenantId>) -> Result<Vec<ListedModule>> {
    let _ = (config, tenant);
    unimplemented!()
}
