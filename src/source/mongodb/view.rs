//! A view of a database: one snapshot for all collections where the server has it, each named by UUID.

use super::access::Access;
use super::ahead::{Ahead, Asked};
use super::facts::{FactsByRule, coverage};
use super::filter::OwnerCheck;
use super::inventory::data_name;
use super::metadata::{self, Listed};
use super::{MongoDb, errors};
use crate::config::Consistency;
use crate::error::{Error, Kind, Result};
use crate::source::{ConsistencyStamp, Coverage, EachText, ItemKind, Level, Output, ReadCollection, View, Wanted};
use bson::{Timestamp, doc};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// An open view of a database.
pub struct MongoView<'a> {
    pub(super) access: Access<'a>,
    stamp: ConsistencyStamp,
    /// Tenant after tenant may be read of one view.
    pub(super) facts: Mutex<FactsByRule>,
    pub(super) ahead: Ahead,
}

impl<'a> MongoView<'a> {
    /// Opens the view and reads one document of every wanted collection, so that a missing privilege is found before
    /// the first byte is written.
    pub async fn open(
        server: &'a MongoDb,
        wanted: &[Wanted],
        consistency: Consistency,
        at_most: Level,
    ) -> Result<MongoView<'a>> {
        let listed = metadata::list(server, doc! {}).await?.into_iter().map(|l| (l.name.clone(), l)).collect();
        let stamp = ConsistencyStamp { level: Level::Collection, at: Utc::now(), reason: None };
        let mut view = Self {
            access: Access { listed, by_uuid: true, ..Access::live(server) },
            stamp,
            facts: Mutex::default(),
            ahead: Ahead::default(),
        };
        view.probe(wanted).await?;
        if at_most == Level::Collection {
            view.stamp.reason = Some("its snapshot was lost".into());
            return Ok(view);
        }
        match view.snapshot_time(wanted).await? {
            Ok(time) => {
                view.access.snapshot = Some(time);
                let at = DateTime::from_timestamp(i64::from(time.time), 0).unwrap_or(view.stamp.at);
                view.stamp = ConsistencyStamp { level: Level::Snapshot, at, reason: None };
                Ok(view)
            }
            Err(reason) if consistency == Consistency::Required => {
                let what =
                    format!("source '{}' requires one snapshot of all collections, and cannot have it", server.name);
                Err(Error::new(Kind::Source, what)
                    .cause(reason)
                    .hint("use a replica set of MongoDB 5.0 or newer, or `consistency: preferred`"))
            }
            Err(reason) => {
                view.stamp.reason = Some(reason);
                Ok(view)
            }
        }
    }

    /// The time of a new snapshot, or why there can be none.
    async fn snapshot_time(&self, wanted: &[Wanted]) -> Result<Result<Timestamp, String>> {
        let read = self.read_for(wanted)?;
        let capped = read.iter().find(|listed| listed.options.get_bool("capped").unwrap_or(false));
        if let Some(capped) = capped {
            return Ok(Err(format!("{} is capped, and capped collections have no snapshots", capped.name)));
        }
        let mut reason = "there is no collection with data to take it of".to_owned();
        for first in read {
            let mut session = match self
                .access
                .server
                .patience
                .answer(self.access.server.database.client().start_session().snapshot(true))
                .await
            {
                Ok(session) => session,
                Err(e) => return Ok(Err(format!("the server has no sessions: {e}"))),
            };
            let command =
                doc! {"find": self.access.target(&first.name), "limit": 1, "batchSize": 1, "singleBatch": true};
            let server = self.access.server;
            let asked = server.database.run_cursor_command(command).selection_criteria(server.members());
            let found = server.patience.answer(asked.session(&mut session).batch()).await;
            return match found {
                Ok(_) => Ok(session.snapshot_time().ok_or_else(|| "the server gave no snapshot time".to_owned())),
                // Dropped since it was listed: reading it will say so, and the others still have a moment.
                Err(e) if errors::code(&e) == Some(26) => continue,
                // Made a moment ago: a secondary does not know yet that a majority has it.
                Err(e) if errors::code(&e) == Some(246) => {
                    reason = format!("{} was made or changed a moment ago", first.name);
                    continue;
                }
                Err(e) if errors::has_no_snapshots(&e) => {
                    Ok(Err("the server is not part of a replica set of MongoDB 5.0 or newer".into()))
                }
                Err(e) => Err(errors::collection(&e, "begin a snapshot with", &first.name)),
            };
        }
        Ok(Err(reason))
    }

    async fn probe(&mut self, wanted: &[Wanted]) -> Result<()> {
        for data in self.read_for(wanted)?.into_iter().cloned().collect::<Vec<_>>() {
            let read = self.read_one(&data).await;
            let read = match read {
                // Naming a collection by UUID is a privilege of its own (`useUUID`, in the `backup` role).
                Err(e) if errors::code(&e) == Some(13) && self.access.by_uuid => {
                    self.access.by_uuid = false;
                    self.read_one(&data).await
                }
                read => read,
            };
            match read {
                // Dropped since it was listed: reading it will say so, for that collection alone.
                Err(e) if errors::code(&e) == Some(26) => {}
                Err(e) => return Err(errors::collection(&e, "read", &data.name)),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    async fn read_one(&self, data: &Listed) -> mongodb::error::Result<()> {
        let command = doc! {"find": self.access.target(&data.name), "limit": 1, "batchSize": 1, "singleBatch": true};
        let server = self.access.server;
        let asked = server.database.run_cursor_command(command).selection_criteria(server.members());
        server.patience.answer(asked.batch()).await.map(drop)
    }

    /// The collection that holds the data; none for views and what does not exist.
    pub(super) fn data_of(&self, wanted: &Wanted) -> Option<&Listed> {
        self.access.listed.get(&data_name(&wanted.name, wanted.kind)?)
    }

    /// The collections that are read for those that are wanted: their data, and the parents that say whose it is.
    fn read_for(&self, wanted: &[Wanted]) -> Result<Vec<&Listed>> {
        let mut read: Vec<&Listed> = wanted.iter().filter_map(|w| self.data_of(w)).collect();
        for wanted in wanted {
            let check = OwnerCheck::of(&wanted.records)?;
            let parents = check.iter().flat_map(OwnerCheck::parents);
            read.extend(parents.filter_map(|parent| self.access.listed.get(parent)).filter(|l| l.uuid.is_some()));
        }
        let mut seen = BTreeSet::new();
        read.retain(|listed| seen.insert(&listed.name));
        Ok(read)
    }

    /// Reads ahead what several tenants will be asked for, collection by collection.
    async fn gather(&self, wanted: &[Wanted]) -> Result<()> {
        // Else it would be of another moment than what is read of the tenant beside it, or of a namesake.
        if !self.access.is_pinned() {
            return Ok(());
        }
        let names: BTreeSet<_> = wanted.iter().map(|wanted| &wanted.name).collect();
        for name in names.into_iter().filter(|name| self.ahead.is_useful(name)) {
            let of: Vec<_> = wanted.iter().filter(|wanted| wanted.name == *name).collect();
            let [first, _, ..] = of[..] else { continue };
            let Some(data) = self.data_of(first).filter(|data| data.kind == ItemKind::Collection) else { continue };
            let is_listed = |wanted: &Wanted| wanted.identity.is_none() || wanted.identity == data.uuid;
            let mut asked: Vec<Asked> = Vec::new();
            for wanted in of.into_iter().filter(|wanted| is_listed(wanted)) {
                let (Some(ownership), Ok(Some(check))) = (wanted.records.ownership(), OwnerCheck::of(&wanted.records))
                else {
                    continue;
                };
                if check.parent().is_none() && asked.iter().all(|others| others.check.path() == check.path()) {
                    asked.push(Asked { ownership: ownership.clone(), check });
                }
            }
            let Some(one) = asked.first() else { continue };
            let facts = self.facts(first, data, Some(&one.check)).await?;
            match self.ahead.read(&self.access, &data.name, asked, facts.batch()).await {
                Ok(Some(shares)) => self.ahead.keep(name, shares),
                // It would be so the next time too.
                Ok(None) | Err(_) => self.ahead.leave(name),
            }
        }
        Ok(())
    }
}

impl View for MongoView<'_> {
    fn consistency(&self) -> ConsistencyStamp {
        self.stamp.clone()
    }

    fn read(&self, unit: &[Wanted], output: &dyn Output) -> Result<Vec<ReadCollection>> {
        unit.iter().map(|wanted| self.within_its_limit(&wanted.name, self.read_collection(wanted, output))).collect()
    }

    fn read_ahead(&self, wanted: &[Wanted]) {
        // What fails here fails again where it can be said whose it is.
        let _ = self.access.server.block(self.gather(wanted));
    }

    fn texts(&self, wanted: &Wanted, field: &str, each: &mut EachText<'_>) -> Result<()> {
        self.within_its_limit(&wanted.name, self.read_texts(wanted, field, each))
    }

    fn coverage(&self, wanted: &Wanted) -> Result<Option<Coverage>> {
        let Some(owner) = OwnerCheck::of(&wanted.records)? else { return Ok(None) };
        let Some(data) = self.data_of(wanted) else { return Ok(None) };
        let owner = match (wanted.kind, self.access.listed.get(&wanted.name)) {
            (ItemKind::TimeSeries, Some(listed)) => owner.within_buckets(&listed.name, &listed.options)?,
            _ => owner,
        };
        let facts = self.access.server.block(self.facts(wanted, data, Some(&owner)))?;
        Ok(Some(coverage(wanted, &owner, &facts)))
    }
}
