//! Plots as SVG, a column a day. They are stretched to the width there is; words stand beside them in HTML, so that they
//! keep their size on a phone.

use super::days::{Day, Days};
use super::markup::{bytes, count, duration, escape};
use std::fmt::Write;

/// Height of a plot in its own units.
const HEIGHT: f64 = 100.0;

/// Runs of each day, by how they ended.
pub fn runs(days: &Days) -> String {
    let most = days.0.iter().map(Day::runs).max().unwrap_or(0);
    let top = round_up(most as f64);
    let mut drawn = String::new();
    for (x, day) in days.0.iter().enumerate() {
        let mut below = 0.0;
        for (class, runs) in [("ok", day.success), ("partial", day.partial), ("failed", day.failed)] {
            let height = scaled(runs as f64, top);
            if runs > 0 {
                bar(&mut drawn, class, x, below, height);
            }
            below += height;
        }
        let mut said = vec![format!("{} complete", day.success)];
        said.extend((day.partial > 0).then(|| format!("{} partial", day.partial)));
        said.extend((day.failed > 0).then(|| format!("{} failed", day.failed)));
        hint(&mut drawn, x, day, &said.join(", "));
    }
    let sum = |of: fn(&Day) -> usize| days.0.iter().map(of).sum::<usize>();
    let (partial, failed) = (sum(|day| day.partial), sum(|day| day.failed));
    let told = format!("{}: {partial} partial, {failed} failed", count(sum(Day::runs), "run", "runs"));
    let key = "<ul class=\"key\"><li class=\"ok\">complete</li><li class=\"partial\">partial</li>\
               <li class=\"failed\">failed</li></ul>";
    figure("Runs a day", &told, key, &drawn, days, &[top, top / 2.0].map(|runs| format!("{runs}")))
}

/// The longest run of each day.
pub fn durations(days: &Days) -> String {
    let top = days.0.iter().map(|day| day.longest).fold(0.0, f64::max);
    let mut drawn = String::new();
    for (x, day) in days.0.iter().enumerate().filter(|(_, day)| day.runs() > 0) {
        bar(&mut drawn, "plain", x, 0.0, scaled(day.longest, top).max(1.0));
        let mean = day.seconds / day.runs() as f64;
        hint(&mut drawn, x, day, &format!("longest {}, mean {}", duration(day.longest), duration(mean)));
    }
    let told = format!("longest {}", duration(top));
    figure("Duration of the longest run a day", &told, "", &drawn, days, &[top, top / 2.0].map(duration))
}

/// Bytes that the backups of each day take.
pub fn added(days: &Days) -> String {
    let top = days.0.iter().map(|day| day.size).max().unwrap_or(0);
    let mut drawn = String::new();
    for (x, day) in days.0.iter().enumerate().filter(|(_, day)| day.size > 0) {
        bar(&mut drawn, "plain", x, 0.0, scaled(day.size as f64, top as f64).max(1.0));
        hint(&mut drawn, x, day, &bytes(day.size));
    }
    let newest = days.0.iter().rev().find(|day| day.size > 0).map_or(0, |day| day.size);
    let told = format!("newest {}, most {}", bytes(newest), bytes(top));
    figure("Stored a day", &told, "", &drawn, days, &[top, top / 2].map(bytes))
}

/// Bytes of all backups that are still there, day by day.
pub fn total(days: &Days) -> String {
    let top = days.0.iter().map(|day| day.total).max().unwrap_or(0);
    let mut outline = format!("M0 {HEIGHT}");
    for (x, day) in days.0.iter().enumerate() {
        let y = HEIGHT - scaled(day.total as f64, top as f64);
        // Writing to a text cannot fail.
        let _ = write!(outline, "L{x} {y:.1}H{}", x + 1);
    }
    let mut drawn = format!("<path class=\"area\" d=\"{outline}V{HEIGHT}Z\"/>");
    for (x, day) in days.0.iter().enumerate() {
        hint(&mut drawn, x, day, &bytes(day.total));
    }
    figure("Stored in all", &bytes(top), "", &drawn, days, &[top, top / 2].map(bytes))
}

fn scaled(value: f64, top: f64) -> f64 {
    if top > 0.0 { (value / top * HEIGHT).clamp(0.0, HEIGHT) } else { 0.0 }
}

/// An even number, so that its half is whole.
fn round_up(most: f64) -> f64 {
    ((most / 2.0).ceil() * 2.0).max(2.0)
}

fn bar(drawn: &mut String, class: &str, x: usize, below: f64, height: f64) {
    let y = HEIGHT - below - height;
    let _ = write!(drawn, "<rect class=\"{class}\" x=\"{x}.1\" y=\"{y:.1}\" width=\".8\" height=\"{height:.1}\"/>");
}

/// What a pointer over a day is told.
fn hint(drawn: &mut String, x: usize, day: &Day, said: &str) {
    let (day, said) = (day.day, escape(said));
    let _ = write!(
        drawn,
        "<rect class=\"hint\" x=\"{x}\" y=\"0\" width=\"1\" height=\"{HEIGHT}\"><title>{day}: {said}</title></rect>"
    );
}

fn figure(title: &str, told: &str, key: &str, drawn: &str, days: &Days, labels: &[String; 2]) -> String {
    let day = |index: usize| days.0.get(index).map_or(String::new(), |day| day.day.format("%-d %b").to_string());
    let (count, last) = (days.0.len(), days.0.len().saturating_sub(1));
    format!(
        "<figure>\n<figcaption><h2>{title}</h2><p>{told}</p>{key}</figcaption>\n\
         <div class=\"plot\"><div class=\"scale\" aria-hidden=\"true\"><span>{}</span><span>{}</span><span>0</span></div>\n\
         <svg viewBox=\"0 0 {count} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{title} over the last {count} days: {told}\">\
         <path class=\"grid\" d=\"M0 0H{count}M0 50H{count}M0 {HEIGHT}H{count}\"/>{drawn}</svg></div>\n\
         <div class=\"days\" aria-hidden=\"true\"><span>{}</span><span>{}</span><span>{}</span></div>\n</figure>",
        labels[0],
        labels[1],
        day(0),
        day(last / 2),
        day(last),
    )
}
