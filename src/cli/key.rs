//! `backup key`: keys that encrypt archives and sign manifests.

use crate::cli::around::{Around, Told};
use crate::cli::exit::{self, Exit};
use crate::cli::output::Report;
use crate::cli::settings::{self, Settings};
use crate::cli::{text, time};
use crate::error::Result;
use crate::keyring::{self, Check};
use crate::keys::{self, SigningKey};
use crate::notify::{Operation, RunStatus};
use clap::Subcommand;
use std::path::{Path, PathBuf};

/// Make and check the keys that encrypt archives and sign manifests
#[derive(Debug, clap::Args)]
#[command(after_long_help = exit::help(
    "backup key generate keys/backup.key --recipients keys/recipients.txt\nbackup key generate --signing keys/signing.key\nbackup key rotate\nbackup key check",
    &[Exit::Refused, Exit::Key]))]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a new key: writes the private one to a new file and prints the public one
    #[command(after_long_help = exit::help(
        "backup key generate keys/backup.key --recipients keys/recipients.txt\nbackup key generate --signing keys/signing.key", &[Exit::Refused]))]
    Generate {
        /// The file of the private key; must not exist
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// A key that signs manifests, instead of one that encrypts archives
        #[arg(long, conflicts_with = "recipients")]
        signing: bool,
        /// Also write the public key to this new file, for `recipientsFile`
        #[arg(long, value_name = "FILE")]
        recipients: Option<PathBuf>,
    },
    /// Make a new key for new backups and keep the old ones for reading
    #[command(after_long_help = exit::help("backup key rotate", &[Exit::Key]))]
    Rotate,
    /// Check that the configured keys work and open what is stored
    #[command(after_long_help = exit::help("backup key check\nbackup key check --identity safe.key", &[Exit::Key]))]
    Check {
        /// File of a private key; may be repeated
        #[arg(short, long, value_name = "FILE")]
        identity: Vec<PathBuf>,
    },
}

pub fn run(args: &Args, settings: &Settings) -> Result<Report> {
    match &args.action {
        Action::Generate { file, signing: true, .. } => generate_signing(file),
        Action::Generate { file, recipients, .. } => generate(file, recipients.as_deref()),
        Action::Rotate => rotate(None, settings),
        Action::Check { identity } => check(identity, settings),
    }
}

fn generate(file: &Path, recipients: Option<&Path>) -> Result<Report> {
    let (public, text) = keys::generate(time::now());
    keys::write_new(file, &text)?;
    if let Some(recipients) = recipients {
        keys::write_new(recipients, &format!("{public}\n"))?;
    }
    let shown = file.display();
    let text = format!(
        "{public}\nThe private key is in {shown}. Keep a copy of it away from the backups: without it nobody can read them.\n"
    );
    Report::new(text, &serde_json::json!({ "publicKey": public.to_string(), "privateKeyFile": file }))
}

fn generate_signing(file: &Path) -> Result<Report> {
    let (key, text) = SigningKey::generate()?;
    keys::write_new(file, &text)?;
    let public = key.public();
    let shown = file.display();
    let text = format!(
        "{public}\nThe private key is in {shown}: for `signing.privateKey` where backups are made. The line above goes into \
         `signing.publicKeys` there and wherever backups are verified or restored.\n"
    );
    Report::new(text, &serde_json::json!({ "publicKey": public.to_string(), "privateKeyFile": file }))
}

/// By hand, or as the job of that name.
pub(super) fn rotate(job: Option<&str>, settings: &Settings) -> Result<Report> {
    let config = settings.load()?;
    let cancel = settings.cancel()?;
    Around::new(settings, &config, &cancel, Operation::KeyRotate, job)?.run(|mut message| {
        let rotated = keyring::rotate(&config, time::now())?;
        message.status = RunStatus::Success;
        let text = format!(
            "New backups are encrypted to {}\nno longer to {}\nAll private keys are in {}: copy it to where you keep such copies.\n",
            rotated.public_key,
            rotated.retired.join(", "),
            rotated.identity_file.display()
        );
        Ok(Told::plain(Report::new(text, &rotated)?, message))
    })
}

fn check(identity: &[PathBuf], settings: &Settings) -> Result<Report> {
    let config = settings.load()?;
    let identities = settings::identities(&config, identity)?;
    let check = keyring::check(&config, &identities, &settings.cancel()?)?;
    let exit = if check.problems.is_empty() { Exit::Success } else { Exit::Key };
    Ok(Report::new(render(&check), &check)?.exit(exit))
}

fn render(check: &Check) -> String {
    let mut out = String::new();
    if check.recipients.is_empty() {
        out.push_str("New backups are in clear unless a module says otherwise\n");
    }
    for recipient in &check.recipients {
        let opens = if recipient.opens_here { "its private key is here" } else { "its private key is not here" };
        out.push_str(&format!("New backups are encrypted to {}: {opens}\n", recipient.key));
    }
    for file in &check.absent {
        out.push_str(&format!("{} is not here\n", file.display()));
    }
    if let Some(key) = &check.signs_as {
        out.push_str(&format!("Manifests are signed as {key}\n"));
    }
    out.push_str(&format!(
        "{} in the repository, {} of them opened with a key that is here\n",
        text::count(check.encrypted_archives, "encrypted archive", "encrypted archives"),
        check.opened_archives
    ));
    for problem in &check.problems {
        out.push_str(&format!("- {}\n", text::printable(problem)));
    }
    out
}
