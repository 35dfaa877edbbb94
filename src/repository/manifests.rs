//! Reading a backup's whole manifest, and what it is signed with.

use super::input;
use super::open::Repository;
use super::signature::{self, Verdict};
use crate::error::{Error, Kind, Result};
use crate::keys::SigningKey;
use crate::manifest::Manifest;
use crate::names::BackupId;
use sha2::{Digest, Sha256};

impl Repository {
    /// The key that signs manifests, where signing is set up.
    pub(super) fn signing_key(&self) -> Result<Option<SigningKey>> {
        let Some(signing) = &self.signing else { return Ok(None) };
        let hint = "`backup key generate --signing FILE` makes a key";
        let Some(file) = &signing.private_key else {
            return Err(
                Error::new(Kind::Key, "manifests are to be signed, but there is no `signing.privateKey`").hint(hint)
            );
        };
        let key = SigningKey::read(file).map_err(|e| e.hint(hint))?;
        if signing.public_keys.contains(&key.public()) {
            return Ok(Some(key));
        }
        let what = format!("{} signs as {}, which is not among the pinned keys", file.display(), key.public());
        Err(Error::new(Kind::Key, what).hint("add it to `repository.signing.publicKeys` here and wherever is restored"))
    }

    /// A backup's whole manifest; its signature is checked where signing is set up.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such backup, [`Kind::Damaged`] when it is unreadable or not signed as it must.
    pub fn manifest(&self, id: &BackupId) -> Result<Manifest> {
        let path = self.manifest_path(id);
        let body = match input::read(&path) {
            Ok(body) => body,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::new(Kind::NotFound, format!("there is no backup {id}"))
                    .hint("`backup list` shows what there is"));
            }
            Err(e) => return Err(Error::io("read", &path, &e)),
        };
        let unreadable = |why: &dyn std::fmt::Display| {
            Error::new(Kind::Damaged, format!("the manifest {} is unreadable", path.display())).cause(why)
        };
        let manifest: Manifest = serde_json::from_slice(&body).map_err(|e| unreadable(&e))?;
        if manifest.id != id.as_str() {
            return Err(unreadable(&format!("it says it is {}", manifest.id)));
        }
        if let Some(contradiction) = manifest.contradiction() {
            return Err(unreadable(&contradiction));
        }
        self.check_signature(&manifest, &body)?;
        Ok(manifest)
    }

    /// SHA-256 of the file of a backup's manifest, hexadecimal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn manifest_hash(&self, id: &BackupId) -> Result<String> {
        let path = self.manifest_path(id);
        let body = input::read(&path).map_err(|e| Error::io("read", &path, &e))?;
        Ok(Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn check_signature(&self, manifest: &Manifest, body: &[u8]) -> Result<()> {
        let Some(signing) = &self.signing else { return Ok(()) };
        let id = &manifest.id;
        match signature::check(body, manifest.signature.as_deref(), &signing.public_keys) {
            Verdict::Signed => Ok(()),
            Verdict::Unsigned if self.accepts_unsigned => Ok(()),
            Verdict::Unsigned => Err(Error::new(Kind::Damaged, format!("the manifest of {id} is not signed"))
                .hint("was it made before signing was set up? `restore --allow-unsigned` believes it")),
            Verdict::Forged => {
                let what = format!("the manifest of {id} is not signed by a pinned key, or was changed since");
                Err(Error::new(Kind::Damaged, what)
                    .hint("do not restore it; `repository.signing.publicKeys` lists the keys that are believed"))
            }
        }
    }
}
