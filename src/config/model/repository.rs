//! Where backups go, and in what form: encryption, signatures, compression.

use crate::config::Secret;
use crate::keys::Recipients;
use crate::keys::VerifyingKey;
use std::path::PathBuf;

/// The `repository` section.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Absolute path of the repository.
    pub location: PathBuf,
    /// The id `repository.json` must carry, where configured.
    pub id: Option<String>,
    /// To whom archives are encrypted, and what opens them.
    pub encryption: Encryption,
    /// Whose signature manifests carry; none: they are not signed, and signatures are not looked at.
    pub signing: Option<Signing>,
}

impl Repository {
    /// One at `location`, in clear and not signed, whatever its id.
    pub fn at(location: impl Into<PathBuf>) -> Self {
        Self { location: location.into(), id: None, encryption: Encryption::default(), signing: None }
    }
}

/// The `repository.encryption` section.
#[derive(Debug, Clone, Default)]
pub struct Encryption {
    /// To whom archives are encrypted that say nothing else; nobody: they are in clear.
    pub recipients: Recipients,
    /// The file some of them came from.
    pub recipients_file: Option<PathBuf>,
    /// A passphrase, which also opens.
    pub passphrase: Option<Secret>,
    /// Files of private keys; some may not be on this machine.
    pub identities: Vec<PathBuf>,
}

/// The `repository.signing` section.
#[derive(Debug, Clone)]
pub struct Signing {
    /// File of the private key, where backups are made.
    pub private_key: Option<PathBuf>,
    /// The keys whose signature is accepted.
    pub public_keys: Vec<VerifyingKey>,
}

/// How one archive is encrypted.
#[derive(Debug, Clone, Default)]
pub struct Sealing {
    /// To whom, instead of the repository's recipients where there are any.
    pub recipients: Recipients,
    /// It may not be written in clear.
    pub required: bool,
}

/// How archives are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// The method.
    pub algorithm: Algorithm,
    /// gzip: 1 to 12 as libdeflate counts them (1 to 9 mean what they mean to gzip); zstd: 1 to 19.
    pub level: u8,
}

/// A compression method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// What every machine reads.
    #[default]
    Gzip,
    /// Takes less processor time.
    Zstd,
}

impl Algorithm {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Gzip, Self::Zstd];

    /// The word of the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What ends the name of an archive.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Gzip => ".tar.gz",
            Self::Zstd => ".tar.zst",
        }
    }

    /// The strongest level. zstd has three more, which take ten times the memory for blocks that gain nothing from it.
    pub fn strongest(self) -> u8 {
        match self {
            Self::Gzip => 12,
            Self::Zstd => 19,
        }
    }
}

impl Compression {
    /// An algorithm at the level that costs little beside reading. That of gzip makes nothing larger than mongodump's own.
    pub fn by(algorithm: Algorithm) -> Self {
        let level = match algorithm {
            Algorithm::Gzip => 4,
            Algorithm::Zstd => 3,
        };
        Self { algorithm, level }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::by(Algorithm::default())
    }
}
