//! The file of passwords that PostgreSQL's clients share (libpq, "The Password File").

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Where servers listen that are asked for without a directory: passwords for these are kept under `localhost`.
const DEFAULT_SOCKETS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// What was found in the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The password.
    Password(String),
    /// No line fits, or there is no file.
    Nothing,
    /// The file is not used; why.
    Ignored(String),
}

/// The password of the first line that fits.
pub fn password(path: &Path, host: &str, port: u16, database: &str, user: &str) -> Found {
    let shown = path.display();
    match path.metadata() {
        Err(e) if e.kind() == ErrorKind::NotFound => return Found::Nothing,
        Err(e) => return Found::Ignored(format!("the password file {shown} cannot be read: {e}")),
        Ok(metadata) if !metadata.is_file() => {
            return Found::Ignored(format!("the password file {shown} is not used: it is no plain file"));
        }
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            let why = "others may read it; run `chmod 600` on it";
            return Found::Ignored(format!("the password file {shown} is not used: {why}"));
        }
        Ok(_) => {}
    }
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) => return Found::Ignored(format!("the password file {shown} cannot be read: {e}")),
    };
    let host = if DEFAULT_SOCKETS.contains(&host) { "localhost" } else { host };
    let wanted = [host, &port.to_string(), database, user];
    let fitting = text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let [host, port, database, user, password] = fields.as_slice() else { return None };
        let fits =
            [host, port, database, user].iter().zip(wanted).all(|((any, field), wanted)| *any || field == wanted);
        (fits && !password.1.is_empty()).then(|| password.1.clone())
    });
    fitting.map_or(Found::Nothing, Found::Password)
}

/// The fields of a line, each with whether it is a `*` that fits everything. The password is all that is left.
fn fields(line: &str) -> Vec<(bool, String)> {
    let mut raw = Vec::new();
    let mut rest = line.trim_end_matches('\r');
    while let Some(end) = colon(rest).filter(|_| raw.len() < 4) {
        raw.push(&rest[..end]);
        rest = &rest[end + 1..];
    }
    raw.push(rest);
    raw.into_iter().map(|raw| (raw == "*", unescape(raw))).collect()
}

/// Where the first colon is that no backslash takes as it is.
fn colon(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b':' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// A backslash takes the next character as it is.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        plain.push(if c == '\\' { characters.next().unwrap_or(c) } else { c });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, mode: u32, host: &str, user: &str) -> Found {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        password(&path, host, 5432, "d", user)
    }

    #[test]
    fn the_first_line_that_fits_says_the_password() {
        let found = |password: &str| Found::Password(password.into());
        let text = "# h:5432:d:u:no\nother:*:*:*:no\nh:5432:d:u:one\nh:*:*:*:two\n*:*:*:a\\:\\\\b:t:h\\r\\\\ee\n\\*:*:*:*:no\n";
        assert_eq!(of(text, 0o600, "h", "u"), found("one"));
        assert_eq!(of(text, 0o400, "h", "v"), found("two"));
        assert_eq!(of(text, 0o600, "i", "a:\\b"), found("t:hr\\ee"));
        assert_eq!(of(text, 0o600, "i", "u"), Found::Nothing);
        assert_eq!(of("localhost:5432:d:u:s\n", 0o600, "/run/postgresql", "u"), found("s"));
        assert_eq!(of("/a:5432:d:u:s\n", 0o600, "/a", "u"), found("s"));
        assert_eq!(password(Path::new("/nowhere/pgpass"), "h", 1, "d", "u"), Found::Nothing);
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used_and_its_password_not_shown() {
        for mode in [0o644, 0o640, 0o604, 0o660] {
            let Found::Ignored(why) = of("*:*:*:*:canary\n", mode, "h", "u") else { panic!("{mode:o}") };
            assert!(why.contains("chmod 600") && !why.contains("canary"), "{why}");
        }
    }
}
