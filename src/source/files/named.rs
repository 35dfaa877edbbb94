//! The files of an upload root that records name: from the text of a record to a path that stays in the root.

use super::beneath;
use crate::config::{FileReferences, UploadRoot};
use crate::error::{Error, Kind, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use std::collections::HashSet;

/// Files of one tenant below one root. Their names are held in memory, so there is a limit: with the other one, on their
/// bytes, about 200 MB at most.
const MOST: usize = 1_000_000;

/// Bytes of their names.
const MOST_BYTES: usize = 128 << 20;

/// Longer is no path (`PATH_MAX` of Linux, without its zero).
const LONGEST_PATH: usize = 4095;

/// Longer is no name (`NAME_MAX`).
const LONGEST_NAME: usize = 255;

/// Paths below a root, each once.
#[derive(Debug, Default)]
pub struct Names {
    paths: HashSet<Vec<u8>>,
    bytes: usize,
}

impl Names {
    /// Adds a path.
    ///
    /// # Errors
    /// [`Kind::Source`] where there are more than can be held.
    pub fn add(&mut self, path: Vec<u8>) -> Result<()> {
        let length = path.len();
        if self.paths.insert(path) {
            self.bytes += length;
        }
        if self.paths.len() > MOST || self.bytes > MOST_BYTES {
            let what = format!("a tenant's records name more than {MOST} files, or {} MiB of names", MOST_BYTES >> 20);
            return Err(Error::new(Kind::Source, what)
                .hint("give each tenant a folder of its own, and the upload root a `layout` with `{tenant}`"));
        }
        Ok(())
    }

    /// Whether a path is named.
    pub fn holds(&self, path: &[u8]) -> bool {
        self.paths.contains(path)
    }

    /// Every path.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.paths.iter().map(Vec::as_slice)
    }

    /// Those below a folder, in the order in which a walk would meet them.
    pub(super) fn below(&self, folder: &[u8]) -> Vec<&[u8]> {
        let within = |path: &&[u8]| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with(b"/"));
        let mut found: Vec<&[u8]> = self.paths.iter().map(Vec::as_slice).filter(within).collect();
        found.sort_unstable_by(|one, other| one.split(|b| *b == b'/').cmp(other.split(|b| *b == b'/')));
        found
    }
}

/// The path below the root that a record's text names; none for an empty text, which names nothing.
///
/// # Errors
/// Why it is not taken: only what stays below the root by its text alone is.
pub fn path_of(rule: &FileReferences, text: &[u8]) -> std::result::Result<Option<Vec<u8>>, &'static str> {
    let name = text.strip_prefix(rule.prefix.as_bytes()).unwrap_or(text);
    if name.is_empty() {
        return Ok(None);
    }
    if name.len() > LONGEST_PATH || name.split(|b| *b == b'/').any(|part| part.len() > LONGEST_NAME) {
        return Err("no file has so long a name");
    }
    if name.contains(&0) {
        return Err("no file has a NUL in its name");
    }
    if name.starts_with(b"/") {
        return Err("an absolute path; is a `prefix` to be taken off?");
    }
    let parts = || name.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b"."));
    if parts().any(|part| part == b"..") {
        return Err("it leads out of its folder");
    }
    if parts().next().is_none() || name.ends_with(b"/") {
        return Err("it names a folder");
    }
    let below = rule.below.as_bytes().split(|b| *b == b'/').filter(|part| !part.is_empty());
    Ok(Some(below.chain(parts()).collect::<Vec<_>>().join(&b'/')))
}

/// What the texts of one collection's records name below an upload root.
#[derive(Debug)]
pub struct Paths<'a> {
    rule: &'a FileReferences,
    folders: Vec<String>,
}

impl<'a> Paths<'a> {
    /// Of the records of `rule`, within the folders that modules have below the root.
    pub fn new(rule: &'a FileReferences, folders: Vec<String>) -> Self {
        Self { rule, folders }
    }

    /// The path that a text names; none where it names nothing. What is no path of a module's is added to `refused`.
    pub fn of(&self, text: Option<&[u8]>, refused: &mut Tally) -> Option<Vec<u8>> {
        let Some(text) = text else {
            refused.add(b"a value that is no text", "");
            return None;
        };
        let is_within = |path: &[u8]| {
            let mut rests = self.folders.iter().filter_map(|folder| path.strip_prefix(folder.as_bytes()));
            rests.any(|rest| rest.starts_with(b"/"))
        };
        match path_of(self.rule, text) {
            Ok(Some(path)) if is_within(&path) => return Some(path),
            Ok(Some(_)) => refused.add(text, "in no module's upload directory"),
            Ok(None) => {}
            Err(reason) => refused.add(text, reason),
        }
        None
    }
}

/// How many, and the first five for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The first five.
    pub samples: Vec<String>,
}

impl Tally {
    /// One more; `reason` may be empty.
    pub fn add(&mut self, name: &[u8], reason: &str) {
        const SAMPLES: usize = 5;
        const LONGEST: usize = 120;
        self.count += 1;
        if self.samples.len() < SAMPLES {
            let text: String = String::from_utf8_lossy(name).escape_debug().take(LONGEST + 1).collect();
            let mut text: String = match text.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            };
            if !reason.is_empty() {
                text = format!("{text}: {reason}");
            }
            if !self.samples.contains(&text) {
                self.samples.push(text);
            }
        }
    }
}

/// Looks whether files of a root are there.
#[derive(Debug)]
pub struct Look(Option<OwnedFd>);

impl Look {
    /// At this root, which need not be there.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn at(root: &UploadRoot) -> Result<Self> {
        match openat(CWD, &root.root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(opened) => Ok(Self(Some(opened))),
            Err(Errno::NOENT) => Ok(Self(None)),
            Err(e) => Err(Error::io("open", &root.root, &e.into())),
        }
    }

    /// Why a path is no file that is there; none where it is.
    pub fn lacks(&self, path: &[u8]) -> Option<String> {
        let Some(root) = &self.0 else { return Some("there is no such file".into()) };
        let found = match path.iter().rposition(|b| *b == b'/') {
            None => statat(root, path, AtFlags::SYMLINK_NOFOLLOW),
            Some(at) => beneath::open(root, &path[..at], OFlags::DIRECTORY | OFlags::PATH, Mode::empty())
                .and_then(|folder| statat(folder, &path[at + 1..], AtFlags::SYMLINK_NOFOLLOW)),
        };
        match found.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::RegularFile) => None,
            Ok(FileType::Symlink) => Some("a symbolic link, which is not followed".into()),
            Ok(FileType::Directory) => Some("a folder, not a file".into()),
            Ok(_) => Some("it is no file".into()),
            Err(Errno::NOENT) => Some("there is no such file".into()),
            Err(Errno::LOOP | Errno::NOTDIR | Errno::XDEV) => Some("a folder on the way is none".into()),
            Err(e) => Some(std::io::Error::from(e).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(below: &str, prefix: &str) -> FileReferences {
        let text = String::new;
        let (below, prefix) = (below.into(), prefix.into());
        let (source, collection, field, written) = (text(), text(), text(), text());
        FileReferences { source, collection, field, directory: None, below, prefix, written }
    }

    #[test]
    fn a_name_is_a_path_below_the_root_or_none() {
        let of = |below: &str, prefix: &str, text: &str| path_of(&rule(below, prefix), text.as_bytes());
        let is = |path: &str| Ok(Some(path.as_bytes().to_vec()));
        assert_eq!(of("", "", "papers/a.pdf"), is("papers/a.pdf"));
        assert_eq!(of("papers", "", "a.pdf"), is("papers/a.pdf"));
        assert_eq!(of("", "/uploads/", "/uploads/papers/a.pdf"), is("papers/a.pdf"));
        assert_eq!(of("", "", "./papers//a.pdf"), is("papers/a.pdf"));
        assert_eq!(of("", "", ""), Ok(None));
        let long = format!("papers/{}", "x".repeat(256));
        for wrong in
            ["../a", "papers/../../a", "/etc/passwd", "a\0b", "papers/", ".", &"x/".repeat(3000), &long, "papers/.."]
        {
            assert!(of("papers", "", wrong).is_err(), "{wrong}");
        }
        assert_eq!(of("", "", "..a/b.."), is("..a/b.."));
    }

    #[test]
    fn names_are_bounded_and_told_apart_by_whole_parts() {
        let mut names = Names::default();
        for path in ["papers/b", "papers/a-b/x", "papers/a/x", "papers2/a", "papers/a/x"] {
            names.add(path.as_bytes().to_vec()).unwrap();
        }
        let below: Vec<_> =
            names.below(b"papers").into_iter().map(|p| String::from_utf8(p.to_vec()).unwrap()).collect();
        assert_eq!(below, ["papers/a/x", "papers/a-b/x", "papers/b"]);
        names.bytes = MOST_BYTES;
        assert_eq!(names.add(b"papers/more".to_vec()).unwrap_err().kind, Kind::Source);
    }
}
