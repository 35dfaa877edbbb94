//! Proves stored collections before anything is written anywhere: every byte is read and held against its SHA-256,
//! every record counted and hashed and held against the manifest. Reading twice costs little beside writing once, and a
//! damaged last archive costs the target nothing, not even what would have been staged beside the data.

use super::Options;
use crate::archive::{ArchiveReader, IndexEntry, from_io};
use crate::error::{Context, Error, Kind, Result};
use crate::pipeline::{in_parallel, processors};
use crate::source::{self, EntryName, Input, ItemKind, StoredCollection, StreamTotals};
use std::collections::{BTreeMap, BTreeSet};

/// Proves the collections that a restore takes out of one archive.
pub fn prove(
    options: &Options<'_>,
    archive: &ArchiveReader,
    collections: &[(&StoredCollection, Option<ItemKind>)],
) -> Result<()> {
    let wanted: BTreeSet<&str> = collections.iter().map(|(stored, _)| stored.name.as_str()).collect();
    let names: BTreeSet<&EntryName> = archive.entries().iter().filter_map(|entry| entry.name.as_ref()).collect();
    // An entry that holds several collections belongs to all of them.
    let is_wanted = |name: &&EntryName| source::collection_of(name).is_none_or(|of| wanted.contains(of));
    let mut parts: Vec<(&EntryName, &IndexEntry)> = Vec::new();
    for name in names.into_iter().filter(is_wanted) {
        parts.extend(archive.parts(name)?.into_iter().map(|part| (name, part)));
    }
    let found = in_parallel(threads(options), &options.cancel, parts, |(name, part), _| {
        let found = source::digest_records(name, &mut archive.entry(part), archive.is_sealed())
            .context(|| format!("{} is damaged", part.path.escape_debug()))?;
        if found.is_none() {
            std::io::copy(&mut archive.entry(part), &mut std::io::sink())
                .map_err(|e| from_io(e, "a stored entry is damaged"))?;
        }
        Ok(found)
    })?;
    let mut totals: BTreeMap<String, StreamTotals> = BTreeMap::new();
    for (collection, found) in found.into_iter().flatten().flatten() {
        totals.entry(collection).or_default().merge(&found);
    }
    for (stored, _) in collections.iter().filter(|(_, kind)| *kind != Some(ItemKind::View)) {
        let found = totals.get(&stored.name).filter(|found| found.records == stored.records);
        if found.is_none_or(|found| found.digest != stored.digest) {
            let (name, said, is) = (&stored.name, stored.records, totals.get(&stored.name).map_or(0, |t| t.records));
            let what = format!("{name}: {is} records are stored, the manifest says {said}, or they differ");
            return Err(Error::new(Kind::Damaged, what).cause(archive.path().display()));
        }
    }
    Ok(())
}

/// Proves stored files, by their numbers: each is read through, against its SHA-256.
pub fn prove_files(options: &Options<'_>, archive: &ArchiveReader, files: Vec<usize>) -> Result<()> {
    in_parallel(threads(options), &options.cancel, files, |number, _| {
        std::io::copy(&mut archive.entry(&archive.files().get(number)?), &mut std::io::sink())
            .map(drop)
            .map_err(|e| from_io(e, "a stored file is damaged"))
    })
    .map(drop)
}

fn threads(options: &Options<'_>) -> usize {
    options.jobs.unwrap_or_else(processors)
}
