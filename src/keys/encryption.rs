//! Who can read an archive (age: X25519 public keys, or one passphrase), and what opens it again.

use crate::error::{Error, Kind, Result};
use age::secrecy::{ExposeSecret, SecretString};
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor, scrypt, x25519};
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// log2 of scrypt's N for passphrases: 32 MiB and some 80 ms for every archive. Enough for a passphrase that was made
/// by chance, which is what a file should hold; a higher one would break the bound on memory.
const WORK: u8 = 15;

/// A file that asks for more than this (128 MiB) is refused: it was not made by us.
const MOST_WORK: u8 = 17;

/// A header longer than this, some 650 recipients, is refused: age holds all of it, and reads it again at every line.
const LONGEST_HEADER: u64 = 64 << 10;

/// An age public key: `age1…`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(x25519::Recipient);

impl PublicKey {
    /// Reads `age1…`.
    ///
    /// # Errors
    /// What is wrong with it; the text itself is not in the message, for it may be a private key by mistake.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim_start().to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            return Err("is a private key: write its public key (`age1…`) here, and treat it as known to others".into());
        }
        text.trim().parse().map(Self).map_err(|_| "is no age public key (`age1…`, 62 characters)".to_owned())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// To whom an archive is encrypted: public keys, or a passphrase. Nobody: it is written in clear.
#[derive(Debug, Clone, Default)]
pub struct Recipients {
    keys: Vec<PublicKey>,
    passphrase: Option<SecretString>,
}

impl Recipients {
    /// To the owners of these keys, any one of whom can read.
    pub fn of_keys(keys: Vec<PublicKey>) -> Self {
        Self { keys, passphrase: None }
    }

    /// To whoever knows the passphrase.
    pub fn of_passphrase(passphrase: &str) -> Self {
        Self { keys: Vec::new(), passphrase: Some(passphrase.to_owned().into()) }
    }

    /// Nobody: archives are in clear.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.passphrase.is_none()
    }

    /// The public keys.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The public keys, or the word `passphrase`.
    pub fn names(&self) -> Vec<String> {
        let keys = self.keys.iter().map(ToString::to_string);
        keys.chain(self.passphrase.iter().map(|_| "passphrase".to_owned())).collect()
    }

    /// Encrypts what is written to the result; `finish` ends it.
    ///
    /// # Errors
    /// When `output` fails.
    pub fn encrypt<W: Write>(&self, output: W) -> io::Result<StreamWriter<W>> {
        let encryptor = match &self.passphrase {
            Some(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(WORK);
                Encryptor::with_recipients(std::iter::once(&recipient as _))
            }
            None => Encryptor::with_recipients(self.keys.iter().map(|key| &key.0 as _)),
        };
        encryptor.map_err(io::Error::other)?.wrap_output(output)
    }
}

impl serde::Serialize for Recipients {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.names())
    }
}

/// What opens encrypted archives: private keys and a passphrase, as far as this machine has them.
#[derive(Clone, Default)]
pub struct Identities {
    keys: Vec<x25519::Identity>,
    passphrase: Option<SecretString>,
    /// Files that were named but are not here: a backup host need not have them.
    absent: Vec<PathBuf>,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({} keys)", self.keys.len())
    }
}

impl Identities {
    /// Reads identity files as age writes them: one `AGE-SECRET-KEY-1…` a line, `#` begins a comment.
    ///
    /// # Errors
    /// [`Kind::Key`] when a file is there but cannot be used.
    pub fn read(files: &[PathBuf], passphrase: Option<&str>) -> Result<Self> {
        let passphrase = passphrase.map(|text| text.to_owned().into());
        let mut all = Self { keys: Vec::new(), passphrase, absent: Vec::new() };
        for file in files {
            match std::fs::read_to_string(file) {
                Ok(text) => all.keys.extend(parse(&text, file)?),
                Err(e) if e.kind() == io::ErrorKind::NotFound => all.absent.push(file.clone()),
                Err(e) => return Err(Error::io("read the identity file", file, &e).kind(Kind::Key)),
            }
        }
        Ok(all)
    }

    /// The public keys that belong to the private ones, in the order of the files.
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.keys.iter().map(|key| PublicKey(key.to_public())).collect()
    }

    /// Files that were named but are not there.
    pub fn absent(&self) -> &[PathBuf] {
        &self.absent
    }

    /// Opens what was encrypted to one of them, and proves that its end is the end that was written.
    ///
    /// # Errors
    /// [`Kind::Key`] when none of them opens it, [`Kind::Damaged`] when it is no whole age file.
    pub fn open<R: Read + Seek>(&self, mut input: R) -> Result<StreamReader<R>> {
        bounded(&mut input)?;
        let damaged = |cause: &dyn fmt::Display| Error::new(Kind::Damaged, "it is no whole age file").cause(cause);
        let decryptor = Decryptor::new(input).map_err(|e| match e {
            // A failing disk is not damage.
            DecryptError::Io(e) if e.raw_os_error().is_some() => Error::new(Kind::Io, "it cannot be read").cause(e),
            e => damaged(&e),
        })?;
        let passphrase = self.passphrase.as_ref().map(|passphrase| {
            let mut identity = scrypt::Identity::new(passphrase.clone());
            identity.set_max_work_factor(MOST_WORK);
            identity
        });
        let keys = self.keys.iter().map(|key| key as &dyn age::Identity);
        let all = keys.chain(passphrase.iter().map(|identity| identity as &dyn age::Identity));
        let mut reader = decryptor.decrypt(all).map_err(|e| match e {
            DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed => self.no_key(),
            // With a passphrase a wrong one looks like this too.
            DecryptError::DecryptionFailed => self.no_key(),
            e => damaged(&e),
        })?;
        // Seeking to the end decrypts the last chunk as the last: a file cut between chunks would read well up to there.
        reader.seek(SeekFrom::End(0)).and_then(|_| reader.seek(SeekFrom::Start(0))).map_err(|e| {
            match e.raw_os_error() {
                Some(_) => Error::new(Kind::Io, "it cannot be read").cause(e),
                None => damaged(&e),
            }
        })?;
        Ok(reader)
    }

    fn no_key(&self) -> Error {
        let have = match (self.keys.len(), &self.passphrase) {
            (0, None) => "there is no private key here".to_owned(),
            (0, Some(_)) => "the passphrase does not open it".to_owned(),
            (1, _) => "the private key here does not open it".to_owned(),
            (n, _) => format!("none of the {n} private keys here opens it"),
        };
        let mut error = Error::new(Kind::Key, have);
        for file in &self.absent {
            error = error.cause(format!("{} does not exist", file.display()));
        }
        error.hint("give the file of its private key with --identity FILE, or in `repository.encryption.identities`")
    }
}

/// Makes sure that the header has an end within reason.
fn bounded(input: &mut (impl Read + Seek)) -> Result<()> {
    let failed = |e: io::Error| Error::new(Kind::Io, "it cannot be read").cause(e);
    let mut head = Vec::new();
    input.by_ref().take(LONGEST_HEADER).read_to_end(&mut head).map_err(failed)?;
    input.rewind().map_err(failed)?;
    if head.windows(4).any(|line| line == b"\n---") {
        return Ok(());
    }
    Err(Error::new(Kind::Damaged, "it is no whole age file").cause("its header has no end"))
}

fn parse(text: &str, file: &Path) -> Result<Vec<x25519::Identity>> {
    let wrong = |what: &str| Error::new(Kind::Key, format!("{} {what}", file.display()));
    if text.starts_with("age-encryption.org/") || text.starts_with("-----BEGIN AGE ENCRYPTED FILE") {
        return Err(wrong("is itself encrypted").hint("decrypt it first: age -d FILE > identity.txt"));
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<x25519::Identity> = lines
        .map(|line| line.parse().map_err(|_| wrong("holds a line that is no age private key (AGE-SECRET-KEY-1…)")))
        .collect::<Result<_>>()?;
    if keys.is_empty() { Err(wrong("holds no private key")) } else { Ok(keys) }
}

/// Makes a new pair: the public key, and the text of an identity file.
pub fn generate(at: chrono::DateTime<chrono::Utc>) -> (PublicKey, String) {
    let identity = x25519::Identity::generate();
    let public = PublicKey(identity.to_public());
    let moment = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let text = format!("# created: {moment}\n# public key: {public}\n{}\n", identity.to_string().expose_secret());
    (public, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn pair() -> (PublicKey, Identities) {
        let (public, text) = generate(chrono::Utc::now());
        let keys = parse(&text, Path::new("key")).unwrap();
        (public, Identities { keys, ..Identities::default() })
    }

    fn sealed(to: &Recipients, body: &[u8]) -> Vec<u8> {
        let mut writer = to.encrypt(Vec::new()).unwrap();
        writer.write_all(body).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn any_recipient_opens_it_and_nobody_else() {
        let ((one, first), (two, second), (_, stranger)) = (pair(), pair(), pair());
        let file = sealed(&Recipients::of_keys(vec![one, two]), b"records");
        for owner in [first, second] {
            let mut text = String::new();
            owner.open(Cursor::new(&file)).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "records");
        }
        for other in [stranger, Identities::default()] {
            assert_eq!(other.open(Cursor::new(&file)).err().unwrap().kind, Kind::Key);
        }
    }

    #[test]
    fn a_passphrase_opens_what_it_closed_and_a_wrong_one_does_not() {
        let file = sealed(&Recipients::of_passphrase("correct horse"), b"records");
        let with = |word: &str| Identities::read(&[], Some(word)).unwrap().open(Cursor::new(&file)).map(|_| ());
        assert!(with("correct horse").is_ok());
        assert_eq!(with("battery staple").unwrap_err().kind, Kind::Key);
    }

    #[test]
    fn a_cut_file_is_found_when_it_is_opened_not_when_the_cut_is_reached() {
        let (public, owner) = pair();
        let body = vec![7; 3 * 65536];
        let file = sealed(&Recipients::of_keys(vec![public]), &body);
        // One chunk less: age itself would hand out two whole chunks before it noticed.
        let cut = &file[..file.len() - 65536 - 16];
        assert_eq!(owner.open(Cursor::new(cut)).err().unwrap().kind, Kind::Damaged);
        assert_eq!(owner.open(Cursor::new(&file[..10])).err().unwrap().kind, Kind::Damaged);
    }

    #[test]
    fn a_private_key_in_the_place_of_a_public_one_is_named_as_such_and_not_repeated() {
        let (_, text) = generate(chrono::Utc::now());
        let private = text.lines().last().unwrap();
        let message = PublicKey::parse(private).unwrap_err();
        assert!(message.contains("private key") && !message.contains(private), "{message}");
    }
}
