//! Definitions as they are stored (`schema.json`): what was selected, as SQL, and enough to select a part of it again.

use super::session::quote;
use super::toc::{self, TocEntry};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What every script begins with: names are written out, and values mean the same in any session.
const BEGIN: &str = "SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
";

/// Name of the entry that holds them, before its `.json`.
pub const STEM: &str = "schema";

/// When a definition is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Section {
    /// Before the rows are there.
    PreData,
    /// After.
    PostData,
}

/// One entry of the dump, with its statements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// What it is and needs.
    pub entry: TocEntry,
    /// When it is made.
    pub section: Section,
    /// Its statements.
    pub sql: String,
}

/// Where a sequence stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SequenceValue {
    /// Identity.
    pub oid: u32,
    /// Schema and name, quoted.
    pub name: String,
    /// The table that it numbers the rows of, where it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u32>,
    /// Its last value, or its first where it was not called yet.
    pub last: i64,
    /// Whether it was.
    pub is_called: bool,
}

/// An extension that must be there before the definitions can be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Extension {
    /// Name.
    pub name: String,
    /// The version that the source had.
    pub version: String,
    /// The schema that its objects were in.
    pub schema: String,
}

/// One of the relations that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredRelation {
    /// Identity at the source.
    pub oid: u32,
    /// The columns that its rows are stored with, in that order; none of a view.
    pub columns: Vec<StoredColumn>,
    /// The columns of its primary key, by which rows of others name its own.
    #[serde(default)]
    pub key: Vec<String>,
}

/// A column of stored rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredColumn {
    /// Name.
    pub name: String,
    /// Type with its modifiers, as DDL writes it.
    pub type_name: String,
}

/// The definitions of some relations of one schema, in the order in which they are made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    /// The schema.
    pub name: String,
    /// Whether definitions are stored: without, `entries` is empty.
    pub defined: bool,
    /// The relations, by name.
    pub relations: BTreeMap<String, StoredRelation>,
    /// All but [`Schema::outside`].
    pub entries: Vec<Definition>,
    /// Foreign keys to tables that are not selected: not made, but told.
    pub outside: Vec<Definition>,
    /// Of the selected.
    pub sequences: Vec<SequenceValue>,
    /// Oids of the materialised views that held something.
    pub populated: BTreeSet<u32>,
    /// What the selected need; of a part of them, what they all need.
    pub extensions: Vec<Extension>,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

impl Schema {
    /// What is run before the rows are loaded: schemas, types, functions, tables, views.
    pub fn pre_data(&self) -> String {
        let made = self.entries.iter().filter(|definition| definition.section == Section::PreData);
        format!("{BEGIN}{}", made.map(|definition| format!("\n{}", definition.script())).collect::<String>())
    }

    /// The scripts that psql restores with, in their order, by name; `path` is where the rows of a table are.
    pub fn scripts(&self, path: &dyn Fn(&str) -> String) -> [(&'static str, String); 3] {
        [("pre-data", self.pre_data()), ("load", self.load(path)), ("post-data", self.post_data())]
    }

    /// What loads the rows in between; `path` is where those of a table are.
    fn load(&self, path: &dyn Fn(&str) -> String) -> String {
        let mut script = format!("{BEGIN}\n");
        for (name, relation) in self.relations.iter().filter(|(_, relation)| self.is_table(relation)) {
            let file = path(name).replace('\'', "''");
            let columns = if relation.columns.is_empty() { String::new() } else { format!(" ({})", relation.list()) };
            script.push_str(&format!("\\copy {}{columns} FROM '{file}'\n", self.place(name)));
        }
        script
    }

    /// Whether it has rows of its own. A view has no stored columns, but there are tables without any too.
    fn is_table(&self, relation: &StoredRelation) -> bool {
        let is_it = |definition: &Definition| {
            definition.entry.kind == "TABLE" && definition.entry.object() == (toc::PG_CLASS, relation.oid)
        };
        !relation.columns.is_empty() || self.entries.iter().any(is_it)
    }

    /// A relation as SQL names it.
    pub fn place(&self, name: &str) -> String {
        format!("{}.{}", quote(&self.name), quote(name))
    }

    /// What is run after: values of sequences, indexes, constraints, triggers, policies, and what materialised views hold.
    pub fn post_data(&self) -> String {
        let mut script = format!("{BEGIN}\n");
        for SequenceValue { name, last, is_called, .. } in &self.sequences {
            let name = name.replace('\'', "''");
            script.push_str(&format!("SELECT pg_catalog.setval('{name}', {last}, {is_called});\n"));
        }
        for definition in self.entries.iter().filter(|definition| definition.section == Section::PostData) {
            script.push_str(&format!("\n{}", definition.script()));
        }
        for view in self.entries.iter().filter(|definition| self.is_populated(definition)) {
            script.push_str(&view.refresh().unwrap_or_default());
        }
        script
    }

    /// Whether it is a materialised view that held something.
    pub fn is_populated(&self, definition: &Definition) -> bool {
        definition.entry.class == toc::PG_CLASS && self.populated.contains(&definition.entry.oid)
    }

    /// What the relations `wanted` (oids) of these need.
    #[must_use]
    pub fn part(&self, wanted: &BTreeSet<u32>) -> Self {
        // Of all, also what none of them needs: an archive of a whole schema holds that too.
        if self.relations.values().all(|relation| wanted.contains(&relation.oid)) {
            return self.clone();
        }
        let all: Vec<TocEntry> = self.entries.iter().chain(&self.outside).map(|d| d.entry.clone()).collect();
        let selected = toc::select(&all, wanted);
        let pick = |chosen: &[TocEntry]| -> Vec<Definition> {
            let ids: BTreeSet<u32> = chosen.iter().map(|entry| entry.id).collect();
            self.entries.iter().chain(&self.outside).filter(|d| ids.contains(&d.entry.id)).cloned().collect()
        };
        let entries = pick(&selected.entries);
        let own = |(name, relation): (&String, &StoredRelation)| (name.clone(), relation.clone());
        let is_wanted = |oid: u32| wanted.contains(&oid);
        let has = |oid: u32| entries.iter().any(|definition| definition.entry.object() == (toc::PG_CLASS, oid));
        Self {
            name: self.name.clone(),
            defined: self.defined,
            relations: self.relations.iter().filter(|(_, r)| wanted.contains(&r.oid)).map(own).collect(),
            sequences: self.sequences.iter().filter(|s| has(s.oid) || s.of.is_some_and(is_wanted)).cloned().collect(),
            populated: self.populated.iter().copied().filter(|oid| has(*oid)).collect(),
            outside: pick(&selected.outside),
            extensions: self.extensions.clone(),
            warnings: Vec::new(),
            entries,
        }
    }
}

impl Schema {
    /// For tables that are there in another schema: definitions name their own, and are not made there; sequences of the
    /// same names are set.
    pub fn elsewhere(self, schema: &str) -> Self {
        let own = format!("{}.", quote(&self.name));
        let moved = |sequence: SequenceValue| {
            let name = sequence.name.strip_prefix(&own).map(|name| format!("{}.{name}", quote(schema)));
            name.map(|name| SequenceValue { name, ..sequence })
        };
        let sequences = self.sequences.into_iter().filter_map(moved).collect();
        Self { name: self.name, relations: self.relations, extensions: self.extensions, sequences, ..Self::default() }
    }
}

impl StoredRelation {
    /// Its columns as SQL lists them.
    pub fn list(&self) -> String {
        self.columns.iter().map(|column| quote(&column.name)).collect::<Vec<_>>().join(", ")
    }
}

impl Definition {
    /// Its statements, as they are run: of a schema, where it is not there yet. (`IF NOT EXISTS` would ask for a privilege
    /// that is not needed then.)
    pub fn script(&self) -> String {
        let Some(name) = self.sql.strip_prefix("CREATE SCHEMA ").and_then(|rest| rest.trim_end().strip_suffix(';'))
        else {
            return self.sql.clone();
        };
        let literal = name.replace('\'', "''");
        let create = format!("CREATE SCHEMA {name}");
        let tag = "$schema_of_backup$";
        format!("DO {tag} BEGIN IF pg_catalog.to_regnamespace('{literal}') IS NULL THEN {create}; END IF; END {tag};\n")
    }

    /// The statement that fills a materialised view; none for what is no such.
    pub fn refresh(&self) -> Option<String> {
        let (_, rest) = self.sql.split_once("CREATE MATERIALIZED VIEW ")?;
        Some(format!("REFRESH MATERIALIZED VIEW {};\n", leading_name(rest)?))
    }
}

/// The name at the beginning of `sql`, alone or after that of its schema, either in quotes or not.
pub fn leading_name(sql: &str) -> Option<&str> {
    let mut quoted = false;
    let end = sql.find(|c: char| {
        quoted ^= c == '"';
        !quoted && c.is_whitespace()
    })?;
    Some(&sql[..end])
}
