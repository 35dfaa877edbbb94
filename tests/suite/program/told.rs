//! What the documents say that the program says: mistakes, the recorded session, the recipes.

use super::examples::copy;
use crate::support::app::{App, Ended, ended};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Lines of a shell, where the program is on the path and its clock stands still.
pub fn shell(app: &App, lines: &str, now: Option<&str>) -> Ended {
    let binary = Path::new(env!("CARGO_BIN_EXE_backup")).parent().unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", app.path("bin").display(), binary.display());
    let mut command = Command::new("sh");
    command.args(["-c", lines]).current_dir(app.path(".")).env_clear().env("PATH", path).env("HOME", app.path("."));
    command.envs(now.map(|now| ("BACKUP_NOW", now))).stdin(Stdio::null());
    ended(command.output().unwrap())
}

/// The same on every machine, at every time.
fn steady(text: &str, app: &App) -> String {
    let folder = app.path(".");
    let folder = folder.to_str().unwrap().trim_end_matches("/.");
    let mut out = String::new();
    for line in text.replace(folder, "/app").lines() {
        let mut words: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
        for word in &mut words {
            let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
            let is_id = bare.len() == 36 && bare.matches('-').count() == 4 && !bare.starts_with("00000000");
            if is_id {
                *word = word.replace(&bare, "UUID");
            } else if bare.starts_with("age1") && bare.len() > 20 {
                *word = word.replace(&bare, "age1KEY");
            }
        }
        let mut line = words.join(" ");
        // Sizes of what is stored differ with the names in it, and what a machine has with the machine.
        for unit in [" KiB", " MiB", " GiB", " TiB"] {
            let is_digit = |c: char| c.is_ascii_digit();
            let places =
                |line: &str| line.match_indices(unit).map(|(at, _)| at).find(|at| line[..*at].ends_with(is_digit));
            while let Some(at) = places(&line) {
                let start = line[..at].rfind(|c: char| !(is_digit(c) || c == '.')).map_or(0, |i| i + 1);
                let kept = if unit == " KiB" { line[start..at].replace(is_digit, "N") } else { "N".to_owned() };
                line.replace_range(start..at, &kept);
            }
        }
        let is_time = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
        if let Some(rest) = line.strip_suffix(" s")
            && let Some(seconds) = rest.rsplit(' ').next().filter(is_time)
        {
            line = format!("{}N s", &rest[..rest.len() - seconds.len()]);
        }
        if let Some((before, _)) = line.split_once("on the disk mounted at ") {
            line = format!("{before}on the disk mounted at MOUNT");
        }
        if line.starts_with("Made by: ") {
            line = "Made by:      USER@HOST, backup VERSION".into();
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Archives are made side by side, and what is told of them comes as they are done: such lines are put in order.
fn in_one_order(said: &str) -> String {
    let is_of_archive = |line: &&str| {
        let told = line.split_once(": ").filter(|(of, _)| of.contains('/') && !of.starts_with([' ', '/']));
        told.is_some_and(|(_, what)| what.ends_with(" B") && (what.contains(" record") || what.contains(" file")))
    };
    let mut lines: Vec<&str> = said.lines().collect();
    lines.chunk_by_mut(|one, next| is_of_archive(one) && is_of_archive(next)).for_each(<[&str]>::sort_unstable);
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The document with what is said now in the place of what it says. Each block is an application of its own, or all are one.
fn retold(text: &str, fresh: &dyn Fn() -> App, together: bool) -> (String, usize) {
    let (mut out, mut blocks) = (String::new(), 0);
    let mut app = fresh();
    let mut parts = text.split("```console\n");
    out.push_str(parts.next().unwrap());
    for part in parts {
        let (block, rest) = part.split_once("\n```").unwrap();
        if !together && blocks > 0 {
            app = fresh();
        }
        let lines: Vec<_> = block.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
        let now = format!("2025-12-20T{}:00:00Z", 12 + if together { blocks } else { 0 });
        let said = shell(&app, &lines.join("\n"), Some(&now));
        let shown: String = lines.iter().map(|line| format!("$ {line}\n")).collect();
        let said = steady(&format!("(exit {})\n{}{}", said.code, said.stderr, said.stdout), &app);
        out.push_str(&format!("```console\n{shown}{}\n```{rest}", said.trim_end()));
        blocks += 1;
    }
    (out, blocks)
}

/// The document, below a heading where one is given, says what is said, word for word.
#[track_caller]
fn holds((name, heading): (&str, &str), least: usize, together: bool, fresh: &dyn Fn() -> App) {
    let whole = std::fs::read_to_string(document(name)).unwrap();
    let from = whole.find(heading).unwrap_or_else(|| panic!("{name} has no {heading}")) + heading.len();
    let to = if heading.is_empty() { None } else { whole[from..].find("\n## ") };
    let text = &whole[from..to.map_or(whole.len(), |to| from + to)];
    let (now, blocks) = retold(text, fresh, together);
    assert!(blocks >= least, "{name} has {blocks} blocks");
    if std::env::var_os("BACKUP_TEST_BLESS").is_some() {
        std::fs::write(document(name), whole.replace(text, &now)).unwrap();
        return;
    }
    let (text, now) = (in_one_order(text), in_one_order(&now));
    for (line, (was, is)) in text.lines().zip(now.lines()).enumerate() {
        assert_eq!(was, is, "{name}:{}", line + 1);
    }
    assert_eq!(text.lines().count(), now.lines().count(), "{name}");
}

#[test]
fn mistakes_are_told_with_what_happened_where_and_what_to_do() {
    holds(("tests/mistakes.md", ""), 30, false, &|| {
        let app = copy("quickstart");
        app.run_at("2025-12-20T10:30:00Z", &["-q", "create"]).expect(0);
        app
    });
}

#[test]
fn the_recorded_session_is_what_the_program_says() {
    holds(("docs/session.md", ""), 7, true, &|| copy("quickstart"));
}

#[test]
fn the_session_in_the_readme_is_what_the_program_says() {
    holds(("README.md", "\n## What it looks like\n"), 3, true, &|| copy("quickstart"));
}

#[test]
fn every_line_of_the_recipes_runs() {
    let text = std::fs::read_to_string(document("docs/recipes.md")).unwrap();
    let mut blocks = 0;
    for part in text.split("```sh\n").skip(1) {
        let lines = part.split("```").next().unwrap();
        let app = copy("quickstart");
        // What would change this machine.
        let table = app.path("table");
        let table = table.display();
        stand_in(
            &app,
            "crontab",
            &format!(
                "[ \"$1\" = - ] && exec cat > {table}; cat {table} 2>/dev/null || {{ echo no crontab for you >&2; exit 1; }}"
            ),
        );
        let ran = shell(&app, &format!("set -eux\n{lines}"), None);
        assert_eq!(ran.code, 0, "{lines}\n{}\n{}", ran.stdout, ran.stderr);
        blocks += 1;
    }
    assert!(blocks >= 8, "{blocks} blocks");
}

/// A program of that name, before any other on the path.
pub fn stand_in(app: &App, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    app.write(&format!("bin/{name}"), format!("#!/bin/sh\n{script}\n").as_bytes());
    std::fs::set_permissions(app.path(&format!("bin/{name}")), PermissionsExt::from_mode(0o755)).unwrap();
}
