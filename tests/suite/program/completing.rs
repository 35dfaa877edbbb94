//! Completion: real shells complete options, and names that only the configuration and the repository know.

use crate::support::app::{App, Ended, ended};
use rusqlite::Connection;
use std::path::Path;
use std::process::Command;

const CONFIG: &str = r#"
installation: clinic
repository: {location: ./backups}
sources: {clinic: {engine: sqlite, path: clinic.db}, far: {engine: mongodb, uri: {command: [touch, asked]}, database: x}}
tenancy: {field: tenant, tenants: {acme: {}, birch: {}}}
modules:
  core: {required: true, source: clinic, collections: [patients]}
  clinic-billing: {source: clinic, collections: [invoices]}
jobs: {nightly: {schedule: "0 2 * * *", create: {}}, night-watch: {prune: {}}}
"#;

/// With two backups whose manifests nobody has to read.
fn app() -> App {
    let app = App::new(CONFIG);
    let database = Connection::open(app.path("clinic.db")).unwrap();
    database.execute_batch("CREATE TABLE patients (tenant TEXT); CREATE TABLE invoices (tenant TEXT)").unwrap();
    for id in ["system-backup-2025-12-20T10-30-00-000Z", "tenant-oldcustomer-backup-2025-12-21T10-30-00-000Z"] {
        app.write(&format!("backups/metadata/{id}.json"), b"not read");
    }
    for (shell, file) in [("bash", "backup.bash"), ("zsh", "fpath/_backup"), ("fish", "backup.fish")] {
        app.write(file, app.run(&["completions", shell]).expect(0).stdout.as_bytes());
    }
    app
}

fn path() -> String {
    format!("{}:/usr/bin:/bin", Path::new(env!("CARGO_BIN_EXE_backup")).parent().unwrap().display())
}

/// Runs a shell in the application's folder, with nothing but a path to the program.
fn shell(app: &App, program: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new(program);
    command.current_dir(app.path(".")).env_clear().env("PATH", path()).env("HOME", app.path("."));
    ended(command.args(arguments).output().unwrap())
}

/// Lines typed so far, and what completing them must offer, in any order where a shell sorts.
fn expected() -> Vec<(&'static str, Vec<&'static str>)> {
    let (system, tenant) =
        ("system-backup-2025-12-20T10-30-00-000Z", "tenant-oldcustomer-backup-2025-12-21T10-30-00-000Z");
    vec![
        ("backup create --module c", vec!["clinic-billing", "core"]),
        ("backup create --tenant ", vec!["acme", "birch", "oldcustomer"]),
        ("backup restore ", vec!["latest", tenant, system]),
        ("backup restore --collection p", vec!["patients"]),
        ("backup hold s", vec![system]),
        ("backup -c backup.yaml run night", vec!["night-watch", "nightly"]),
        ("backup create --dry", vec!["--dry-run"]),
        ("backup verify --level ", vec!["decoded", "restored", "stored"]),
        ("backup -c /nowhere.yaml create --module ", vec![]),
    ]
}

#[track_caller]
fn judge(shell: &str, line: &str, said: &Ended, wanted: &[&str]) {
    assert_eq!(said.stderr, "", "{shell}: {line}");
    let mut offered: Vec<_> = said.stdout.lines().map(|word| word.split('\t').next().unwrap().trim()).collect();
    offered.retain(|word| !word.is_empty());
    offered.sort_unstable();
    offered.dedup();
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    assert_eq!(offered, wanted, "{shell}: {line}");
}

#[test]
fn bash_completes_names_that_only_the_program_knows() {
    let app = app();
    for (line, wanted) in expected() {
        let script = r#"source ./backup.bash
            read -ra COMP_WORDS <<< "$1"; [[ $1 == *" " ]] && COMP_WORDS+=("")
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$1 COMP_POINT=${#1}
            _backup_with_words backup "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
            printf '%s\n' "${COMPREPLY[@]}""#;
        judge("bash", line, &shell(&app, "bash", &["--norc", "-c", script, "bash", line]), &wanted);
    }
    let registered = shell(&app, "bash", &["--norc", "-c", "source ./backup.bash; complete -p backup"]);
    assert!(registered.stdout.contains("_backup_with_words"), "{}", registered.stdout);
}

#[test]
fn fish_completes_names_that_only_the_program_knows() {
    let app = app();
    for (line, wanted) in expected() {
        let script = "source backup.fish; complete -C $argv[1]";
        judge("fish", line, &shell(&app, "fish", &["--no-config", "-c", script, line]), &wanted);
    }
}

/// A zsh that writes down what it is offered.
const ZSHRC: &str = r#"
PROMPT= PS1=
fpath=($HOME/fpath $fpath)
autoload -Uz compinit
compinit -u -D
compadd() {
    local -a offered
    if (( ! ${@[(I)-[OAD]]} )); then
        builtin compadd -O offered "$@"
        print -rl -- $offered >> $HOME/offered
    fi
    builtin compadd "$@"
}
finish() { print -r -- done > $HOME/finished }
zle -N finish
bindkey '^X' finish
bindkey '^I' complete-word
: > $HOME/offered
zle-line-init() { : > $HOME/ready }
zle -N zle-line-init
"#;

/// Types a line and a tab into that one, on a terminal of its own.
const TYPIST: &str = r#"
zmodload zsh/zpty zsh/zselect
zpty typed zsh -d -i
until [[ -e $HOME/ready ]]; do zpty -r -t typed line; zselect -t 2; done
zpty -w -n typed "$1"$'\t\x18'
until [[ -e $HOME/finished ]]; do zpty -r -t typed line; zselect -t 2; done
cat $HOME/offered
zpty -d typed
"#;

#[test]
fn zsh_completes_names_that_only_the_program_knows() {
    for (line, wanted) in expected() {
        let app = app();
        app.write(".zshrc", ZSHRC.as_bytes());
        judge("zsh", line, &shell(&app, "timeout", &["60", "zsh", "-f", "-c", TYPIST, "zsh", line]), &wanted);
    }
}

#[test]
fn names_are_completed_without_a_secret_a_server_or_a_word_about_mistakes() {
    let app = app();
    for kind in ["which", "backups", "modules", "collections", "tenants", "jobs", "sources"] {
        let said = app.run(&["words", kind]).expect(0);
        assert!(!said.stdout.is_empty() && said.stderr.is_empty(), "{kind}: {said:?}");
    }
    assert!(!app.path("asked").exists(), "the program of a secret was started");
    app.write("backup.yaml", b"modules: [");
    for kind in ["which", "modules", "jobs"] {
        let said = app.run(&["words", kind]).expect(0);
        assert_eq!((said.stdout.as_str().replace("latest\n", ""), said.stderr.as_str()), (String::new(), ""), "{kind}");
    }
    assert!(!app.run(&["--help"]).expect(0).stdout.contains("words"), "it is no command for people");
}
