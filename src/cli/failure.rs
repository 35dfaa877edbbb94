//! How an error is shown: `Error:`, `Caused by:`, its findings and `Hint:` for people, one document for programs.

use crate::cli::output;
use crate::cli::text::printable;
use crate::error::{Error, Kind};
use clap::builder::styling::{AnsiColor, Style};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::fmt::Write;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const LABEL: Style = Style::new().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Prints `error`: to stderr, or with `json` as the one document on stdout.
pub fn print(error: &Error, json: bool) {
    if json {
        // Nothing more can be done when stdout is closed; the exit code still tells.
        let _ = output::write_json(&document(error.kind.code(), error));
    } else {
        output::write_stderr(&text(error));
    }
}

/// Prints a mistake on the command line that `clap` found.
pub fn print_usage(error: &clap::Error, json: bool) {
    if json {
        // Nothing more can be done when stdout is closed; the exit code still tells.
        let _ = output::write_json(&document("usage", &usage(error)));
    } else {
        let tip = missing_id(error).map(|tip| format!("\n{HINT}Hint:{HINT:#} {tip}\n")).unwrap_or_default();
        output::write_stderr(&(redact(&error.render().ansi().to_string()) + &tip));
    }
}

/// Where the ids are that a command was not given: nobody knows them by heart.
fn missing_id(error: &clap::Error) -> Option<&'static str> {
    let (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return None;
    };
    if missing.iter().any(|argument| argument.contains("ID|latest")) {
        return Some("`latest` is the newest backup; `backup list` shows the ids of all");
    }
    missing.iter().any(|argument| argument.contains("<ID>")).then_some("`backup list` shows the ids")
}

/// A mistake on the command line as an error: the first line says what, the rest are its details.
pub fn usage(error: &clap::Error) -> Error {
    let hint = missing_id(error).unwrap_or("`backup --help` shows the commands, `backup COMMAND --help` their options");
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Error::new(Kind::Config, "no command was given").hint(hint);
    }
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("For more"));
    let message = lines.next().unwrap_or_default().trim_start_matches("error: ").trim_end_matches(':').to_owned();
    Error::new(Kind::Config, message).details(lines.map(str::to_owned).collect()).hint(hint)
}

/// An error as the value of `error` in a document of results.
pub fn value(error: &Error) -> serde_json::Value {
    document(error.kind.code(), error)["error"].take()
}

fn document(code: &str, error: &Error) -> serde_json::Value {
    let message = redact(&error.message);
    let details: Vec<String> = error.details.iter().map(|d| redact(d)).collect();
    let causes: Vec<String> = error.causes.iter().map(|c| redact(c)).collect();
    serde_json::json!({
        "error": { "code": code, "message": message, "causes": causes, "details": details, "hint": error.hint.as_deref().map(redact) }
    })
}

fn text(error: &Error) -> String {
    let mut text = format!("{ERROR}Error:{ERROR:#} {}\n", printable(&error.message));
    for (i, cause) in error.causes.iter().enumerate() {
        let number = if error.causes.len() > 1 { format!("{}: ", i + 1) } else { String::new() };
        let _ = writeln!(text, "{LABEL}Caused by:{LABEL:#} {number}{}", printable(cause));
    }
    for detail in &error.details {
        let _ = writeln!(text, "  - {}", printable(detail));
    }
    if let Some(hint) = &error.hint {
        let _ = writeln!(text, "{HINT}Hint:{HINT:#} {}", printable(hint));
    }
    redact(&text)
}

/// Replaces the user information of every URI in `text`. Errors are masked where they are made; this is the second
/// lock on the same door, and the only one for what an operator mistyped on the command line.
pub fn redact(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        safe.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`')).unwrap_or(after.len());
        match after[..end].rfind('@') {
            Some(at) => {
                safe.push_str("***");
                rest = &after[at..];
            }
            None => rest = after,
        }
    }
    safe.push_str(rest);
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(error: &Error) -> String {
        anstream::adapter::strip_str(&text(error)).to_string()
    }

    #[test]
    fn an_error_shows_message_causes_findings_and_hint_on_lines_of_their_own() {
        let error = Error::new(Kind::Config, "backup.yaml is not valid")
            .cause("deepest")
            .details(vec!["line 3: a".into(), "line 9: b".into()])
            .hint("fix them");
        let expected =
            "Error: backup.yaml is not valid\nCaused by: deepest\n  - line 3: a\n  - line 9: b\nHint: fix them\n";
        assert_eq!(plain(&error), expected);
    }

    #[test]
    fn the_json_error_has_code_message_details_and_hint() {
        let error = Error::new(Kind::NotFound, "no module 'x'").hint("did you mean 'y'?");
        let document = document(error.kind.code(), &error);
        assert_eq!(document["error"]["code"], "not-found");
        assert_eq!(document["error"]["message"], "no module 'x'");
        assert_eq!(document["error"]["details"], serde_json::json!([]));
        assert_eq!(document["error"]["hint"], "did you mean 'y'?");
    }

    #[test]
    fn credentials_in_a_uri_never_reach_the_output() {
        assert_eq!(redact("at mongodb://u:p@ss@h:1/db, no"), "at mongodb://***@h:1/db, no");
        assert_eq!(redact("'a=mongodb://u:p@h' and https://x/y"), "'a=mongodb://***@h' and https://x/y");
        assert_eq!(redact("plain"), "plain");
    }
}
