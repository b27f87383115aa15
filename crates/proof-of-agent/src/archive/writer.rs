//! Writes an archive, entry by entry.

use std::io;

use sha2::{Digest as _, Sha256};

use super::MAX_ARCHIVE_BYTES;
use super::entry::{Entry, Node};
use super::error::ArchiveError;
use super::header::{self, BLOCK_BYTES, Block};
use super::order::Order;
use crate::digest::Digest;

/// One block of zeros; two of them end an archive, and parts of one fill the last block of a file.
pub(super) const ZEROS: Block = [0; BLOCK_BYTES];
/// Bytes of the end of an archive.
pub(super) const END_BYTES: usize = 2 * BLOCK_BYTES;

/// Writes an archive to a sink, entry by entry, in the order of their paths. It holds no content, so whoever reads one
/// file at a time needs the memory of one file.
pub struct ArchiveWriter<W> {
    sink: W,
    hasher: Sha256,
    order: Order,
    links: usize,
    bytes: usize,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The SHA-256 of the archive.
    pub digest: Digest,
    /// Bytes of the archive.
    pub bytes: usize,
    /// How many files.
    pub files: usize,
    /// How many symbolic links.
    pub links: usize,
}

// === impl ArchiveWriter ===

impl<W: io::Write> ArchiveWriter<W> {
    /// An archive without entries so far.
    pub fn new(sink: W) -> Self {
        Self { sink, hasher: Sha256::new(), order: Order::default(), links: 0, bytes: 0 }
    }

    /// Writes the next entry. A writer that failed is gone, because what it wrote cannot become an archive.
    ///
    /// # Errors
    /// `Unsorted`, `Duplicate`, `CaseCollision`, `FileAndDirectory`, `TooManyEntries`, `ArchiveTooLarge`, `Sink`.
    pub fn append(mut self, entry: &Entry<'_>) -> Result<Self, ArchiveError> {
        self.order.admit(entry.path())?;
        let content = entry.content();
        let fill = filling(content.len());
        let after = self.bytes.saturating_add(BLOCK_BYTES).saturating_add(content.len()).saturating_add(fill);
        if after.saturating_add(END_BYTES) > MAX_ARCHIVE_BYTES {
            return Err(ArchiveError::ArchiveTooLarge);
        }
        match entry.node() {
            Node::File { .. } => {}
            Node::Link { .. } => self.links += 1,
        }
        self.put(&header::of(entry))?;
        self.put(content)?;
        self.put(&ZEROS[..fill])?;
        Ok(self)
    }

    /// Writes the end, flushes the sink, and says what was written.
    ///
    /// # Errors
    /// `Empty`, `Sink`.
    pub fn finish(mut self) -> Result<Summary, ArchiveError> {
        if self.order.entries() == 0 {
            return Err(ArchiveError::Empty);
        }
        self.put(&ZEROS)?;
        self.put(&ZEROS)?;
        self.sink.flush()?;
        Ok(Summary {
            digest: Digest::new(self.hasher.finalize().into()),
            bytes: self.bytes,
            files: self.order.entries() - self.links,
            links: self.links,
        })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.hasher.update(bytes);
        self.bytes += bytes.len();
        Ok(self.sink.write_all(bytes)?)
    }
}

/// Zeros that fill the last block of a file of this size.
pub(super) fn filling(bytes: usize) -> usize {
    (BLOCK_BYTES - bytes % BLOCK_BYTES) % BLOCK_BYTES
}
