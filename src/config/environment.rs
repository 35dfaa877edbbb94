//! Where the configuration is, and the variables it may use.

use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Variables and working directory, passed in so that tests fix them.
pub struct Environment {
    variables: BTreeMap<String, String>,
    directory: PathBuf,
}

impl Environment {
    /// The environment of this process. Variables that are not UTF-8 are left out.
    pub fn process() -> Self {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { variables: variables.collect(), directory: std::env::current_dir().unwrap_or_default() }
    }

    /// An environment of exactly these variables.
    pub fn fixed<'a>(directory: &Path, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { variables, directory: directory.to_owned() }
    }

    /// The value of a variable.
    pub fn var(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    /// Where a program is that is run by its name: the first on `$PATH`.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let path = self.var("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
    }

    /// Where PostgreSQL's clients look for passwords: `$PGPASSFILE`, else `~/.pgpass`.
    pub fn passfile(&self) -> Option<PathBuf> {
        let set = |name| self.var(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let named = set("PGPASSFILE").map(|path| self.directory.join(path));
        named.or_else(|| Some(set("HOME")?.join(".pgpass")))
    }
}

impl fmt::Debug for Environment {
    /// Variables hold secrets, so only their number is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.variables.len())
    }
}

/// The configuration file to use: `explicit`, `$BACKUP_CONFIG`, `./backup.yaml`, `/etc/backup/backup.yaml`.
/// A place that was named is the only one that is tried.
///
/// # Errors
/// [`Kind::Config`] naming every place tried.
pub fn find(explicit: Option<&Path>, environment: &Environment) -> Result<PathBuf> {
    let named = environment.var("BACKUP_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let places = match explicit.map(Path::to_owned).or(named) {
        Some(named) => vec![environment.directory.join(named)],
        None => vec![environment.directory.join("backup.yaml"), PathBuf::from("/etc/backup/backup.yaml")],
    };
    if let Some(found) = places.iter().find(|place| place.exists()) {
        return Ok(found.clone());
    }
    let tried: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    Err(Error::new(Kind::Config, format!("no configuration file; tried {}", tried.join(", ")))
        .hint("`backup config init` writes an annotated sample; --config and $BACKUP_CONFIG name another file"))
}
