//! Which files of common folders are a tenant's: those that its records name, asked of the view in which the records are
//! read.

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::plan::PlannedReference;
use crate::source::EachText;
use crate::source::files::{Names, Paths, Tally, Trees};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the records of a tenant name.
#[derive(Debug, Default)]
pub struct Named {
    names: BTreeMap<String, Arc<Names>>,
    /// Roots of which it is not known.
    failed: BTreeMap<String, Error>,
    /// Collections and fields of which no record holds anything.
    silent: Vec<(String, String)>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// What the records of one collection named.
#[derive(Debug, Default)]
struct Asked {
    refused: Tally,
    /// Values that they hold, of whatever kind.
    values: u64,
}

/// Reads the texts that the records of a reference hold; `true`: again, after the snapshot was lost.
type Texts<'a> = dyn FnMut(&PlannedReference, bool, &mut EachText<'_>) -> Result<()> + 'a;

impl Named {
    /// Asks. Where it fails, the files of that root are not known.
    pub fn ask(config: &Config, references: &[PlannedReference], texts: &mut Texts<'_>) -> Self {
        let (mut named, mut names) = (Self::default(), BTreeMap::<&String, Names>::new());
        for planned in references {
            let (root, rule) = (&planned.reference.root, &planned.reference.rule);
            match ask_one(config, planned, names.entry(root).or_default(), texts) {
                Ok(Asked { refused, .. }) if refused.count > 0 => named.warnings.push(format!(
                    "{} names in `{}` of {} are no files of upload root '{root}': {}",
                    refused.count,
                    rule.field,
                    rule.collection,
                    refused.samples.join(", ")
                )),
                Ok(Asked { values: 0, .. }) => named.silent.push((rule.collection.clone(), rule.field.clone())),
                Ok(_) => {}
                Err(error) => {
                    let written = &rule.written;
                    let what = format!("which files of '{root}' are the tenant's is not known ({written}): {error}");
                    let error = Error::new(error.kind, what);
                    named.failed.entry(root.clone()).or_insert(error);
                }
            }
        }
        named.names = names.into_iter().map(|(root, names)| (root.clone(), Arc::new(names))).collect();
        named
    }

    /// Warns of fields that no record has, though there are records: perhaps they are spelt otherwise. `count` says of how
    /// many records a collection is.
    pub fn warn_of_silence(&mut self, count: impl Fn(&str) -> u64) {
        let silent = self.silent.iter().map(|(collection, field)| (collection, field, count(collection)));
        self.warnings.extend(silent.filter(|(.., records)| *records > 0).map(|(collection, field, records)| {
            format!(
                "no record of {collection} ({records} in all) has a `{field}`, which names files (uploads.fileReferences)"
            )
        }));
    }

    /// The trees with what is named below them.
    ///
    /// # Errors
    /// When that is not known of one.
    pub fn of(&self, trees: &Trees) -> Result<Trees> {
        let is_below =
            |root: &String| trees.trees.iter().any(|tree| tree.named.is_some() && tree.root() == root.as_bytes());
        match self.failed.iter().find(|(root, _)| is_below(root)) {
            Some((_, error)) => Err(error.clone()),
            None => Ok(trees.clone().with_names(&self.names)),
        }
    }
}

/// Adds the names of one collection's records; what is not taken.
fn ask_one(config: &Config, planned: &PlannedReference, names: &mut Names, texts: &mut Texts<'_>) -> Result<Asked> {
    let rule = &planned.reference.rule;
    if planned.wanted.is_none() {
        let missing = || Err(Error::new(Kind::Missing, format!("{} does not exist", rule.collection)));
        // A tenant may have written nothing yet.
        return if planned.reference.optional { Ok(Asked { values: 1, ..Asked::default() }) } else { missing() };
    }
    let root = config.uploads.iter().find(|root| root.name == planned.reference.root);
    let paths = Paths::new(rule, root.map(|root| root.folders(config)).unwrap_or_default());
    let mut again = false;
    loop {
        let mut asked = Asked::default();
        let mut each = |text: Option<&[u8]>| {
            asked.values += 1;
            paths.of(text, &mut asked.refused).map_or(Ok(()), |path| names.add(path))
        };
        match texts(planned, again, &mut each) {
            Err(error) if error.kind == Kind::SnapshotLost && !again => again = true,
            read => return read.map(|()| asked),
        }
    }
}
