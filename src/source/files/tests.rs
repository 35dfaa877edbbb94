//! The engine against real folders: what goes in comes out, and nothing outside is read or written.

use super::*;
use crate::config::{ExtraFiles, Sealing, UploadRoot};
use crate::error::{Kind, Result};
use crate::names::{Scope, TenantId};
use crate::pipeline::{Body, Cancel, Piece};
use crate::source::{FileEntry, FileKind, FileOutcome, FileOutput, FileRecord};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

type Hook = Box<dyn FnMut(&[u8])>;

/// Keeps what it is given; a hook is called when a file is about to be read.
#[derive(Default)]
struct Kept {
    entries: Vec<(FileEntry, Vec<u8>)>,
    before_body: Option<Hook>,
}

impl FileOutput for Kept {
    fn file(&mut self, entry: &FileEntry, body: &mut dyn Body) -> Result<FileOutcome> {
        if let Some(hook) = &mut self.before_body {
            hook(&entry.path);
        }
        let mut bytes = Vec::new();
        loop {
            match body.next()? {
                Piece::Bytes(piece) => bytes.extend(piece),
                Piece::End(end) => {
                    assert_eq!(bytes.len() as u64, entry.size);
                    self.entries.push((entry.clone(), bytes));
                    return Ok(FileOutcome { torn: end.torn });
                }
            }
        }
    }
}

impl Kept {
    fn paths(&self) -> Vec<String> {
        self.entries.iter().map(|(entry, _)| String::from_utf8_lossy(&entry.path).into_owned()).collect()
    }
}

fn root(path: &Path, layout: &str) -> UploadRoot {
    UploadRoot {
        protected: false,
        name: "up".into(),
        root: path.to_owned(),
        layout: layout.into(),
        exclude: Vec::new(),
        max_file_size: None,
        allowed_extensions: Vec::new(),
        references: Vec::new(),
    }
}

fn tenant(id: &str) -> Scope {
    Scope::Tenant(TenantId::parse(id).unwrap())
}

fn read_all(trees: &Trees) -> (Kept, crate::manifest::Files) {
    let mut kept = Kept::default();
    let files = read(trees, 1, &mut kept, &Cancel::default(), &mut |_, _| {}).unwrap();
    (kept, files)
}

fn put(path: &Path, body: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, body).unwrap();
}

/// Path → (mode, mtime, content or link) of everything below `path`, by the standard library alone.
fn picture(path: &Path) -> BTreeMap<Vec<u8>, (u32, i64, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for entry in walkdir::WalkDir::new(path).min_depth(1) {
        let entry = entry.unwrap();
        let meta = entry.path().symlink_metadata().unwrap();
        let content = if meta.is_symlink() {
            std::fs::read_link(entry.path()).unwrap().as_os_str().as_bytes().to_vec()
        } else if meta.is_file() {
            std::fs::read(entry.path()).unwrap()
        } else {
            Vec::new()
        };
        let relative = entry.path().strip_prefix(path).unwrap().as_os_str().as_bytes().to_vec();
        all.insert(relative, (meta.mode(), meta.mtime(), meta.mtime_nsec(), content));
    }
    all
}

#[test]
fn a_nasty_tree_comes_back_as_it_was() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let docs = from.path().join("docs");
    put(&docs.join("plain.txt"), b"plain");
    put(&docs.join("empty"), b"");
    put(&docs.join("new\nline"), b"x");
    put(&docs.join("a".repeat(255)), b"long");
    put(&docs.join(OsStr::from_bytes(b"raw\xff\xfe")), b"raw");
    put(&docs.join("deep/er/still"), b"deep");
    std::fs::create_dir(docs.join("hollow")).unwrap();
    symlink("../nowhere", docs.join("link")).unwrap();
    let sparse = std::fs::File::create(docs.join("sparse")).unwrap();
    sparse.set_len(8 << 20).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"end", (8 << 20) - 3).unwrap();
    std::fs::set_permissions(docs.join("plain.txt"), PermissionsExt::from_mode(0o1751)).unwrap();
    std::fs::set_permissions(docs.join("deep"), PermissionsExt::from_mode(0o555)).unwrap();
    let mut paths: Vec<_> = walkdir::WalkDir::new(&docs).into_iter().map(|e| e.unwrap().into_path()).collect();
    paths.reverse();
    let touched = Command::new("touch").args(["-h", "-d", "2001-02-03T04:05:06.123456789Z"]).args(paths).status();
    assert!(touched.unwrap().success());
    let attributes = xattr::set(docs.join("plain.txt"), "user.note", b"\x00v").is_ok();

    let (kept, files) = read_all(&uploads(&[root(from.path(), "{directory}")], &["docs".into()], &Scope::SystemWide));
    assert_eq!((files.files, files.directories, files.symlinks, files.damaged.len()), (7, 4, 1, 0));
    let mut target = FilesTarget::open(to.path()).unwrap();
    for (entry, body) in &kept.entries {
        target.write(&entry.path, entry.size, &entry.record, &mut &body[..]).unwrap();
    }
    target.finish().unwrap();
    let back = to.path().join("up");
    assert_eq!(picture(&back), picture(from.path()).into_iter().collect());
    if attributes {
        assert_eq!(xattr::get(back.join("docs/plain.txt"), "user.note").unwrap().unwrap(), b"\x00v");
    }
    assert!(std::fs::metadata(back.join("docs/sparse")).unwrap().blocks() < 1000, "holes are holes again");
}

#[test]
fn a_tenant_is_matched_by_its_whole_name_and_links_to_others_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    for (path, body) in [("12/docs/a", "twelve"), ("123/docs/b", "canary"), ("1/docs/c", "canary")] {
        put(&dir.path().join(path), body.as_bytes());
    }
    symlink(dir.path().join("123"), dir.path().join("99")).unwrap();
    symlink(dir.path().join("123/docs"), dir.path().join("12/docs/sneak")).unwrap();
    let roots = [root(dir.path(), "{tenant}/{directory}")];
    let (kept, _) = read_all(&uploads(&roots, &["docs".into()], &tenant("12")));
    assert_eq!(kept.paths(), ["up/12/docs", "up/12/docs/a", "up/12/docs/sneak"]);
    assert!(kept.entries.iter().all(|(_, body)| body != b"canary"));
    let (kept, _) = read_all(&uploads(&roots, &["docs".into()], &tenant("99")));
    assert!(kept.entries.is_empty(), "a tenant's folder that is a link leads to somebody else's");
    let (_, files) = read_all(&uploads(&roots, &["docs".into()], &Scope::SystemWide));
    assert_eq!(files.files, 3);
    let shared = [root(dir.path(), "{directory}")];
    assert!(uploads(&shared, &["docs".into()], &tenant("12")).trees.is_empty());
}

#[test]
fn what_rules_leave_out_is_counted_and_named() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["keep.pdf", "KEEP.PDF", "note.txt", "x.tmp", "cache/in.pdf", "big.pdf"] {
        put(&dir.path().join("docs").join(name), if name == "big.pdf" { &[1; 100] } else { b"1" });
    }
    let mut one = root(dir.path(), "{directory}");
    one.exclude = vec!["*.tmp".into(), "cache".into()];
    one.max_file_size = Some(50);
    one.allowed_extensions = vec![".pdf".into()];
    let trees = uploads(&[one], &["docs".into()], &Scope::SystemWide);
    let (kept, files) = read_all(&trees);
    assert_eq!(kept.paths(), ["up/docs", "up/docs/KEEP.PDF", "up/docs/keep.pdf"]);
    assert_eq!(files.excluded, 4);
    assert!(files.excluded_samples.iter().any(|line| line.starts_with("up/docs/big.pdf: 100 bytes")));
    let survey = survey(&trees, &Cancel::default()).unwrap();
    assert_eq!((survey.files, survey.bytes, survey.present), (2, 2, vec!["docs".to_owned()]));
}

#[test]
fn pipes_do_not_hang_and_are_named() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("docs/a"), b"a");
    assert!(Command::new("mkfifo").arg(dir.path().join("docs/pipe")).status().unwrap().success());
    let (kept, files) = read_all(&uploads(&[root(dir.path(), "{directory}")], &["docs".into()], &Scope::SystemWide));
    assert_eq!(kept.paths(), ["up/docs", "up/docs/a"]);
    assert!(files.excluded_samples[0].starts_with("up/docs/pipe: a socket, pipe or device"));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["grows", "shrinks", "steady"] {
        put(&dir.path().join("docs").join(name), &[7; 1000]);
    }
    let docs = dir.path().join("docs");
    let hook: Hook = Box::new(move |path| {
        if path.ends_with(b"grows") {
            let mut file = std::fs::File::options().append(true).open(docs.join("grows")).unwrap();
            std::io::Write::write_all(&mut file, b"more").unwrap();
        }
        if path.ends_with(b"shrinks") {
            std::fs::File::options().write(true).open(docs.join("shrinks")).unwrap().set_len(10).unwrap();
        }
    });
    let mut kept = Kept { before_body: Some(hook), ..Kept::default() };
    let trees = uploads(&[root(dir.path(), "{directory}")], &["docs".into()], &Scope::SystemWide);
    let files = read(&trees, 1, &mut kept, &Cancel::default(), &mut |_, _| {}).unwrap();
    assert_eq!(files.damaged.len(), 2, "{:?}", files.damaged);
    assert!(files.damaged.iter().all(|line| !line.contains("steady")));
}

#[test]
fn a_file_swapped_for_a_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("docs/a"), b"a");
    put(&dir.path().join("docs/b"), b"b");
    put(&dir.path().join("canary"), b"canary");
    let base = dir.path().to_owned();
    // While the folder entry itself is stored, after its names were read, b becomes a link to the canary.
    let hook: Hook = Box::new(move |path| {
        if path.ends_with(b"/a") {
            std::fs::remove_file(base.join("docs/b")).unwrap();
            symlink(base.join("canary"), base.join("docs/b")).unwrap();
        }
    });
    let mut kept = Kept { before_body: Some(hook), ..Kept::default() };
    let trees = uploads(&[root(dir.path(), "{directory}")], &["docs".into()], &Scope::SystemWide);
    read(&trees, 1, &mut kept, &Cancel::default(), &mut |_, _| {}).unwrap();
    assert!(kept.entries.iter().all(|(_, body)| body != b"canary"));
    let b = kept.entries.iter().find(|(entry, _)| entry.path.ends_with(b"/b")).unwrap();
    assert_eq!(b.0.record.kind, FileKind::Symlink);
}

/// Longer than what is read of a file before it is its turn.
const LONG: usize = 8 << 20;

#[test]
fn what_several_read_ahead_is_stored_in_order_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..700 {
        let size = if number % 100 == 50 { LONG } else { number * 97 % 5000 };
        put(&dir.path().join(format!("docs/{}/{number}", number % 7)), &vec![number as u8; size]);
    }
    symlink("../nowhere", dir.path().join("docs/link")).unwrap();
    assert!(Command::new("mkfifo").arg(dir.path().join("docs/3/pipe")).status().unwrap().success());
    let trees = uploads(&[root(dir.path(), "{directory}")], &["docs".into()], &Scope::SystemWide);
    let (alone, files) = read_all(&trees);
    for readers in [2, 5] {
        let (mut kept, mut told) = (Kept::default(), 0);
        let cancel = Cancel::default();
        let found = read(&trees, readers, &mut kept, &cancel, &mut |_, bytes| told += bytes).unwrap();
        assert_eq!(kept.paths(), alone.paths());
        assert!(kept.entries.iter().map(|(_, body)| body).eq(alone.entries.iter().map(|(_, body)| body)));
        assert_eq!((found.files, found.bytes, found.excluded, told), (700, files.bytes, 1, files.bytes));
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_ahead_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let docs = dir.path().join("docs");
    for name in ["grows", "shrinks", "steady"] {
        put(&docs.join(name), &vec![7; LONG]);
    }
    let hook: Hook = Box::new(move |path| {
        if path.ends_with(b"grows") {
            let mut file = std::fs::File::options().append(true).open(docs.join("grows")).unwrap();
            std::io::Write::write_all(&mut file, b"more").unwrap();
        }
        if path.ends_with(b"shrinks") {
            std::fs::File::options().write(true).open(docs.join("shrinks")).unwrap().set_len(10).unwrap();
        }
    });
    let mut kept = Kept { before_body: Some(hook), ..Kept::default() };
    let trees = uploads(&[root(dir.path(), "{directory}")], &["docs".into()], &Scope::SystemWide);
    let files = read(&trees, 3, &mut kept, &Cancel::default(), &mut |_, _| {}).unwrap();
    let expected =
        ["up/docs/grows: it changed while it was read", "up/docs/shrinks: it became shorter while it was read"];
    assert_eq!(files.damaged, expected);
    assert_eq!(kept.entries.iter().map(|(_, body)| body.len()).sum::<usize>(), 3 * LONG);
}

/// Takes some objects, and fails at the next.
struct Full(usize);

impl FileOutput for Full {
    fn file(&mut self, _: &FileEntry, _: &mut dyn Body) -> Result<FileOutcome> {
        self.0 = self.0.checked_sub(1).ok_or_else(|| crate::error::Error::new(Kind::DiskFull, "full"))?;
        Ok(FileOutcome::default())
    }
}

#[test]
fn who_reads_ahead_ends_with_the_run() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..40 {
        put(&dir.path().join(format!("docs/{number}")), &vec![7; LONG / 4]);
    }
    let trees = uploads(&[root(dir.path(), "{directory}")], &["docs".into()], &Scope::SystemWide);
    for (full, readers) in [(0, 2), (1, 2), (20, 4)] {
        let failed = read(&trees, readers, &mut Full(full), &Cancel::default(), &mut |_, _| {}).unwrap_err();
        assert_eq!(failed.kind, Kind::DiskFull);
    }
    let cancel = Cancel::default();
    let signal = cancel.clone();
    let hook: Hook = Box::new(move |path| {
        if path.ends_with(b"/20") {
            signal.signal(15);
        }
    });
    let mut kept = Kept { before_body: Some(hook), ..Kept::default() };
    let ended = read(&trees, 2, &mut kept, &cancel, &mut |_, _| {}).unwrap_err();
    assert_eq!(ended.kind, Kind::Signal(15));
}

fn plain(kind: FileKind) -> FileRecord {
    FileRecord {
        kind,
        mode: 0o600,
        uid: 0,
        gid: 0,
        mtime: (1, 0),
        link: Some("2f746d70".into()),
        xattrs: Vec::new(),
        torn: false,
    }
}

#[test]
fn nothing_is_written_outside_the_target() {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("inside");
    put(&dir.path().join("outside/canary"), b"canary");
    let mut target = FilesTarget::open(&inside).unwrap();
    symlink(dir.path().join("outside"), inside.join("trap")).unwrap();
    for path in ["../outside/x", "/etc/x", "a/../../x", "", "a//b", ".", "..", "a\0b"] {
        let refused = target.write(path.as_bytes(), 1, &plain(FileKind::File), &mut &b"x"[..]);
        assert_eq!(refused.unwrap_err().kind, Kind::Damaged, "{path:?}");
    }
    for path in ["trap/canary", "trap/new", "trap/deep/er"] {
        let refused = target.write(path.as_bytes(), 1, &plain(FileKind::File), &mut &b"x"[..]);
        assert_eq!(refused.unwrap_err().kind, Kind::Refused, "{path:?}");
        assert!(target.write(path.as_bytes(), 0, &plain(FileKind::Directory), &mut &b""[..]).is_err());
    }
    // A link that the archive brings itself leads nowhere either.
    target.write(b"own", 0, &plain(FileKind::Symlink), &mut &b""[..]).unwrap();
    assert!(target.write(b"own/x", 1, &plain(FileKind::File), &mut &b"x"[..]).is_err());
    assert_eq!(picture(&dir.path().join("outside")).len(), 1);
    assert_eq!(std::fs::read(dir.path().join("outside/canary")).unwrap(), b"canary");
}

#[test]
fn nothing_is_replaced_and_a_short_body_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("there"), b"old");
    let mut target = FilesTarget::open(dir.path()).unwrap();
    assert_eq!(target.there(b"there").unwrap(), There::File);
    assert_eq!(target.there(b"not/there").unwrap(), There::Nothing);
    let refused = target.write(b"there", 3, &plain(FileKind::File), &mut &b"new"[..]).unwrap_err();
    assert_eq!(refused.kind, Kind::Refused);
    for (size, body) in [(5, &b"abc"[..]), (2, b"abc")] {
        assert_eq!(
            target.write(b"short", size, &plain(FileKind::File), &mut { body }).unwrap_err().kind,
            Kind::Damaged
        );
    }
    let left: Vec<_> = picture(dir.path()).into_iter().map(|(path, (.., body))| (path, body)).collect();
    assert_eq!(left, [(b"there".to_vec(), b"old".to_vec())]);
}

#[test]
fn extra_paths_keep_their_written_names() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("config/app.yaml"), b"c");
    put(&dir.path().join(".env"), b"e");
    let path = |written: &str| (dir.path().join(written), written.to_owned());
    let outside = (dir.path().join("config/app.yaml"), dir.path().join("config/app.yaml").display().to_string());
    let paths = vec![path(".env"), path("./config"), outside];
    let files = ExtraFiles { paths, exclude: Vec::new(), optional: false, sealing: Sealing::default() };
    let (kept, _) = read_all(&extra("configuration", &files));
    let absolute = dir.path().join("config/app.yaml").display().to_string().trim_start_matches('/').to_owned();
    assert_eq!(kept.paths(), [".env".to_owned(), "config".into(), "config/app.yaml".into(), absolute]);
}
