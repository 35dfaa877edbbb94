//! The rows: what is compared with what.

mod latency;
mod manifests;
mod memory;
mod mongodb;
mod postgres;
mod restore_one;
mod tenants;
mod uploads;

use crate::Options;
use std::fs;

/// What makes the rows of these titles.
type Group = (&'static [&'static str], fn(&Options));

const GROUPS: [Group; 8] = [
    (&["create mongodb", "restore mongodb"], mongodb::rows),
    (&["create postgresql", "restore postgresql"], postgres::rows),
    (&["create uploads", "verify stored", "verify decoded"], uploads::rows),
    (&["restore one"], restore_one::rows),
    (&["tenants"], tenants::rows),
    (&["manifests"], manifests::rows),
    (&["memory documents", "memory rows", "memory files", "memory jobs"], memory::rows),
    (&["latency mongodb", "latency postgresql"], latency::rows),
];

/// All rows that are asked for.
pub fn all(options: &Options) {
    fs::create_dir_all(&options.folder).expect("a folder to work in");
    for (_, rows) in GROUPS.iter().filter(|(titles, _)| titles.iter().any(|title| options.wants(title))) {
        rows(options);
    }
    fs::remove_dir_all(&options.folder).expect("remove what was made");
}
