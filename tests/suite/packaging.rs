//! What is shipped: the program needs nothing but libc, says what it was built from, and the package names files that are there.

use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "../../build.rs"]
#[allow(dead_code, clippy::print_stdout)]
mod build_script;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

#[test]
fn the_program_needs_nothing_but_libc_at_run_time() {
    let listed = Command::new("ldd").arg(env!("CARGO_BIN_EXE_backup")).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let known = [
        "linux-vdso.so",
        "libgcc_s.so",
        "libm.so",
        "libc.so",
        "libdl.so",
        "libpthread.so",
        "librt.so",
        "/lib64/ld-linux",
    ];
    let names: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert!(names.iter().any(|name| name.starts_with("libc.so")), "{text}");
    let others: Vec<_> = names.iter().filter(|name| !known.iter().any(|known| name.starts_with(known))).collect();
    assert!(others.is_empty(), "{others:?}");
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "user.name=t", "-c", "user.email=t@localhost"]).args(arguments);
    let said = command.output().unwrap();
    assert!(said.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_commit_is_that_of_the_sources_and_of_no_repository_around_them() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("backup-1.0.0");
    std::fs::create_dir(&package).unwrap();
    assert_eq!(build_script::commit(&package), None, "there is no git here");
    std::fs::write(package.join(".cargo_vcs_info.json"), r#"{"git": {"sha1": "0123456789abcdef0123"}}"#).unwrap();
    assert_eq!(build_script::commit(&package).as_deref(), Some("0123456789ab"));
    git(folder.path(), &["init", "-q"]);
    std::fs::write(folder.path().join("file"), "1").unwrap();
    git(folder.path(), &["add", "file"]);
    git(folder.path(), &["commit", "-qm", "one"]);
    let commit = git(folder.path(), &["rev-parse", "--short=12", "HEAD"]);
    assert_eq!(build_script::commit(folder.path()), Some(commit.clone()));
    assert_eq!(build_script::commit(&package).as_deref(), Some("0123456789ab"), "another's commit");
    std::fs::write(folder.path().join("file"), "2").unwrap();
    assert_eq!(build_script::commit(folder.path()), Some(format!("{commit}, changed")));
}

#[test]
fn version_says_the_commit_and_what_it_can_do() {
    let said = Command::new(env!("CARGO_BIN_EXE_backup")).arg("--version").output().unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    for words in [concat!("backup ", env!("CARGO_PKG_VERSION"), "\n"), "\ncommit: ", "mongodb, postgres, sqlite", "age"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let short = Command::new(env!("CARGO_BIN_EXE_backup")).arg("-V").output().unwrap();
    assert_eq!(String::from_utf8(short.stdout).unwrap(), concat!("backup ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn every_file_of_the_debian_package_is_there_or_made_by_its_script() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let assets = manifest.split("assets = [").nth(1).unwrap().split("\n]").next().unwrap();
    let sources: Vec<_> =
        assets.lines().filter_map(|line| line.trim().strip_prefix("[\"")?.split('"').next()).collect();
    assert!(sources.len() >= 8, "{sources:?}");
    for source in sources.iter().filter(|source| !source.starts_with("target/")) {
        let found = match source.split_once("/*.") {
            Some((folder, end)) => {
                let mut files = std::fs::read_dir(root().join(folder)).unwrap().flatten();
                files.any(|file| file.path().extension().is_some_and(|extension| extension == end))
            }
            None => root().join(source).is_file(),
        };
        assert!(found, "{source}");
    }
    let service = std::fs::read_to_string(root().join("packaging/backup@.service")).unwrap();
    assert!(service.contains("ExecStart=/usr/bin/backup -q -c /etc/backup/backup.yaml run %i\n"));
}
