//! The rows: what is compared with what.

use crate::measure::{Measured, is_installed, shell, size};
use crate::support::mongod::{Kind, Mongod};
use crate::support::postgres::{Database, Postgres, Version};
use crate::{Options, Tool, data, row};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The program that is measured.
const BACKUP: &str = env!("CARGO_BIN_EXE_backup");

/// All rows that are asked for.
pub fn all(options: &Options) {
    let wanted = |words: &[&str]| words.iter().any(|word| options.only.is_empty() || word.contains(&options.only));
    fs::create_dir_all(&options.folder).expect("a folder to work in");
    if wanted(&["create mongodb", "restore mongodb", "restore one small collection", "create tenants"]) {
        mongodb(options);
    }
    if wanted(&["create postgresql", "restore postgresql"]) {
        postgres(options);
    }
    if wanted(&["create uploads", "verify"]) {
        uploads(options);
    }
    if wanted(&["memory"]) {
        memory(options);
    }
    fs::remove_dir_all(&options.folder).expect("remove what was made");
}

/// A configuration, and commands with it.
struct Ours {
    folder: PathBuf,
}

impl Ours {
    fn new(options: &Options, name: &str, config: &str) -> Self {
        let folder = options.folder.join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("backup.yaml");
        fs::write(&path, config).expect("a configuration");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        Self { folder }
    }

    fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    fn run(&self, arguments: &str) -> Measured {
        let config = self.folder.join("backup.yaml");
        shell(&format!("{BACKUP} -q -c {} {arguments}", config.display()), Some(&self.repository()))
    }

    /// A backup into an empty repository.
    fn create(&self, arguments: &str) -> Measured {
        let _ = fs::remove_dir_all(self.repository());
        self.run(&format!("create {arguments}"))
    }

    fn tool<'a>(&'a self, name: &str, run: impl FnMut() -> Measured + 'a) -> Tool<'a> {
        Tool { name: format!("**backup {name}**"), run: Some(Box::new(run)) }
    }
}

/// A tool that writes to `output`, which is empty before each run.
fn peer<'a>(program: &str, name: &str, command: String, output: PathBuf) -> Tool<'a> {
    peer_after(program, name, command, output, || {})
}

fn peer_after<'a>(
    program: &str,
    name: &str,
    command: String,
    output: PathBuf,
    mut before: impl FnMut() + 'a,
) -> Tool<'a> {
    let run = move || {
        let _ = fs::remove_dir_all(&output);
        let _ = fs::remove_file(&output);
        before();
        shell(&command, Some(&output))
    };
    let installed = program.split(' ').all(is_installed);
    Tool { name: name.to_owned(), run: installed.then(|| Box::new(run) as Box<dyn FnMut() -> Measured + 'a>) }
}

fn mongodb(options: &Options) {
    let server = Mongod::start(Kind::ReplicaSet, &[]);
    let cache = mongodb::bson::doc! {"setParameter": 1, "wiredTigerEngineRuntimeConfig": "cache_size=3GB"};
    server.command("admin", cache);
    let bytes = data::mongodb(&server, "bench", options.size, 200);
    let names = data::collections().join(", ");
    let config = |compression: &str| {
        format!(
            "installation: bench\nrepository: {{location: repository}}\ncompression: {compression}\n\
             sources: {{hr: {{engine: mongodb, uri: \"{}\", database: bench}}}}\ntenancy: {{field: tenantId}}\n\
             modules: {{all: {{required: true, collections: [{names}]}}}}\n",
            server.uri()
        )
    };
    let (plain, fast) =
        (Ours::new(options, "mongo", &config("default")), Ours::new(options, "mongo-fast", &config("fast")));
    let zstd = Ours::new(options, "mongo-zstd", &config("{algorithm: zstd}"));
    let out = options.folder.join("mongodump");
    let dump = |more: &str| format!("mongodump --quiet --uri '{}' --db bench {more}", server.uri());
    row(
        options,
        "create mongodb",
        bytes,
        vec![
            peer(
                "mongodump",
                "mongodump --archive --gzip",
                dump(&format!("--gzip --archive={}", out.display())),
                out.clone(),
            ),
            peer(
                "mongodump",
                "mongodump --gzip -j4",
                dump(&format!("--gzip -j4 --out {}", out.display())),
                out.clone(),
            ),
            zstd.tool("create, zstd", || zstd.create("")),
            fast.tool("create, fast", || fast.create("")),
            plain.tool("create", || plain.create("")),
        ],
    );
    plain.create("");
    let drop = |name: &str| drop(server.command(name, mongodb::bson::doc! {"dropDatabase": 1}));
    let into = server.uri().replace("/?", "/restored?");
    let restore = format!(
        "mongorestore --quiet --uri '{}' --nsFrom 'bench.*' --nsTo 'restored.*' --gzip -j4 --dir {}",
        server.uri(),
        out.display()
    );
    let prepared = is_installed("mongodump").then(|| shell(&dump(&format!("--gzip --out {}", out.display())), None));
    let nothing = options.folder.join("nothing");
    row(
        options,
        "restore mongodb, indexes included",
        bytes,
        vec![
            peer_after("mongorestore", "mongorestore -j4", restore, nothing, || {
                let _ = prepared;
                drop("restored");
            }),
            plain.tool("restore", || {
                drop("restored");
                plain.run(&format!("restore latest --into 'hr={into}'"))
            }),
        ],
    );
    let small = |collection: &str| {
        drop("restored");
        plain.run(&format!("restore latest --collection {collection} --into 'hr={into}'"))
    };
    row(
        options,
        "restore one small collection of all",
        bytes,
        vec![plain.tool("restore --collection departments", || small("departments"))],
    );
    let many = Ours::new(options, "mongo-tenants", &config("default"));
    let tenants = many.folder.join("tenants");
    fs::write(&tenants, (0..200).map(|n| format!("t{n}\n")).collect::<String>()).expect("a list of tenants");
    let all = format!("--tenants-file {}", tenants.display());
    row(
        options,
        "create tenants, 200 of them",
        bytes,
        vec![
            plain.tool("create, all in one", || plain.create("")),
            many.tool("create --tenants-file", || many.create(&all)),
        ],
    );
}

fn postgres(options: &Options) {
    let server: &'static Postgres = Postgres::shared(Version::V15);
    server.psql("postgres", "ALTER SYSTEM SET shared_buffers = '1GB'; ALTER SYSTEM SET maintenance_work_mem = '256MB'");
    let database: Database = server.database();
    let bytes = data::postgres(&database, options.size);
    let config = |compression: &str| {
        format!(
            "installation: bench\nrepository: {{location: repository}}\ncompression: {compression}\n\
             sources: {{pay: {{engine: postgres, uri: \"{}\"}}}}\n\
             modules: {{all: {{required: true, collections: [narrow, wide, notes]}}}}\n",
            database.uri()
        )
    };
    let (plain, fast) =
        (Ours::new(options, "postgres", &config("default")), Ours::new(options, "postgres-fast", &config("fast")));
    let zstd = Ours::new(options, "postgres-zstd", &config("{algorithm: zstd}"));
    let out = options.folder.join("pg_dump");
    let programs = Version::V15.programs();
    let program = |name: &str| programs.join(name).display().to_string();
    let dump = |more: &str| format!("{} -d '{}' {more} -f {}", program("pg_dump"), database.uri(), out.display());
    row(
        options,
        "create postgresql",
        bytes,
        vec![
            peer(&program("pg_dump"), "pg_dump -Fc", dump("-Fc"), out.clone()),
            peer(&program("pg_dump"), "pg_dump -Fd -j2", dump("-Fd -j2"), out.clone()),
            zstd.tool("create, zstd", || zstd.create("")),
            fast.tool("create, fast", || fast.create("")),
            plain.tool("create", || plain.create("")),
        ],
    );
    plain.create("");
    let _ = fs::remove_dir_all(&out);
    shell(&dump("-Fd -j2"), None);
    let fresh = |name: &str| {
        server.psql("postgres", &format!("DROP DATABASE IF EXISTS {name}"));
        server.psql("postgres", &format!("CREATE DATABASE {name}"));
    };
    let theirs = format!("{} -j2 -d '{}' {}", program("pg_restore"), server.uri("theirs"), out.display());
    let nothing = options.folder.join("nothing");
    row(
        options,
        "restore postgresql, indexes included",
        bytes,
        vec![
            peer_after(&program("pg_restore"), "pg_restore -j2", theirs, nothing, || fresh("theirs")),
            plain.tool("restore", || {
                fresh("ours");
                plain.run(&format!("restore latest --into 'pay={}'", server.uri("ours")))
            }),
        ],
    );
}

fn uploads(options: &Options) {
    let folder = options.folder.join("uploads");
    fs::create_dir_all(&folder).expect("a folder");
    let bytes = data::uploads(&folder, options.size);
    let config = |compression: &str| {
        format!(
            "installation: bench\nrepository: {{location: repository}}\ncompression: {compression}\n\
             uploads: [{{root: {}, layout: \"{{directory}}\"}}]\nmodules: {{all: {{required: true, fileUploads: [documents]}}}}\n",
            folder.display()
        )
    };
    let (plain, fast) =
        (Ours::new(options, "files", &config("default")), Ours::new(options, "files-fast", &config("fast")));
    let zstd = Ours::new(options, "files-zstd", &config("{algorithm: zstd}"));
    let out = options.folder.join("archive");
    let tar = |through: &str| {
        format!("tar -C {} -cf - documents | {through} > {1} && sync {1}", folder.display(), out.display())
    };
    let restic = options.folder.join("restic");
    let restic_run = format!(
        "RESTIC_PASSWORD=x restic -q -r {0} init && RESTIC_PASSWORD=x restic -q -r {0} --no-cache backup {1}",
        restic.display(),
        folder.display()
    );
    row(
        options,
        "create uploads",
        bytes,
        vec![
            peer("tar pigz", "tar, pigz", tar("pigz"), out.clone()),
            peer("tar pigz", "tar, pigz -1", tar("pigz -1"), out.clone()),
            peer("tar igzip", "tar, igzip -1", tar("igzip -1"), out.clone()),
            peer("restic", "restic", restic_run, restic),
            zstd.tool("create, zstd", || zstd.create("")),
            fast.tool("create, fast", || fast.create("")),
            plain.tool("create", || plain.create("")),
        ],
    );
    plain.create("");
    let stored = size(Path::new(&plain.repository()));
    let verify = |level: &str| plain.run(&format!("verify latest --level {level}"));
    row(options, "verify stored", stored, vec![plain.tool("verify --level stored", || verify("stored"))]);
    row(options, "verify decoded", bytes, vec![plain.tool("verify --level decoded", || verify("decoded"))]);
}

/// Parts are fullest where nothing compresses. The peak must not follow the amount, but follow the jobs.
fn memory(options: &Options) {
    let server = Mongod::start(Kind::ReplicaSet, &[]);
    let ours = |name: &str, database: &str, folder: &Path| {
        let config = format!(
            "installation: bench\nrepository: {{location: repository}}\n\
             sources: {{hr: {{engine: mongodb, uri: \"{}\", database: {database}}}}}\n\
             uploads: [{{root: {}, layout: \"{{directory}}\"}}]\n\
             modules: {{all: {{required: true, collections: [a, b, c, d, e, f], fileUploads: [documents]}}}}\n",
            server.uri(),
            folder.display()
        );
        Ours::new(options, name, &config)
    };
    let made = [1, 4, 10].map(|factor| {
        let (name, folder) = (format!("memory{factor}"), options.folder.join(format!("uploads{factor}")));
        fs::create_dir_all(&folder).expect("a folder");
        let size = options.size * f64::from(factor);
        let bytes = data::uploads(&folder, size) + data::noise(&server, &name, &["a", "b", "c", "d", "e", "f"], size);
        (factor, ours(&name, &name, &folder), bytes)
    });
    let amounts = made.iter().map(|(factor, ours, bytes)| {
        let name = format!("create, {factor} × the data ({} MB)", bytes / 1_000_000);
        ours.tool(&name, || ours.create(""))
    });
    row(options, "memory by amount", made[0].2, amounts.collect());
    let (_, last, bytes) = &made[2];
    let jobs = [1, 2, 4, 6].map(|jobs| {
        let name = format!("create --jobs {jobs}");
        last.tool(&name, move || last.create(&format!("--jobs {jobs}")))
    });
    row(options, "memory by jobs", *bytes, jobs.into());
}
