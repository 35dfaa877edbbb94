//! `RESTORE.txt`: the first entry of every archive, for the day when `backup` is not at hand.

use crate::config::Algorithm;

/// How to restore an archive of an engine with tar, cat and the database's own tools. `directory` is the archive's
/// first folder.
pub fn recovery_text(engine: &str, directory: &str, algorithm: Algorithm) -> String {
    let body = match engine {
        "mongodb" => MONGODB,
        "postgres" => POSTGRES,
        "sqlite" => SQLITE,
        _ => FILES,
    };
    let option = match algorithm {
        Algorithm::Gzip => "-z",
        Algorithm::Zstd => "--zstd",
    };
    let head = HEAD.replace(".EXTENSION", algorithm.extension()).replace("OPTION", option);
    format!("{head}{}{CHECK}", body.replace("DATABASE", directory))
}

const HEAD: &str = "\
This archive was written by `backup`. It is a plain .EXTENSION; this is how to use it without `backup`.

1. Unpack it into an empty folder:

     mkdir restored && tar OPTION -xf ARCHIVE.EXTENSION -C restored && cd restored

";

const MONGODB: &str = "\
2. Large collections are stored in parts. Join them (this also drops parts that have no metadata file: they are what
   a collection that failed had left, and are void):

     for first in DATABASE/*%part-00001.bson; do
       [ -e \"$first\" ] || continue
       stem=\"${first%\\%part-00001.bson}\"
       meta=\"$(echo \"$stem\" | sed 's|/system\\.buckets\\.|/|').metadata.json\"
       if [ -e \"$meta\" ]; then cat \"$stem\"%part-*.bson > \"$stem.bson\"; fi
       rm -- \"$stem\"%part-*.bson
     done

   mongorestore refuses the folder while a part is left in it, so this step cannot be forgotten.

3. Load it, into a database of your choice, or a single collection of it:

     mongorestore --uri mongodb://HOST --nsFrom 'DATABASE.*' --nsTo 'TARGET.*' --nsInclude 'DATABASE.*' .
     mongorestore --uri mongodb://HOST --db TARGET --collection users DATABASE/users.bson

";

const SQLITE: &str = "\
2. The .db file in DATABASE/ is a whole SQLite database that holds the tables of this archive. Open it, or copy a table:

     sqlite3 DATABASE/*.db '.tables'
     sqlite3 live.db \"ATTACH 'DATABASE/NAME.db' AS b; INSERT INTO t SELECT * FROM b.t\"

";

const POSTGRES: &str = "\
2. Large tables are stored in parts. Join them:

     for first in DATABASE/data/*%part-00001.copy; do
       [ -e \"$first\" ] || continue
       stem=\"${first%\\%part-00001.copy}\"
       cat \"$stem\"%part-*.copy > \"$stem.copy\" && rm -- \"$stem\"%part-*.copy
     done

3. Load it into an empty database: definitions, then rows, then values of sequences, indexes, keys and triggers. An archive
   of rows alone (`ddl: none`) makes nothing in the first and last step; its tables must be there. Extensions that are
   needed are listed in DATABASE/schema.json, and made by hand before.

     createdb TARGET
     psql -X -v ON_ERROR_STOP=1 -d TARGET -f DATABASE/pre-data.sql
     psql -X -v ON_ERROR_STOP=1 -d TARGET -f DATABASE/load.sql
     psql -X -v ON_ERROR_STOP=1 -d TARGET -f DATABASE/post-data.sql

   A single table: run the line of it in load.sql, where the table is there.

";

const FILES: &str = "\
2. The files are there, with their modes, times and links. With extended attributes: tar --xattrs --xattrs-include='*'.

";

const CHECK: &str = "\
To check: the manifest (metadata/<id>.json in the repository) gives this archive's SHA-256, and the records of every
collection; .index.jsonl, the last entry, gives size, record count and SHA-256 of every entry, one JSON object a line.
";
