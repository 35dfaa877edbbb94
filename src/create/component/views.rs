//! The open views of a run: one a source, over every collection of it in any component, so that modules agree with each
//! other.

use crate::config::{Config, Consistency};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::{Plan, PlannedItem, Sources};
use crate::source::{Level, View, Wanted};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Open views, by the name of their source.
pub type Views<'a> = BTreeMap<&'a str, Arc<dyn View + 'a>>;

/// What a run reads from.
pub struct OpenViews<'a> {
    config: &'a Config,
    plan: &'a Plan,
    sources: &'a Sources,
    /// What several runs read from.
    shared: Option<&'a Views<'a>>,
    state: Mutex<State<'a>>,
}

struct State<'a> {
    /// What this one alone reads from.
    own: Views<'a>,
    /// Components of each source that are not read.
    left: BTreeMap<&'a str, usize>,
    /// Every source is read as of one moment, which has passed.
    are_snapshots: bool,
}

impl<'a> OpenViews<'a> {
    /// Opens those that are not `shared`.
    ///
    /// # Errors
    /// When a source cannot be read, or not as it must be.
    pub fn open(
        config: &'a Config,
        plan: &'a Plan,
        sources: &'a Sources,
        shared: Option<&'a Views<'a>>,
    ) -> Result<Self> {
        let state = State { own: BTreeMap::new(), left: BTreeMap::new(), are_snapshots: true };
        let open = Self { config, plan, sources, shared, state: Mutex::new(state) };
        let mut state = open.lock();
        for component in plan.components.iter().filter(|component| component.trees.is_none()) {
            *state.left.entry(&component.name).or_default() += 1;
        }
        for name in sources.keys() {
            let stamp = match shared.and_then(|views| views.get(name.as_str())) {
                Some(view) => view.consistency(),
                None => {
                    let view = open.open_one(name, Level::Snapshot)?;
                    let stamp = view.consistency();
                    state.own.insert(name, view);
                    stamp
                }
            };
            state.are_snapshots &= stamp.level == Level::Snapshot;
        }
        drop(state);
        Ok(open)
    }

    /// The view of a source: this run's own, else the one it was lent.
    pub fn of(&self, name: &str) -> Result<Arc<dyn View + 'a>> {
        let own = self.lock().own.get(name).cloned();
        let view = own.or_else(|| self.shared?.get(name).cloned());
        view.ok_or_else(|| Error::new(Kind::Internal, "no view"))
    }

    /// Whether every source is read as of one moment, so that what changes from now on is in no record that is stored.
    pub fn are_snapshots(&self) -> bool {
        self.lock().are_snapshots
    }

    /// After a source has lost its snapshot: reads it collection by collection from now on.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn lost(&self, name: &str) -> Result<()> {
        let mut state = self.lock();
        state.are_snapshots = false;
        let key = self.sources.get_key_value(name).map(|(name, _)| name.as_str()).unwrap_or_default();
        // Of several archives that are read from it, the first sees to it.
        if state.own.get(name).is_none_or(|view| view.consistency().level == Level::Snapshot) {
            let view = self.open_one(name, Level::Collection)?;
            state.own.insert(key, view);
        }
        Ok(())
    }

    /// An archive of this source is read; after the last one nothing is kept waiting by its view, unless it is still asked
    /// which files its records name.
    pub fn release(&self, name: &str) {
        let is_asked = self.plan.references.iter().any(|planned| planned.reference.rule.source == name);
        let mut state = self.lock();
        let left = state.left.get_mut(name).map_or(0, |left| {
            *left -= 1;
            *left
        });
        let closed = (left == 0 && !is_asked).then(|| state.own.remove(name));
        drop(state);
        // A server is told of it.
        drop(closed);
    }

    /// Closes what is still open: all is read, and asked.
    pub fn close(&self) {
        let closed = std::mem::take(&mut self.lock().own);
        drop(closed);
    }

    /// How a source must be read.
    pub fn required(&self, name: &str) -> Consistency {
        self.config.sources.get(name).map(|source| source.engine.consistency()).unwrap_or_default()
    }

    fn open_one(&self, name: &str, at_most: Level) -> Result<Arc<dyn View + 'a>> {
        let source = self.sources.get(name).ok_or_else(|| Error::new(Kind::Internal, "a source is not open"))?;
        let components = self.plan.components.iter().filter(|c| c.trees.is_none() && c.name == name);
        let mut wanted: Vec<Wanted> = components.flat_map(|c| &c.items).filter_map(PlannedItem::wanted).collect();
        let asked = self.plan.references.iter().filter(|planned| planned.reference.rule.source == name);
        for asked in asked.filter_map(|planned| planned.wanted.as_ref()) {
            if !wanted.iter().any(|wanted| wanted.name == asked.name) {
                wanted.push(asked.clone());
            }
        }
        let view = source.open_view(&wanted, self.required(name), at_most);
        view.map(Arc::from).context(|| format!("cannot begin to read source '{name}'"))
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
