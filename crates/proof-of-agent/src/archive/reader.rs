//! Reads an archive, and nothing but what the writer makes.

use super::entry::Entry;
use super::error::ArchiveError;
use super::header::{BLOCK_BYTES, Header};
use super::order::Order;
use super::writer::{ZEROS, filling};
use super::{MAX_ARCHIVE_BYTES, MAX_ENTRIES};

/// The entries of an archive, in the order of their paths. Their contents are borrowed from the bytes.
///
/// What it accepts is what [`write`](super::write) makes of these entries, to the last bit. All else is refused, also where
/// another program would read it without a word.
///
/// # Errors
/// Every one but `Sink`.
pub fn read(bytes: &[u8]) -> Result<Vec<Entry<'_>>, ArchiveError> {
    if bytes.len() > MAX_ARCHIVE_BYTES {
        return Err(ArchiveError::ArchiveTooLarge);
    }
    let mut source = Source { bytes, offset: 0 };
    let mut order = Order::default();
    let mut entries = Vec::new();
    loop {
        let offset = source.offset;
        let block = source.block()?;
        if *block == ZEROS {
            break;
        }
        let header = Header::decode(block, offset)?;
        order.admit(header.path())?;
        let size = header.content_bytes();
        let content = source.take(size)?;
        if source.take(filling(size))?.iter().any(|byte| *byte != 0) {
            return Err(ArchiveError::Padding { path: header.path().to_string() });
        }
        entries.push(header.with_content(content)?);
    }
    debug_assert!(entries.len() <= MAX_ENTRIES, "the order admits no more");
    let offset = source.offset;
    if *source.block()? != ZEROS {
        return Err(ArchiveError::End { offset });
    }
    if source.offset != bytes.len() {
        return Err(ArchiveError::TrailingBytes { offset: source.offset });
    }
    if entries.is_empty() { Err(ArchiveError::Empty) } else { Ok(entries) }
}

/// The bytes that are not read yet.
struct Source<'a> {
    bytes: &'a [u8],
    offset: usize,
}

// === impl Source ===

impl<'a> Source<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], ArchiveError> {
        let taken = self.bytes.get(self.offset..).and_then(|rest| rest.get(..bytes));
        self.offset = self.offset.saturating_add(bytes);
        taken.ok_or(ArchiveError::Truncated { bytes: self.bytes.len() })
    }

    fn block(&mut self) -> Result<&'a [u8; BLOCK_BYTES], ArchiveError> {
        let block = self.take(BLOCK_BYTES)?;
        block.try_into().map_err(|_| ArchiveError::Truncated { bytes: self.bytes.len() })
    }
}
