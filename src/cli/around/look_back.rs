//! What a backup is beside the runs before it: a recovery, a failure too many, an unusual one.

use super::{Around, occasion};
use crate::cli::time;
use crate::config::{Alerts, Config, Occasion};
use crate::names::{BackupId, Scope, TenantId};
use crate::notify::{self, History, Message, Operation, RunStatus, Space};
use crate::repository::{Catalog, Repository};

impl Around<'_> {
    /// Compares with what the repository knows of before: recoveries and alerts of a backup, the hash of its manifest.
    pub(super) fn look_back(&self, message: &mut Message, each: Vec<Message>) -> Vec<Message> {
        let (config, events) = (self.config, &self.settings.events);
        let wanted = !config.notifications.is_empty() || config.alerts != Alerts::default();
        if message.operation != Operation::Create || !wanted {
            return each;
        }
        // Without a repository there is no history; why, the run has said.
        let Ok(repository) = Repository::open(&config.repository) else { return each };
        let Ok(catalog) = repository.catalog() else { return each };
        let mut alerts = Vec::new();
        let mut each = each;
        // Of a run over many that failed as a whole nothing is told of each, but for one it may be a failure too many.
        let many = self.backups.as_ref().filter(|backups| each.is_empty() && backups.whose.is_many());
        let scopes = many.map(|backups| backups.whose.known(self.config, &catalog)).unwrap_or_default();
        let of = |scope: Scope| Message { tenant_id: scope.tenant().map(ToString::to_string), ..message.clone() };
        let mut untold: Vec<_> = scopes.into_iter().map(of).collect();
        let is_many = many.is_some() || !each.is_empty();
        let mut recovered = false;
        for one in each.iter_mut().chain(&mut untold).chain((!is_many).then_some(&mut *message)) {
            let (again, said) = of_scope(config, &repository, &catalog, one);
            recovered |= again && one.status == RunStatus::Success;
            one.event = if again { Occasion::Recovered } else { occasion(one, false) };
            one.warnings.extend(said.iter().cloned());
            alerts.extend(said);
        }
        let space = repository.free_space().and_then(|free| Ok(Space { free, total: repository.total_space()? }));
        let low = space.ok().and_then(|space| notify::low_space(&config.alerts, space));
        message.warnings.extend(low.iter().cloned());
        if is_many {
            message.warnings.extend(alerts.iter().cloned());
        }
        alerts.extend(low);
        for alert in &alerts {
            events.warn(alert.clone());
        }
        if !alerts.is_empty() {
            // Under `--quiet` too: whoever has asked for alerts reads cron's mail.
            self.settings.log.release();
        }
        if recovered && message.status == RunStatus::Success {
            message.event = Occasion::Recovered;
        }
        each
    }
}

/// Whether the backup is the first after failures, and what is to be said of its scope.
fn of_scope(config: &Config, repository: &Repository, catalog: &Catalog, message: &mut Message) -> (bool, Vec<String>) {
    let id = message.backup_id.as_deref().and_then(|id| BackupId::parse(id).ok());
    message.manifest_hash = id.as_ref().and_then(|id| repository.manifest_hash(id).ok());
    let tenant = message.tenant_id.as_deref().map(TenantId::parse);
    let scope = match tenant {
        None => Scope::SystemWide,
        Some(Ok(tenant)) => Scope::Tenant(tenant),
        Some(Err(_)) => return (false, Vec::new()),
    };
    let history = History::of(catalog, &scope);
    let again = message.status == RunStatus::Success && id.as_ref().is_some_and(|id| history.is_recovery(id));
    (again, history.alerts(&config.alerts, id.as_ref(), time::now()))
}
