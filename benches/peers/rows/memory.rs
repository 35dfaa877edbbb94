//! The peak must not follow the amount of data, but follow the jobs. Nothing here compresses: parts are fullest then.

use super::postgres::server;
use crate::programs::Ours;
use crate::support::mongod::{Kind, Mongod};
use crate::support::postgres::Database;
use crate::table::row;
use crate::{Options, data};
use std::fs;

/// Collections, tables or folders, so that as many can be read at once.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Times the size.
const FACTORS: [u32; 3] = [1, 4, 10];

/// Its rows.
pub fn rows(options: &Options) {
    if options.wants("memory documents") || options.wants("memory jobs") {
        documents(options);
    }
    if options.wants("memory rows") {
        tables(options);
    }
    if options.wants("memory files") {
        files(options);
    }
}

fn documents(options: &Options) {
    let server = Mongod::start(Kind::ReplicaSet, &[]);
    let made = FACTORS.map(|factor| {
        let name = format!("memory-documents-{factor}");
        let bytes = data::mongodb::noise(&server, &name, &NAMES, options.size * f64::from(factor));
        let source = format!("hr: {{engine: mongodb, uri: \"{}\", database: {name}}}", server.uri());
        (factor, of_source(options, &name, &source), bytes)
    });
    by_amount(options, "memory documents", &made);
    let (_, largest, bytes) = &made[FACTORS.len() - 1];
    let jobs = [1, 2, 4, 6].map(|jobs| {
        let name = format!("create --jobs {jobs}");
        largest.tool(&name, move || largest.create(&format!("--jobs {jobs}")))
    });
    row(options, "memory jobs, documents", *bytes, jobs.into());
}

fn tables(options: &Options) {
    // They are dropped with these values.
    let databases: [Database; FACTORS.len()] = FACTORS.map(|_| server().database());
    let of_factor = |at: usize| {
        let (factor, database) = (FACTORS[at], &databases[at]);
        let bytes = data::postgres::noise(database, &NAMES, options.size * f64::from(factor));
        let source = format!("hr: {{engine: postgres, uri: \"{}\"}}", database.uri());
        (factor, of_source(options, &format!("memory-rows-{factor}"), &source), bytes)
    };
    by_amount(options, "memory rows", &[0, 1, 2].map(of_factor));
}

fn files(options: &Options) {
    let made = FACTORS.map(|factor| {
        let name = format!("memory-files-{factor}");
        let folder = options.folder.join(format!("{name}-uploads"));
        fs::create_dir_all(&folder).expect("a folder");
        let bytes = data::files::uploads(&folder, options.size * f64::from(factor));
        let config = format!(
            "uploads: [{{root: {}, layout: \"{{directory}}\"}}]\n\
             modules: {{all: {{required: true, fileUploads: [documents]}}}}\n",
            folder.display()
        );
        (factor, Ours::new(options, &name, &config), bytes)
    });
    by_amount(options, "memory files", &made);
}

fn of_source(options: &Options, name: &str, source: &str) -> Ours {
    let names = NAMES.join(", ");
    let config = format!("sources: {{{source}}}\nmodules: {{all: {{required: true, collections: [{names}]}}}}\n");
    Ours::new(options, name, &config)
}

fn by_amount(options: &Options, title: &str, made: &[(u32, Ours, u64)]) {
    let tools = made.iter().map(|(factor, ours, bytes)| {
        let name = format!("create, {factor} × the data ({} MB)", bytes / 1_000_000);
        let mut tool = ours.tool(&name, || ours.create(""));
        tool.reads = Some(*bytes);
        tool
    });
    row(options, title, made[0].2, tools.collect());
}
