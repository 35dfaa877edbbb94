//! `backup schedule`: hands the jobs of the configuration to cron or systemd.

use crate::cli::exit::{self, Exit};
use crate::cli::output::Report;
use crate::cli::settings::Settings;
use crate::cli::{text, time};
use crate::config::{self, Config};
use crate::doctor::Finding;
use crate::error::{Context, Error, Kind, Result};
use crate::schedule::{self, Block, Installation, Scheduled, Unit};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where systemd looks for units of the administrator's.
const UNITS: &str = "/etc/systemd/system";

/// Next runs that are shown of each job.
const SHOWN: usize = 3;

/// Hand the jobs of the configuration to cron or systemd
///
/// `print` shows what `install` would write, and when each job runs next. In a crontab only the lines between our two marks
/// are touched; of systemd only the units that begin with our mark. Times are those of the configuration's `timezone`:
/// systemd knows time zones; of cron only some do (`CRON_TZ`), so where yours does not, set `timezone` to that of the
/// machine. A time that daylight saving skips runs at the next minute there is, one that comes twice runs once or twice: at
/// two in the morning of a `timezone` that has it, choose another hour, or UTC.
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help(
    "backup schedule print\nbackup schedule install --format systemd\nbackup schedule remove",
    &[Exit::Refused, Exit::NotFound]))]
pub struct Args {
    /// What to do
    #[arg(value_enum, value_name = "ACTION")]
    action: Action,
    /// For which scheduler
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "cron")]
    format: Format,
    /// Folder of systemd's units
    #[arg(long, value_name = "DIR", default_value = UNITS)]
    unit_dir: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Action {
    /// Show what would be installed
    Print,
    /// Install it, in the place of what was installed before
    Install,
    /// Remove what was installed
    Remove,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The crontab of the user who runs this
    Cron,
    /// Services and timers
    Systemd,
}

/// What `--json` says.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    format: &'static str,
    timezone: String,
    jobs: Vec<Next>,
    /// Crontab block, or the units one after another.
    text: String,
}

#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Next {
    name: String,
    schedule: String,
    next: Vec<String>,
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    let config = settings.load()?;
    let installation = installation(settings, &config)?;
    let jobs = match args.action {
        // What is installed goes also when the configuration has no schedules any more.
        Action::Remove => schedule::scheduled(&config).unwrap_or_default(),
        Action::Print | Action::Install => schedule::scheduled(&config)?,
    };
    match args.format {
        Format::Cron => cron(args.action, &installation, &jobs),
        Format::Systemd => systemd(args, &installation, &jobs),
    }
}

fn installation(settings: &Settings, config: &Config) -> Result<Installation> {
    let file = config::find(settings.config_file.as_deref(), &settings.environment)?;
    let absolute = |path: &Path| std::path::absolute(path).map_err(|e| Error::io("find", path, &e));
    let program = std::env::current_exe()
        .map_err(|e| Error::new(Kind::Io, "the path of this program cannot be found").cause(e))?;
    Ok(Installation {
        name: config.installation.clone(),
        program,
        config: absolute(&file)?,
        writable: writable(config)?,
        timezone: config.timezone,
    })
}

/// A folder that is not there yet is made by the first job, so it is the one above that must be writable.
fn writable(config: &Config) -> Result<Vec<PathBuf>> {
    let databases = config.sources.values().filter_map(|source| match &source.engine {
        config::Engine::Sqlite { path } => path.parent(),
        _ => None,
    });
    let metrics = config.metrics.iter().filter_map(|metrics| metrics.textfile.parent());
    let mut folders = Vec::new();
    let encryption = &config.repository.encryption;
    let rotates = config.jobs.values().any(|job| matches!(job.action, config::JobAction::KeyRotation));
    let keys = encryption.recipients_file.iter().chain(&encryption.identities).filter(|_| rotates);
    let folders_of_keys = keys.filter_map(|file| file.parent());
    let repository = std::iter::once(config.repository.location.as_path());
    for folder in repository.chain(databases).chain(metrics).chain(folders_of_keys) {
        let folder = std::path::absolute(folder).map_err(|e| Error::io("find", folder, &e))?;
        let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(&folder).to_path_buf();
        if !folders.contains(&there) {
            folders.push(there);
        }
    }
    Ok(folders)
}

/// Whether the scheduled jobs of the configuration are known to a scheduler of this machine, as they are now.
pub(super) fn look(settings: &Settings, config: &Config) -> Vec<Finding> {
    let Ok(jobs) = schedule::scheduled(config) else {
        let advice = "give the configuration `jobs` with a `schedule`, or see that something else runs `backup create`";
        return vec![Finding::warning("no job has a schedule: nothing makes backups by itself", advice)];
    };
    let installation = match installation(settings, config) {
        Ok(installation) => installation,
        Err(error) => return vec![Finding::from(&error)],
    };
    let block = Block::new(&installation, &jobs);
    let crontab = read_crontab().unwrap_or_default();
    let by_cron = schedule::without_block(&crontab, &block)
        .map_or(Some(false), |without| (without != crontab).then(|| crontab.contains(&block.text())));
    let wanted = schedule::units(&installation, &jobs).unwrap_or_default();
    let units = ours(Path::new(UNITS), &installation.config).unwrap_or_default();
    let is_current =
        |unit: &Unit| std::fs::read_to_string(Path::new(UNITS).join(&unit.name)).is_ok_and(|text| text == unit.text);
    let by_systemd = (!units.is_empty()).then(|| wanted.iter().all(is_current) && units.len() == wanted.len());
    let jobs = text::count(jobs.len() as u64, "job", "jobs");
    let again = "`backup schedule install` again (with the same --format) writes what the configuration says now";
    let one = |found: Option<bool>, by: &str| match found {
        Some(true) => Some(Finding::ok(format!("{jobs} installed in {by}"))),
        Some(false) => {
            Some(Finding::warning(format!("what is installed in {by} is not what the configuration says"), again))
        }
        None => None,
    };
    let mut found: Vec<_> =
        [one(by_cron, "the crontab of this user"), one(by_systemd, UNITS)].into_iter().flatten().collect();
    match found.len() {
        0 => found.push(Finding::warning(
            format!(
                "{jobs} of the configuration installed nowhere: neither in the crontab of this user nor in {UNITS}"
            ),
            "`backup schedule install`, as the user who makes backups; or --format systemd as root",
        )),
        1 => {}
        _ => found.push(Finding::warning(
            "jobs are installed twice, for cron and for systemd",
            "`backup schedule remove` (--format systemd) removes one of the two",
        )),
    }
    found
}

fn shown(
    format: &'static str,
    installation: &Installation,
    jobs: &[Scheduled],
    text: String,
) -> Result<(String, Shown)> {
    let mut rows = Vec::new();
    let mut next = Vec::new();
    for job in jobs {
        let runs = job.next_runs(time::now(), installation.timezone, SHOWN)?;
        let runs: Vec<String> = runs.iter().map(|at| at.format("%a %Y-%m-%d %H:%M %Z").to_string()).collect();
        rows.push(vec![job.name.clone(), job.expression.clone(), runs.join(", ")]);
        next.push(Next { name: job.name.clone(), schedule: job.expression.clone(), next: runs });
    }
    let table = text::table(&["JOB", "SCHEDULE", "NEXT RUNS"], &[], rows, None);
    Ok((table, Shown { format, timezone: installation.timezone.to_string(), jobs: next, text }))
}

fn cron(action: Action, installation: &Installation, jobs: &[Scheduled]) -> Result<Report> {
    let block = Block::new(installation, jobs);
    let (table, json) = shown("cron", installation, jobs, block.text())?;
    match action {
        Action::Print => Report::new(format!("{}\n{table}", block.text()), &json),
        Action::Install => {
            write_crontab(&schedule::with_block(&read_crontab()?, &block)?)?;
            let jobs = text::count(jobs.len() as u64, "job", "jobs");
            Report::new(
                format!("{table}\nInstalled {jobs} in the crontab of this user; `crontab -l` shows it.\n"),
                &json,
            )
        }
        Action::Remove => {
            let crontab = read_crontab()?;
            let without = schedule::without_block(&crontab, &block)?;
            if without == crontab {
                return Report::new("There is nothing of ours in the crontab of this user.\n".into(), &json);
            }
            write_crontab(&without)?;
            Report::new("Removed from the crontab of this user.\n".into(), &json)
        }
    }
}

/// The crontab of the user; empty where there is none.
fn read_crontab() -> Result<String> {
    let failed = |why: &str| {
        Error::new(Kind::Io, "the crontab of this user cannot be read")
            .cause(why)
            .hint("is cron installed, and may this user use it (/etc/cron.allow)? `--format systemd` does without it")
    };
    let listed = Command::new("crontab").arg("-l").output().map_err(|e| failed(&e.to_string()))?;
    let said = String::from_utf8_lossy(&listed.stderr).into_owned();
    match listed.status.success() {
        true => String::from_utf8(listed.stdout).map_err(|_| failed("it is no UTF-8")),
        false if said.contains("no crontab for") => Ok(String::new()),
        false => Err(failed(said.trim())),
    }
}

fn write_crontab(text: &str) -> Result<()> {
    let failed = |why: String| Error::new(Kind::Io, "the crontab of this user cannot be written").cause(why);
    let spawned = Command::new("crontab").arg("-").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|e| failed(e.to_string()))?;
    let written = child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(text.as_bytes()));
    let ended = child.wait_with_output().map_err(|e| failed(e.to_string()))?;
    written.map_err(|e| failed(e.to_string()))?;
    match ended.status.success() {
        true => Ok(()),
        false => Err(failed(String::from_utf8_lossy(&ended.stderr).trim().to_owned())),
    }
}

fn systemd(args: &Args, installation: &Installation, jobs: &[Scheduled]) -> Result<Report> {
    let units = schedule::units(installation, jobs)?;
    let text: Vec<_> = units.iter().map(|unit| format!("# {}\n{}", unit.name, unit.text)).collect();
    let (table, json) = shown("systemd", installation, jobs, text.join("\n"))?;
    if args.action == Action::Print {
        return Report::new(format!("{}\n{table}", text.join("\n")), &json);
    }
    let old = ours(&args.unit_dir, &installation.config)?;
    if args.action == Action::Install {
        units.iter().try_for_each(|unit| install(&args.unit_dir, unit, &installation.config))?;
    }
    let stays = |path: &&PathBuf| {
        args.action == Action::Install
            && units.iter().any(|unit| path.file_name().is_some_and(|name| name == unit.name.as_str()))
    };
    let gone: Vec<&PathBuf> = old.iter().filter(|path| !stays(path)).collect();
    for path in &gone {
        let timer = path.extension().is_some_and(|extension| extension == "timer");
        if let (true, Some(name)) = (timer, path.file_name()) {
            systemctl(&["disable".as_ref(), "--now".as_ref(), name]);
        }
        std::fs::remove_file(path).map_err(|e| Error::io("remove", path, &e))?;
    }
    systemctl(&["daemon-reload".as_ref()]);
    let mut out = String::new();
    if args.action == Action::Install {
        let timers: Vec<_> =
            units.iter().map(|unit| unit.name.as_str()).filter(|name| name.ends_with(".timer")).collect();
        let running = timers.iter().all(|timer| systemctl(&["enable".as_ref(), "--now".as_ref(), timer.as_ref()]));
        out.push_str(&format!("{table}\nInstalled in {}: {}\n", args.unit_dir.display(), timers.join(", ")));
        if !running {
            out.push_str(&format!("Next: systemctl daemon-reload && systemctl enable --now {}\n", timers.join(" ")));
        }
    }
    for path in gone {
        out.push_str(&format!("Removed {}\n", path.display()));
    }
    if out.is_empty() {
        out = format!("There is nothing of ours in {}.\n", args.unit_dir.display());
    }
    Report::new(out, &json)
}

/// Units that were made for this configuration.
fn ours(folder: &Path, config: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("list", folder, &e)),
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mine = |path: &PathBuf| std::fs::read_to_string(path).is_ok_and(|text| schedule::is_ours(&text, config));
    let mut found: Vec<_> = paths.filter(|path| path.is_file() && mine(path)).collect();
    found.sort();
    Ok(found)
}

/// Writes a unit; one of that name that is not ours stays.
fn install(folder: &Path, unit: &Unit, config: &Path) -> Result<()> {
    let path = folder.join(&unit.name);
    match std::fs::read_to_string(&path) {
        Ok(text) if !schedule::is_ours(&text, config) => {
            return Err(Error::new(Kind::Refused, format!("{} is not ours, and stays as it is", path.display()))
                .hint("it may be of another configuration: rename the job, or remove the unit by hand"));
        }
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("read", &path, &e)),
        _ => {}
    }
    std::fs::write(&path, &unit.text)
        .map_err(|e| Error::io("write", &path, &e))
        .context(|| "units are written by root; `print` shows them for anybody".to_owned())
}

/// Asks systemd, where it is at work; whether it did.
fn systemctl(arguments: &[&std::ffi::OsStr]) -> bool {
    if !Path::new("/run/systemd/system").is_dir() {
        return false;
    }
    let done = Command::new("systemctl").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}
