//! Durations as they are written in the file and on the command line.

use std::time::Duration;

/// Parses `30s`, `10m`, `2h`, `1d` or several together, `1h30m`. A number without a unit is refused: nobody could
/// tell what it means.
///
/// # Errors
/// When it is none, with what to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
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

/// A duration of whole seconds as [`parse_duration`] reads it; one below a second in milliseconds, for people.
pub fn show_duration(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (unit, seconds) in [("d", 86400), ("h", 3600), ("m", 60), ("s", 1)] {
        if rest >= seconds {
            text.push_str(&format!("{}{unit}", rest / seconds));
            rest %= seconds;
        }
    }
    match duration.as_millis() {
        _ if !text.is_empty() => text,
        0 => "0s".into(),
        below_a_second => format!("{below_a_second}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_number_and_a_unit() {
        for (text, seconds) in [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(show_duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(show_duration(Duration::from_millis(250)), "250ms");
        for text in
            ["", "30", "s", "1.5h", "-1s", "10 parsecs", "1h30", "99999999999999999999s", "9999999999999999999d"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
