//! The keys of an installation: a new one in the place of the present one, and whether those that are here fit.

use crate::config::Config;
use crate::error::{Context, Error, Kind, Result};
use crate::keys::{self, Identities, PublicKey, SigningKey};
use crate::pipeline::Cancel;
use crate::repository::Repository;
use chrono::{DateTime, Utc};
use std::io::{Cursor, Read, Write};
use std::path::PathBuf;

/// What a rotation did.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    /// The new public key.
    pub public_key: String,
    /// Public keys that new backups are no longer encrypted to; their private keys stay and open the old ones.
    pub retired: Vec<String>,
    /// The file that holds the new private key, and the old ones.
    pub identity_file: PathBuf,
    /// The file of public keys.
    pub recipients_file: PathBuf,
}

/// Makes a new identity for new backups, and keeps the old ones for reading.
///
/// # Errors
/// [`Kind::Config`] when the configuration does not keep its keys in files, [`Kind::Key`] when they are not here.
pub fn rotate(config: &Config, now: DateTime<Utc>) -> Result<Rotated> {
    let encryption = &config.repository.encryption;
    let (Some(recipients_file), Some(identity_file)) = (&encryption.recipients_file, encryption.identities.first())
    else {
        let what = "`key rotate` needs `recipientsFile` and `identities` in `repository.encryption`";
        return Err(Error::new(Kind::Config, what)
            .hint("with keys elsewhere: `backup key generate FILE` there, and change `recipients` by hand"));
    };
    let old_identities = std::fs::read_to_string(identity_file)
        .map_err(|e| Error::io("read the identity file", identity_file, &e).kind(Kind::Key))?;
    let own = Identities::read(std::slice::from_ref(identity_file), None)?.public_keys();
    let old_recipients = std::fs::read_to_string(recipients_file)
        .map_err(|e| Error::io("read the file of recipients", recipients_file, &e).kind(Kind::Key))?;

    let (public, text) = keys::generate(now);
    let is_own = |line: &str| PublicKey::parse(line).is_ok_and(|key| own.contains(&key));
    let retired: Vec<_> = old_recipients.lines().filter(|line| is_own(line)).map(|l| l.trim().to_owned()).collect();
    if retired.is_empty() {
        let what = format!("none of the keys in {} is one of {}", recipients_file.display(), identity_file.display());
        return Err(Error::new(Kind::Key, what).hint("which key is to be replaced? change the file by hand"));
    }
    let mut recipients: String =
        old_recipients.lines().filter(|line| !is_own(line)).map(|l| format!("{l}\n")).collect();
    recipients.push_str(&format!("{public}\n"));
    // The private key first: a public key whose private one was lost would make backups that nobody can read.
    keys::write_over(identity_file, &format!("{}\n{text}", old_identities.trim_end()))?;
    prove(&Identities::read(std::slice::from_ref(identity_file), None)?, &public)?;
    keys::write_over(recipients_file, &recipients)?;
    Ok(Rotated {
        public_key: public.to_string(),
        retired,
        identity_file: identity_file.clone(),
        recipients_file: recipients_file.clone(),
    })
}

/// Encrypts to a key and reads it again, as it will be done when it matters.
fn prove(identities: &Identities, key: &PublicKey) -> Result<()> {
    const WORD: &[u8] = b"proof";
    let failed = |e: std::io::Error| Error::new(Kind::Key, format!("the key {key} does not work")).cause(e);
    let recipients = keys::Recipients::of_keys(vec![key.clone()]);
    let mut stream = recipients.encrypt(Vec::new()).map_err(failed)?;
    stream.write_all(WORD).map_err(failed)?;
    let sealed = stream.finish().map_err(failed)?;
    let mut read = Vec::new();
    identities.open(Cursor::new(sealed))?.read_to_end(&mut read).map_err(failed)?;
    if read == WORD { Ok(()) } else { Err(Error::new(Kind::Key, format!("the key {key} does not work"))) }
}

/// What a check found.
#[derive(Debug, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// To whom new backups are encrypted, unless a module says otherwise; empty: they are in clear.
    pub recipients: Vec<Recipient>,
    /// Public keys whose private keys are here.
    pub identities: Vec<String>,
    /// Identity files that are configured but not here.
    pub absent: Vec<PathBuf>,
    /// The public key that signs here; none where nothing is signed.
    pub signs_as: Option<String>,
    /// Encrypted archives in the repository.
    pub encrypted_archives: u64,
    /// Those of them that a key here opens.
    pub opened_archives: u64,
    /// What is wrong; empty when the keys fit.
    pub problems: Vec<String>,
}

/// One recipient.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recipient {
    /// Public key, or `passphrase`.
    pub key: String,
    /// Its private key is here, and opens what is encrypted to it.
    pub opens_here: bool,
}

/// Checks every configured key, and opens every encrypted archive of the repository as far as a key is here.
///
/// # Errors
/// When a key file or the repository cannot be read. Keys that do not fit are a finding, not an error.
pub fn check(config: &Config, identities: &Identities, cancel: &Cancel) -> Result<Check> {
    let mut check = configured(config, identities);
    if config.repository.location.symlink_metadata().is_ok() {
        open_archives(&Repository::open(&config.repository)?, identities, cancel, &mut check)?;
    }
    Ok(check)
}

/// Checks every configured key, and opens nothing that is stored.
pub fn configured(config: &Config, identities: &Identities) -> Check {
    let encryption = &config.repository.encryption;
    let mut check = Check {
        identities: identities.public_keys().iter().map(ToString::to_string).collect(),
        absent: identities.absent().to_vec(),
        ..Check::default()
    };
    for key in encryption.recipients.keys() {
        check.recipients.push(Recipient { key: key.to_string(), opens_here: prove(identities, key).is_ok() });
    }
    if encryption.passphrase.is_some() {
        check.recipients.push(Recipient { key: "passphrase".into(), opens_here: true });
    }
    for file in encryption.identities.iter().filter(|file| file.exists() && !keys::is_private(file)) {
        check.problems.push(format!("others than its owner may read {}: chmod 600", file.display()));
    }
    if let Some(signing) = &config.repository.signing
        && let Some(file) = &signing.private_key
    {
        match SigningKey::read(file) {
            Ok(key) if signing.public_keys.contains(&key.public()) => check.signs_as = Some(key.public().to_string()),
            Ok(key) => {
                check.problems.push(format!("{} signs as {}, which is not pinned", file.display(), key.public()))
            }
            Err(error) => check.problems.push(error.to_string()),
        }
    }
    check
}

fn open_archives(repository: &Repository, identities: &Identities, cancel: &Cancel, check: &mut Check) -> Result<()> {
    let has_keys = !(check.identities.is_empty() && check.recipients.iter().all(|r| r.key != "passphrase"));
    for entry in repository.catalog()?.backups {
        let manifest = repository.manifest(&entry.id)?;
        for component in manifest.components.iter().filter(|component| component.encrypted) {
            cancel.check()?;
            let Some(archive) = &component.archive else { continue };
            check.encrypted_archives += 1;
            let path = repository.archive(&entry.id, manifest.backup_type, archive)?;
            let file = std::fs::File::open(&path).map_err(|e| Error::io("open", &path, &e))?;
            match identities.open(file).context(|| format!("{}/{archive}", entry.id)) {
                Ok(_) => check.opened_archives += 1,
                // A machine that only makes backups has none: nothing is wrong with that.
                Err(error) if error.kind == Kind::Key && !has_keys => {}
                Err(error) if matches!(error.kind, Kind::Key | Kind::Damaged) => {
                    let to = component.encrypted_to.join(", ");
                    check.problems.push(format!("{error} (encrypted to {to})"));
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
