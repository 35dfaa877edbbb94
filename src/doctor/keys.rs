//! Keys: do those that are configured work, and would somebody be able to read what is written to them.

use super::{Finding, Options};
use crate::keyring;

pub(super) fn look(options: &Options<'_>) -> Vec<Finding> {
    let identities = match &options.identities {
        Ok(identities) => identities,
        Err(error) => return vec![Finding::from(error)],
    };
    let check = keyring::configured(options.config, identities);
    let mut found: Vec<_> = check
        .problems
        .iter()
        .map(|problem| {
            Finding::failed(problem, "`backup key check` says more; without the right keys nothing can be read")
        })
        .collect();
    for file in &check.absent {
        let message =
            format!("{} is not here: what is encrypted to it cannot be verified or restored here", file.display());
        found.push(Finding::warning(message, "right where a machine only makes backups; else bring the key back"));
    }
    if check.recipients.is_empty() {
        found.push(Finding::ok("archives are written in clear, unless a module says otherwise"));
    }
    for recipient in &check.recipients {
        let opens =
            if recipient.opens_here { "is opened by a key that is here" } else { "is not opened by any key here" };
        found.push(Finding::ok(format!("what is encrypted to {} {opens}", recipient.key)));
    }
    found.extend(check.signs_as.map(|key| Finding::ok(format!("manifests are signed as {key}"))));
    found
}
