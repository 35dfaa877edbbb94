//! Tells the program which commit it was built from. Asks git, and nothing on the network; outside git, what `cargo package`
//! left behind, else `$BACKUP_COMMIT`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=BACKUP_COMMIT");
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".into());
    let root = Path::new(&root);
    // Developers commit often: their builds are not made anew for it, and so do not say which it was.
    let is_shipped = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let given = std::env::var("BACKUP_COMMIT").ok().filter(|commit| !commit.is_empty());
    if is_shipped && let Some(log) = git(root, &["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={}", root.join(log).display());
        println!("cargo:rerun-if-changed=src");
    }
    let found = if is_shipped { given.or_else(|| commit(root)) } else { given };
    let none = if is_shipped { "unknown" } else { "not recorded (debug build)" };
    println!("cargo:rustc-env=BACKUP_COMMIT={}", found.as_deref().unwrap_or(none));
}

/// The commit of the sources at `root`, marked where they were changed since; none where it cannot be told.
pub fn commit(root: &Path) -> Option<String> {
    let top = git(root, &["rev-parse", "--show-toplevel"]);
    // A package that was unpacked inside another repository is none of its commits.
    if top.is_some_and(|top| Path::new(&top).canonicalize().ok() == root.canonicalize().ok()) {
        let commit = git(root, &["rev-parse", "--short=12", "HEAD"])?;
        let changed = git(root, &["status", "--porcelain", "--untracked-files=no"]).is_none_or(|said| !said.is_empty());
        return Some(if changed { format!("{commit}, changed") } else { commit });
    }
    // {"git": {"sha1": "…"}}
    let packaged = std::fs::read_to_string(root.join(".cargo_vcs_info.json")).ok()?;
    let sum = packaged.split("\"sha1\"").nth(1)?.split('"').nth(1)?;
    sum.get(..12).map(str::to_owned)
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let said = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    said.status.success().then(|| String::from_utf8_lossy(&said.stdout).trim().to_owned())
}
