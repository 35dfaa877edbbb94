//! Text of a page: escaped names, and how numbers, sizes and times read.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

/// A name as text of a page or value of an attribute. What would turn the direction of a line is left out as well.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => safe.push('\u{fffd}'),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// `1 run`, `2,000 runs`.
pub fn count(number: usize, singular: &str, plural: &str) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {}", if number == 1 { singular } else { plural })
}

/// `512 B`, `1.5 KiB`.
pub fn bytes(count: u64) -> String {
    crate::event::bytes(count)
}

/// `12 s`, `5 min`, `7 h`, `12 d`.
pub fn span(seconds: f64) -> String {
    match seconds {
        ..9.5 => format!("{:.1} s", seconds.max(0.0)),
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", (seconds / 60.0).floor()),
        ..172_800.0 => format!("{:.0} h", (seconds / 3600.0).floor()),
        _ => format!("{:.0} d", (seconds / 86_400.0).floor()),
    }
}

/// How long a run took: `12 s`, `2:30 min`, `1:05 h`.
pub fn duration(seconds: f64) -> String {
    // What is not negative and no number saturates.
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..120 => span(seconds),
        120..3600 => format!("{}:{:02} min", whole / 60, whole % 60),
        _ => format!("{}:{:02} h", whole / 3600, whole % 3600 / 60),
    }
}

/// `2025-12-20 10:30 CET`.
pub fn moment(at: DateTime<Utc>, timezone: Tz) -> String {
    at.with_timezone(&timezone).format("%Y-%m-%d %H:%M %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_leave_its_place_in_the_page() {
        assert_eq!(escape("<script>\"'&\u{202e}\n"), "&lt;script&gt;&quot;&#39;&amp;\u{fffd}\u{fffd}");
        assert_eq!(escape("größe 雪"), "größe 雪");
    }

    #[test]
    fn spans_read_in_one_unit() {
        let shown: Vec<_> = [0.04, 12.4, 185.0, 7800.0, 900_000.0].map(span).into();
        assert_eq!(shown, ["0.0 s", "12 s", "3 min", "2 h", "10 d"]);
        let shown: Vec<_> = [0.04, 12.4, 185.0, 7800.0].map(duration).into();
        assert_eq!(shown, ["0.0 s", "12 s", "3:05 min", "2:10 h"]);
        assert_eq!(count(1_234_567, "run", "runs"), "1,234,567 runs");
    }
}
