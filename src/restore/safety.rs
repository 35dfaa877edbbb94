//! The safety backup: what a restore will overwrite or delete, put aside first.

use super::choose::Piece;
use super::live::Live;
use super::uploads::Uploads;
use super::{Existing, Options};
use crate::config::{BackupType, Config};
use crate::create;
use crate::error::{Context, Error, Kind, Result};
use crate::manifest::Status;
use crate::modules::{CollectionSpec, Component, Content, Grants, Records, Reference, Request, Selection};
use crate::names::Scope;
use crate::plan;
use std::collections::BTreeSet;

/// An archive for each of the restore's that changes something that is there.
pub fn components(config: &Config, pieces: &[Piece], live: &Live, uploads: &Uploads) -> Vec<Component> {
    let content = |piece: &Piece| {
        let name = &piece.component.name;
        if !piece.is_files() {
            let collections: Vec<_> = live.changed(piece).map(|name| spec(name, piece)).collect();
            return (!collections.is_empty()).then(|| Content::Collections { source: name.clone(), collections });
        }
        if !uploads.changes(piece) {
            return None;
        }
        let directories = piece.collections.iter().map(|directory| directory.name.clone()).collect();
        match (&piece.component.module, config.extra_files.get(name)) {
            (Some(_), _) => Some(Content::Uploads { directories }),
            (None, Some(files)) => Some(Content::Extra { name: name.clone(), files: files.clone() }),
            (None, None) => None,
        }
    };
    let component = |piece: &Piece| {
        let archive = piece.component.archive.as_deref()?;
        let archive = plan::stem(archive).to_owned();
        Some(Component { archive, module: piece.component.module.clone(), content: content(piece)? })
    };
    pieces.iter().filter_map(component).collect()
}

fn spec(name: &str, piece: &Piece) -> CollectionSpec {
    let records = piece.share.as_ref().map_or(Records::All { shared: false }, |share| share.of(name));
    let modules = piece.component.module.iter().chain(&piece.component.shared_by).cloned().collect();
    CollectionSpec { name: name.to_owned(), optional: false, records, modules }
}

/// Takes it; returns its id. `references` name the tenant's files in folders of all tenants, where those are overwritten. Nothing is restored unless all of it is good.
pub fn take(
    options: &Options<'_>,
    config: &Config,
    (scope, components): (Scope, Vec<Component>),
    references: Vec<Reference>,
    restored: &str,
) -> Result<String> {
    let modules: BTreeSet<_> = components.iter().filter_map(|component| component.module.clone()).collect();
    let selection = Selection {
        references,
        scope: scope.clone(),
        modules: modules.into_iter().collect(),
        excluded: Vec::new(),
        // What a restore changes is put aside whatever is licensed.
        grants: Grants::default(),
        components,
        notes: vec![format!("made before a restore of {restored} (--existing {})", super::word(options.existing))],
    };
    let request =
        Request { scope, modules: selection.modules.clone(), only: options.only, backup_type: BackupType::Daily };
    let made = create::selected(
        &create::Options {
            config,
            request,
            safety_for: Some(restored.to_owned()),
            accept_shrink: false,
            effort: create::Effort::new(None, config.rate_limit),
            wait: options.wait.clone(),
            now: options.now,
            created_by: options.created_by.clone(),
            events: options.events.clone(),
            cancel: options.cancel.clone(),
        },
        &selection,
    );
    let hint = "mend it, or restore without a safety backup with --no-safety-backup";
    let refused = |error: Error| if error.kind == Kind::Missing { error.kind(Kind::Refused) } else { error };
    let made = made
        .map_err(|e| refused(e).hint(hint))
        .context(|| "the safety backup failed; nothing was changed".to_owned())?;
    if made.manifest.status == Status::Success {
        return Ok(made.manifest.id);
    }
    let what = format!("the safety backup {} is not whole; nothing was changed", made.manifest.id);
    Err(Error::new(Kind::Refused, what).details(made.manifest.errors).hint(hint))
}

/// Whether a way of restoring changes records that are there.
pub fn changes_what_is_there(existing: Existing) -> bool {
    matches!(existing, Existing::Merge | Existing::Replace)
}
