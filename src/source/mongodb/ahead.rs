//! Reading ahead. To ask for the documents of a thousand small tenants one by one takes longer than to read them: the
//! server is asked for those of several at once, and they are dealt out, each checked as if it had been asked for alone.
//! Whatever is not as expected is not kept: the reading proper finds it again, and says whose collection fails for it.

use super::access::{Access, each_document};
use super::filter::{OwnerCheck, Verdict, value_at};
use super::key::{Key, key_of};
use super::raw;
use crate::error::{Error, Kind, Result};
use crate::modules::Ownership;
use crate::pipeline::{BLOCK_SIZE, RecordBlock};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of documents that are held. Shares that are larger gain nothing by it.
const MOST: usize = 8 << 20;

/// What was read ahead and not asked for yet.
#[derive(Default)]
pub struct Ahead {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    shares: HashMap<(String, Ownership), Share>,
    bytes: usize,
    /// Collections that are not read ahead any more.
    left: HashSet<String>,
}

/// One tenant's documents of a collection.
#[derive(Default)]
pub struct Share {
    /// Them, in blocks.
    pub blocks: Vec<RecordBlock>,
}

/// Whose documents are dealt out, and how they are told.
pub struct Asked {
    /// The rule, by which its share is asked for later.
    pub ownership: Ownership,
    /// The check of every document.
    pub check: OwnerCheck,
}

impl Share {
    fn add(&mut self, document: &[u8]) {
        if self.blocks.last().is_none_or(|block| block.bytes.len() + document.len() > BLOCK_SIZE) {
            self.blocks.push(RecordBlock::default());
        }
        if let Some(block) = self.blocks.last_mut() {
            block.bytes.extend_from_slice(document);
            block.records += 1;
            block.digest.add(document);
        }
    }

    fn bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes.len()).sum()
    }
}

impl Ahead {
    /// Takes what is held of a collection for a tenant.
    pub fn take(&self, collection: &str, ownership: &Ownership) -> Option<Share> {
        let mut held = self.lock();
        let share = held.shares.remove(&(collection.to_owned(), ownership.clone()))?;
        held.bytes -= share.bytes();
        Some(share)
    }

    /// Whether reading a collection ahead may be of use.
    pub fn is_useful(&self, collection: &str) -> bool {
        let held = self.lock();
        held.bytes < MOST && !held.left.contains(collection)
    }

    /// Leaves a collection to be read for each tenant alone: shares are too large, or something is odd.
    pub fn leave(&self, collection: &str) {
        self.lock().left.insert(collection.to_owned());
    }

    /// Keeps shares of a collection until they are taken.
    pub fn keep(&self, collection: &str, shares: Vec<(Ownership, Share)>) {
        let mut held = self.lock();
        for (ownership, share) in shares {
            held.bytes += share.bytes();
            if let Some(earlier) = held.shares.insert((collection.to_owned(), ownership), share) {
                held.bytes -= earlier.bytes();
            }
        }
    }

    /// Reads the shares of all that are `asked` for, whose documents name their owner at one path. None where they are too
    /// large to be held.
    ///
    /// # Errors
    /// When the server fails, or answers with a document that is not exactly one of theirs.
    pub async fn read(
        &self,
        access: &Access<'_>,
        data: &str,
        mut asked: Vec<Asked>,
        batch: u32,
    ) -> Result<Option<Vec<(Ownership, Share)>>> {
        let mut owners: HashMap<Key, usize> = HashMap::new();
        let mut values = Vec::new();
        asked.retain(|Asked { check, .. }| {
            let (Ok(id), Some(key)) = (raw::value(check.owner()), raw::key(check.owner())) else { return false };
            // Two ids that the server takes for one (7 and 07) are each asked about alone.
            let is_first = !owners.contains_key(&key);
            if is_first {
                owners.insert(key, values.len());
                values.push(id);
            }
            is_first
        });
        let Some(path) = asked.first().map(|asked| asked.check.path()) else { return Ok(None) };
        let filter = raw::among(path, values.iter().map(|(kind, raw)| (*kind, &raw[..])))?;
        let room = MOST.saturating_sub(self.lock().bytes);
        let mut shares: Vec<Share> = asked.iter().map(|_| Share::default()).collect();
        let (mut bytes, nobody) = (0, HashSet::new());
        let mut replies = access.find(data, &filter, None, batch, true).await?;
        while let Some(reply) = replies.next().await? {
            each_document(&reply, |document| {
                let named = value_at(document, path).flatten().and_then(|(kind, raw)| key_of((kind, &raw)));
                let at = named.and_then(|key| owners.get(&key)).copied();
                let own = |at: &usize| asked[*at].check.verdict(document, &nobody) == Verdict::Own;
                let stranger = || Error::new(Kind::Source, "a document that is not exactly one of several tenants'");
                shares[at.filter(own).ok_or_else(stranger)?].add(document);
                bytes += document.len();
                Ok(())
            })?;
            if bytes > room {
                return Ok(None);
            }
        }
        Ok(Some(asked.into_iter().map(|asked| asked.ownership).zip(shares).collect()))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
