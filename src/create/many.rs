//! Backups of many tenants, each on its own: its own lock, id and manifest. What they have in common is had once:
//! connections, listings, compress workers, and for a while one snapshot of each source.

use super::component::Views;
use super::turns::Turns;
use super::{Batch, Created, Options, Part, existing_repository, failure, within};
use crate::config::Config;
use crate::error::{Context, Error, Kind, Result};
use crate::event::{Event, Events, Observer};
use crate::license;
use crate::modules::{self, Content, Grant, Grants, Records, Request, Selection};
use crate::names::{Scope, TenantId};
use crate::plan::{self, Inventories, Plan, Sources};
use crate::repository::{Catalog, Repository};
use crate::source::{Inventory, Level, Wanted};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long tenants are read out of one snapshot. A server keeps what a snapshot needs, for five minutes by default.
const BATCH: Duration = Duration::from_secs(60);

/// Tenants whose small shares are read together.
const TOGETHER: usize = 64;

/// Tenants at work at once. Of a small one most of the time is spent waiting for the disk to have written, and it
/// writes for several in the time it takes for one.
const IN_FLIGHT: usize = 16;

/// How the backup of one tenant ended.
#[derive(Debug)]
pub struct Outcome {
    /// The tenant.
    pub tenant: TenantId,
    /// What was made, or why there is nothing.
    pub result: Result<Created>,
}

/// Backs up each of `tenants`; of `jobs` at a time data is read. One that fails does not stop the others. The scope of the request is not
/// looked at.
///
/// # Errors
/// When nothing could be begun, or a signal came.
pub fn run(options: &Options<'_>, tenants: &[TenantId], jobs: usize) -> Result<Vec<Outcome>> {
    let config = options.config;
    options.events.emit(Event::Phase("connecting"));
    let existing = existing_repository(config)?;
    let began = (options.now)();
    let installation = license::installation(config, began);
    let common = Common::of(options, tenants, &installation);
    let not_begun = |error| {
        let scopes: Vec<_> = tenants.iter().cloned().map(Scope::Tenant).collect();
        failure::not_begun(options, &scopes, began, error)
    };
    let sources = begin(options, &installation, &common).map_err(not_begun)?;
    let repository = match existing {
        Some(repository) => repository,
        None => Repository::open_or_create(&config.repository)?.0,
    };
    let catalog = repository.catalog()?;
    let leftovers: BTreeSet<Scope> = catalog.interrupted.iter().map(|leftover| leftover.scope()).collect();
    let catalogs = by_scope(catalog);
    let pool = options.effort.pool(config.compression)?;
    let reading = Turns::new(jobs);
    let mut queue: VecDeque<(usize, &TenantId)> = tenants.iter().enumerate().collect();
    let done: Mutex<BTreeMap<usize, Result<Created>>> = Mutex::default();
    while !queue.is_empty() {
        options.cancel.check()?;
        let opened = plan::inventories(&sources).and_then(|inventories| {
            let views = common.open_views(options, &sources, &inventories)?;
            Ok((inventories, views))
        });
        let (inventories, views) = match opened {
            Ok(opened) => opened,
            Err(error) if done.lock().unwrap_or_else(PoisonError::into_inner).is_empty() => {
                return Err(not_begun(error));
            }
            Err(error) => {
                let rest = queue.iter().map(|(at, _)| (*at, Err(error.clone())));
                done.lock().unwrap_or_else(PoisonError::into_inner).extend(rest);
                break;
            }
        };
        // From when it is open: to open it may take long, and a batch of which nothing could be read would never end.
        let began = Instant::now();
        let batch = Batch {
            repository: &repository,
            sources: &sources,
            inventories: &inventories,
            views: &views,
            pool: &pool,
            reading: &reading,
            catalogs: &catalogs,
            leftovers: &leftovers,
        };
        let line = Mutex::new(Line { queue: std::mem::take(&mut queue), ready: VecDeque::new() });
        let ahead = |tenants: &[&TenantId]| read_ahead(options, tenants, &installation, &batch);
        let next = || line.lock().unwrap_or_else(PoisonError::into_inner).next(ahead);
        let work = || {
            loop {
                // Who begins reads at once, of a snapshot that is not old.
                let turn = reading.begin();
                if began.elapsed() >= BATCH || options.cancel.is_set() {
                    break;
                }
                let Some((at, tenant)) = next() else { break };
                let made = one(options, tenant, &installation, Part { batch: &batch, turn: Some(turn) });
                done.lock().unwrap_or_else(PoisonError::into_inner).insert(at, made);
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs.max(IN_FLIGHT)).map(|_| scope.spawn(work)).collect();
            // The tenant of one that panicked has no result, which counts as failed.
            workers.into_iter().for_each(|worker| drop(worker.join()));
        });
        let Line { queue: rest, ready } = line.into_inner().unwrap_or_else(PoisonError::into_inner);
        queue.extend(ready.into_iter().chain(rest));
    }
    options.cancel.check()?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let died = || Err(Error::new(Kind::Internal, "the thread that made it died"));
    let outcome = |(at, tenant): (usize, &TenantId)| Outcome {
        tenant: tenant.clone(),
        result: done.remove(&at).unwrap_or_else(died),
    };
    Ok(tenants.iter().enumerate().map(outcome).collect())
}

/// Looks at the collections first, where that is asked for, and opens the sources that are everybody's.
fn begin(options: &Options<'_>, installation: &Grant, common: &Common) -> Result<Sources> {
    let grants = Grants { installation: installation.clone(), tenant: None };
    super::gate(options, &grants, None)?.into_iter().for_each(|found| options.events.warn(found));
    let mut sources = Sources::new();
    for name in common.0.keys() {
        let opened =
            plan::open_one(options.config, name, &options.cancel).context(|| format!("cannot open source '{name}'"))?;
        sources.extend(opened.map(|opened| (name.clone(), opened)));
    }
    Ok(sources)
}

/// The tenants whose turn has not come.
struct Line<'t> {
    queue: VecDeque<(usize, &'t TenantId)>,
    /// Those that were read ahead.
    ready: VecDeque<(usize, &'t TenantId)>,
}

impl<'t> Line<'t> {
    fn next(&mut self, read_ahead: impl FnOnce(&[&TenantId])) -> Option<(usize, &'t TenantId)> {
        if self.ready.is_empty() {
            self.ready.extend(self.queue.drain(..TOGETHER.min(self.queue.len())));
            read_ahead(&self.ready.iter().map(|(_, tenant)| *tenant).collect::<Vec<_>>());
        }
        self.ready.pop_front()
    }
}

/// Lets the views read ahead what these tenants have in the sources that are everybody's.
fn read_ahead(options: &Options<'_>, tenants: &[&TenantId], installation: &Grant, batch: &Batch<'_>) {
    let mut shares: BTreeMap<&str, Vec<Wanted>> = BTreeMap::new();
    // What is wrong with one is said when its turn comes.
    for (_, selection) in tenants.iter().filter_map(|tenant| select(options, options.config, tenant, installation).ok())
    {
        for component in &selection.components {
            let Content::Collections { source, collections } = &component.content else { continue };
            let (Some((source, _)), Some(inventory)) =
                (batch.views.get_key_value(&**source), batch.inventories.get(source))
            else {
                continue;
            };
            let owned = collections.iter().filter(|spec| spec.records.ownership().is_some());
            shares
                .entry(source)
                .or_default()
                .extend(owned.filter_map(|spec| wanted(inventory, &spec.name, &spec.records)));
        }
    }
    shares
        .into_iter()
        .filter_map(|(source, wanted)| Some((batch.views.get(source)?, wanted)))
        .for_each(|(view, wanted)| view.read_ahead(&wanted));
}

/// A collection as it is asked for; none where it is not there.
fn wanted(inventory: &Inventory, name: &str, records: &Records) -> Option<Wanted> {
    let item = inventory.items.get(name)?;
    let (name, identity, records) = (name.to_owned(), item.identity.clone(), records.clone());
    Some(Wanted { name, kind: item.kind, identity, records })
}

/// Resolves the request for one tenant and changes nothing.
///
/// # Errors
/// As [`super::plan`].
pub fn plan(options: &Options<'_>, tenant: &TenantId) -> Result<Plan> {
    let filled = filled(options.config, tenant)?;
    let config = filled.as_ref().unwrap_or(options.config);
    let (options, _) = select(options, config, tenant, &license::installation(config, (options.now)()))?;
    super::plan(&options)
}

fn one(options: &Options<'_>, tenant: &TenantId, installation: &Grant, part: Part<'_>) -> Result<Created> {
    let filled = filled(options.config, tenant)?;
    let config = filled.as_ref().unwrap_or(options.config);
    let (options, selection) = select(options, config, tenant, installation)?;
    within(&options, &selection, Some(part))
}

/// The configuration of one tenant, where it is not everybody's.
fn filled(config: &Config, tenant: &TenantId) -> Result<Option<Config>> {
    config.has_templates().then(|| config.for_tenant(tenant)).transpose()
}

/// One tenant's run: what it is about, and its events under its name.
fn select<'a>(
    options: &Options<'_>,
    config: &'a Config,
    tenant: &TenantId,
    installation: &Grant,
) -> Result<(Options<'a>, Selection)> {
    let scope = Scope::Tenant(tenant.clone());
    let request = Request { scope: scope.clone(), ..options.request.clone() };
    let grants = license::required_beside(config, installation.clone(), &scope, (options.now)())?;
    let selection = modules::select(config, &grants, &request)?;
    let events = Events::new(Arc::new(Named { tenant: tenant.clone(), events: options.events.clone() }));
    let options = Options {
        config,
        request,
        safety_for: None,
        accept_shrink: options.accept_shrink,
        effort: options.effort.clone(),
        wait: options.wait.clone(),
        now: options.now,
        created_by: options.created_by.clone(),
        events,
        cancel: options.cancel.clone(),
    };
    Ok((options, selection))
}

/// What any of the tenants reads of the sources that are everybody's: collections by source, each with the rule of the
/// first tenant that has it.
struct Common(BTreeMap<String, BTreeMap<String, Records>>);

impl Common {
    fn of(options: &Options<'_>, tenants: &[TenantId], installation: &Grant) -> Self {
        let mut common: BTreeMap<String, BTreeMap<String, Records>> = BTreeMap::new();
        for tenant in tenants {
            // What is wrong with one is said when its turn comes.
            let Ok((_, selection)) = select(options, options.config, tenant, installation) else { continue };
            for reference in &selection.references {
                let (source, collection) = (&reference.rule.source, &reference.rule.collection);
                if options.config.sources.get(source).is_some_and(|source| !source.per_tenant) {
                    let known = common.entry(source.clone()).or_default();
                    known.entry(collection.clone()).or_insert_with(|| reference.records.clone());
                }
            }
            for component in selection.components {
                let Content::Collections { source, collections } = component.content else { continue };
                if options.config.sources.get(&source).is_none_or(|source| source.per_tenant) {
                    continue;
                }
                let known = common.entry(source).or_default();
                for spec in collections {
                    known.entry(spec.name).or_insert(spec.records);
                }
            }
        }
        Self(common)
    }

    fn open_views<'a>(
        &self,
        options: &Options<'_>,
        sources: &'a Sources,
        inventories: &Inventories,
    ) -> Result<Views<'a>> {
        let mut views = Views::new();
        for (name, source) in sources {
            let (Some(collections), Some(inventory)) = (self.0.get(name), inventories.get(name)) else { continue };
            let wanted: Vec<_> =
                collections.iter().filter_map(|(name, records)| wanted(inventory, name, records)).collect();
            let consistency = options.config.sources.get(name).map(|source| source.engine.consistency());
            let view = source
                .open_view(&wanted, consistency.unwrap_or_default(), Level::Snapshot)
                .context(|| format!("cannot begin to read source '{name}'"))?;
            views.insert(name, Arc::from(view));
        }
        Ok(views)
    }
}

/// The earlier backups of each scope, so that none has to be looked for among everybody's.
fn by_scope(catalog: Catalog) -> BTreeMap<Scope, Catalog> {
    let mut catalogs: BTreeMap<Scope, Catalog> = BTreeMap::new();
    for entry in catalog.backups {
        catalogs.entry(entry.id.scope()).or_default().backups.push(entry);
    }
    catalogs
}

/// Names the tenant in all that is told of its run.
struct Named {
    tenant: TenantId,
    events: Events,
}

impl Observer for Named {
    fn observe(&self, event: &Event) {
        let named = |text: &str| format!("{}: {text}", self.tenant);
        let mut event = event.clone();
        match &mut event {
            // Several are at work, each in a phase of its own.
            Event::Phase(_) => return,
            Event::Started { item, .. } | Event::Advanced { item, .. } | Event::Finished { item, .. } => {
                *item = named(item)
            }
            Event::Warning(text) | Event::Detail(text) => *text = named(text),
        }
        self.events.emit(event);
    }
}
