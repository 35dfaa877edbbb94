//! One archive: its bytes against the manifest, and everything in it against its index and the manifest.

use super::Options;
use crate::archive::{self, ArchiveReader, IndexAt};
use crate::error::{Error, Kind, Result};
use crate::manifest::{Component, ComponentStatus};
use crate::repository::VerifyLevel;
use crate::source::{self, ItemKind, StreamTotals};
use std::collections::BTreeMap;
use std::path::Path;

/// What is wrong with an archive, and how deep it could be looked at.
pub struct Verdict {
    /// It is there.
    pub file_exists: bool,
    /// Its size is the manifest's.
    pub size_match: bool,
    /// Its SHA-256 is the manifest's.
    pub checksum_match: bool,
    /// One line each, naming the part.
    pub damage: Vec<String>,
    /// What was proven.
    pub level: VerifyLevel,
    /// Why it was not looked at deeper: no key opens it.
    pub no_key: Option<Error>,
    /// Why it was not looked at deeper: something failed that is not the archive.
    pub error: Option<Error>,
}

impl Default for Verdict {
    fn default() -> Self {
        Self {
            file_exists: true,
            size_match: true,
            checksum_match: true,
            damage: Vec::new(),
            level: VerifyLevel::Stored,
            no_key: None,
            error: None,
        }
    }
}

impl Verdict {
    /// The same verdict where it went no further.
    #[must_use]
    pub fn failed(mut self, error: Error) -> Self {
        match error.kind {
            Kind::Damaged => self.damage.push(error.to_string()),
            _ => self.error = Some(error),
        }
        self
    }
}

/// Verifies the archive at `path` as deep as `wanted`, or as a key allows.
pub fn verify(options: &Options<'_>, path: &Path, component: &Component, wanted: VerifyLevel) -> Verdict {
    let mut verdict = Verdict::default();
    if let Err(e) = path.symlink_metadata() {
        (verdict.size_match, verdict.checksum_match) = (false, false);
        if e.kind() != std::io::ErrorKind::NotFound {
            return verdict.failed(Error::io("read", path, &e));
        }
        verdict.file_exists = false;
        verdict.damage.push("the file is gone".into());
        return verdict;
    }
    let stored = match archive::digest_file(path, &options.cancel) {
        Ok(stored) => stored,
        Err(error) => {
            (verdict.size_match, verdict.checksum_match) = (false, false);
            return verdict.failed(error);
        }
    };
    if stored.size != component.size {
        verdict.size_match = false;
        verdict.damage.push(format!("it is {} bytes, the manifest says {}", stored.size, component.size));
    }
    if Some(&stored.sha256) != component.sha256.as_ref() {
        verdict.checksum_match = false;
        verdict.damage.push("its SHA-256 differs from the manifest's".into());
    }
    // Of a damaged archive the parts are named whatever the level: that is what the operator needs to know next.
    if wanted > VerifyLevel::Stored || !verdict.damage.is_empty() {
        match decode(options, path, component, &mut verdict.damage) {
            Ok(()) => verdict.level = VerifyLevel::Decoded.min(wanted),
            Err(error) if error.kind == Kind::Key => verdict.no_key = Some(error),
            Err(error) => return verdict.failed(error),
        }
    }
    verdict
}

/// Opens an archive by its component.
pub fn open(options: &Options<'_>, path: &Path, component: &Component) -> Result<ArchiveReader> {
    let lacking = || Error::new(Kind::Damaged, "the manifest gives no index");
    let index = component.index.as_ref().ok_or_else(lacking)?;
    let at = IndexAt { offset: index.offset, length: index.length, sha256: &index.sha256 };
    ArchiveReader::open(path, at, component.encrypted.then(|| options.identities.clone()))
}

/// Decompresses everything, holds every entry against the index and every collection against the manifest. Tells `damage`
/// what is wrong.
fn decode(options: &Options<'_>, path: &Path, component: &Component, damage: &mut Vec<String>) -> Result<()> {
    let reader = match open(options, path, component) {
        Ok(reader) => reader,
        Err(error) if error.kind == Kind::Damaged => {
            damage.push(error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let mut totals: BTreeMap<String, StreamTotals> = BTreeMap::new();
    archive::decode_all(&reader, damage, |entry, body| {
        options.cancel.check()?;
        let Some(name) = &entry.name else { return Ok(None) };
        let found = match source::digest_records(name, body, component.encrypted) {
            Ok(None) => return Ok(None),
            Ok(Some(found)) => found,
            Err(error) if error.kind == Kind::Damaged => return Ok(Some(error.to_string())),
            Err(error) => return Err(error),
        };
        let mut sum = StreamTotals::default();
        for (collection, part) in found {
            totals.entry(collection).or_default().merge(&part);
            sum.merge(&part);
        }
        let said = (entry.records.unwrap_or(sum.records), entry.record_digest.unwrap_or(sum.digest));
        Ok((said != (sum.records, sum.digest)).then(|| "its records differ from what the index says".into()))
    })?;
    let whole = component.collections.iter().filter(|c| c.status == ComponentStatus::Complete);
    for collection in whole.filter(|c| component.engine != "files" && c.kind != Some(ItemKind::View)) {
        let (name, said) = (&collection.name, collection.documents);
        match totals.get(name) {
            None => damage.push(format!("{name}: the manifest lists it, the archive does not hold it")),
            Some(found) if found.records != said || Some(found.digest) != collection.record_digest => {
                let found = found.records;
                damage.push(format!("{name}: {found} records are stored, the manifest says {said}, or another digest"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
