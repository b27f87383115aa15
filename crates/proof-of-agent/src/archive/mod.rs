//! The archive of an agent's directory: the same files give the same bytes, and so the same digest, on any machine.
//!
//! Its SHA-256 is the build digest of an agent's version. Whoever has the files makes the archive again and compares. So
//! nothing goes into it that differs between two copies of the same files: no times, no owners, no order of a file system.
//! And nothing is accepted that two systems would understand in different ways: such a path is refused and not repaired.
//!
//! The form is POSIX ustar, as GNU tar writes it byte for byte, so that a digest can be checked without this code. The bytes
//! and the command are in docs/protocol/agent-archive.md.
//!
//! The headers are written here and not by the `tar` crate. That one reads many dialects, which is what [`read`] must not do:
//! it would have to write each header again by itself to tell whether the one it was given is the only one allowed. What then
//! remains is a table of sixteen fields. It also opens files and sets times, which a pure crate has no use for.

mod compare;
mod entry;
mod error;
mod header;
mod order;
mod path;
mod reader;
mod writer;

pub use compare::{Change, Content, Difference, compare};
pub use entry::{Entry, Node};
pub use error::{ArchiveError, PathProblem};
pub use path::EntryPath;
pub use reader::read;
pub use writer::{ArchiveWriter, Summary};

use std::io;

use crate::digest::Digest;

/// Entries of an archive: many times what an agent's own sources have, and few enough to look through in a moment.
pub const MAX_ENTRIES: usize = 16_384;
/// Bytes of one file: room for a small model beside the sources. It is held in memory while it is written.
pub const MAX_FILE_BYTES: usize = 128 * 1024 * 1024;
/// Bytes of an archive: a reader holds all of it in memory, in a browser too.
pub const MAX_ARCHIVE_BYTES: usize = 512 * 1024 * 1024;

/// The archive of these entries, given in any order.
///
/// # Errors
/// `Empty`, `TooManyEntries`, `ArchiveTooLarge`, `Duplicate`, `CaseCollision`, `FileAndDirectory`.
pub fn write(entries: &[Entry<'_>]) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    write_to(entries, &mut bytes)?;
    Ok(bytes)
}

/// Writes the archive of these entries, given in any order, to a sink. Whoever does not hold all entries at once appends
/// them one by one to an [`ArchiveWriter`].
///
/// # Errors
/// As [`write()`], and `Sink`. What was written until then is not an archive.
pub fn write_to(entries: &[Entry<'_>], sink: impl io::Write) -> Result<Summary, ArchiveError> {
    let mut sorted: Vec<&Entry<'_>> = entries.iter().collect();
    sorted.sort_by_key(|entry| entry.path());
    let mut writer = ArchiveWriter::new(sink);
    for entry in sorted {
        writer = writer.append(entry)?;
    }
    writer.finish()
}

/// The digest of the archive of these entries, given in any order, without making the archive.
///
/// # Errors
/// As [`write()`].
pub fn digest(entries: &[Entry<'_>]) -> Result<Digest, ArchiveError> {
    Ok(write_to(entries, io::sink())?.digest)
}
