//! Durations and moments as they are written on the command line, and the clock.

use crate::error::{Error, Kind, Result};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone, Utc};
use std::time::Duration;

/// The clock of the program.
pub fn now() -> DateTime<Utc> {
    // A fixed clock for tests of the real binary; what we ship is built without it.
    #[cfg(debug_assertions)]
    if let Some(fixed) = std::env::var("BACKUP_NOW").ok().and_then(|v| DateTime::parse_from_rfc3339(&v).ok()) {
        return fixed.to_utc();
    }
    Utc::now()
}

/// Parses `30s`, `10m`, `2h`, `1d` or several together, `1h30m`. A number without a unit is refused: nobody could
/// tell what it means.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("'{text}' is no duration; write it as 30s, 10m, 2h or 1h30m");
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let value: u64 = rest[..end].parse().map_err(|_| bad())?;
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |i| end + i);
        let unit = match &rest[end..unit_end] {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            "d" => 86400,
            _ => return Err(bad()),
        };
        let part = value.checked_mul(unit).map(Duration::from_secs).ok_or_else(bad)?;
        total = total.checked_add(part).ok_or_else(bad)?;
        rest = &rest[unit_end..];
    }
    Ok(total)
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
    fn durations_need_a_number_and_a_unit() {
        for (text, seconds) in [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "30", "s", "1.5h", "-1s", "10 parsecs", "1h30", "99999999999999999999s", "9999999999999999999d"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

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
