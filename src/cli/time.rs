//! Moments as they are written on the command line, and the clock.

use crate::error::{Error, Kind, Result};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone, Utc};

/// The clock of the program.
pub fn now() -> DateTime<Utc> {
    // A fixed clock for tests of the real binary; what we ship is built without it.
    #[cfg(debug_assertions)]
    if let Some(fixed) = std::env::var("BACKUP_NOW").ok().and_then(|v| DateTime::parse_from_rfc3339(&v).ok()) {
        return fixed.to_utc();
    }
    Utc::now()
}

/// Parses a moment: RFC 3339, the stamp of a backup's id, or a date with or without a time in the installation's
/// `timezone`. A date alone is its first moment.
///
/// # Errors
/// [`Kind::Config`] when it is none, or when the clocks skipped it.
pub fn moment(text: &str, timezone: chrono_tz::Tz) -> Result<DateTime<Utc>> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.to_utc());
    }
    if let Ok(stamp) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H-%M-%S-%3fZ") {
        return Ok(stamp.and_utc());
    }
    let formats = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let local = formats
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0));
    // Of an hour that happens twice the earlier one: nothing newer than what was meant is let in.
    local.and_then(|local| timezone.from_local_datetime(&local).earliest()).map(|at| at.to_utc()).ok_or_else(|| {
        Error::new(Kind::Config, format!("'{}' is no moment in {timezone}", text.escape_debug()))
            .hint("write it as 2025-12-20, '2025-12-20 10:30' or 2025-12-20T10:30:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_the_installations_timezone() {
        let berlin = chrono_tz::Europe::Berlin;
        let cases = [
            ("2025-12-20", "2025-12-19T23:00:00Z"),
            ("2025-12-20 10:30", "2025-12-20T09:30:00Z"),
            ("2025-12-20T10:30:00Z", "2025-12-20T10:30:00Z"),
            ("2025-12-20T10-30-00-000Z", "2025-12-20T10:30:00Z"),
            ("2025-10-26 02:30", "2025-10-26T00:30:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(moment(text, berlin).unwrap(), DateTime::parse_from_rfc3339(expected).unwrap(), "{text}");
        }
        for text in ["", "yesterday", "2025-13-01", "2025-03-30 02:30"] {
            assert_eq!(moment(text, berlin).unwrap_err().kind, Kind::Config, "{text}");
        }
    }
}
