//! The ordered end of an archive: takes pending members in order, waits for each, encrypts it where that is asked for,
//! writes and hashes it. What was written is read again behind it.

use super::proof::{Follower, Stored, Sum};
use crate::error::{Error, Kind, Result};
use crate::keys::Recipients;
use crate::pipeline::{Cancel, Pending, Seat};
use age::stream::StreamWriter;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What the output thread is told.
#[derive(Debug)]
pub enum Message {
    /// Write this next; it has its seat until it is written.
    Member(Pending, Seat),
    /// Say at which offset every member so far begins.
    Offsets(Sender<Vec<u64>>),
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// The file.
    pub stored: Stored,
    /// Its sum, as it was written.
    pub written: Sum,
    /// That of what was read again by now.
    pub reread: Sum,
    /// Bytes of all members: the file's, unless it is encrypted.
    pub length: u64,
    /// Offset at which each member begins, among the members.
    pub offsets: Vec<u64>,
}

/// The thread, and the way to it.
#[derive(Debug)]
pub struct OutputThread {
    queue: Option<Sender<Message>>,
    thread: Option<JoinHandle<Option<Written>>>,
    failure: Arc<Mutex<Option<Error>>>,
}

impl OutputThread {
    /// Starts writing to `file`, which is at `path`, encrypted to `recipients` where there are any.
    pub fn start(file: File, path: &Path, recipients: &Recipients, cancel: &Cancel) -> Result<Self> {
        // Members have seats, which are few.
        let (queue, messages) = unbounded();
        let failure = Arc::new(Mutex::new(None));
        let (seen, recipients) = (failure.clone(), recipients.clone());
        let follower = Follower::new(path.to_owned(), cancel.clone());
        let thread = std::thread::Builder::new()
            .name("archive-output".into())
            .spawn(move || match write_all(file, &recipients, &messages, follower) {
                Ok(written) => Some(written),
                Err(error) => {
                    *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    // A channel keeps what is queued until its senders are gone, and with it seats and the way to answer:
                    // whoever waits for an answer must learn that none comes.
                    messages.iter().for_each(drop);
                    None
                }
            })
            .map_err(|e| Error::new(Kind::Internal, "cannot start the output thread").cause(e))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), failure })
    }

    /// Queues a message; fails with what stopped the thread, once it has stopped.
    pub fn send(&self, message: Message) -> Result<()> {
        if self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Err(self.why());
        }
        let sent = self.queue.as_ref().map(|queue| queue.send(message));
        if matches!(sent, Some(Ok(()))) { Ok(()) } else { Err(self.why()) }
    }

    /// Waits until all that was sent is written; returns where each member begins.
    pub fn offsets(&self) -> Result<Vec<u64>> {
        let (reply, answer) = bounded(1);
        self.send(Message::Offsets(reply))?;
        answer.recv().map_err(|_| self.why())
    }

    /// Ends the file: fsync, and what it is.
    pub fn finish(mut self) -> Result<Written> {
        self.queue = None;
        let thread = self.thread.take();
        let joined = thread.and_then(|thread| thread.join().ok()).flatten();
        joined.ok_or_else(|| self.why())
    }

    fn why(&self) -> Error {
        let seen = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        seen.unwrap_or_else(|| Error::new(Kind::Internal, "the output thread died"))
    }
}

impl Drop for OutputThread {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // Given up: what it says no longer matters, but the file must not be written to after this.
            let _ = thread.join();
        }
    }
}

fn write_all(file: File, recipients: &Recipients, messages: &Receiver<Message>, follower: Follower) -> Result<Written> {
    let failed = |doing: &str, e: &std::io::Error| Error::io(doing, Path::new("the archive"), e);
    let file = Hashed { file, hash: Sha256::new(), sum: Sum::default(), follower };
    let mut sink = Sink::new(file, recipients).map_err(|e| failed("write", &e))?;
    let mut offsets = Vec::new();
    let mut length = 0;
    for message in messages {
        match message {
            Message::Member(pending, _seat) => {
                let block = pending.wait()?;
                offsets.push(length);
                sink.write_all(&block.stored).map_err(|e| failed("write", &e))?;
                length += block.stored.len() as u64;
            }
            // Whoever asked may be gone.
            Message::Offsets(reply) => drop(reply.send(offsets.clone())),
        }
    }
    let Hashed { file, hash, sum: written, mut follower } = sink.finish().map_err(|e| failed("write", &e))?;
    file.sync_all().map_err(|e| failed("fsync", &e))?;
    let stored = Stored { size: written.size(), sha256: super::tar_header::to_hex(&hash.finalize()) };
    Ok(Written { stored, written, reread: follower.end()?, length, offsets })
}

/// The file, or what encrypts into it.
enum Sink {
    Clear(Hashed),
    Sealed(StreamWriter<Hashed>),
}

impl Sink {
    fn new(file: Hashed, recipients: &Recipients) -> std::io::Result<Self> {
        if recipients.is_empty() { Ok(Self::Clear(file)) } else { recipients.encrypt(file).map(Self::Sealed) }
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Clear(file) => file.write_all(bytes),
            Self::Sealed(stream) => stream.write_all(bytes),
        }
    }

    fn finish(self) -> std::io::Result<Hashed> {
        match self {
            Self::Clear(file) => Ok(file),
            Self::Sealed(stream) => stream.finish(),
        }
    }
}

/// A file that hashes and counts what is written to it, and is read again behind that.
struct Hashed {
    file: File,
    hash: Sha256,
    sum: Sum,
    follower: Follower,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hash.update(&bytes[..n]);
        self.sum.add(&bytes[..n]);
        self.follower.written(self.sum.size())?;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
