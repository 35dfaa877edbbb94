//! Connection strings: URIs, and `key=value` (libpq, "Connection Strings"). Read here and not by the driver, which knows
//! half of the options and quotes what it cannot read, a piece of a password for all it knows.

use crate::config::key_values;
use std::collections::BTreeMap;

/// Options by libpq's names. Several hosts and ports stand in one value, with commas between.
pub type Options = BTreeMap<String, String>;

/// Reads either form.
///
/// # Errors
/// What is wrong, without quoting any of it.
pub fn options(text: &str) -> Result<Options, &'static str> {
    let scheme = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    match (scheme, key_values(text)) {
        (Some(rest), _) => from_uri(rest),
        (None, Some(pairs)) => Ok(pairs.into_iter().collect()),
        (None, None) => Err("it begins with neither postgres:// nor postgresql://, and is no list of key=value"),
    }
}

fn from_uri(rest: &str) -> Result<Options, &'static str> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let mut options = Options::new();
    let mut set = |key: &str, value: String| {
        if !value.is_empty() {
            options.insert(key.to_owned(), value);
        }
    };
    set("user", decode(user)?);
    set("password", decode(password)?);
    set("dbname", decode(database)?);
    if !hosts.is_empty() {
        let split: Result<Vec<_>, _> = hosts.split(',').map(host_and_port).collect();
        let (names, ports): (Vec<_>, Vec<_>) = split?.into_iter().unzip();
        set("host", names.join(","));
        set("port", if ports.iter().all(String::is_empty) { String::new() } else { ports.join(",") });
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or("an option behind the `?` has no value")?;
        set(&decode(key)?, decode(value)?);
    }
    Ok(options)
}

/// A host, decoded, and its port, empty where none is given. Addresses of IPv6 stand in brackets.
fn host_and_port(text: &str) -> Result<(String, String), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("the bracket of an IPv6 address is not closed")?;
            (host, rest.strip_prefix(':').unwrap_or(rest))
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    if !port.chars().all(|c| c.is_ascii_digit()) {
        return Err("a port is no number; a password with `/`, `?`, `@` or `:` in it must be percent-encoded");
    }
    Ok((decode(host)?, port.to_owned()))
}

fn decode(text: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = &after[2..];
            }
            (b'%', ..) => return Err("a `%` begins no escape; in a user or password it is written %25"),
            (byte, ..) => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| "what is percent-encoded is no UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let options = options(text).unwrap();
        options.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn uris_are_read_as_libpq_reads_them() {
        for (uri, expected) in [
            ("postgres://u:p@h:5433/d", "dbname=d host=h password=p port=5433 user=u"),
            ("postgresql://u%40x:p%2F%3A@h/d%20e", "dbname=d e host=h password=p/: user=u@x"),
            ("postgres://u@a:1,b,[::1]:3/d?sslmode=require", "dbname=d host=a,b,::1 port=1,,3 sslmode=require user=u"),
            ("postgres:///d?host=/run/postgresql&user=u@x", "dbname=d host=/run/postgresql user=u@x"),
            ("postgres://u@%2Frun%2Fpg/d", "dbname=d host=/run/pg user=u"),
            ("host=h dbname='d e' user=u", "dbname=d e host=h user=u"),
        ] {
            assert_eq!(shown(uri), expected, "{uri}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_quoted() {
        for text in [
            "postgres://u:can/ary@h/d",
            "postgres://u:can?ary@h/d",
            "postgres://u:can%ary@h/d",
            "postgres://u:canary@h:port/d",
            "postgres://u:canary@[::1/d",
            "postgres://u:canary@h/d?canary",
            "postgres://u:%ff@h/d",
            "mysql://u:canary@h/d",
            "canary",
        ] {
            let wrong = options(text).unwrap_err();
            assert!(!wrong.contains("can") || !wrong.contains("ary"), "{text}: {wrong}");
        }
    }
}
