//! The table of contents of a schema dump: which of its entries belong to the selected relations.
//!
//! `pg_dump -t` leaves out the types and functions that a table needs, so the whole schema is dumped, and what is
//! selected is closed over the dependencies that `pg_restore --list --verbose` tells:
//!
//! ```text
//! 217; 1259 16398 TABLE public users postgres
//! ;       depends on: 223 850 4 847
//! ```

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The catalog of relations: what an entry's first oid is for tables, views, indexes and sequences.
pub const PG_CLASS: u32 = 1259;

/// An object by the oid of its catalog, and its own in there.
pub type ObjectId = (u32, u32);

/// What a constraint, a trigger, a default and the like are parts of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Part of this table, or domain.
    pub of: ObjectId,
    /// Of a foreign key: the table that it points at.
    pub to: Option<u32>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TocEntry {
    /// Number within the dump.
    pub id: u32,
    /// Catalog of the object, and the object in it; 0 where it has none of its own.
    pub class: u32,
    /// See `class`.
    pub oid: u32,
    /// `TABLE`, `FK CONSTRAINT`, …
    pub kind: String,
    /// What follows: schema, names, owner, as pg_restore writes them.
    pub rest: String,
    /// Entries it needs.
    pub needs: Vec<u32>,
    /// What it is a part of, where the catalog says so: of the tables that a rule needs, one is the rule's own.
    pub part: Option<Part>,
}

impl TocEntry {
    /// The object that it makes.
    pub fn object(&self) -> ObjectId {
        (self.class, self.oid)
    }

    /// Schema and names, for people.
    pub fn name(&self) -> &str {
        self.rest.rsplit_once(' ').map_or(&self.rest, |(name, _owner)| name)
    }
}

/// What pg_dump calls its entries, as far as they are of several words or begin like one that is.
const KINDS: &[&str] = &[
    "ACCESS METHOD",
    "CHECK CONSTRAINT",
    "DATABASE PROPERTIES",
    "DEFAULT ACL",
    "EVENT TRIGGER",
    "FK CONSTRAINT",
    "FOREIGN DATA WRAPPER",
    "FOREIGN SERVER",
    "FOREIGN TABLE",
    "INDEX ATTACH",
    "MATERIALIZED VIEW DATA",
    "MATERIALIZED VIEW",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "PROCEDURAL LANGUAGE",
    "PUBLICATION TABLES IN SCHEMA",
    "PUBLICATION TABLE",
    "ROW SECURITY",
    "SECURITY LABEL",
    "SEQUENCE OWNED BY",
    "SEQUENCE SET",
    "SHELL TYPE",
    "STATISTICS DATA",
    "TABLE ATTACH",
    "TABLE DATA",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "TEXT SEARCH PARSER",
    "TEXT SEARCH TEMPLATE",
    "USER MAPPING",
];

/// Reads what `pg_restore --list --verbose` writes.
///
/// # Errors
/// [`Kind::Internal`] when it is written in an unknown way.
pub fn parse(list: &str) -> Result<Vec<TocEntry>> {
    let mut entries: Vec<TocEntry> = Vec::new();
    for line in list.lines() {
        if let Some(needs) = line.strip_prefix(";\tdepends on: ") {
            if let Some(entry) = entries.last_mut() {
                entry.needs = needs.split_whitespace().filter_map(|id| id.parse().ok()).collect();
            }
        } else if !line.starts_with(';') && !line.trim().is_empty() {
            let odd = || Error::new(Kind::Internal, "pg_restore lists the dump in an unknown way").cause(line);
            entries.push(entry(line).ok_or_else(odd)?);
        }
    }
    Ok(entries)
}

fn entry(line: &str) -> Option<TocEntry> {
    let (id, rest) = line.split_once("; ")?;
    let (class, rest) = rest.split_once(' ')?;
    let (oid, rest) = rest.split_once(' ')?;
    let known = KINDS.iter().find(|kind| rest.strip_prefix(**kind).is_some_and(|rest| rest.starts_with(' ')));
    let kind = known.copied().or_else(|| rest.split(' ').next())?;
    Some(TocEntry {
        id: id.parse().ok()?,
        class: class.parse().ok()?,
        oid: oid.parse().ok()?,
        kind: kind.to_owned(),
        rest: rest.get(kind.len()..)?.trim_start().to_owned(),
        needs: Vec::new(),
        part: None,
    })
}

/// What is said of the dump and the database, and of nothing in it.
const SETTINGS: [&str; 5] = ["ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE", "DATABASE PROPERTIES"];

/// What a selection needs of a dump, in the order of the dump.
#[derive(Debug, Clone, Default)]
pub struct Selected {
    /// All of it but [`Selected::outside`].
    pub entries: Vec<TocEntry>,
    /// Foreign keys of selected tables to tables that are not selected.
    pub outside: Vec<TocEntry>,
}

/// All entries.
pub fn all(toc: Vec<TocEntry>) -> Selected {
    let entries = toc.into_iter().filter(|entry| !SETTINGS.contains(&entry.kind.as_str())).collect();
    Selected { entries, outside: Vec::new() }
}

/// The entries of the relations `wanted` (oids): they, what belongs to them, and all that these need.
pub fn select(toc: &[TocEntry], wanted: &BTreeSet<u32>) -> Selected {
    let by_id: BTreeMap<u32, &TocEntry> = toc.iter().map(|entry| (entry.id, entry)).collect();
    let wanted = &with_partitions(&by_id, wanted);
    let is_wanted = |(class, oid): ObjectId| class == PG_CLASS && wanted.contains(&oid);
    let mut taken: BTreeSet<u32> = toc.iter().filter(|entry| is_wanted(entry.object())).map(|entry| entry.id).collect();
    let mut outside = BTreeSet::new();
    // What belongs to what is taken may need more, to which more belongs.
    loop {
        let before = taken.len();
        let objects: BTreeSet<ObjectId> = taken.iter().filter_map(|id| by_id.get(id)).map(|e| e.object()).collect();
        for entry in toc.iter().filter(|entry| !taken.contains(&entry.id)).collect::<Vec<_>>() {
            match (entry.kind.as_str(), entry.part) {
                ("FK CONSTRAINT", Some(Part { of, to: Some(to) })) if is_wanted(of) => {
                    if wanted.contains(&to) {
                        taken.insert(entry.id)
                    } else {
                        outside.insert(entry.id)
                    };
                }
                ("FK CONSTRAINT", _) => {}
                _ if belongs(entry, &taken, &objects, &by_id) => drop(taken.insert(entry.id)),
                _ => {}
            }
        }
        let needed = taken.iter().filter_map(|id| by_id.get(id)).flat_map(|entry| entry.needs.iter().copied());
        let needed: Vec<u32> = needed.filter(|id| by_id.contains_key(id)).collect();
        taken.extend(needed);
        if taken.len() == before {
            break;
        }
    }
    let pick = |ids: &BTreeSet<u32>| toc.iter().filter(|entry| ids.contains(&entry.id)).cloned().collect();
    Selected { entries: pick(&taken), outside: pick(&outside) }
}

/// These relations, and the partitions of those that have some.
pub fn with_partitions(by_id: &BTreeMap<u32, &TocEntry>, wanted: &BTreeSet<u32>) -> BTreeSet<u32> {
    let mut all = wanted.clone();
    loop {
        let before = all.len();
        for attached in by_id.values().filter(|entry| entry.kind == "TABLE ATTACH") {
            let sides =
                || attached.needs.iter().filter_map(|id| by_id.get(id).copied()).filter(|entry| entry.kind == "TABLE");
            // It has the partition's name.
            let (partition, of): (Vec<&TocEntry>, Vec<&TocEntry>) =
                sides().partition(|entry| entry.name() == attached.name());
            if of.iter().any(|entry| all.contains(&entry.oid)) {
                all.extend(partition.iter().map(|entry| entry.oid));
            }
        }
        if all.len() == before {
            return all;
        }
    }
}

/// Whether an entry is part of something that is taken.
fn belongs(
    entry: &TocEntry,
    taken: &BTreeSet<u32>,
    objects: &BTreeSet<ObjectId>,
    by_id: &BTreeMap<u32, &TocEntry>,
) -> bool {
    let mut needs = entry.needs.iter().filter(|id| by_id.contains_key(id)).peekable();
    match (entry.kind.as_str(), entry.part) {
        (
            "CONSTRAINT" | "CHECK CONSTRAINT" | "INDEX" | "DEFAULT" | "TRIGGER" | "RULE" | "POLICY" | "STATISTICS"
            | "SEQUENCE",
            Some(part),
        ) => objects.contains(&part.of),
        // They need nothing but what they are of; an attachment, both its sides.
        (
            "ROW SECURITY" | "TABLE ATTACH" | "INDEX ATTACH" | "SEQUENCE OWNED BY" | "COMMENT" | "SECURITY LABEL"
            | "ACL",
            _,
        ) => needs.peek().is_some() && needs.all(|id| taken.contains(id)),
        _ => false,
    }
}

/// Begins an entry in a script, and what ends the script.
const HEAD: &str = "--\n-- Name: ";
const END: &str = "\n--\n-- PostgreSQL database dump complete\n--\n";

/// Said between two entries: it is the setting under which those that follow are made.
const SETTING: &str = "SET default_table_access_method = ";

/// Cuts the script that pg_restore makes of `entries` into the statements of each; none when it cannot be told where one
/// ends: where a body looks like the head of an entry, say. Of one entry that can always be told.
pub fn cut(script: &str, entries: &[TocEntry]) -> Option<Vec<String>> {
    let (first, rest) = script.split_once(HEAD)?;
    let text = rest.rsplit_once(END).map(|(text, _)| text)?;
    // A head stands at the beginning of a line.
    let between = format!("\n{HEAD}");
    let pieces: Vec<&str> = if entries.len() == 1 { vec![text] } else { text.split(&between).collect() };
    if pieces.len() != entries.len() {
        return None;
    }
    let mut setting = setting_of(first).1;
    let mut statements = Vec::new();
    for (entry, piece) in entries.iter().zip(pieces) {
        let (head, body) = piece.split_once("\n--\n")?;
        if !is_head_of(entry, head) {
            return None;
        }
        let (body, next) = setting_of(body.trim());
        let begin = setting.filter(|_| matches!(entry.kind.as_str(), "TABLE" | "MATERIALIZED VIEW"));
        statements.push(format!("{}{}\n", begin.map(|line| format!("{line}\n")).unwrap_or_default(), body));
        setting = next.or(setting);
    }
    Some(statements)
}

/// Whether `app; Type: TABLE; Schema: s; Owner: -` is said of this entry.
fn is_head_of(entry: &TocEntry, head: &str) -> bool {
    let said = head.rsplit_once("; Type: ").and_then(|(name, rest)| Some((name, rest.split_once("; Schema: ")?)));
    let Some((name, (kind, rest))) = said else { return false };
    let Some((schema, _)) = rest.rsplit_once("; Owner: ") else { return false };
    kind == entry.kind && entry.rest.starts_with(&format!("{schema} {name} "))
}

/// The text without the setting that it ends with, and that setting.
fn setting_of(text: &str) -> (&str, Option<&str>) {
    let text = text.trim_end();
    let (above, last) = text.rsplit_once('\n').unwrap_or(("", text));
    if last.starts_with(SETTING) { (above.trim_end(), Some(last)) } else { (text, None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
;
; Selected TOC Entries:
;
4; 2615 2200 SCHEMA - public pg_database_owner
847; 1247 16386 TYPE public mood postgres
;\tdepends on: 4
223; 1255 16394 FUNCTION public f(integer) postgres
;\tdepends on: 4
224; 1255 16435 FUNCTION public trg() postgres
;\tdepends on: 4
214; 1259 16395 SEQUENCE public free_seq postgres
;\tdepends on: 4
217; 1259 16398 TABLE public users postgres
;\tdepends on: 223 4 847
3393; 0 0 COMMENT public TABLE users postgres
;\tdepends on: 217
3394; 0 0 ACL public TABLE users postgres
;\tdepends on: 217
218; 1259 16408 TABLE public orders postgres
;\tdepends on: 4
215; 1259 16396 SEQUENCE public users_id_seq postgres
;\tdepends on: 4 217
3395; 0 0 SEQUENCE OWNED BY public users_id_seq postgres
;\tdepends on: 215
3229; 2604 16401 DEFAULT public users id postgres
;\tdepends on: 217 215 217
3236; 2606 16412 CONSTRAINT public orders orders_pkey postgres
;\tdepends on: 218
3241; 2620 16436 TRIGGER public users t postgres
;\tdepends on: 224 217
3240; 2606 16413 FK CONSTRAINT public orders orders_user_id_fkey postgres
;\tdepends on: 217 218
3464; 3256 16440 POLICY public orders own postgres
;\tdepends on: 218 217
";

    fn chosen(wanted: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let mut toc = parse(LIST).unwrap();
        let of = |oid, to| Some(Part { of: (PG_CLASS, oid), to });
        for entry in &mut toc {
            entry.part = match entry.oid {
                16396 | 16401 | 16436 => of(16398, None),
                16412 | 16440 => of(16408, None),
                16413 => of(16408, Some(16398)),
                _ => None,
            };
        }
        let selected = select(&toc, &wanted.iter().copied().collect());
        let ids = |entries: &[TocEntry]| entries.iter().map(|entry| entry.id).collect();
        (ids(&selected.entries), ids(&selected.outside))
    }

    #[test]
    fn a_table_brings_its_types_functions_sequences_defaults_and_triggers_and_nothing_of_others() {
        assert_eq!(chosen(&[16398]), (vec![4, 847, 223, 224, 217, 3393, 3394, 215, 3395, 3229, 3241], vec![]));
    }

    #[test]
    fn a_foreign_key_comes_with_both_its_tables_and_is_listed_apart_with_one() {
        assert_eq!(chosen(&[16408]).1, [3240]);
        assert!(!chosen(&[16408]).0.contains(&3240));
        assert!(chosen(&[16398, 16408]).0.contains(&3240));
    }

    #[test]
    fn a_policy_belongs_to_its_own_table_and_not_to_those_it_asks() {
        assert!(!chosen(&[16398]).0.contains(&3464));
        assert!(chosen(&[16408]).0.contains(&3464));
    }

    #[test]
    fn a_script_is_cut_at_its_heads_and_not_where_that_cannot_be_told() {
        let head = |name: &str, kind: &str, body: &str| {
            format!("--\n-- Name: {name}; Type: {kind}; Schema: public; Owner: -\n--\n\n{body}\n\n\n")
        };
        let heap = "SET default_table_access_method = heap;";
        let toc = parse("1; 1259 10 TABLE public a o\n2; 1255 11 FUNCTION public f() o\n").unwrap();
        let table = head("a", "TABLE", "CREATE TABLE a ();");
        let script = |function: &str| format!("SET x;\n\n{heap}\n\n{table}{function}{}\n\\unrestrict\n", &END[1..]);
        let plain = script(&head("f()", "FUNCTION", "CREATE f;"));
        assert_eq!(cut(&plain, &toc).unwrap(), [format!("{heap}\nCREATE TABLE a ();\n"), "CREATE f;\n".into()]);
        let trap = "$$\n--\n-- Name: x; Type: TABLE; Schema: y; Owner: -\n--\n\n--\n-- PostgreSQL database dump complete\n--\n$$";
        let trapped = script(&head("f()", "FUNCTION", trap));
        assert_eq!(cut(&trapped, &toc), None);
        let alone = format!("{}{}", head("f()", "FUNCTION", trap), &END[1..]);
        assert_eq!(cut(&alone, &toc[1..]).unwrap(), [format!("{trap}\n")]);
        assert_eq!(cut(&plain, &toc[1..]), None, "another entry's head");
    }
}
