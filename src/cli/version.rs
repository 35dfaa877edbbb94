//! What `--version` says: which program this is, for whoever reports something.

/// The version, the commit it was built from, and what it can do.
pub const LONG: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit:      ",
    env!("BACKUP_COMMIT"),
    "\nengines:     mongodb, postgres, sqlite, files",
    "\narchives:    tar by gzip or zstd, encrypted by age",
    "\nsignatures:  ed25519",
);
