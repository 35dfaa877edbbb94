//! Real MongoDB servers, started for this test process and gone with it, however it ends.

use mongodb::Client;
use mongodb::bson::{Document, doc};
use std::fs;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take to be ready.
const READY: Duration = Duration::from_secs(60);

/// How often a condition that cannot be waited for is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Starts the server and ends it when its standard input ends: when this process does, even by SIGKILL. (The parent's
/// death signal would not do: it comes when the *thread* ends that started the server, which is the first test's.)
const KEEPER: &str = r#"
folder=$1; shift
"$@" >"$folder/log" 2>&1 </dev/null &
echo $!
exec >/dev/null
read -r _
kill -KILL $! 2>/dev/null
wait $! 2>/dev/null
rm -rf "$folder"
"#;

/// How a server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The only member, and primary, of `rs0`.
    ReplicaSet,
    /// No replica set: no snapshots, no transactions.
    Standalone,
    /// Standalone that asks for a login; `root` with password `s3cret-canary` exists.
    Login,
}

/// Password of `root` on a [`Kind::Login`] server.
pub const PASSWORD: &str = "s3cret-canary";

/// A running server.
#[derive(Debug)]
pub struct Mongod {
    /// Port on 127.0.0.1.
    pub port: u16,
    /// Process id of the server.
    pub pid: u32,
    client: Client,
    keeper: Child,
    lifeline: Option<ChildStdin>,
}

impl Mongod {
    /// The replica set that the tests of this process share.
    pub fn replica_set() -> &'static Self {
        static SERVER: OnceLock<Mongod> = OnceLock::new();
        SERVER.get_or_init(|| Self::start(Kind::ReplicaSet, &[]))
    }

    /// The standalone server that the tests of this process share.
    pub fn standalone() -> &'static Self {
        static SERVER: OnceLock<Mongod> = OnceLock::new();
        SERVER.get_or_init(|| Self::start(Kind::Standalone, &[]))
    }

    /// The server with a login that the tests of this process share.
    pub fn login() -> &'static Self {
        static SERVER: OnceLock<Mongod> = OnceLock::new();
        SERVER.get_or_init(|| Self::start(Kind::Login, &[]))
    }

    /// A server of one's own.
    pub fn start(kind: Kind, options: &[&str]) -> Self {
        let binary = binary();
        // Between finding a free port and using it another process may take it; then mongod ends, and we try again.
        for _ in 0..5 {
            if let Some(server) = Self::attempt(&binary, kind, options) {
                return server;
            }
        }
        panic!("mongod found no free port in five attempts");
    }

    fn attempt(binary: &Path, kind: Kind, options: &[&str]) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("backup-mongod-").tempdir().unwrap().keep();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper"]).arg(&folder).arg(binary).arg("--dbpath").arg(&folder);
        command.args(["--port", &port.to_string(), "--bind_ip", "127.0.0.1", "--nounixsocket"]);
        command.args(["--wiredTigerCacheSizeGB", "0.5", "--setParameter", "ttlMonitorSleepSecs=1"]);
        match kind {
            Kind::ReplicaSet => command.args(["--replSet", "rs0", "--oplogSize", "64"]),
            Kind::Standalone => &mut command,
            Kind::Login => command.arg("--auth"),
        };
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().unwrap();
        let lifeline = keeper.stdin.take();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = line.trim().parse().unwrap();
        let client = client(&format!("mongodb://127.0.0.1:{port}/?directConnection=true"));
        let mut server = Self { port, pid, client, keeper, lifeline };
        if !server.listens(&folder.join("log")) {
            return None;
        }
        match kind {
            Kind::ReplicaSet => server.initiate(),
            Kind::Standalone => {}
            Kind::Login => server.create_root(),
        }
        Some(server)
    }

    /// Waits for the server's own word, in its own log, that it listens on the port: what answers there is this one.
    fn listens(&self, log: &Path) -> bool {
        let ready = format!("\"msg\":\"Waiting for connections\",\"attr\":{{\"port\":{}", self.port);
        let alive = || fs::read_link(format!("/proc/{}/exe", self.pid)).is_ok();
        let text = || fs::read_to_string(log).unwrap_or_default();
        let started = Instant::now();
        while started.elapsed() < READY {
            if text().contains(&ready) {
                return true;
            }
            if !alive() {
                let text = text();
                assert!(text.contains("Address already in use"), "mongod ended: {text}");
                return false;
            }
            std::thread::sleep(POLL);
        }
        panic!("mongod is not ready after {READY:?}: {}", text());
    }

    fn initiate(&self) {
        let member = doc! {"_id": 0, "host": format!("127.0.0.1:{}", self.port)};
        self.command("admin", doc! {"replSetInitiate": {"_id": "rs0", "members": [member]}});
        until("primary", || self.command("admin", doc! {"hello": 1}).get_bool("isWritablePrimary").unwrap());
    }

    fn create_root(&mut self) {
        self.command("admin", doc! {"createUser": "root", "pwd": PASSWORD, "roles": ["root"]});
        self.client = client(&self.uri_as("root", PASSWORD));
    }

    /// Its URI, without a database.
    pub fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/?directConnection=true", self.port)
    }

    /// Its URI for a user.
    pub fn uri_as(&self, user: &str, password: &str) -> String {
        format!("mongodb://{user}:{password}@127.0.0.1:{}/?directConnection=true&authSource=admin", self.port)
    }

    /// A raw driver's client, for arranging and as the oracle.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Runs a command that must succeed.
    pub fn command(&self, database: &str, command: Document) -> Document {
        self.try_command(database, command.clone()).unwrap_or_else(|e| panic!("{command}: {e}"))
    }

    /// Runs a command.
    pub fn try_command(&self, database: &str, command: Document) -> mongodb::error::Result<Document> {
        wait(self.client.database(database).run_command(command).into_future())
    }

    /// Sends the server a signal, by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.pid.to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.keeper.wait();
    }
}

/// A name no other test uses.
pub fn fresh_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs a future of the driver to its end.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().unwrap()).block_on(future)
}

/// Waits until a condition holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < READY, "not {what} after {READY:?}");
        std::thread::sleep(POLL);
    }
}

fn client(uri: &str) -> Client {
    wait(async { Client::with_uri_str(uri).await }).unwrap()
}

fn binary() -> PathBuf {
    let named = std::env::var_os("BACKUP_TEST_MONGOD").map(PathBuf::from);
    let path =
        named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.servers/mongod-6.0.5/mongod"));
    assert!(path.is_file(), "there is no mongod at {}: run tests/run, or set BACKUP_TEST_MONGOD", path.display());
    path
}
