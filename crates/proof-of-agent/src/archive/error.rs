//! Why an archive cannot be made, or is not one.

use std::io;

use super::{MAX_ARCHIVE_BYTES, MAX_ENTRIES, MAX_FILE_BYTES};

/// Why an archive cannot be made, or bytes are not one. Paths are quoted and escaped, because they may be anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// A path that is not the same on all systems, or does not fit.
    #[error("the path {path:?} cannot be archived: {problem}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: PathProblem,
    },
    /// A link whose target is not the same on all systems, leads out of the directory, or does not fit.
    #[error("the symbolic link {path:?} to {target:?} cannot be archived: {problem}")]
    Target {
        /// The link.
        path: String,
        /// Where it points.
        target: String,
        /// What is wrong with that.
        problem: PathProblem,
    },
    /// A file with too many bytes.
    #[error("{path:?} has {bytes} bytes, and a file may have {MAX_FILE_BYTES}")]
    FileTooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// More bytes than an archive may have.
    #[error("the archive has more than {MAX_ARCHIVE_BYTES} bytes")]
    ArchiveTooLarge,
    /// More entries than an archive may have.
    #[error("the archive has more than {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// No entry at all.
    #[error("there is nothing to archive: no file and no symbolic link")]
    Empty,
    /// The same path twice.
    #[error("{path:?} is there twice")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// Entries that do not stand in the order of their paths' bytes.
    #[error("{path:?} stands after {previous:?}: entries stand in the order of the bytes of their paths")]
    Unsorted {
        /// The entry before.
        previous: String,
        /// The entry that should stand before that one.
        path: String,
    },
    /// Two paths that are one on a file system that ignores case.
    #[error("{path:?} and {other:?} differ only by case, and would be one on another file system")]
    CaseCollision {
        /// The one.
        path: String,
        /// The other.
        other: String,
    },
    /// A path that is an entry by itself, and the directory of another entry.
    #[error("{path:?} is an entry and the directory of another entry")]
    FileAndDirectory {
        /// The path.
        path: String,
    },
    /// The sink took no more.
    #[error("the archive cannot be written: {message}")]
    Sink {
        /// What kind of failure.
        kind: io::ErrorKind,
        /// What it says of itself.
        message: String,
    },
    /// The bytes end before the archive does.
    #[error("the archive is cut off after {bytes} bytes")]
    Truncated {
        /// How many bytes there are.
        bytes: usize,
    },
    /// The sum over a header is another one than the header says.
    #[error("the checksum of the header at byte {offset} is wrong")]
    Checksum {
        /// Where the header begins.
        offset: usize,
    },
    /// A header of another format.
    #[error("the header at byte {offset} is not of the format ustar")]
    NotUstar {
        /// Where the header begins.
        offset: usize,
    },
    /// An entry that is neither a file nor a symbolic link.
    #[error("the entry at byte {offset} is {kind}: an archive has files and symbolic links alone")]
    Kind {
        /// Where the header begins.
        offset: usize,
        /// What it is.
        kind: &'static str,
    },
    /// A path or target that is not text.
    #[error("the {field} of the entry at byte {offset} is not UTF-8")]
    NotUtf8 {
        /// Where the header begins.
        offset: usize,
        /// Which field.
        field: &'static str,
    },
    /// A size that is not spelt as eleven octal digits.
    #[error("the size of {path:?} is not spelt as eleven octal digits")]
    Size {
        /// The entry.
        path: String,
    },
    /// A field with another value, or another spelling of it, than the one that is allowed.
    #[error("{path:?} has another {field} than an archive gives it")]
    NotCanonical {
        /// The entry.
        path: String,
        /// Which field of the header.
        field: &'static str,
    },
    /// Bytes between the end of a file and the next block that are not zero.
    #[error("the bytes that fill the last block of {path:?} are not zero")]
    Padding {
        /// The file.
        path: String,
    },
    /// One block of zeros without the second.
    #[error("the block at byte {offset} is not zero, as the second of the two at the end is")]
    End {
        /// Where the block begins.
        offset: usize,
    },
    /// Bytes after the end.
    #[error("the archive ends at byte {offset}, and there are more bytes")]
    TrailingBytes {
        /// Where the archive ends.
        offset: usize,
    },
}

/// What is wrong with a path, or with the target of a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// No text.
    #[error("it is empty")]
    Empty,
    /// Begins with a slash.
    #[error("it is absolute")]
    Absolute,
    /// Two slashes in a row, or one at the end.
    #[error("a segment is empty")]
    EmptySegment,
    /// `.` or `..` where it is not allowed.
    #[error("it has a segment . or ..; a link's target may begin with .. alone")]
    DotSegment,
    /// What separates segments on another system.
    #[error("it has a backslash, which separates directories on other systems")]
    Backslash,
    /// What follows a drive, or names a second content of a file, on another system.
    #[error("it has a colon, which names drives and streams on other systems")]
    Colon,
    /// A control character, such as a line break.
    #[error("it has a control character")]
    Control,
    /// Letters and accents apart, which some systems put together.
    #[error("it is not in Unicode's composed form (NFC), which other systems would change")]
    NotComposed,
    /// The folder of a Git repository, in any case.
    #[error("it goes through .git, which belongs to a repository and not to its files")]
    Git,
    /// More bytes than the header holds.
    #[error(
        "it is too long: a path has at most 100 bytes, or up to 155, a slash and up to 100; a link's target at most 100"
    )]
    TooLong,
    /// A target outside.
    #[error("it leads out of the directory")]
    Outside,
}

// === impl ArchiveError ===

impl From<io::Error> for ArchiveError {
    fn from(error: io::Error) -> Self {
        Self::Sink { kind: error.kind(), message: error.to_string() }
    }
}
