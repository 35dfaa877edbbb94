//! PostgreSQL's connection strings of `key=value` (libpq, "Connection Strings"), as far as their passwords must be told
//! from the rest.

/// The pairs of `host=h password='a b'`; none when `text` is no such string. Values may stand in single quotes, in which
/// spaces count; a backslash takes the next character as it is.
pub fn key_values(text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim_end();
        let is_key = |c: char| c.is_ascii_lowercase() || c == '_';
        // What is no option of PostgreSQL's clients is a password with a space in it, say, and no key to be shown.
        if key.is_empty() || !key.chars().all(is_key) {
            return None;
        }
        let (value, after) = value(after.trim_start())?;
        pairs.push((key.to_owned(), value));
        rest = after.trim_start();
    }
    (!pairs.is_empty()).then_some(pairs)
}

/// The value at the beginning of `text`, and what comes behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.strip_prefix('\'');
    let mut value = String::new();
    let mut characters = quoted.unwrap_or(text).char_indices();
    let body = quoted.unwrap_or(text);
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => value.push(characters.next()?.1),
            '\'' if quoted.is_some() => return Some((value, &body[at + 1..])),
            c if quoted.is_none() && c.is_whitespace() => return Some((value, &body[at..])),
            c => value.push(c),
        }
    }
    quoted.is_none().then_some((value, ""))
}

/// A value as it may stand in such a string.
pub fn quote(value: &str) -> String {
    let plain = |c: char| !(c.is_whitespace() || matches!(c, '\'' | '\\'));
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_as_libpq_reads_them() {
        let pairs = |text: &str| {
            let pairs = key_values(text)?;
            Some(pairs.iter().map(|(key, value)| format!("{key}:{value}")).collect::<Vec<_>>().join(","))
        };
        let read = |text: &str| pairs(text).unwrap_or_default();
        assert_eq!(read("host=h  port = 5 user=u"), "host:h,port:5,user:u");
        assert_eq!(read(r"password='a b\'c\\' dbname=''"), r"password:a b'c\,dbname:");
        assert_eq!(read(r"password=a\ b\'c"), "password:a b'c");
        for none in ["", "host", "host=h password", "password='open", "Host=h", "postgres://u:p@h/?a=b", r"password=a\"]
        {
            assert_eq!(pairs(none), None, "{none}");
        }
        for value in ["", "a b", "it's", r"back\slash", "plain"] {
            assert_eq!(read(&format!("dbname={}", quote(value))), format!("dbname:{value}"));
        }
    }
}
