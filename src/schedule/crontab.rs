//! A block of a crontab, between two marks: what is outside of them is not ours, and stays byte for byte as it is.

use super::{Installation, Scheduled, word};
use crate::error::{Error, Kind, Result};

/// Our part of a crontab.
#[derive(Debug, Clone)]
pub struct Block {
    begin: String,
    end: String,
    lines: Vec<String>,
}

impl Block {
    /// The block of an installation. Two configurations on a machine have a block each.
    pub fn new(installation: &Installation, jobs: &[Scheduled]) -> Self {
        let of = installation.config.display();
        let mut lines = vec![
            "# Made by `backup schedule install`: change the configuration, and install again.".to_owned(),
            format!("# Times are those of {}.", installation.timezone),
            format!("CRON_TZ={}", installation.timezone),
        ];
        let (program, config) = (word(&installation.program), word(&installation.config));
        for job in jobs {
            // `%` ends a command in a crontab.
            let command = format!("{program} -q -c {config} run {}", job.name).replace('%', r"\%");
            lines.push(format!("# {}: {}", job.name, job.purpose));
            lines.push(format!("{} {command}", job.expression));
        }
        Self { begin: format!("# BEGIN backup {of}"), end: format!("# END backup {of}"), lines }
    }

    /// As it stands in a crontab.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.begin, self.lines.join("\n"), self.end)
    }
}

/// A crontab with the block in the place of an earlier one, or at its end.
///
/// # Errors
/// As [`without_block`].
pub fn with_block(crontab: &str, block: &Block) -> Result<String> {
    let (before, after) = match cut(crontab, block)? {
        Some((before, after)) => (before.to_owned(), after),
        None if crontab.is_empty() || crontab.ends_with('\n') => (crontab.to_owned(), ""),
        None => (format!("{crontab}\n"), ""),
    };
    Ok(format!("{before}{}{after}", block.text()))
}

/// A crontab without the block.
///
/// # Errors
/// [`Kind::Refused`] when a mark has lost its other: what is between cannot be told from what is not ours.
pub fn without_block(crontab: &str, block: &Block) -> Result<String> {
    Ok(cut(crontab, block)?.map_or_else(|| crontab.to_owned(), |(before, after)| format!("{before}{after}")))
}

/// What is before and after the block; none where there is no block.
fn cut<'t>(crontab: &'t str, block: &Block) -> Result<Option<(&'t str, &'t str)>> {
    let line_of = |mark: &str| {
        let mut at = 0;
        let mut found = Vec::new();
        for line in crontab.split_inclusive('\n') {
            if line.trim_end() == mark {
                found.push((at, at + line.len()));
            }
            at += line.len();
        }
        found
    };
    match (&line_of(&block.begin)[..], &line_of(&block.end)[..]) {
        ([], []) => Ok(None),
        ([(begin, _)], [(end, after)]) if begin < end => Ok(Some((&crontab[..*begin], &crontab[*after..]))),
        _ => {
            let what = format!("the crontab has a mark `{}` or `{}` too many or too few", block.begin, block.end);
            Err(Error::new(Kind::Refused, what).hint("mend it by hand with `crontab -e`; nothing was changed"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block() -> Block {
        let installation = Installation {
            name: "hr".into(),
            program: "/usr/bin/backup".into(),
            config: "/etc/back up/50%.yaml".into(),
            writable: vec!["/var/backups".into()],
            timezone: chrono_tz::Europe::Berlin,
        };
        let job = |name: &str, expression: &str| Scheduled {
            name: name.into(),
            expression: expression.into(),
            purpose: "make a backup",
        };
        Block::new(&installation, &[job("nightly", "0 2 * * *"), job("weekly", "0 3 * * 0")])
    }

    #[test]
    fn paths_are_quoted_and_per_cent_is_escaped() {
        let text = block().text();
        let line = "0 2 * * * /usr/bin/backup -q -c '/etc/back up/50\\%.yaml' run nightly\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("CRON_TZ=Europe/Berlin\n"));
    }

    #[test]
    fn a_mark_without_its_other_is_refused() {
        let block = block();
        for crontab in [format!("{}\n", block.begin), format!("{}\n", block.end), format!("{0}{0}", block.text())] {
            assert!(with_block(&crontab, &block).is_err(), "{crontab}");
            assert!(without_block(&crontab, &block).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_is_not_ours_stays_as_it_is(before in "([a-z #*]{0,9}\n){0,4}", after in "([a-z #*]{0,9}\n){0,4}") {
            let block = block();
            let whole = format!("{before}{}{after}", block.text());
            prop_assert_eq!(&with_block(&whole, &block).unwrap(), &whole);
            prop_assert_eq!(without_block(&whole, &block).unwrap(), format!("{before}{after}"));
            let bare = format!("{before}{after}");
            prop_assert_eq!(without_block(&with_block(&bare, &block).unwrap(), &block).unwrap(), bare);
        }
    }
}
