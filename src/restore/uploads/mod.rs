//! Restores files: upload directories and extra files, to where they came from or below another directory.

mod archive;
mod places;

use super::choose::Piece;
use super::named::StoredNames;
use super::{Existing, Options, Report, claims, proof};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::names::TenantId;
use crate::repository::{Journal, Progress, Repository, Step};
use crate::source::Changes;
use crate::source::files::There;
use archive::{Archive, Placed};
use places::{Places, trees};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The files of a restore.
pub struct Uploads {
    archives: Vec<Archive>,
    /// It overwrites files of folders of all tenants.
    overwrites_common: bool,
    /// Number of the first archive's step.
    first_step: usize,
}

impl Uploads {
    /// Finds the place of every file.
    pub fn open(
        options: &Options<'_>,
        (config, repository): (&Config, &Repository),
        pieces: &[Piece],
        report: &mut Report,
    ) -> Result<Self> {
        let mut archives = Vec::new();
        let mut names = StoredNames::new(options, repository);
        for piece in pieces.iter().filter(|piece| piece.is_files()) {
            let places = Places::of(options, config, piece)?;
            let reader = piece.open()?;
            let chosen = names.choose(piece, piece.share.as_ref(), &reader)?;
            let mut placed = Vec::new();
            for (at, entry) in reader.files().iter().enumerate() {
                let entry = entry?;
                let raw = entry.raw_path()?;
                let common = piece.share.as_ref().filter(|share| share.is_common(&raw));
                let Some(stored_as) = chosen.place(at, &raw)? else { continue };
                let Some((root, path)) = places.find(&stored_as) else {
                    let what =
                        format!("no configured place for {} of {}", entry.path.escape_debug(), piece.component.name);
                    return Err(Error::new(Kind::Config, what).hint("say where with --files-into DIR"));
                };
                let common = common.is_some() && options.files_into.is_none();
                let Some(kind) = entry.file.as_ref().map(|record| record.kind) else { continue };
                placed.push(Placed { entry: at, kind, root, path, there: There::Nothing, common, stays: false });
            }
            let roots: BTreeSet<_> = placed.iter().map(|p| p.root.display().to_string()).collect();
            report.target.extend(roots.into_iter().filter(|root| !report.target.contains(root)).collect::<Vec<_>>());
            archives.push(Archive {
                reader,
                from: piece.place(),
                directories: directories(piece),
                of_uploads: piece.component.module.is_some(),
                placed,
                existing: options.existing,
                others: Vec::new(),
                changes: Changes::default(),
                was_interrupted: false,
                done: None,
            });
        }
        report.warnings.append(&mut names.warnings);
        Ok(Self { archives, overwrites_common: false, first_step: 0 })
    }

    /// What is put in place, in order.
    pub fn steps(&self) -> impl Iterator<Item = String> {
        self.archives.iter().map(|archive| format!("{}: {}", archive.from, archive.directories))
    }

    /// What is put in place, for people, in order.
    pub fn titles(&self) -> impl Iterator<Item = String> {
        self.archives.iter().map(|archive| format!("files of {} ({})", archive.from, archive.directories))
    }

    /// The directories it writes to; a replacement deletes below every root.
    pub fn roots<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = PathBuf> + 'a {
        let placed = self.archives.iter().flat_map(|archive| &archive.placed).map(|place| place.root.clone());
        let replaced = self.archives.iter().any(|archive| archive.existing == Existing::Replace && archive.of_uploads);
        placed.chain(config.uploads.iter().filter(move |_| replaced).map(|upload| upload.root.clone()))
    }

    /// Looks what is there, counts, and refuses what was not allowed. `first_step` numbers the first archive.
    pub fn plan(
        &mut self,
        options: &Options<'_>,
        config: &Config,
        pieces: &[Piece],
        (progress, first_step): (&Progress, usize),
        report: &mut Report,
    ) -> Result<()> {
        self.first_step = first_step;
        let (mut refused, mut others) = (Vec::new(), BTreeMap::new());
        for (at, piece) in pieces.iter().filter(|piece| piece.is_files()).enumerate() {
            let Some(archive) = self.archives.get_mut(at) else { continue };
            match progress.step(first_step + at) {
                Step::Old => {}
                Step::Switching { .. } => archive.was_interrupted = true,
                Step::Switched { outcome } => archive.done = outcome.as_u64(),
            }
            if archive.done.is_some() {
                continue;
            }
            // What a dead run of this restore has written is whole, and nothing was there before.
            if archive.was_interrupted && archive.existing == Existing::Refuse {
                archive.existing = Existing::Add;
            }
            archive.look(&mut refused, &mut others)?;
            if archive.existing == Existing::Replace {
                archive.find_others(options, &trees(config, piece), &Places::of(options, config, piece)?)?;
            }
            report.file_changes.created += archive.changes.created;
            report.file_changes.overwritten += archive.changes.overwritten;
            report.file_changes.deleted += archive.changes.deleted;
            if options.dry_run {
                report.files += archive.count();
            }
        }
        let tenant = pieces.iter().find_map(|piece| piece.share.as_ref()).map(|share| &share.tenant);
        if let Some(tenant) = tenant.filter(|_| !others.is_empty()) {
            self.overwrites_common = true;
            require_own(options, tenant, others)?;
        }
        if refused.is_empty() {
            return Ok(());
        }
        let error = Error::new(Kind::Refused, "files exist where they would be restored, and nothing was changed");
        Err(error.details(shown(refused)).hint("say what happens to them with --existing add|merge|replace, or restore beside them with `--files-into DIR` or `--to-directory DIR`"))
    }

    /// Whether the restore of an archive overwrites or deletes files.
    pub fn changes(&self, piece: &Piece) -> bool {
        let changes = |archive: &Archive| archive.changes.overwritten + archive.changes.deleted > 0;
        self.archives.iter().any(|archive| archive.from == piece.place() && archive.done.is_none() && changes(archive))
    }

    /// Whether it overwrites files that only records tell apart.
    pub fn overwrites_common(&self) -> bool {
        self.overwrites_common
    }

    /// Reads every file through, so that damage is known before anything is written.
    pub fn prove(&self, options: &Options<'_>) -> Result<()> {
        for archive in self.archives.iter().filter(|archive| archive.done.is_none()) {
            let files = archive.placed.iter().map(|place| place.entry).collect();
            proof::prove_files(options, &archive.reader, files)?;
        }
        Ok(())
    }

    /// Writes every file.
    pub fn write(&self, options: &Options<'_>, journal: &mut Journal, report: &mut Report) -> Result<()> {
        for (at, archive) in self.archives.iter().enumerate() {
            let step = self.first_step + at;
            if let Some(files) = archive.done {
                report.files += files;
                continue;
            }
            let before = report.files;
            journal.switching(step, None)?;
            archive
                .write(options, report)
                .and_then(|()| journal.switched(step, (report.files - before).into()))
                .map_err(|error| {
                    let what = format!("the restore of files stopped after {} files", report.files - before);
                    error.kind(Kind::TargetChanged).context(what)
                })?;
        }
        Ok(())
    }
}

/// Makes sure that files of common folders, which would be overwritten, are the tenant's alone.
fn require_own(options: &Options<'_>, tenant: &TenantId, files: BTreeMap<PathBuf, BTreeSet<Vec<u8>>>) -> Result<()> {
    let mut kept = Vec::new();
    let mut unknown = None;
    for (place, files) in files {
        let show = |file: &[u8]| format!("{}/{}", place.display(), String::from_utf8_lossy(file).escape_debug());
        let root = options.config.uploads.iter().find(|root| root.root == place);
        match root.map(|root| claims::ask(options, tenant, root, &files)) {
            Some(Ok(claims)) => kept.extend(
                claims.iter().filter_map(|(file, claim)| Some(format!("{}: {}", show(file), claim.objection()?))),
            ),
            asked => {
                unknown = asked.and_then(Result::err).or(unknown);
                kept.extend(files.iter().map(|file| format!("{}: another tenant's records may name it", show(file))));
            }
        }
    }
    if kept.is_empty() {
        return Ok(());
    }
    let what = "files in folders of all tenants are there with other content, and nothing was changed";
    let error = Error::new(Kind::Refused, what)
        .details(shown(kept))
        .hint("keep what is there with --existing add, or restore beside it with --files-into DIR");
    Err(unknown.into_iter().fold(error, |error, why| error.cause(why)))
}

/// The directories of an archive that are restored, and whose.
fn directories(piece: &Piece) -> String {
    let names: Vec<_> = piece.collections.iter().map(|directory| directory.name.as_str()).collect();
    let of = piece.share.as_ref().map(|share| format!(" of {}", share.describe()));
    format!("{}{}", names.join(", "), of.unwrap_or_default())
}

/// Files in the way that are named.
const SHOWN: usize = 10;

fn shown(mut names: Vec<String>) -> Vec<String> {
    if names.len() > SHOWN {
        names.truncate(SHOWN);
        names.push("… and more".into());
    }
    names
}
