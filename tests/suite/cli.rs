//! The command line: the real binary under a cleared environment.

use std::path::Path;
use std::process::{Output, Stdio};
use tempfile::TempDir;

/// Every command and sub-command there is, as the program itself lists them.
fn commands() -> Vec<Vec<String>> {
    let folder = TempDir::new().unwrap();
    let (mut found, mut open) = (Vec::new(), vec![Vec::<String>::new()]);
    while let Some(command) = open.pop() {
        let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = stdout(&backup(folder.path(), &words));
        let listed = help.split("\nCommands:\n").nth(1).unwrap_or_default();
        for line in listed.lines().take_while(|line| line.starts_with("  ")) {
            // What a line goes on with stands further right.
            if let Some(name) = line[2..].split(' ').next().filter(|name| !name.is_empty()) {
                open.push([command.clone(), vec![name.to_owned()]].concat());
            }
        }
        found.push(command);
    }
    found.retain(|command| !command.is_empty());
    assert!(found.len() >= 27, "{found:?}");
    found
}

/// The binary in `folder`, knowing nothing of the environment of the tests.
fn backup(folder: &Path, args: &[&str]) -> Output {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_backup"));
    command.current_dir(folder).env_clear().args(args).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stdout(output)))
}

#[test]
fn every_command_has_a_help_with_purpose_examples_and_exit_codes() {
    let folder = TempDir::new().unwrap();
    for command in commands() {
        let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let output = backup(folder.path(), &words);
        let help = stdout(&output);
        assert_eq!(code(&output), 0, "{command:?}");
        assert!(stderr(&output).is_empty(), "{command:?}");
        let purpose = help.lines().next().unwrap_or_default();
        assert!(purpose.len() > 10 && purpose.len() < 100 && !purpose.ends_with('.'), "{command:?}: {purpose}");
        // A probe speaks as probes do.
        let success = if command == ["check"] {
            "Exit codes, those of Nagios:\n    0  OK"
        } else {
            "Exit codes:\n    0  complete success"
        };
        for part in ["Usage: backup ", "Examples:\n  backup ", success, "    2  "] {
            assert!(help.contains(part), "{command:?} lacks {part:?}: {help}");
        }
    }
}

#[test]
fn every_example_of_every_help_is_a_command_line_that_is_understood() {
    let folder = TempDir::new().unwrap();
    let mut examples = 0;
    for command in commands() {
        let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = stdout(&backup(folder.path(), &words));
        let listed = help.split("Examples:\n").nth(1).unwrap().split("\n\n").next().unwrap();
        // Long ones go on in the next line.
        let listed = listed.replace('\n', " ").replace("  backup ", "\nbackup ");
        for line in listed.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let line = line.split(" #").next().unwrap().split(" >").next().unwrap().split(" |").next().unwrap();
            // With `--help` at its end it is read, and not done.
            let arguments: Vec<&str> = line.split_whitespace().skip(1).chain(["--help"]).collect();
            let output = backup(folder.path(), &arguments);
            assert_eq!(code(&output), 0, "{line}: {}", stderr(&output));
            let belongs = command.iter().all(|word| arguments.contains(&word.as_str()));
            assert!(belongs, "{line} is an example of {command:?}");
            examples += 1;
        }
    }
    assert!(examples > 40, "{examples}");
}

#[test]
fn the_programs_own_help_names_every_command_and_every_exit_code() {
    let folder = TempDir::new().unwrap();
    let help = stdout(&backup(folder.path(), &["--help"]));
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for command in commands() {
        assert!(help.contains(&format!("\n  {}", command[0])), "{command:?}");
        assert!(readme.contains(&format!("`{}", command[0])), "the README does not know {command:?}");
    }
    for number in [0, 1, 2, 3, 4, 5, 6, 10, 11, 12] {
        assert!(help.contains(&format!("\n  {number:>3}  ")), "{number}");
    }
}

#[test]
fn a_mistake_on_the_command_line_is_exit_2_and_stdout_stays_empty() {
    let folder = TempDir::new().unwrap();
    let mistakes: &[&[&str]] = &[
        &[],
        &["creat"],
        &["create", "--no-such-option"],
        &["create", "--type", "hourly"],
        &["create", "--job", "nightly", "--module", "x"],
        &["verify"],
        &["verify", "latest", "--all"],
        &["verify", "--all", "--slice", "1/2"],
        &["show"],
        &["list", "--limit", "many"],
        &["list", "--wait", "30"],
        &["list", "-q", "-v"],
        &["restore", "latest", "--to-directory", "x", "--into", "a=b"],
    ];
    for args in mistakes {
        let output = backup(folder.path(), args);
        assert_eq!(code(&output), 2, "{args:?}");
        assert!(stdout(&output).is_empty(), "{args:?}");
        assert!(!stderr(&output).is_empty(), "{args:?}");
    }
}

#[test]
fn with_json_every_error_is_one_document_on_stdout_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["--json"], "usage"),
        (&["--json", "creat"], "usage"),
        (&["verify", "--json"], "usage"),
        (&["--json", "create", "--all-tenants"], "config"),
    ];
    for (args, expected) in cases {
        let output = backup(folder.path(), args);
        let error = &json(&output)["error"];
        assert_eq!(code(&output), 2, "{args:?}");
        assert_eq!(error["code"], *expected, "{args:?}");
        assert!(error["message"].as_str().is_some_and(|m| !m.is_empty() && !m.contains('\n')), "{args:?}");
        assert!(error["details"].is_array(), "{args:?}");
        assert!(error["hint"].is_string(), "{args:?}");
        assert!(stderr(&output).is_empty(), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn a_password_on_the_command_line_is_in_no_error() {
    let folder = TempDir::new().unwrap();
    let uri = "mongodb://user:canary@host/db";
    let cases: &[&[&str]] = &[
        &["restore", "latest", "--into", uri],
        &["restore", "latest", uri],
        &["create", uri],
        &["list", "--limit", uri],
        &["list", "--wait", uri],
    ];
    for args in cases {
        for form in [&[][..], &["--json"]] {
            let output = backup(folder.path(), &[args, form].concat());
            assert_eq!(code(&output), 2, "{args:?}");
            assert!(!stdout(&output).contains("canary"), "{args:?}: {}", stdout(&output));
            assert!(!stderr(&output).contains("canary"), "{args:?}: {}", stderr(&output));
        }
    }
}

#[test]
fn colours_appear_only_where_they_are_asked_for() {
    let folder = TempDir::new().unwrap();
    let escape = |args: &[&str]| stderr(&backup(folder.path(), args)).contains('\u{1b}');
    assert!(!escape(&["create", "--all-tenants"]));
    assert!(!escape(&["create", "--all-tenants", "--color", "never"]));
    assert!(escape(&["create", "--all-tenants", "--color", "always"]));
}

#[test]
fn the_committed_completions_are_what_the_binary_makes() {
    let folder = TempDir::new().unwrap();
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    for (shell, file) in [("bash", "backup.bash"), ("zsh", "_backup"), ("fish", "backup.fish")] {
        let made = stdout(&backup(folder.path(), &["completions", shell]));
        let kept = std::fs::read_to_string(committed.join(file)).unwrap();
        assert!(made == kept, "refresh it: backup completions {shell} > completions/{file}");
    }
}

#[test]
fn manual_pages_are_written_for_the_program_and_every_command_and_say_what_help_does() {
    let folder = TempDir::new().unwrap();
    let output = backup(folder.path(), &["man", "pages"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let pages = std::fs::read_dir(folder.path().join("pages")).unwrap().count();
    let commands = commands();
    assert_eq!(pages, commands.len() + 1, "one each, and one of the program");
    for command in commands {
        let page = format!("backup-{}.1", command.join("-"));
        let text = std::fs::read_to_string(folder.path().join("pages").join(&page)).unwrap();
        let success = if command == ["check"] { "those of Nagios" } else { "complete success" };
        for part in [".TH ", "Examples:", "Exit codes", success] {
            assert!(text.contains(part), "{page} lacks {part}");
        }
    }
}

#[test]
fn a_new_configuration_is_valid_private_and_never_overwrites_one() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let output = backup(folder.path(), &["config", "init"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let file = folder.path().join("backup.yaml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let sample = std::fs::read(&file).unwrap();
    assert_eq!(backup(folder.path(), &["config", "init", "-"]).stdout, sample);

    let again = backup(folder.path(), &["config", "init"]);
    assert_eq!(code(&again), 5);
    assert_eq!(std::fs::read(&file).unwrap(), sample);

    let check = backup(folder.path(), &["config", "check", "--json"]);
    assert_eq!(code(&check), 0, "{}", stdout(&check));
    assert_eq!(json(&check)["valid"], true);
    assert_eq!(backup(folder.path(), &["config", "check", "-q"]).stdout, b"");
}

#[test]
fn without_a_configuration_every_working_command_is_exit_2() {
    let folder = TempDir::new().unwrap();
    let commands: &[&[&str]] =
        &[&["create"], &["list"], &["show", "latest"], &["verify", "--all"], &["restore", "latest"], &["list-modules"]];
    for args in commands {
        let output = backup(folder.path(), args);
        assert_eq!(code(&output), 2, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("Error: "), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn a_closed_stdout_is_no_failure() {
    let folder = TempDir::new().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_backup"));
    command.current_dir(folder.path()).env_clear().args(["man", "pages"]).stdout(writer).stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert_eq!(code(&output), 0);
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
}

#[test]
fn a_document_that_cannot_be_written_is_a_failure() {
    let folder = TempDir::new().unwrap();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_backup"));
    command.current_dir(folder.path()).env_clear().args(["completions", "bash"]).stdout(full).stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("cannot write to standard output"), "{}", stderr(&output));
}
