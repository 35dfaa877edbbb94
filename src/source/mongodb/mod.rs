//! MongoDB, 4.4 to 8: replica set or standalone. BSON passes as raw bytes; only metadata is ever decoded.
//!
//! The driver is asynchronous. Its runtime lives in here; every method blocks, and gives up when the run is cancelled.

mod access;
mod ahead;
mod among;
mod build;
mod clients;
mod compare;
mod discover;
mod errors;
mod facts;
mod filter;
mod health;
mod inventory;
mod key;
mod load;
mod merge;
mod metadata;
mod owned;
mod raw;
mod read;
mod records;
mod rename;
mod restore;
mod scope;
mod texts;
mod unique;
mod view;
mod writes;

pub use records::digest_records;
pub use scope::{scope_totals, scoped, stored_texts};

use super::{
    Changes, Existing, Input, Inventory, Level, NamedTenant, Orphans, Server, Source, Staged, StoredCollection,
    Switched, Target, View, Wanted,
};
use crate::config::{self, Secret, Timeouts};
use crate::error::{Error, Kind, Result};
use crate::modules::Records;
use crate::pipeline::Cancel;
use crate::source::health::{Finding, Needs};
use crate::source::waiting::{Patience, in_time, or_cancelled};
use bson::{Document, RawDocumentBuf, doc};
use mongodb::options::{ClientOptions, DatabaseOptions, ReadPreference, SelectionCriteria, ServerAddress};
use mongodb::{Client, Database};
use std::future::{Future, IntoFuture};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Oldest server that is supported: 4.4 speaks wire version 9.
const OLDEST_WIRE_VERSION: i32 = 9;

/// A connected MongoDB database.
#[derive(Debug)]
pub struct MongoDb {
    name: String,
    runtime: Runtime,
    database: Database,
    server: Server,
    /// What our connections are called on the server.
    app_name: String,
    cancel: Cancel,
    patience: Patience,
}

impl MongoDb {
    /// Connects to `database` at `uri` and makes sure that the server answers and lets us in.
    ///
    /// # Errors
    /// [`Kind::Connect`] when it does not, [`Kind::Config`] when the URI is none.
    pub fn open(name: &str, uri: &Secret, database: &str, timeouts: Timeouts, cancel: Cancel) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("mongodb")
            .enable_all()
            .build()
            .map_err(|e| Error::new(Kind::Internal, "cannot start the MongoDB driver").cause(e))?;
        let patience = Patience::new(name, timeouts);
        let connected = runtime.block_on(or_cancelled(&cancel, connect(name, uri, database, timeouts)));
        match connected.flatten() {
            Ok((database, server, app_name)) => {
                Ok(Self { name: name.to_owned(), runtime, database, server, app_name, cancel, patience })
            }
            Err(error) => {
                // A name that is being resolved cannot be interrupted, and is not waited for.
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// The same, for a source: its documents are read from the members of `preference`, else from those that its URI
    /// prefers. What is listed, and all of a target, is the primary's.
    #[must_use]
    pub fn reading_from(mut self, preference: Option<config::ReadPreference>) -> Self {
        let client = self.database.client();
        let by_uri = || client.selection_criteria().cloned();
        if let Some(members) = preference.map(members).or_else(by_uri) {
            self.database = client.database_with_options(self.database.name(), reading(members));
        }
        self
    }

    /// The members that documents are read from. Commands go to the primary where nobody says.
    fn members(&self) -> SelectionCriteria {
        self.database
            .selection_criteria()
            .cloned()
            .unwrap_or(SelectionCriteria::ReadPreference(ReadPreference::Primary))
    }

    /// Runs a future of the driver to its end, unless the run is cancelled first.
    fn block<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(or_cancelled(&self.cancel, future))?
    }

    /// Runs a short future of the driver to its end, also after a signal (see [`Patience::to_the_end`]).
    fn to_the_end<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(self.patience.to_the_end(&self.cancel, future))
    }

    /// Asks for something that a healthy server does at once.
    async fn command(&self, command: Document) -> mongodb::error::Result<Document> {
        self.patience.answer(self.database.run_command(command)).await
    }

    async fn raw_command(&self, command: RawDocumentBuf) -> mongodb::error::Result<Document> {
        self.patience.answer(self.database.run_raw_command(command)).await
    }

    /// Asks for something that may take long.
    async fn long_command(&self, command: Document) -> mongodb::error::Result<Document> {
        self.outcome(self.database.run_command(command)).await
    }

    /// An answer that may take long: it is waited for as long as the server still answers to its name.
    async fn outcome<T>(
        &self,
        asked: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> mongodb::error::Result<T> {
        self.patience.outcome(asked, async || self.database.run_command(doc! {"ping": 1}).await).await
    }
}

fn members(preference: config::ReadPreference) -> SelectionCriteria {
    let options = None;
    SelectionCriteria::ReadPreference(match preference {
        config::ReadPreference::Primary => ReadPreference::Primary,
        config::ReadPreference::PrimaryPreferred => ReadPreference::PrimaryPreferred { options },
        config::ReadPreference::Secondary => ReadPreference::Secondary { options },
        config::ReadPreference::SecondaryPreferred => ReadPreference::SecondaryPreferred { options },
        config::ReadPreference::Nearest => ReadPreference::Nearest { options },
    })
}

fn reading(members: SelectionCriteria) -> DatabaseOptions {
    DatabaseOptions::builder().selection_criteria(members).build()
}

/// How long the server may take to close what was left open.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

impl Drop for MongoDb {
    /// Waits until the cursors of an ended read are closed on the server: the driver does that in the background, and
    /// the runtime ends here.
    fn drop(&mut self) {
        let client = self.database.client().clone();
        self.runtime.block_on(async {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, client.shutdown()).await;
        });
    }
}

/// The database that the path of `uri` names, in `--into NAME=URI`.
///
/// # Errors
/// [`Kind::Config`] when it names none.
pub fn database_of(name: &str, uri: &str) -> Result<String> {
    let path = uri.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map(|(_, path)| path);
    let database = path.and_then(|path| path.split('?').next()).filter(|database| !database.is_empty());
    database.map(ToOwned::to_owned).ok_or_else(|| {
        Error::new(Kind::Config, format!("--into {name}=…: the URI names no database"))
            .hint("write it as the URI's path: mongodb://HOST/DATABASE")
    })
}

/// A URI without the path that names a database: what users are authenticated against stays as it was.
pub fn without_database(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let Some((hosts, tail)) = rest.split_once('/') else { return uri.to_owned() };
    let (database, query) = tail.split_once('?').unwrap_or((tail, ""));
    let asks = query.split('&').any(|pair| pair.starts_with("authSource="));
    let mut query: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).map(ToOwned::to_owned).collect();
    if !database.is_empty() && !asks {
        query.push(format!("authSource={database}"));
    }
    format!("{scheme}://{hosts}/?{}", query.join("&"))
}

/// Whether two URIs name a host in common: members of one replica set are one place.
pub fn shares_a_host(one: &str, other: &str) -> bool {
    let hosts = |uri: &str| -> Vec<String> {
        let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let hosts = authority.rsplit('@').next().unwrap_or_default().split(',').map(str::to_ascii_lowercase);
        hosts.map(|host| host.strip_suffix(":27017").map(ToOwned::to_owned).unwrap_or(host)).collect()
    };
    let others = hosts(other);
    hosts(one).iter().any(|host| others.contains(host))
}

async fn connect(name: &str, uri: &Secret, database: &str, timeouts: Timeouts) -> Result<(Database, Server, String)> {
    let doing = || format!("cannot use MongoDB source '{name}'");
    let limit = timeouts.connect.unwrap_or(Timeouts::CONNECT);
    let parsed = in_time(name, limit, ClientOptions::parse(uri.reveal())).await;
    let mut options = parsed.map_err(|e| errors::connect(&e, &doing()))?;
    let app_name = options.app_name.get_or_insert_with(|| "backup".into()).clone();
    options.server_selection_timeout = timeouts.connect.or(options.server_selection_timeout).or(Some(limit));
    options.connect_timeout = timeouts.connect.or(options.connect_timeout).or(Some(limit));
    // Finding a server has its limit in the driver, which knows why it failed; being let in gets as long again.
    let limit = 2 * options.server_selection_timeout.unwrap_or(limit);
    let address = options.hosts.iter().map(ServerAddress::to_string).collect::<Vec<_>>().join(",");
    let client = Client::with_options(options).map_err(|e| errors::connect(&e, &doing()))?;
    let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
    let database = client.database_with_options(database, reading(primary));
    let at = || format!("{} at {address}", doing());
    let ask = async |command| {
        let answer = in_time(name, limit, database.run_command(command)).await;
        answer.map_err(|e| errors::connect(&e, &at()))
    };
    let hello = ask(doc! {"hello": 1}).await?;
    if hello.get_i32("maxWireVersion").unwrap_or(0) < OLDEST_WIRE_VERSION {
        return Err(Error::new(Kind::Connect, at()).cause("the server is older than MongoDB 4.4"));
    }
    // `hello` answers without a login; this does not, when the server asks for one.
    let build = ask(doc! {"buildInfo": 1}).await?;
    ask(doc! {"listCollections": 1, "nameOnly": true, "authorizedCollections": true, "cursor": {"batchSize": 1}})
        .await?;
    let version = build.get_str("version").unwrap_or("unknown").to_owned();
    let server = Server { version, address, database: database.name().to_owned() };
    Ok((database, server, app_name))
}

impl Source for MongoDb {
    fn server(&self) -> Server {
        self.server.clone()
    }

    fn inventory(&self) -> Result<Inventory> {
        self.block(inventory::inventory(self))
    }

    fn open_view<'a>(
        &'a self,
        collections: &[Wanted],
        consistency: config::Consistency,
        at_most: Level,
    ) -> Result<Box<dyn View + 'a>> {
        Ok(Box::new(self.block(view::MongoView::open(self, collections, consistency, at_most))?))
    }

    fn count(&self, wanted: &Wanted) -> Result<Option<u64>> {
        self.block(inventory::count(self, wanted))
    }

    fn orphans(&self, relationship: &config::Relationship, children: &Records) -> Result<Orphans> {
        self.block(inventory::orphans(self, relationship, children))
    }

    fn diagnose(&self, needs: &Needs<'_>) -> Result<Vec<Finding>> {
        self.block(health::diagnose(self, needs))
    }

    fn tenants(&self, discovery: &config::Discovery) -> Result<Vec<NamedTenant>> {
        self.block(discover::tenants(self, discovery))
    }
}

impl Target for MongoDb {
    fn server(&self) -> Server {
        self.server.clone()
    }

    fn inventory(&self) -> Result<Inventory> {
        self.block(inventory::inventory(self))
    }

    fn compare(&self, stored: &StoredCollection, input: &dyn Input, existing: Existing) -> Result<Changes> {
        compare::compare_with_live(self, stored, input, existing)
    }

    fn stage(&self, stored: &StoredCollection, input: &dyn Input, existing: Existing, token: &str) -> Result<Staged> {
        restore::stage(self, stored, input, existing, token)
    }

    fn switch(&self, batch: &[(&Staged, &dyn Input)]) -> Result<Vec<Switched>> {
        batch.iter().map(|(staged, input)| restore::switch(self, staged, *input)).collect()
    }

    fn resume(&self, stored: &StoredCollection, input: &dyn Input, identity: Option<&str>) -> Result<Option<Switched>> {
        restore::resume(self, stored, input, identity)
    }

    fn sweep(&self, token: &str) -> Result<Vec<String>> {
        restore::sweep(self, token)
    }

    fn differences(&self, stored: &StoredCollection, input: &dyn Input) -> Result<Vec<String>> {
        compare::differences(self, stored, input)
    }

    fn drop_scratch(&self) -> Result<()> {
        let name = self.database.name();
        if !name.starts_with(super::SCRATCH_PREFIX) {
            return Err(Error::new(Kind::Internal, format!("{name} is no scratch database")));
        }
        self.to_the_end(async {
            self.database.drop().await.map_err(|e| errors::collection(&e, "drop the scratch database", name))
        })
    }

    fn others(&self) -> Result<Vec<String>> {
        self.block(clients::others(self))
    }
}
