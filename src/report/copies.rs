//! The newest good copies: how large each module is, and how old its copy in every scope.

use super::age;
use super::markup::{bytes, count, escape};
use crate::config::Checks;
use crate::monitor::{Copies, Level, Thing, age_level, size_of};
use crate::names::Scope;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Modules and archives whose share is shown; the others are one.
const SHARES: usize = 15;

/// Tenants that have a row of their own: those whose oldest copy is oldest.
const TENANTS: usize = 40;

/// Modules that have a column.
const COLUMNS: usize = 24;

/// How much each module takes, in the newest good copies of all scopes.
pub fn share(copies: &Copies<'_>) -> String {
    let mut sizes: BTreeMap<Thing<'_>, u64> = BTreeMap::new();
    for (_, stored) in copies.scopes() {
        for (thing, entry) in stored.things.iter().filter_map(|(thing, found)| Some((*thing, found.newest?))) {
            let size = sizes.entry(thing).or_default();
            *size = size.saturating_add(size_of(entry, thing));
        }
    }
    let all = sizes.values().copied().fold(0, u64::saturating_add);
    let mut sizes: Vec<_> = sizes.into_iter().map(|(thing, size)| (name(thing), size)).collect();
    sizes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if sizes.len() > SHARES {
        let rest = sizes.split_off(SHARES - 1);
        let size = rest.iter().map(|(_, size)| *size).fold(0, u64::saturating_add);
        sizes.push((format!("{} others", rest.len()), size));
    }
    let most = sizes.first().map_or(0, |(_, size)| *size).max(1);
    let rows: String = sizes
        .iter()
        .map(|(name, size)| {
            let of_all = if all > 0 { *size as f64 / all as f64 * 100.0 } else { 0.0 };
            let width = *size as f64 / most as f64 * 100.0;
            format!(
                "<tr><th scope=\"row\">{name}</th><td class=\"bar\"><svg viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" \
                 aria-hidden=\"true\"><rect class=\"plain\" width=\"{width:.1}\" height=\"1\"/></svg></td>\
                 <td>{}</td><td>{of_all:.0} %</td></tr>\n",
                bytes(*size)
            )
        })
        .collect();
    format!(
        "<section>\n<h2>Share of each module</h2>\n<p>Stored size of the newest good copies, of all scopes together.</p>\n\
         <table class=\"share\"><thead><tr><th scope=\"col\">Module</th><th scope=\"col\"></th><th scope=\"col\">Size</th>\
         <th scope=\"col\">Share</th></tr></thead><tbody>\n{rows}</tbody></table>\n</section>"
    )
}

/// The age of the newest good copy of every module in every scope.
pub fn last_good(copies: &Copies<'_>, checks: &Checks, now: DateTime<Utc>) -> String {
    let all: BTreeSet<Thing<'_>> = copies.scopes().flat_map(|(_, stored)| stored.things.keys().copied()).collect();
    let columns: Vec<_> = all.iter().copied().take(COLUMNS).collect();
    let oldest = |things: &BTreeMap<Thing<'_>, crate::monitor::Found<'_>>| {
        things.values().map(|found| found.newest.map(|entry| entry.id.at())).min().flatten()
    };
    let mut tenants: Vec<_> = copies.scopes().filter(|(scope, _)| scope.tenant().is_some()).collect();
    tenants.sort_by_key(|(scope, stored)| (oldest(&stored.things), *scope));
    let left = tenants.len().saturating_sub(TENANTS);
    tenants.truncate(TENANTS);
    let system = copies.scopes().filter(|(scope, _)| scope.tenant().is_none());
    let rows: String = system
        .chain(tenants)
        .map(|(scope, stored)| {
            let cell = |thing: &Thing<'_>| {
                let Some(entry) = stored.things.get(thing).and_then(|found| found.newest) else {
                    return "<td class=\"never\">–</td>".to_owned();
                };
                let (class, mark) = match age_level(checks, scope, *thing, entry.id.at(), now) {
                    Level::Ok => ("fresh", ""),
                    Level::Warning => ("late", " !"),
                    Level::Critical => ("stale", " !!"),
                };
                let (age, id) = (age(entry.id.at(), now), escape(entry.id.as_str()));
                format!("<td class=\"{class}\" title=\"{id}\">{age}{mark}</td>")
            };
            let cells: String = columns.iter().map(cell).collect();
            format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", place(scope))
        })
        .collect();
    let header: String = columns.iter().map(|thing| format!("<th scope=\"col\">{}</th>", name(*thing))).collect();
    let mut more = Vec::new();
    if left > 0 {
        more.push(format!("{} with newer copies are not listed", count(left, "tenant", "tenants")));
    }
    if all.len() > columns.len() {
        more.push(format!("{} are not listed", count(all.len() - columns.len(), "module", "modules")));
    }
    let more = if more.is_empty() { String::new() } else { format!("<p>{}.</p>\n", more.join("; ")) };
    format!(
        "<section>\n<h2>Last good copy</h2>\n<p>How old the newest good copy of each module is. “!” is older than the \
         configured warning, “!!” older than critical; tenants with the oldest copies come first.</p>\n\
         <div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Last good copy of each module and tenant\">\
         <table class=\"ages\"><thead><tr><th scope=\"col\">Scope</th>{header}</tr></thead><tbody>\n{rows}</tbody></table>\
         </div>\n{more}</section>"
    )
}

fn name(thing: Thing<'_>) -> String {
    match thing {
        Thing::Module(name) => escape(name),
        Thing::Archive(name) => format!("archive {}", escape(name)),
    }
}

fn place(scope: &Scope) -> String {
    scope.tenant().map_or("system-wide".to_owned(), |id| escape(id.as_str()))
}
