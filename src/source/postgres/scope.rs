//! One tenant's rows among those that are stored, as a stream of COPY lines. Memory is bounded: whose a row is, its parent
//! says, and of the tenant's parents a million keys are remembered at a time, as hashes; for each such lot the rows are read
//! through once more.

use super::copy;
use super::rename::Renamer;
use super::restore::{read_schema, relation_of};
use super::rows_of;
use super::schema::{Schema, StoredRelation};
use super::way::{Owner, is_padded, only_key};
use crate::error::{Error, Kind, Result};
use crate::modules::{Hop, Ownership};
use crate::source::{Input, StoredCollection, Stream, StreamTotals};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

/// Keys that are remembered at once: about 32 MB.
const LOT: usize = 1_000_000;

/// What finds the definitions of an archive.
type Schemas<'s> = &'s dyn Fn(&dyn Input) -> Result<Arc<Schema>>;

/// See [`crate::source::scope_totals`].
pub fn scope_totals(stored: &StoredCollection, input: &dyn Input) -> Result<StreamTotals> {
    let schemas = |input: &dyn Input| read_schema(input, &stored.directory).map(Arc::new);
    let mut rows = open(stored, input, &schemas)?;
    copy::digest_rows(&mut rows)
}

/// See [`crate::source::scoped`].
pub fn scoped<'a>(stored: &StoredCollection, input: &'a dyn Input) -> Result<Option<Stream<'a>>> {
    let schemas = |input: &dyn Input| read_schema(input, &stored.directory).map(Arc::new);
    let name = rows_of(&stored.directory, &schemas(input)?.name, &stored.name);
    Ok(Some((name, open(stored, input, &schemas)?)))
}

/// The stored rows of a collection that are in its scope.
///
/// # Errors
/// [`Kind::Damaged`] when what is stored is; as [`parent`] when it does not say whose they are.
pub fn open<'a>(
    stored: &StoredCollection,
    input: &'a dyn Input,
    schemas: Schemas<'_>,
) -> Result<Box<dyn Read + Send + 'a>> {
    let records = stored.stored_scope();
    let renamer = renamer(stored, input, schemas)?;
    let body = || Ok(Body { input, entry: rows_of(&stored.directory, &schemas(input)?.name, &stored.name) });
    let rows = match (records.ownership(), renamer.is_some()) {
        (None, false) => return input.open(&body()?.entry),
        (None, true) => Box::new(Whole { body: body()?.open()?, name: stored.name.clone() }),
        (Some(ownership), _) => Archives { all: input, directory: &stored.directory, schemas, lot: LOT }.level(
            &stored.name,
            input,
            ownership,
        )?,
    };
    Ok(Box::new(Lines { rows, renamer, line: Vec::new(), sent: 0 }))
}

/// What makes the stored rows another tenant's; none where they do not hold the tenant's id.
fn renamer(stored: &StoredCollection, input: &dyn Input, schemas: Schemas<'_>) -> Result<Option<Renamer>> {
    let Some(renaming) = &stored.renaming else { return Ok(None) };
    let below_key = |hop: &Hop, field: &str| {
        let unknown = || {
            let what = format!(
                "whether the rows of {} name the tenant cannot be told: they are owned by way of {}, which this backup does not hold",
                stored.name, hop.parent
            );
            Error::new(Kind::Refused, what).hint("choose a backup that holds both")
        };
        let schema = schemas(input.holding(&hop.parent).ok_or_else(unknown)?)?;
        let parent = schema.relations.get(&hop.parent).ok_or_else(unknown)?;
        Ok((parent.key == [field]).then(String::new))
    };
    let Some(column) = renaming.field(&below_key)? else { return Ok(None) };
    Renamer::of(renaming, &stored.name, relation_of(&*schemas(input)?, &stored.name)?, &column)
}

/// Rows of one table on the way from an owner.
trait Rows: Send {
    /// The next row that is the tenant's, with its end, in the place of what `line` held; false after the last.
    fn next(&mut self, line: &mut Vec<u8>) -> Result<bool>;
}

/// The archives of a backup that the rows of a table and of those above it are in.
struct Archives<'s, 'a> {
    /// Knows which of them holds what. An archive alone does not: every table above may be in another one.
    all: &'a dyn Input,
    directory: &'s str,
    schemas: Schemas<'s>,
    lot: usize,
}

impl<'a> Archives<'_, 'a> {
    /// The tenant's rows of `table`, which `held` holds: their parents' first, where those say whose they are.
    fn level(&self, table: &str, held: &'a dyn Input, ownership: &Ownership) -> Result<Box<dyn Rows + 'a>> {
        let schema = (self.schemas)(held)?;
        let relation = relation_of(&schema, table)?;
        let body = Body { input: held, entry: rows_of(self.directory, &schema.name, table) };
        let Some((hop, rest)) = ownership.via.split_first() else {
            let at = column(relation, table, &ownership.field)?;
            let owner = Owner::new(ownership, &relation.columns[at].type_name)?;
            return Ok(Box::new(Own { body: body.open()?, at, owner, name: table.to_owned() }));
        };
        let of_parent = Ownership { via: rest.to_vec(), ..ownership.clone() };
        let above = self.parent(hop, table)?;
        let parents = self.level(&hop.parent, above, &of_parent)?;
        let theirs = (self.schemas)(above)?;
        let theirs = relation_of(&theirs, &hop.parent)?;
        let key = Column::of(theirs, &hop.parent, only_key(&hop.parent, &theirs.key)?)?;
        let foreign = Column::of(relation, table, &hop.foreign_key)?;
        Ok(Box::new(Children { parents, key, foreign, keys: HashSet::new(), again: body, body: None, lot: self.lot }))
    }

    /// What holds the parents of a table.
    fn parent(&self, hop: &Hop, table: &str) -> Result<&'a dyn Input> {
        self.all.holding(&hop.parent).ok_or_else(|| {
            let what =
                format!("the rows of {table} are owned by way of {}, which this backup does not hold", hop.parent);
            Error::new(Kind::Refused, what).hint("choose a backup that holds both, or restore the whole table")
        })
    }
}

fn column(relation: &StoredRelation, table: &str, name: &str) -> Result<usize> {
    relation.columns.iter().position(|column| column.name == name).ok_or_else(|| {
        Error::new(
            Kind::Refused,
            format!("the stored table {table} has no column {name}, which would say who owns a row"),
        )
        .hint("the `tenant` rule of the configuration does not fit this backup")
    })
}

/// A column that holds keys.
struct Column {
    at: usize,
    /// Filled up with spaces.
    padded: bool,
}

impl Column {
    fn of(relation: &StoredRelation, table: &str, name: &str) -> Result<Self> {
        let at = column(relation, table, name)?;
        Ok(Self { at, padded: is_padded(&relation.columns[at].type_name) })
    }

    /// The key in a row; none where it is NULL.
    fn hash(&self, row: &[u8]) -> Option<[u8; 16]> {
        let mut value = copy::value(row, self.at)?;
        while self.padded && value.last() == Some(&b' ') {
            value.pop();
        }
        let hash = Sha256::digest(&value);
        let mut short = [0; 16];
        short.copy_from_slice(&hash[..16]);
        Some(short)
    }
}

/// An entry that can be read again.
struct Body<'a> {
    input: &'a dyn Input,
    entry: crate::source::EntryName,
}

type Open<'a> = BufReader<Box<dyn Read + Send + 'a>>;

impl<'a> Body<'a> {
    fn open(&self) -> Result<Open<'a>> {
        Ok(BufReader::with_capacity(1 << 20, self.input.open(&self.entry)?))
    }
}

/// All rows, of a schema of the tenant's own.
struct Whole<'a> {
    body: Open<'a>,
    name: String,
}

impl Rows for Whole<'_> {
    fn next(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        read_line(&mut self.body, line, &self.name)
    }
}

/// Rows that name their owner themselves.
struct Own<'a> {
    body: Open<'a>,
    at: usize,
    owner: Owner,
    name: String,
}

impl Rows for Own<'_> {
    fn next(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        while read_line(&mut self.body, line, &self.name)? {
            if self.owner.is(copy::value(line, self.at).as_deref()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Rows whose parents say whose they are.
struct Children<'a> {
    parents: Box<dyn Rows + 'a>,
    key: Column,
    foreign: Column,
    /// Of the tenant's parents, the lot that is looked for now.
    keys: HashSet<[u8; 16]>,
    again: Body<'a>,
    body: Option<Open<'a>>,
    lot: usize,
}

impl Rows for Children<'_> {
    fn next(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        loop {
            if let Some(body) = &mut self.body {
                while read_line(body, line, &self.again.entry.stem)? {
                    if self.foreign.hash(line).is_some_and(|key| self.keys.contains(&key)) {
                        return Ok(true);
                    }
                }
            }
            self.body = None;
            self.keys.clear();
            while self.keys.len() < self.lot && self.parents.next(line)? {
                self.keys.extend(self.key.hash(line));
            }
            if self.keys.is_empty() {
                return Ok(false);
            }
            self.body = Some(self.again.open()?);
        }
    }
}

fn read_line(body: &mut Open<'_>, line: &mut Vec<u8>, name: &str) -> Result<bool> {
    line.clear();
    let read = body
        .read_until(b'\n', line)
        .map_err(|e| Error::unreadable(e, format!("the stored rows of {name} cannot be read")))?;
    if read > 0 && line.last() != Some(&b'\n') {
        return Err(Error::new(Kind::Damaged, format!("the last stored row of {name} has no end")));
    }
    Ok(read > 0)
}

/// Rows as a stream of bytes.
struct Lines<'a> {
    rows: Box<dyn Rows + 'a>,
    renamer: Option<Renamer>,
    line: Vec<u8>,
    sent: usize,
}

impl Read for Lines<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.sent == self.line.len() {
            self.sent = 0;
            if !self.rows.next(&mut self.line).map_err(std::io::Error::other)? {
                self.line.clear();
                return Ok(0);
            }
            if let Some(renamer) = &self.renamer {
                renamer.rename(&mut self.line).map_err(std::io::Error::other)?;
            }
        }
        let n = out.len().min(self.line.len() - self.sent);
        out[..n].copy_from_slice(&self.line[self.sent..self.sent + n]);
        self.sent += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::IdType;
    use crate::modules::Records;
    use crate::source::EntryName;
    use crate::source::postgres::schema::StoredColumn;
    use std::collections::BTreeMap;

    /// An archive of tables, by name: columns, key and rows.
    struct Archive(BTreeMap<&'static str, (&'static str, String)>);

    impl Input for Archive {
        fn identity(&self) -> String {
            "archive".into()
        }

        fn is_sealed(&self) -> bool {
            false
        }

        fn open(&self, name: &EntryName) -> Result<Box<dyn Read + Send + '_>> {
            let (_, rows) = &self.0[name.stem.strip_prefix("public.").unwrap()];
            Ok(Box::new(rows.as_bytes()))
        }

        fn holding(&self, collection: &str) -> Option<&dyn Input> {
            self.0.contains_key(collection).then_some(self as &dyn Input)
        }
    }

    fn schema(archive: &Archive) -> Arc<Schema> {
        let relation = |columns: &str| StoredRelation {
            oid: 1,
            columns: columns
                .split(' ')
                .map(|name| StoredColumn { name: name.into(), type_name: "integer".into() })
                .collect(),
            key: vec!["id".into()],
        };
        let relations = archive.0.iter().map(|(name, (columns, _))| ((*name).to_owned(), relation(columns))).collect();
        Arc::new(Schema { name: "public".into(), relations, ..Schema::default() })
    }

    fn kept(archive: &Archive, table: &str, via: &[(&str, &str)], lot: usize) -> Result<String> {
        let via =
            via.iter().map(|(key, parent)| Hop { foreign_key: (*key).into(), parent: (*parent).into() }).collect();
        let ownership = Ownership { tenant: "acme".into(), id_type: IdType::String, via, field: "owner".into() };
        let schemas = |_: &dyn Input| Ok(schema(archive));
        let archives = Archives { all: archive, directory: "db", schemas: &schemas, lot };
        let rows = archives.level(table, archive, &ownership)?;
        let mut text = String::new();
        Lines { rows, renamer: None, line: Vec::new(), sent: 0 }
            .read_to_string(&mut text)
            .map_err(|e| e.downcast::<Error>().unwrap())?;
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        Ok(lines.join("\n"))
    }

    #[test]
    fn rows_are_found_by_way_of_their_parents_in_lots_of_any_size() {
        let archive = Archive(BTreeMap::from([
            ("owners", ("id owner", "1\tacme\n2\tbirch\n3\tacme\n4\t\\N\n5\tacme2\n".into())),
            ("middle", ("id up", "10\t1\n11\t2\n12\t3\n13\t\\N\n14\t99\n15\t1\n".into())),
            ("leaves", ("up v", "10\ta\n12\tb\n11\tcanary\n13\tcanary\n\\N\tcanary\n15\tc\n".into())),
        ]));
        let (one, two) = (("up", "middle"), ("up", "owners"));
        for lot in [1, 2, 100] {
            assert_eq!(kept(&archive, "leaves", &[one, two], lot).unwrap(), "10\ta\n12\tb\n15\tc");
            assert_eq!(kept(&archive, "middle", &[two], lot).unwrap(), "10\t1\n12\t3\n15\t1");
            assert_eq!(kept(&archive, "owners", &[], lot).unwrap(), "1\tacme\n3\tacme");
        }
    }

    #[test]
    fn rows_whose_owner_cannot_be_known_are_nobodys_and_not_left_out_in_silence() {
        let archive = Archive(BTreeMap::from([("leaves", ("up v", "10\ta\n".into()))]));
        let lost = kept(&archive, "leaves", &[("up", "gone")], 10).unwrap_err();
        assert!(lost.to_string().contains("leaves are owned by way of gone"), "{lost}");
        let cut = Archive(BTreeMap::from([("owners", ("id owner", "1\tacme\n2\tacme".into()))]));
        assert_eq!(kept(&cut, "owners", &[], 10).unwrap_err().kind, Kind::Damaged);
        let stored = StoredCollection {
            name: "owners".into(),
            directory: "db".into(),
            records: 0,
            digest: Default::default(),
            scope: Records::All { shared: false },
            renaming: None,
        };
        assert!(open(&stored, &cut, &|_| Ok(schema(&cut))).is_ok());
    }
}
