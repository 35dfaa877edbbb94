//! The layers: which part of the program may know which. The table is the architecture; ARCHITECTURE.md repeats it.

use std::fs;
use std::path::{Path, PathBuf};

const USE_CASES: &[&str] = &[
    "config",
    "license",
    "modules",
    "names",
    "plan",
    "source",
    "pipeline",
    "archive",
    "repository",
    "manifest",
    "keys",
    "event",
    "error",
];

/// What each part of `src/` may name of the others: a whole part, or one item of it. `*` is everything.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["*"]),
    ("cli", &["*"]),
    ("create", USE_CASES),
    // A backup may begin with a look at what is there.
    ("create", &["verify_collections"]),
    ("restore", USE_CASES),
    // A restore over data begins with a backup of what it will change.
    ("restore", &["create"]),
    ("verify", USE_CASES),
    ("verify_collections", USE_CASES),
    ("prune", USE_CASES),
    ("stats", USE_CASES),
    ("monitor", USE_CASES),
    // What was found of collections is told as metrics.
    ("monitor", &["verify_collections"]),
    // A page over the same figures.
    ("report", &["config", "event::bytes", "manifest", "monitor", "names", "repository", "stats"]),
    ("hold", USE_CASES),
    ("forget", USE_CASES),
    ("keyring", USE_CASES),
    ("doctor", USE_CASES),
    // It looks at the keys as `key check` does.
    ("doctor", &["keyring"]),
    // Of what tenants have of their own it looks at some.
    ("doctor", &["tenants"]),
    ("plan", USE_CASES),
    ("hooks", &["config", "error", "event", "pipeline"]),
    ("notify", &["config", "error", "event", "keys", "manifest", "modules", "names", "repository"]),
    ("schedule", &["config", "error"]),
    ("tenants", &["config", "modules", "names", "source", "pipeline", "error"]),
    ("license", &["config", "error", "keys", "manifest", "modules", "names", "repository"]),
    ("modules", &["config", "names", "error"]),
    ("config", &["keys", "names", "error"]),
    ("manifest", &["config", "modules", "names", "source", "pipeline", "error"]),
    ("repository", &["manifest", "config", "keys", "names", "error", "event"]),
    (
        "source",
        &[
            "config",
            "modules::Records",
            "modules::Ownership",
            "modules::Hop",
            "pipeline",
            "names",
            "error",
            "manifest::Files",
        ],
    ),
    (
        "archive",
        &[
            "source::EntryName",
            "source::FileEntry",
            "source::FileKind",
            "source::FileOutcome",
            "source::FileOutput",
            "source::FileRecord",
            "source::Input",
            "source::Output",
            "source::RecordStream",
            "source::StreamTotals",
            "pipeline",
            "keys",
            "names",
            "error",
        ],
    ),
    ("keys", &["error"]),
    ("pipeline", &["error"]),
    ("event", &[]),
    ("names", &["error"]),
    ("error", &[]),
];

/// What only some parts may name at all.
const RESERVED: &[(&str, &[&str])] = &[
    ("clap::", &["cli"]),
    ("std::io::stdout", &["cli"]),
    ("std::io::stderr", &["cli"]),
    ("std::process::exit", &["cli"]),
    // `config` reads variables through the one type that tests replace.
    ("std::env", &["cli", "config"]),
    ("mongodb::", &["source"]),
    ("tokio_postgres::", &["source"]),
    ("tokio_postgres_rustls::", &["source"]),
    ("rustls::", &["source", "notify"]),
    ("ureq::", &["notify"]),
    ("lettre::", &["notify"]),
    ("rusqlite::", &["source"]),
    ("libdeflater::", &["archive"]),
    ("aws_lc_rs::", &["keys"]),
    // What `keys` opens and closes is a stream of age's own type.
    ("age::", &["keys", "archive"]),
];

#[test]
fn no_part_knows_more_of_the_others_than_its_layer_allows() {
    let mut offences = Vec::new();
    for source in sources() {
        let lines = LAYERS.iter().filter(|(part, _)| *part == source.part);
        let allowed: Vec<_> = lines.flat_map(|(_, allowed)| allowed.iter()).collect();
        if !LAYERS.iter().any(|(part, _)| *part == source.part) {
            offences.push(format!("{}: '{}' has no line in the table of layers", source.path.display(), source.part));
            continue;
        }
        for used in used_paths(&source.code) {
            let part = used.split("::").next().unwrap_or_default();
            let known = part == source.part || allowed.iter().any(|a| **a == "*" || **a == part || **a == used);
            if !known {
                offences.push(format!("{}: {} may not use crate::{used}", source.path.display(), source.part));
            }
        }
    }
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn the_command_line_the_environment_and_each_driver_stay_in_their_own_part() {
    let mut offences = Vec::new();
    for source in sources() {
        for (word, parts) in RESERVED {
            if mentions(&source.code, word) && !parts.contains(&source.part.as_str()) {
                offences.push(format!("{}: {word} belongs to {parts:?}", source.path.display()));
            }
        }
    }
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn the_scanner_sees_every_way_to_name_another_part() {
    let code = "use crate::archive;\nuse crate::{error::Error, names};\nuse crate::modules::{Records, Only as O};\n\
                let x = crate::config::Config::new();\npub(crate) fn f() {}\nuse xcrate::nothing;";
    let expected = ["archive", "error::Error", "names", "modules::Records", "modules::Only", "config::Config"];
    assert_eq!(used_paths(code), expected);
    assert!(mentions("use clap::Parser;", "clap::") && !mentions("xclap::Parser", "clap::"));
}

struct Source {
    path: PathBuf,
    part: String,
    code: String,
}

/// Every source file but `lib.rs`, without comments and without its tests.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "only {} files below {}", files.len(), root.display());
    let mut sources = Vec::new();
    for path in files {
        let relative = path.strip_prefix(&root).unwrap().to_path_buf();
        let first = relative.iter().next().unwrap().to_str().unwrap();
        let is_test = relative.components().any(|c| Path::new(c.as_os_str()).file_stem().is_some_and(|s| s == "tests"));
        if first == "lib.rs" || is_test {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        sources.push(Source { path: relative.clone(), part: first.trim_end_matches(".rs").into(), code: code(&text) });
    }
    sources
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

fn code(text: &str) -> String {
    let shipped = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = shipped.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    lines.map(|line| line.split(" // ").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// What follows `crate::`, to two names: `error::Error`, `names`.
fn used_paths(code: &str) -> Vec<String> {
    let starts = code.match_indices("crate::").filter(|(i, _)| !is_word_before(code, *i));
    starts.flat_map(|(i, found)| expand(&code[i + found.len()..], 2)).collect()
}

/// The paths that begin here, `depth` names long at most; a group counts as each of its members.
fn expand(rest: &str, depth: usize) -> Vec<String> {
    if let Some(group) = rest.strip_prefix('{') {
        return members(group).iter().flat_map(|member| expand(member, depth)).collect();
    }
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let name = &rest[..end];
    match rest[end..].strip_prefix("::") {
        Some(below) if depth > 1 && !below.starts_with('*') => {
            expand(below, depth - 1).iter().map(|path| format!("{name}::{path}")).collect()
        }
        _ => vec![name.to_owned()],
    }
}

/// The members of a group up to its closing brace.
fn members(group: &str) -> Vec<String> {
    let mut members = vec![String::new()];
    let mut depth = 0;
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => members.push(String::new()),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                members.last_mut().unwrap().push(c);
            }
        }
    }
    members.iter().map(|m| m.trim().to_owned()).filter(|m| !m.is_empty() && m != "self").collect()
}

/// Whether `code` names `path`, and not something that only ends with it (`source::mongodb::` is our own).
fn mentions(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(i, _)| !is_word_before(code, i) && !code[..i].ends_with("::"))
}

fn is_word_before(code: &str, at: usize) -> bool {
    code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}
