//! Databases and schemas that each tenant has of its own: a few of them, others each day, so that a thousand tenants do not
//! take an hour and none is never looked at.

use super::{Finding, Options, Outcome, Stored, sources};
use crate::config::Config;
use crate::error::Result;
use crate::names::{Scope, TenantId};
use crate::tenants::{self, Known};

/// Tenants that are looked at in a day.
const SAMPLE: usize = 5;

/// Tenants, and what was told when they were looked up.
pub(super) struct Tenants {
    known: Result<Known>,
}

impl Tenants {
    pub(super) fn look_up(options: &Options<'_>) -> Self {
        Self { known: tenants::all(options.config, &options.cancel) }
    }

    /// Looks at what some tenants have of a source that each has of its own.
    pub(super) fn look(&self, options: &Options<'_>, stored: &Stored, name: &str) -> Vec<Finding> {
        let known = match &self.known {
            Ok(known) => known,
            Err(error) => return vec![Finding::from(error)],
        };
        let wrong = "correct it where it is: `create --all-tenants` is refused until then";
        let mut found: Vec<_> = known.mistakes.iter().map(|mistake| Finding::failed(mistake, wrong)).collect();
        let ids: Vec<_> = known.config.tenancy.tenants.keys().collect();
        if ids.is_empty() {
            found.push(Finding::warning(
                "each tenant has one of its own, and no tenant is known: none of them was looked at",
                "list tenants under `tenancy.tenants`, or say under `tenancy.discover` where they are written",
            ));
            return found;
        }
        let chosen = turn(&ids, (options.now)().timestamp().div_euclid(24 * 60 * 60).unsigned_abs() as usize);
        let names: Vec<_> = chosen.iter().map(ToString::to_string).collect();
        let rest = if names.len() < ids.len() { "; others another day" } else { "" };
        let message = format!(
            "each tenant has one of its own: looked at {} of {} ({}{rest})",
            names.len(),
            ids.len(),
            names.join(", ")
        );
        found.push(Finding::ok(message));
        for id in chosen {
            if options.cancel.check().is_err() {
                break;
            }
            let named = |finding: Finding| Finding { message: format!("tenant {id}: {}", finding.message), ..finding };
            found.extend(one(options, &known.config, stored, name, id).into_iter().map(named));
        }
        found
    }
}

/// What is wrong with one tenant's; where nothing is, what it is.
fn one(options: &Options<'_>, config: &Config, stored: &Stored, name: &str, id: &TenantId) -> Vec<Finding> {
    let config = match config.for_tenant(id) {
        Ok(config) => config,
        Err(error) => return vec![Finding::from(&error)],
    };
    let Some(looked) = sources::look_for(options, &config, &Scope::Tenant(id.clone()), stored, name) else {
        return vec![Finding::ok("there is nothing yet, as of a new tenant")];
    };
    let is_well = looked.iter().all(|finding| finding.outcome == Outcome::Ok);
    let first = looked.first().cloned().filter(|_| is_well);
    let wrong = looked.into_iter().filter(|finding| finding.outcome != Outcome::Ok);
    first.into_iter().chain(wrong).collect()
}

/// The tenants whose turn it is on a day.
fn turn<'a>(ids: &[&'a TenantId], day: usize) -> Vec<&'a TenantId> {
    let from = day.wrapping_mul(SAMPLE) % ids.len().max(1);
    ids.iter().cycle().skip(from).take(SAMPLE.min(ids.len())).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_tenant_has_its_turn_within_days() {
        for count in [1_usize, 4, 5, 6, 12, 100] {
            let ids: Vec<_> = (0..count).map(|n| TenantId::parse(&format!("t{n}")).unwrap()).collect();
            let ids: Vec<_> = ids.iter().collect();
            let days = count.div_ceil(SAMPLE);
            let seen: BTreeSet<_> = (0..days).flat_map(|day| turn(&ids, 1_000 * days + day)).collect();
            assert_eq!(seen.len(), count, "{count}");
            assert!((0..days).all(|day| turn(&ids, day).len() == SAMPLE.min(count)), "{count}");
        }
    }
}
