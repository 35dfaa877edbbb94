//! Where an archive's bytes come from: its file, or what age decrypts of it. Offsets are those of the compressed tar.

use crate::error::{Error, Kind, Result};
use crate::keys::Identities;
use age::stream::StreamReader;
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// An opened archive, read at any offset by any thread.
pub enum Storage {
    Clear(File),
    Sealed(Sealed),
}

/// An encrypted one. Threads take turns.
pub struct Sealed {
    file: File,
    keys: Arc<Identities>,
    reader: Mutex<Option<Positioned>>,
}

struct Positioned {
    reader: StreamReader<File>,
    at: u64,
}

impl Storage {
    /// Opens `path`, encrypted where `keys` are given; returns it with its length.
    pub fn open(path: &Path, keys: Option<Arc<Identities>>) -> Result<(Self, u64)> {
        let file = open_file(path)?;
        let Some(keys) = keys else {
            let size = file.metadata().map_err(|e| Error::io("read", path, &e))?.len();
            return Ok((Self::Clear(file), size));
        };
        let sealed = Sealed { file, keys, reader: Mutex::new(None) };
        let mut opened = sealed.opened()?;
        let size = opened.reader.seek(SeekFrom::End(0)).map_err(|e| unreadable(path, &e))?;
        Ok((Self::Sealed(sealed), size))
    }

    /// Fills `buffer` from `offset` on.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64, path: &Path) -> Result<()> {
        match self {
            Self::Clear(file) => file.read_exact_at(buffer, offset).map_err(|e| unreadable(path, &e)),
            Self::Sealed(sealed) => sealed.read_exact_at(buffer, offset, path),
        }
    }
}

impl Sealed {
    fn opened(&self) -> Result<Positioned> {
        let mut file = self.file.try_clone().map_err(|e| Error::new(Kind::Io, "an archive cannot be read").cause(e))?;
        file.rewind().map_err(|e| Error::new(Kind::Io, "an archive cannot be read").cause(e))?;
        Ok(Positioned { reader: self.keys.open(file)?, at: 0 })
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64, path: &Path) -> Result<()> {
        let mut held = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        // After a damaged chunk a reader is of no more use: it is taken out, and the next read begins with another.
        let mut reader = match held.take() {
            Some(reader) => reader,
            None => self.opened()?,
        };
        if reader.at != offset {
            reader.at = reader.reader.seek(SeekFrom::Start(offset)).map_err(|e| unreadable(path, &e))?;
        }
        reader.reader.read_exact(buffer).map_err(|e| unreadable(path, &e))?;
        reader.at += buffer.len() as u64;
        *held = Some(reader);
        Ok(())
    }
}

/// Opens a file that is one. A pipe in its place would keep whoever opens it waiting for ever.
pub fn open_file(path: &Path) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = open(path, flags, Mode::empty()).map_err(|e| Error::io("open", path, &e.into()))?;
    let file = File::from(file);
    if file.metadata().map_err(|e| Error::io("read", path, &e))?.is_file() {
        return Ok(file);
    }
    Err(Error::new(Kind::Damaged, format!("{} is no file", path.display())))
}

/// A disk that fails gives a number; bytes that are not what they were do not.
fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(_) => Error::io("read", path, error),
        None => Error::new(Kind::Damaged, format!("{} does not read as it was written", path.display())).cause(error),
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Clear(_) => "Storage(clear)",
            Self::Sealed(_) => "Storage(sealed)",
        })
    }
}
