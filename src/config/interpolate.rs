//! `${VAR}` and `${VAR:-default}` in text values; `$${` stands for `${`. Done on parsed values, never on the text of
//! the file, so that the value of a variable cannot become YAML.

use super::Environment;
use super::node::{Node, Value, join};
use super::problems::Problems;

/// Replaces the variables of every text below `node`.
pub(super) fn substitute(node: &mut Node, path: &str, environment: &Environment, problems: &mut Problems) {
    match &mut node.value {
        Value::Text(text) if text.contains("${") => match expand(text, environment) {
            Ok(expanded) => {
                *text = expanded;
                node.substituted = true;
            }
            Err(message) => {
                problems.add(node.at, path, message);
                node.substituted = true;
            }
        },
        Value::List(items) => {
            for (index, item) in items {
                substitute(item, &format!("{path}[{index}]"), environment, problems);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                substitute(&mut entry.node, &join(path, &entry.key), environment, problems);
            }
        }
        _ => {}
    }
}

fn expand(text: &str, environment: &Environment) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = &from[2..];
            continue;
        }
        out.push_str(before);
        let end = from.find('}').ok_or("`${` has no closing `}`; write `$${` for a plain `${`")?;
        let inner = &from[2..end];
        let (name, default) = inner.split_once(":-").map_or((inner, None), |(name, value)| (name, Some(value)));
        if name.is_empty()
            || name.starts_with(|c: char| c.is_ascii_digit())
            || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            return Err("`${…}` must hold the name of a variable; write `$${` for a plain `${`".into());
        }
        // As in a shell, `:-` also stands in for a variable that is set but empty.
        match (environment.var(name).filter(|value| default.is_none() || !value.is_empty()), default) {
            (Some(value), _) => out.push_str(&value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => {
                return Err(format!("the variable {name} is not set; set it, or write `${{{name}:-default}}`"));
            }
        }
        rest = &from[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}
