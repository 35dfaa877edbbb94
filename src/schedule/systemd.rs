//! systemd units: a service and a timer a job, hardened as far as a backup can be.

use super::calendar::on_calendar;
use super::{Installation, Scheduled};
use crate::error::{Error, Kind, Result};
use std::path::Path;

/// Begins every unit of ours; what does not begin so is not ours, and is left alone.
const MARK: &str = "# Made by `backup schedule install`";

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// `backup-nightly.timer`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The units of all jobs.
///
/// # Errors
/// [`Kind::Config`] naming a job whose schedule systemd has no words for.
pub fn units(installation: &Installation, jobs: &[Scheduled]) -> Result<Vec<Unit>> {
    let mut units = Vec::new();
    for job in jobs {
        let moments = on_calendar(&job.expression, installation.timezone.name()).ok_or_else(|| {
            let what = format!("job '{}': systemd has no words for the schedule `{}`", job.name, job.expression);
            Error::new(Kind::Config, what).hint("write it without L, W and #, or use --format cron")
        })?;
        let name = format!("backup-{}", job.name);
        units.push(Unit { name: format!("{name}.service"), text: service(installation, job) });
        units.push(Unit { name: format!("{name}.timer"), text: timer(installation, job, &moments) });
    }
    Ok(units)
}

/// Whether a file was made here, for this configuration.
pub fn is_ours(text: &str, config: &Path) -> bool {
    text.lines().next().is_some_and(|line| line == mark(config))
}

fn mark(config: &Path) -> String {
    format!("{MARK} from {}", config.display())
}

fn service(installation: &Installation, job: &Scheduled) -> String {
    let Installation { name, program, config, writable, .. } = installation;
    let write: String = writable.iter().map(|folder| format!("ReadWritePaths={}\n", path(folder))).collect();
    format!(
        "{}
[Unit]
Description=backup of {name}: {} ({})
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={} -q -c {} run {}
# A backup that lacks something ends with 3: usable, and worth a look.
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7
# Nothing can be written but where backups and metrics go, and beside SQLite databases.
ProtectSystem=strict
{write}PrivateTmp=true
PrivateDevices=true
ProtectKernelTunables=true
ProtectKernelModules=true
ProtectKernelLogs=true
ProtectControlGroups=true
ProtectClock=true
ProtectHostname=true
NoNewPrivileges=true
RestrictSUIDSGID=true
RestrictRealtime=true
RestrictNamespaces=true
LockPersonality=true
MemoryDenyWriteExecute=true
SystemCallArchitectures=native
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
UMask=0077
LimitCORE=0
",
        mark(config),
        job.purpose,
        job.name,
        path(program),
        path(config),
        job.name
    )
}

fn timer(installation: &Installation, job: &Scheduled, moments: &[String]) -> String {
    let moments: String = moments.iter().map(|moment| format!("OnCalendar={moment}\n")).collect();
    format!(
        "{}
[Unit]
Description=backup of {}: {} ({})

[Timer]
{moments}# A run that was missed while the machine was off is made up for.
Persistent=true
AccuracySec=1s

[Install]
WantedBy=timers.target
",
        mark(&installation.config),
        installation.name,
        job.purpose,
        job.name
    )
}

/// A path as a unit writes it.
fn path(path: &Path) -> String {
    let text =
        path.display().to_string().replace('\\', "\\\\").replace('%', "%%").replace('"', "\\\"").replace('$', "$$");
    if text.contains(char::is_whitespace) { format!("\"{text}\"") } else { text }
}
