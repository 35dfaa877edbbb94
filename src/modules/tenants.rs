//! Which tenants exist, and whether an id can be one inside the records.

use super::close_names;
use crate::config::{Config, IdType, Tenant};
use crate::error::{Error, Kind, Result};
use crate::names::TenantId;

/// The settings of `tenant`. An installation that lists no tenants at all is an open world: any id is accepted, with
/// the installation's own modules and licence. As soon as one tenant is listed, the others are unknown. Where tenants are
/// discovered and that has not been done, the world is open too: a restore must not need the database that was lost.
///
/// # Errors
/// [`Kind::NotFound`] for a tenant that is not listed while others are, [`Kind::Config`] when the id does not fit
/// `tenancy.idType`: a filter of the wrong type would match nothing and look like a tenant without data.
pub(super) fn find(config: &Config, tenant: &TenantId) -> Result<Tenant> {
    let tenants = &config.tenancy.tenants;
    let settings = match tenants.get(tenant) {
        Some(settings) => settings.clone(),
        None if config.tenancy.is_open() => Tenant::default(),
        None => return Err(unknown(config, tenant)),
    };
    check_type(tenant, config.tenancy.id_type)?;
    Ok(settings)
}

/// Makes sure that `tenant` can be one.
///
/// # Errors
/// As [`find`].
pub fn require(config: &Config, tenant: &TenantId) -> Result<()> {
    find(config, tenant).map(drop)
}

/// The error for a tenant that is nowhere, with names like it.
pub fn unknown(config: &Config, tenant: &TenantId) -> Error {
    let known = config.tenancy.tenants.keys().map(TenantId::as_str);
    let hint = match config.tenancy.tenants.is_empty() {
        true => "no tenants were found: check `tenancy.discover`".to_owned(),
        false => close_names::hint(tenant.as_str(), known),
    };
    Error::new(Kind::NotFound, format!("there is no tenant '{tenant}'")).hint(hint)
}

/// Makes sure that an id has the form its type asks for.
///
/// # Errors
/// [`Kind::Config`] when it has not.
pub fn check_type(tenant: &TenantId, id_type: IdType) -> Result<()> {
    let text = tenant.as_str();
    let (fits, wanted) = match id_type {
        IdType::String => (true, ""),
        IdType::ObjectId => (text.len() == 24 && is_hex(text), "objectId (24 hexadecimal digits)"),
        IdType::Int => (text.parse::<i64>().is_ok(), "int (a whole number)"),
        IdType::Uuid => (is_uuid(text), "uuid (8-4-4-4-12 hexadecimal digits)"),
    };
    if fits {
        return Ok(());
    }
    Err(Error::new(Kind::Config, format!("tenant '{tenant}' does not fit `tenancy.idType`: {wanted}"))
        .hint("correct `tenancy.idType`, or name the tenant by the id its records hold"))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(|g| is_hex(g))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_must_have_the_form_their_type_asks_for() {
        let cases = [
            (IdType::String, "acme", true),
            (IdType::ObjectId, "507f1f77bcf86cd799439011", true),
            (IdType::ObjectId, "507f1f77bcf86cd79943901", false),
            (IdType::ObjectId, "acme", false),
            (IdType::Int, "42", true),
            (IdType::Int, "4x", false),
            (IdType::Uuid, "123e4567-e89b-12d3-a456-426614174000", true),
            (IdType::Uuid, "123e4567e89b12d3a456426614174000", false),
        ];
        for (id_type, id, fits) in cases {
            let result = check_type(&TenantId::parse(id).unwrap(), id_type);
            assert_eq!(result.is_ok(), fits, "{id_type:?} {id}");
        }
    }
}
