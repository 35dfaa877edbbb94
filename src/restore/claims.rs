//! Whose live records name a file of a folder of all tenants. Only what the tenant's own name, and nobody else's, may be
//! overwritten by a restore of that tenant: everything else may be somebody's who was not asked.

use super::Options;
use crate::config::{Consistency, UploadRoot};
use crate::error::{Context, Error, Kind, Result};
use crate::modules::{self, Records, Reference};
use crate::names::TenantId;
use crate::plan;
use crate::source::files::{Paths, Tally};
use crate::source::{Level, Wanted};
use std::collections::{BTreeMap, BTreeSet};

/// How often live records name a file.
#[derive(Debug, Default, Clone, Copy)]
pub struct Claim {
    /// The tenant's own.
    own: u64,
    /// Anybody's, the tenant's too.
    all: u64,
}

impl Claim {
    /// Why the file is not the tenant's alone; none where it is.
    pub fn objection(self) -> Option<&'static str> {
        match (self.own, self.all) {
            (own, all) if all > own => Some("another tenant's records name it too"),
            (0, _) => Some("no record names it now: restore the tenant's records first, with --only database"),
            _ => None,
        }
    }
}

/// Asks who names these files, which are paths below the root.
///
/// # Errors
/// [`Kind::Refused`] where not everybody can be asked, and when asking fails.
pub fn ask(
    options: &Options<'_>,
    tenant: &TenantId,
    root: &UploadRoot,
    files: &BTreeSet<Vec<u8>>,
) -> Result<BTreeMap<Vec<u8>, Claim>> {
    let config = options.config;
    let mut claims: BTreeMap<_, _> = files.iter().map(|file| (file.clone(), Claim::default())).collect();
    let own = modules::tenant_references(config, tenant)?;
    for reference in modules::all_references(config).iter().filter(|reference| reference.root == root.name) {
        let rule = &reference.rule;
        // What is declared shared names files that are every tenant's.
        let its = own.iter().find(|its| its.rule == *rule && its.records.ownership().is_some());
        let unknown = |why: &str| Err(not_asked(reference, why));
        if options.into.contains_key(&rule.source) {
            return unknown("its records are restored elsewhere (--into)");
        }
        if config.sources.get(&rule.source).is_none_or(|source| source.per_tenant) {
            return unknown("every tenant has a database of its own");
        }
        let Some(source) = plan::open_one(config, &rule.source, &options.cancel)? else {
            return unknown("it is not there");
        };
        let inventory = source.inventory()?;
        let Some(item) = inventory.items.get(&rule.collection) else {
            if reference.optional {
                continue;
            }
            return unknown("it is not there");
        };
        let wanted = |records: &Records| Wanted {
            name: rule.collection.clone(),
            kind: item.kind,
            identity: item.identity.clone(),
            records: records.clone(),
        };
        let questions: Vec<_> =
            its.iter().map(|its| (wanted(&its.records), true)).chain([(wanted(&reference.records), false)]).collect();
        let asked: Vec<_> = questions.iter().map(|(wanted, _)| wanted.clone()).collect();
        let view = source.open_view(&asked, Consistency::Preferred, Level::Snapshot)?;
        let paths = Paths::new(rule, root.folders(config));
        // The tenant's own first: a name that comes in between counts as another's.
        for (wanted, is_own) in &questions {
            let mut count = |text: Option<&[u8]>| {
                options.cancel.check()?;
                if let Some(claim) = paths.of(text, &mut Tally::default()).and_then(|path| claims.get_mut(&path)) {
                    *(if *is_own { &mut claim.own } else { &mut claim.all }) += 1;
                }
                Ok(())
            };
            view.texts(wanted, &rule.field, &mut count).context(|| rule.written.clone())?;
        }
    }
    Ok(claims)
}

fn not_asked(reference: &Reference, why: &str) -> Error {
    let rule = &reference.rule;
    Error::new(Kind::Refused, format!("{}.{} cannot be asked: {why}", rule.source, rule.collection))
}
