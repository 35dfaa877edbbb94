//! "Did you mean": the names nearest to one that does not exist.

/// A hint that names up to three candidates close to `wanted`, or else all of them.
pub(super) fn hint<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = candidates.collect();
    let folded = wanted.to_lowercase();
    let mut close: Vec<(f64, &str)> = all
        .iter()
        .map(|name| (strsim::jaro_winkler(&folded, &name.to_lowercase()), *name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0));
    if !close.is_empty() {
        let names: Vec<String> = close.iter().take(3).map(|(_, name)| format!("'{name}'")).collect();
        return format!("did you mean {}?", names.join(" or "));
    }
    // A long list helps nobody on a terminal; the first few show what names look like here.
    let rest = if all.len() > 10 { ", …" } else { "" };
    format!("configured are: {}{rest}", all.iter().take(10).copied().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn a_typo_is_answered_with_the_name_meant() {
        assert_eq!(hint("hr-cor", ["hr-core", "theme"].into_iter()), "did you mean 'hr-core'?");
    }

    #[test]
    fn a_name_like_no_other_is_answered_with_all() {
        assert_eq!(hint("zzz", ["hr-core", "theme"].into_iter()), "configured are: hr-core, theme");
    }
}
