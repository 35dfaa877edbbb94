//! An application whose data is in PostgreSQL, and what independent programs say of it.

use crate::support::app::{App, Ended, ended};
use crate::support::postgres::{Database, Postgres as Server, Version};
use std::process::{Child, Command, Stdio};

/// One of everything.
const RICH: &str = include_str!("rich.sql");

/// Every table and view of it.
const OF_RICH: &str = r#"users, orders, lines, audit, log, base, child, happy, happier, sums, never, nothing, empty,
  "Odd \"na'me\" %20ü/x", rooms, volatile, guarded, later, vals"#;

/// The servers of the wheel know no XML.
const XML: &str =
    "CREATE TABLE documents (x xml); INSERT INTO documents VALUES ('<a>x</a><!-- c -->'), ('text'), (NULL);";

/// An application and its database.
pub struct Shop {
    pub app: App,
    pub database: Database,
    pub version: Version,
}

impl Shop {
    /// With this SQL run in its database, and these collections in its one module.
    pub fn new(version: Version, sql: &str, collections: &str) -> Self {
        Self::on(Server::shared(version), version, sql, collections)
    }

    /// The same on this server.
    pub fn on(server: &'static Server, version: Version, sql: &str, collections: &str) -> Self {
        let database = server.database();
        database.run(sql);
        let app = App::new(&format!(
            "installation: shop\nrepository: {{location: ./backups}}\n\
             sources:\n  shop: {{engine: postgres, uri: \"{}\"}}\n\
             modules:\n  core: {{required: true, source: shop, collections: [{collections}]}}\n",
            database.uri()
        ));
        Self { app, database, version }
    }

    /// The rich one, with more in it.
    pub fn rich_with(version: Version, sql: &str, collections: &str) -> Self {
        let (xml, documents) = if version == Version::V15 { (XML, ", documents") } else { ("", "") };
        Self::new(version, &[RICH, xml, sql].concat(), &[OF_RICH, documents, collections].concat())
    }

    /// The rich one, on a server of PostgreSQL 15, with more in it.
    pub fn rich_on(server: &'static Server, sql: &str, collections: &str) -> Self {
        Self::on(server, Version::V15, &[RICH, sql].concat(), &[OF_RICH, collections].concat())
    }

    /// The rich one, on PostgreSQL 15, backed up.
    pub fn rich() -> Self {
        let shop = Self::rich_with(Version::V15, "", "");
        shop.run(&["-q", "create"]).expect(0);
        shop
    }

    /// A fresh database of the same server.
    pub fn beside(&self) -> Database {
        self.database.server.database()
    }

    /// The binary, which finds the programs of its server's version.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.app.command(arguments);
        command.env("PATH", format!("{}:/usr/bin:/bin", self.version.programs().display()));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments).stdin(Stdio::null()).output().unwrap())
    }

    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Restores the latest backup into `database`, which holds something.
    pub fn restore_over(&self, database: &Database, existing: &str, more: &[&str]) -> Ended {
        let into = into(database);
        let arguments = over(database, existing, &into);
        self.run(&[&arguments[..], more].concat())
    }

    /// Restores the latest backup into `database`, which is empty.
    pub fn restore_into(&self, database: &Database, more: &[&str]) -> Ended {
        self.run(&[&["restore", "latest", "--into", &into(database)], more].concat())
    }

    /// A copy of the database, as it was backed up.
    pub fn copy(&self) -> Database {
        let copy = self.beside();
        self.restore_into(&copy, &["-q"]).expect(0);
        copy
    }

    /// Everything in `database` is as in the source's, definitions and rows, and nothing staged is left.
    #[track_caller]
    pub fn assert_same(&self, database: &Database) {
        assert_eq!(differing(&rows(&self.database), &rows(database)), Vec::<String>::new());
        assert_eq!(differing(&self.definitions(&self.database), &self.definitions(database)), Vec::<String>::new());
        assert_nothing_staged(database);
    }

    /// What pg_dump says, without what differs from run to run.
    pub fn definitions(&self, database: &Database) -> Vec<String> {
        let mut pg_dump = Command::new(self.version.programs().join("pg_dump"));
        pg_dump.args(["--schema-only", "--no-owner", "--no-privileges"]).arg("-d").arg(database.uri());
        let done = pg_dump.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let text = String::from_utf8(done.stdout).unwrap();
        text.lines().filter(|line| !line.contains("restrict ")).map(str::to_owned).collect()
    }
}

/// `--into` of this database.
pub fn into(database: &Database) -> String {
    format!("shop={}", database.uri())
}

/// Arguments of a restore over what `database` holds.
pub fn over<'a>(database: &'a Database, existing: &'a str, into: &'a str) -> Vec<&'a str> {
    let consent = ["--yes", "--target-name", &database.name, "--no-safety-backup"];
    [&["--json", "restore", "latest", "--existing", existing, "--into", into][..], &consent].concat()
}

/// Tables and materialised views that hold something of their own, as SQL names them and reads them.
fn holders(database: &Database) -> Vec<String> {
    let sql = "SELECT CASE relkind WHEN 'r' THEN 'ONLY ' ELSE '' END || c.oid::regclass FROM pg_class c
        JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p', 'm') AND nspname NOT LIKE 'pg\\_%'
        AND nspname <> 'information_schema' AND (relkind <> 'm' OR relispopulated) ORDER BY c.oid::regclass::text";
    database.run(sql).lines().map(str::to_owned).collect()
}

fn of_each(database: &Database, what: impl Fn(&str) -> String) -> Vec<String> {
    let sql: Vec<_> = holders(database).iter().map(|holder| what(holder)).collect();
    database.run(&sql.join(";\n")).lines().map(str::to_owned).collect()
}

/// Digest and count of every table's rows, where every sequence stands, and which materialised views hold something.
pub fn rows(database: &Database) -> Vec<String> {
    let mut all = of_each(database, |holder| {
        let name = holder.replace('\'', "''");
        format!(
            "SELECT '{name}', count(*), md5(string_agg(of_it::text, '|' ORDER BY of_it::text COLLATE \"C\")) FROM {holder} of_it"
        )
    });
    let sequences = "SELECT string_agg(format('SELECT %L, last_value, is_called FROM %s', oid::regclass, oid::regclass), ' UNION ALL ')
        || ' ORDER BY 1' FROM pg_class WHERE relkind = 'S'";
    let sequences = database.run(sequences);
    all.extend(database.run(&sequences).lines().map(str::to_owned));
    all
}

/// Where every row is and which transaction wrote it, besides [`rows`] and definitions: of a database that nobody wrote to
/// it stays as it is.
pub fn physical(shop: &Shop, database: &Database) -> [Vec<String>; 3] {
    // A materialised view and a partitioned table have such too.
    let written = of_each(database, |holder| {
        format!(
            "SELECT md5(string_agg(format('%s %s %s', tableoid, ctid, xmin), '|' ORDER BY tableoid, ctid)) FROM {holder}"
        )
    });
    [written, rows(database), shop.definitions(database)]
}

/// The first lines that are not the same.
fn differing(one: &[String], other: &[String]) -> Vec<String> {
    let pairs = one.iter().zip(other).filter(|(one, other)| one != other);
    let mut found: Vec<_> = pairs.take(5).map(|(one, other)| format!("{one} <> {other}")).collect();
    if found.is_empty() && one.len() != other.len() {
        found.push(format!("{} lines <> {}", one.len(), other.len()));
    }
    found
}

#[track_caller]
pub fn assert_nothing_staged(database: &Database) {
    let schemas = database.run("SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' ORDER BY 1");
    assert!(!schemas.contains("backup"), "{schemas}");
}
