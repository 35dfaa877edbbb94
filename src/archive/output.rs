//! The ordered end of an archive: takes pending members in order, waits for each, writes and hashes it.

use crate::error::{Error, Kind, Result};
use crate::pipeline::Pending;
use crossbeam_channel::{Receiver, Sender, bounded};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What the output thread is told.
#[derive(Debug)]
pub enum Message {
    /// Write this next.
    Member(Pending),
    /// Say at which offset every member so far begins.
    Offsets(Sender<Vec<u64>>),
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of them, hexadecimal.
    pub sha256: String,
    /// Offset at which each member begins.
    pub offsets: Vec<u64>,
}

/// The thread, and the way to it.
#[derive(Debug)]
pub struct OutputThread {
    queue: Option<Sender<Message>>,
    thread: Option<JoinHandle<Option<Written>>>,
    failure: Arc<Mutex<Option<Error>>>,
    written: Arc<AtomicU64>,
}

/// Members that may wait for the disk: enough to keep it busy, few enough to bound memory.
const QUEUE: usize = 16;

impl OutputThread {
    /// Starts writing to `file`.
    pub fn start(file: File) -> Result<Self> {
        let (queue, messages) = bounded(QUEUE);
        let failure = Arc::new(Mutex::new(None));
        let written = Arc::new(AtomicU64::new(0));
        let (seen, count) = (failure.clone(), written.clone());
        let thread = std::thread::Builder::new()
            .name("archive-output".into())
            .spawn(move || match write_all(file, &messages, &count) {
                Ok(written) => Some(written),
                Err(error) => {
                    *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    // A bounded channel keeps what is queued until its senders are gone, and with it the way to answer:
                    // whoever waits for an answer must learn that none comes.
                    messages.iter().for_each(drop);
                    None
                }
            })
            .map_err(|e| Error::new(Kind::Internal, "cannot start the output thread").cause(e))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), failure, written })
    }

    /// Queues a message; fails with what stopped the thread, once it has stopped.
    pub fn send(&self, message: Message) -> Result<()> {
        if self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Err(self.why());
        }
        let sent = self.queue.as_ref().map(|queue| queue.send(message));
        if matches!(sent, Some(Ok(()))) { Ok(()) } else { Err(self.why()) }
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
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

fn write_all(mut file: File, messages: &Receiver<Message>, count: &AtomicU64) -> Result<Written> {
    let failed = |doing: &str, e: &std::io::Error| Error::io(doing, std::path::Path::new("the archive"), e);
    let mut hash = Sha256::new();
    let mut offsets = Vec::new();
    let mut size = 0;
    for message in messages {
        match message {
            Message::Member(pending) => {
                let block = pending.wait()?;
                offsets.push(size);
                file.write_all(&block.stored).map_err(|e| failed("write", &e))?;
                hash.update(&block.stored);
                size += block.stored.len() as u64;
                count.store(size, Ordering::Relaxed);
            }
            // Whoever asked may be gone.
            Message::Offsets(reply) => drop(reply.send(offsets.clone())),
        }
    }
    file.sync_all().map_err(|e| failed("fsync", &e))?;
    Ok(Written { size, sha256: super::tar_header::to_hex(&hash.finalize()), offsets })
}
