//! What a backup needs of a PostgreSQL server and of this machine: privileges, pg_dump, indexes, a clock.

use super::tools::Tools;
use super::way::Way;
use super::{Postgres, inventory};
use crate::config::Ddl;
use crate::error::Result;
use crate::source::health::{Finding, Needs, clock, missing_index, readable};
use std::collections::BTreeMap;

/// Looks at all of it. What cannot be asked is a finding, too.
pub fn diagnose(source: &Postgres, needs: &Needs<'_>) -> Result<Vec<Finding>> {
    let session = source.session()?;
    let names: Vec<&str> = needs.wanted.iter().map(|wanted| wanted.name.as_str()).collect();
    let mut found = vec![match source.require_readable(&names) {
        Ok(()) => readable(names.len(), "table", "tables"),
        Err(error) => Finding::from(&error),
    }];
    found.push(match (source.ddl, Tools::find(session.version / 10_000)) {
        (Ddl::None, _) => Finding::ok("pg_dump is not needed (`ddl: none`)"),
        (_, Ok(tools)) => Finding::ok(tools.describe()),
        (_, Err(error)) => Finding::from(&error),
    });
    let sql = "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000)::int8";
    let told = source.block(async { session.query(sql, &[]).await.map_err(|e| source.failed(&e)) })?;
    let here = (needs.now)();
    let time = told.first().and_then(|row| chrono::DateTime::from_timestamp_millis(row.get(0)));
    found.extend(time.map(|time| clock(time, here)));

    let relations = source.block(inventory::relations(&session, &source.schema))?;
    let relations: BTreeMap<_, _> = relations.into_iter().map(|relation| (relation.name.clone(), relation)).collect();
    for wanted in needs.owned {
        let (Some(ownership), Some(relation)) = (wanted.records.ownership(), relations.get(&wanted.name)) else {
            continue;
        };
        let look = Way::look(&session, &source.schema, |name| relations.get(name), &wanted.name, ownership);
        match source.block(look) {
            Ok(way) => {
                let command = source.block(way.missing_index(&session, relation.oid))?;
                found.extend(command.map(|command| missing_index(&wanted.name, &command)));
            }
            Err(error) => found.push(Finding::from(&error)),
        }
    }
    Ok(found)
}
