//! The repository and its keys.

use super::Resolver;
use crate::config::either::Either;
use crate::config::model::{Encryption, Repository, Sealing, Signing};
use crate::config::node::At;
use crate::config::raw::{RawEncrypt, RawEncryption, RawRepository, RawSigning};
use crate::config::secret;
use crate::config::secret::Secret;
use crate::keys::{PublicKey, Recipients, VerifyingKey, is_private};

impl Resolver<'_> {
    pub(super) fn repository(&mut self, raw: Option<RawRepository>) -> Repository {
        let at = At::root("repository");
        let (mut location, mut id, mut encryption, mut signing) = (String::new(), None, Encryption::default(), None);
        if let Some(raw) = raw {
            location = raw.location.unwrap_or_default();
            id = raw.id;
            encryption = raw.encryption.map(|raw| self.encryption(&at.key("encryption"), raw)).unwrap_or_default();
            signing = raw.signing.map(|raw| self.signing(&at.key("signing"), raw));
        }
        if location.is_empty() && self.problems.len() == 0 {
            self.problem(&at.key("location"), "must not be empty");
        }
        Repository { location: self.path(&location), id, encryption, signing }
    }

    fn encryption(&mut self, at: &At, raw: RawEncryption) -> Encryption {
        let mut keys = self.public_keys(&at.key("recipients"), &raw.recipients);
        let recipients_file = raw.recipients_file.map(|file| self.path(&file));
        if let Some(file) = &recipients_file {
            let file_at = at.key("recipientsFile");
            match std::fs::read_to_string(file) {
                Ok(text) => keys.extend(self.recipients_of_file(&file_at, &text)),
                Err(e) => self.problem(&file_at, format!("cannot read {}: {e}", file.display())),
            }
        }
        let passphrase = raw.passphrase.and_then(|given| self.passphrase(&at.key("passphrase"), given));
        let recipients = match &passphrase {
            Some(_) if !keys.is_empty() => {
                self.problem(&at.key("passphrase"), "cannot be mixed with recipients: age allows either");
                Recipients::default()
            }
            Some(passphrase) => Recipients::of_passphrase(passphrase.reveal()),
            None => Recipients::of_keys(keys),
        };
        let identities: Vec<_> = raw.identities.iter().map(|file| self.path(file)).collect();
        for file in identities.iter().filter(|file| file.exists() && !is_private(file)) {
            let file = file.display();
            self.warnings
                .push(format!("others than its owner may read the private key {file}; run `chmod 600 {file}`"));
        }
        Encryption { recipients, recipients_file, passphrase, identities }
    }

    fn passphrase(&mut self, at: &At, given: Either<String, crate::config::raw::RawSecret>) -> Option<Secret> {
        let text = match given {
            Either::Word(text) => text,
            Either::Map(kept) => match secret::read(&kept, self.base) {
                Ok(text) => text,
                Err(message) => {
                    self.problem(at, message);
                    return None;
                }
            },
        };
        if text.chars().count() < SHORTEST_PASSPHRASE {
            self.problem(
                at,
                format!("is too short: {SHORTEST_PASSPHRASE} characters at least, made by chance at best"),
            );
        }
        Some(Secret::new(text))
    }

    /// The lines of a file of recipients; `#` begins a comment.
    fn recipients_of_file(&mut self, at: &At, text: &str) -> Vec<PublicKey> {
        let mut keys = Vec::new();
        for (number, line) in
            (1..).zip(text.lines()).filter(|(_, line)| !matches!(line.trim().chars().next(), None | Some('#')))
        {
            match PublicKey::parse(line) {
                Ok(key) => keys.push(key),
                Err(message) => self.problem(at, format!("line {number} of the file {message}")),
            }
        }
        if keys.is_empty() && self.problems.len() == 0 {
            self.problem(at, "the file holds no public key");
        }
        keys
    }

    fn public_keys(&mut self, at: &At, written: &[String]) -> Vec<PublicKey> {
        let mut keys = Vec::new();
        for (index, text) in written.iter().enumerate() {
            match PublicKey::parse(text) {
                Ok(key) => keys.push(key),
                Err(message) => self.problem(&at.index(index), message),
            }
        }
        keys
    }

    /// `encrypt` and `recipients` of a module, a whole database or extra files.
    pub(super) fn sealing(&mut self, at: &At, encrypt: Option<RawEncrypt>, recipients: &[String]) -> Sealing {
        let recipients = Recipients::of_keys(self.public_keys(&at.key("recipients"), recipients));
        let required = matches!(encrypt, Some(RawEncrypt::Required));
        Sealing { recipients, required }
    }

    fn signing(&mut self, at: &At, raw: RawSigning) -> Signing {
        let at_keys = at.key("publicKeys");
        let mut public_keys = Vec::new();
        let written = raw.public_keys.unwrap_or_default();
        for (index, text) in written.iter().enumerate() {
            match VerifyingKey::parse(text) {
                Ok(key) => public_keys.push(key),
                Err(message) => self.problem(&at_keys.index(index), message),
            }
        }
        if written.is_empty() && self.problems.len() == 0 {
            self.problem(&at_keys, "must hold at least one public key");
        }
        let private_key = raw.private_key.map(|file| self.path(&file));
        if let Some(file) = private_key.as_ref().filter(|file| file.exists() && !is_private(file)) {
            let file = file.display();
            self.warnings
                .push(format!("others than its owner may read the private key {file}; run `chmod 600 {file}`"));
        }
        Signing { private_key, public_keys }
    }
}

/// Shorter ones fall to guessing.
const SHORTEST_PASSPHRASE: usize = 12;
