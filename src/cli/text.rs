//! How numbers, sizes, times and tables read in text output.

use chrono::{DateTime, TimeDelta, Utc};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use unicode_width::UnicodeWidthStr;

/// `1,234,567`.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 collection`, `2,000 documents`.
pub fn count(value: u64, singular: &str, plural: &str) -> String {
    format!("{} {}", number(value), if value == 1 { singular } else { plural })
}

/// `512 B`, `1.5 KiB`, `16.0 MiB`: IEC units, one decimal.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be shown as 1024.0 of the smaller unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
pub fn seconds(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturates")]
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// How long before `now` something was: `5 min`, `7 h`, `12 d`; `in 5 min` for the future.
pub fn age(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let past = now - then;
    if past < TimeDelta::zero() {
        return format!("in {}", age(now, then));
    }
    match past.num_minutes() {
        0 => "now".into(),
        _ => span(past.num_seconds().unsigned_abs()),
    }
}

/// How long something is, in one unit: `5 min`, `7 h`, `12 d`.
pub fn span(seconds: u64) -> String {
    match seconds / 60 {
        minutes @ 0..120 => format!("{minutes} min"),
        minutes @ 120..2880 => format!("{} h", minutes / 60),
        minutes => format!("{} d", minutes / 1440),
    }
}

/// `2025-12-20 10:30:00 UTC`.
pub fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `yes` or `no`.
pub fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// Control characters made visible, so that a name from a database cannot drive the terminal or forge a line.
pub fn printable(text: &str) -> String {
    visible(text, |_| false)
}

/// The same of a text of lines.
pub fn printable_lines(text: &str) -> String {
    visible(text, |c| c == '\n')
}

fn visible(text: &str, passes: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if (c.is_control() || turns(c)) && !passes(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Turns the direction of what follows, so that a text reads as another.
fn turns(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A table without lines, as wide as the terminal at most. The columns of `right` (by index) are aligned right.
pub fn table(header: &[&str], right: &[usize], rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    long_table(header, right, rows.into_iter(), width)
}

/// The same of rows that are made twice rather than kept: there may be tens of thousands.
pub fn long_table(
    header: &[&str],
    right: &[usize],
    rows: impl Iterator<Item = Vec<String>> + Clone,
    width: Option<u16>,
) -> String {
    let mut widths: Vec<usize> = header.iter().map(|name| name.width()).collect();
    for row in rows.clone() {
        for (widest, cell) in widths.iter_mut().zip(&row) {
            *widest = (*widest).max(printable(cell).width());
        }
    }
    let whole: usize = widths.iter().map(|width| width + 2).sum();
    if let Some(width) = width.filter(|width| whole > usize::from(*width)) {
        return wrapped(header, right, rows, width);
    }
    let mut text = String::new();
    for row in std::iter::once(header.iter().map(|name| (*name).to_owned()).collect()).chain(rows) {
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let cell = printable(cell);
            let space = " ".repeat(width.saturating_sub(cell.width()));
            let (before, after) = if right.contains(&index) { (space, String::new()) } else { (String::new(), space) };
            text.extend([" ", &before, &cell, &after, " "]);
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

/// A table with lines broken inside its cells.
fn wrapped(header: &[&str], right: &[usize], rows: impl Iterator<Item = Vec<String>>, width: u16) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for index in right {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// A titled list, or nothing when it is empty.
pub fn list(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{title}:\n");
    for line in lines {
        text.push_str(&format!("  - {}\n", printable(line)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_thousands_separators() {
        let shown: Vec<_> = [0, 999, 1000, 1_234_567].map(number).into();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(count(1, "document", "documents"), "1 document");
        assert_eq!(count(2000, "document", "documents"), "2,000 documents");
    }

    #[test]
    fn sizes_are_in_iec_units() {
        let shown: Vec<_> = [0, 1023, 1024, 1536, 1024 * 1024 - 1, 16 << 20, u64::MAX].map(size).into();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "16.0 MiB", "16.0 EiB"]);
    }

    #[test]
    fn durations_and_ages_read_naturally() {
        let shown: Vec<_> = [0.04, 9.9, 12.4, 185.0, 7800.0].map(seconds).into();
        assert_eq!(shown, ["0.0 s", "9.9 s", "12 s", "3 min 5 s", "2 h 10 min"]);
        let now = DateTime::from_timestamp(1_766_000_000, 0).unwrap();
        let shown: Vec<_> = [0, 300, 7200, 30 * 3600, 12 * 86400].map(|s| age(now - TimeDelta::seconds(s), now)).into();
        assert_eq!(shown, ["now", "5 min", "2 h", "30 h", "12 d"]);
        assert_eq!(age(now + TimeDelta::seconds(300), now), "in 5 min");
    }

    #[test]
    fn a_table_aligns_numbers_right_and_shows_control_characters() {
        let rows = vec![vec!["a\n".into(), "1".into()], vec!["bb".into(), "1,000".into()]];
        assert_eq!(table(&["NAME", "COUNT"], &[1], rows, None), " NAME  COUNT\n a\\n       1\n bb    1,000\n");
    }

    #[test]
    fn a_table_that_fits_reads_as_one_that_is_wrapped_would() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = vec![row(["größe", "1", ""]), row(["雪だるま", "1,000", "x\ty"]), row(["", "", "a longer cell"])];
        let header = ["NAME", "COUNT", "WHY"];
        let plain = table(&header, &[1], rows.clone(), None);
        let widest = u16::try_from(plain.lines().map(UnicodeWidthStr::width).max().unwrap() + 1).unwrap();
        assert_eq!(plain, wrapped(&header, &[1], rows.clone().into_iter(), 200));
        assert_eq!(plain, table(&header, &[1], rows.clone(), Some(widest)));
        let narrow = table(&header, &[1], rows, Some(widest - 1));
        assert!(narrow.lines().count() > plain.lines().count(), "{narrow}");
        assert!(narrow.lines().all(|line| line.width() < usize::from(widest)), "{narrow}");
    }
}
