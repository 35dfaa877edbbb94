//! Definitions as they are stored (`schema.json`): what was selected, as SQL, and enough to select a part of it again.

use super::toc::{self, TocEntry};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What every script begins with: names are written out, and values mean the same in any session.
const BEGIN: &str = "SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
";

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

/// The definitions of some relations, in the order in which they are made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
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
        for view in
            self.entries.iter().filter(|d| d.entry.class == toc::PG_CLASS && self.populated.contains(&d.entry.oid))
        {
            script.push_str(&view.refresh().unwrap_or_default());
        }
        script
    }

    /// What the relations `wanted` (oids) of these need.
    #[must_use]
    pub fn part(&self, wanted: &BTreeSet<u32>) -> Self {
        let all: Vec<TocEntry> = self.entries.iter().chain(&self.outside).map(|d| d.entry.clone()).collect();
        let selected = toc::select(&all, wanted);
        let pick = |chosen: &[TocEntry]| -> Vec<Definition> {
            let ids: BTreeSet<u32> = chosen.iter().map(|entry| entry.id).collect();
            self.entries.iter().chain(&self.outside).filter(|d| ids.contains(&d.entry.id)).cloned().collect()
        };
        let entries = pick(&selected.entries);
        let has = |oid: u32| entries.iter().any(|definition| definition.entry.object() == (toc::PG_CLASS, oid));
        Self {
            sequences: self.sequences.iter().filter(|sequence| has(sequence.oid)).cloned().collect(),
            populated: self.populated.iter().copied().filter(|oid| has(*oid)).collect(),
            outside: pick(&selected.outside),
            extensions: self.extensions.clone(),
            warnings: Vec::new(),
            entries,
        }
    }
}

impl Definition {
    /// Its statements, as they are run: of a schema, where it is not there yet. (`IF NOT EXISTS` would ask for a privilege
    /// that is not needed then.)
    fn script(&self) -> String {
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
    fn refresh(&self) -> Option<String> {
        let (_, rest) = self.sql.split_once("CREATE MATERIALIZED VIEW ")?;
        Some(format!("REFRESH MATERIALIZED VIEW {};\n", name(rest)?))
    }
}

/// The name at the beginning of `sql`, `schema.relation`, either in quotes or not.
fn name(sql: &str) -> Option<&str> {
    let mut quoted = false;
    let end = sql.find(|c: char| {
        quoted ^= c == '"';
        !quoted && c.is_whitespace()
    })?;
    Some(&sql[..end])
}
