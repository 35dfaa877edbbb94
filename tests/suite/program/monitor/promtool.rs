//! The file of metrics, and the alerts on it, as Prometheus' own `promtool` sees them.

use super::super::blocks;
use super::metrics::{app, text};
use std::io::Write;
use std::process::{Command, Stdio};

/// What `promtool` says against a text, and how it ends.
fn promtool(arguments: &[&str], text: &str) -> (Option<i32>, String) {
    let program = std::env::var("BACKUP_TEST_PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    let mut command = Command::new(&program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{program}: {e}; tests/run fetches it"));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap())
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let app = app();
    app.reconfigure("installation: clinic", "installation: \"a\\\"b\\\\c ü\"");
    app.run(&["create"]).expect(0);
    app.run(&["create", "--tenant", "acme"]).expect(0);
    app.run(&["verify", "latest"]).expect(0);
    app.run(&["verify-collections"]).expect(0);
    app.run(&["prune"]).expect(0);
    app.run(&["restore", "latest"]).expect(5);
    let text = text(&app);
    assert_eq!(promtool(&["check", "metrics"], &text), (Some(0), String::new()), "{text}");
    // It is one that finds things.
    let broken = text.replace("# HELP backup_runs_total", "# NOTE backup_runs_total");
    let (code, said) = promtool(&["check", "metrics"], &broken);
    assert!(code != Some(0) && said.contains("backup_runs_total"), "{code:?} {said}");
}

#[test]
fn promtool_takes_the_alerts_of_the_documents_and_what_is_done_by_hand_raises_none() {
    let blocks: Vec<_> = blocks::of_language("yaml").filter(|block| block.contains("{alert: ")).collect();
    let [alerts] = &blocks[..] else { panic!("one block of alerts") };
    let app = app();
    let rules: String = alerts.lines().map(|line| format!("  {line}\n")).collect();
    app.write("rules.yml", format!("groups:\n- name: backup\n  rules:\n{rules}").as_bytes());
    // A restore that was refused by hand, and a backup that has failed: only the second is anybody's night.
    let fires = |operation: &str, expected: &str| {
        let series = format!("{{series: 'backup_last_run_exit_code{{operation=\"{operation}\"}}', values: '5 5'}}");
        let test = format!("{{eval_time: 1m, alertname: BackupFailed, exp_alerts: [{expected}]}}");
        let test = format!("{{interval: 1m, input_series: [{series}], alert_rule_test: [{test}]}}");
        app.write("test.yml", format!("rule_files: [rules.yml]\ntests: [{test}]\n").as_bytes());
        promtool(&["test", "rules", app.path("test.yml").to_str().unwrap()], "")
    };
    let (code, said) = promtool(&["check", "rules", app.path("rules.yml").to_str().unwrap()], "");
    assert!(code == Some(0) && said.contains("6 rules found"), "{code:?} {said}");
    for operation in ["create", "verify", "verify-collections", "prune"] {
        let (code, said) = fires(operation, &format!("{{exp_labels: {{operation: {operation}}}}}"));
        assert_eq!(code, Some(0), "{operation}: {said}");
    }
    let (code, said) = fires("restore", "");
    assert_eq!(code, Some(0), "{said}");
}
