//! Cron expressions, field by field, and the same moments in the words of systemd (systemd.time(7)).

use std::collections::BTreeSet;

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// One field: every value, or these.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Every,
    Of(BTreeSet<u32>),
}

/// `OnCalendar=` values that mean what a cron expression does; none where systemd has no words for it. Two, where days of
/// the month and of the week are both restricted: cron runs on either, systemd only on both.
pub fn on_calendar(expression: &str, timezone: &str) -> Option<Vec<String>> {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else { return None };
    let (minute, hour) = (field(minute, 0, 59, &[], 0)?, field(hour, 0, 23, &[], 0)?);
    let (day, month) = (field(day, 1, 31, &[], 0)?, field(month, 1, 12, &MONTHS, 1)?);
    let weekday = match field(weekday, 0, 7, &DAYS, 0)? {
        // Sunday is both 0 and 7.
        Field::Of(days) => Field::Of(days.into_iter().map(|day| day % 7).collect()),
        every => every,
    };
    let at = |weekday: &Field, day: &Field| {
        let weekday = match weekday {
            Field::Every => String::new(),
            Field::Of(days) => {
                let names: Vec<_> = days.iter().filter_map(|day| DAYS.get(*day as usize)).map(|d| titled(d)).collect();
                format!("{} ", names.join(","))
            }
        };
        let (month, day) = (list(&month), list(day));
        format!("{weekday}*-{month}-{day} {}:{}:00 {timezone}", list(&hour), list(&minute))
    };
    Some(match (&day, &weekday) {
        (Field::Of(_), Field::Of(_)) => vec![at(&Field::Every, &day), at(&weekday, &Field::Every)],
        _ => vec![at(&weekday, &day)],
    })
}

fn titled(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    format!("{first}{}", rest.to_lowercase())
}

fn list(field: &Field) -> String {
    match field {
        Field::Every => "*".into(),
        Field::Of(values) => values.iter().map(|value| format!("{value:02}")).collect::<Vec<_>>().join(","),
    }
}

/// Lists, ranges, steps and names; none for what only some crons know (`L`, `#`, `W`).
fn field(text: &str, least: u32, most: u32, names: &[&str], first_name: u32) -> Option<Field> {
    if text == "*" || text == "?" {
        return Some(Field::Every);
    }
    let value = |text: &str| -> Option<u32> {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(at) => u32::try_from(at).ok()? + first_name,
            None => text.parse().ok()?,
        };
        (least..=most).contains(&value).then_some(value)
    };
    let mut values = BTreeSet::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (value(from)?, value(to)?),
            None => (value(range)?, if step.is_some() { most } else { value(range)? }),
        };
        values.extend((from..=to).step_by(step.unwrap_or(1) as usize));
    }
    (!values.is_empty()).then_some(Field::Of(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(expression: &str) -> Vec<String> {
        on_calendar(expression, "UTC").unwrap_or_default()
    }

    #[test]
    fn a_cron_expression_and_its_words_for_systemd_mean_the_same() {
        assert_eq!(said("0 2 * * *"), ["*-*-* 02:00:00 UTC"]);
        assert_eq!(said("30 1 * * 0"), ["Sun *-*-* 01:30:00 UTC"]);
        assert_eq!(said("30 1 * * 7"), said("30 1 * * SUN"));
        assert_eq!(said("*/20 8-10 * * mon-wed"), ["Mon,Tue,Wed *-*-* 08,09,10:00,20,40:00 UTC"]);
        assert_eq!(said("0 4 1 JAN,7 *"), ["*-01,07-01 04:00:00 UTC"]);
        assert_eq!(said("5/30 * * * *"), ["*-*-* *:05,35:00 UTC"]);
    }

    #[test]
    fn either_day_is_two_moments_because_systemd_means_both() {
        assert_eq!(said("0 3 1 * 0"), ["*-*-01 03:00:00 UTC", "Sun *-*-* 03:00:00 UTC"]);
    }

    #[test]
    fn what_systemd_has_no_words_for_is_not_said_wrongly() {
        for odd in ["0 3 L * *", "0 3 * * 5#2", "0 3 15W * *", "0 3 * *", "61 3 * * *", "*/0 * * * *", "0 3 * * nix"] {
            assert_eq!(on_calendar(odd, "UTC"), None, "{odd}");
        }
    }
}
