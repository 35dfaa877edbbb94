//! Reports records on their way from an engine to the archive, without either knowing.

use crate::error::Result;
use crate::event::{Event, Events};
use crate::pipeline::RecordBlock;
use crate::source::{EntryName, Output, RecordStream, StreamTotals};
use std::io::Read;

/// An output that emits an event for every block that passes.
pub struct Observed<'a> {
    /// Where the blocks go.
    pub inner: &'a dyn Output,
    /// Where the events go.
    pub events: &'a Events,
    /// Name of the item in the events.
    pub item: String,
}

impl Observed<'_> {
    fn advanced(&self, bytes: u64, records: u64) {
        self.events.emit(Event::Advanced { item: self.item.clone(), bytes, records });
    }
}

impl Output for Observed<'_> {
    fn is_sealed(&self) -> bool {
        self.inner.is_sealed()
    }

    fn path(&self, name: &EntryName) -> String {
        self.inner.path(name)
    }

    fn stream(&self, name: &EntryName) -> Result<Box<dyn RecordStream + '_>> {
        Ok(Box::new(ObservedStream { inner: self.inner.stream(name)?, outer: self }))
    }

    fn document(&self, name: &EntryName, body: &[u8]) -> Result<()> {
        self.inner.document(name, body)
    }

    fn sized(&self, name: &EntryName, size: u64, body: &mut dyn Read) -> Result<()> {
        self.inner.sized(name, size, &mut ObservedBody { inner: body, outer: self })
    }
}

struct ObservedStream<'a> {
    inner: Box<dyn RecordStream + 'a>,
    outer: &'a Observed<'a>,
}

impl RecordStream for ObservedStream<'_> {
    fn write(&mut self, block: RecordBlock) -> Result<()> {
        let (bytes, records) = (block.bytes.len() as u64, block.records);
        self.inner.write(block)?;
        self.outer.advanced(bytes, records);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<StreamTotals> {
        self.inner.finish()
    }
}

struct ObservedBody<'a> {
    inner: &'a mut dyn Read,
    outer: &'a Observed<'a>,
}

impl Read for ObservedBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.outer.advanced(n as u64, 0);
        Ok(n)
    }
}
