//! The block before each entry: sixteen fields of POSIX ustar, each with one spelling.

use std::borrow::Cow;
use std::ops::Range;

use super::MAX_FILE_BYTES;
use super::entry::{Entry, Node};
use super::error::ArchiveError;
use super::path::EntryPath;

/// Bytes of a block: a header is one, a file fills whole ones.
pub(super) const BLOCK_BYTES: usize = 512;
/// Bytes of the field `name`, and of a link's target.
pub(super) const NAME_BYTES: usize = NAME.end - NAME.start;
/// Bytes of the field `prefix`.
pub(super) const PREFIX_BYTES: usize = PREFIX.end - PREFIX.start;

const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const KIND: Range<usize> = 156..157;
const TARGET: Range<usize> = 157..257;
const MAGIC_AND_VERSION: Range<usize> = 257..265;
const USER: Range<usize> = 265..297;
const GROUP: Range<usize> = 297..329;
const DEVICE_MAJOR: Range<usize> = 329..337;
const DEVICE_MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;
const UNUSED: Range<usize> = 500..512;

/// Every byte of a header by the name of its field, but for the checksum: that follows from them, and is checked before.
const FIELDS: [(&str, Range<usize>); 15] = [
    ("name", NAME),
    ("mode", MODE),
    ("user id", UID),
    ("group id", GID),
    ("size", SIZE),
    ("modification time", MTIME),
    ("kind", KIND),
    ("link target", TARGET),
    ("magic", MAGIC_AND_VERSION),
    ("user name", USER),
    ("group name", GROUP),
    ("major device number", DEVICE_MAJOR),
    ("minor device number", DEVICE_MINOR),
    ("prefix", PREFIX),
    ("unused end", UNUSED),
];

const USTAR: &[u8] = b"ustar\x0000";
const PLAIN_MODE: &[u8] = b"0000644\0";
/// Of a file that may be run, and of a link.
const EXECUTABLE_MODE: &[u8] = b"0000755\0";
/// Of a field with seven digits.
const ZERO: &[u8] = b"0000000\0";
const FILE: u8 = b'0';
const LINK: u8 = b'2';

/// One block.
pub(super) type Block = [u8; BLOCK_BYTES];

/// What a header says, checked; the content comes after it.
pub(super) struct Header {
    path: EntryPath,
    node: HeaderNode,
}

enum HeaderNode {
    File { executable: bool, bytes: usize },
    Link { target: String },
}

// === impl Header ===

impl Header {
    pub(super) fn path(&self) -> &EntryPath {
        &self.path
    }

    /// Bytes of the content.
    pub(super) fn content_bytes(&self) -> usize {
        match &self.node {
            HeaderNode::File { bytes, .. } => *bytes,
            HeaderNode::Link { .. } => 0,
        }
    }

    /// The entry with its content.
    pub(super) fn with_content(self, content: &[u8]) -> Result<Entry<'_>, ArchiveError> {
        match self.node {
            HeaderNode::File { executable, .. } => Entry::file(self.path, executable, Cow::Borrowed(content)),
            HeaderNode::Link { target } => Entry::link(self.path, target),
        }
    }

    /// Reads a header, if it is the only one that its entry may have.
    pub(super) fn decode(block: &Block, offset: usize) -> Result<Self, ArchiveError> {
        if block[MAGIC_AND_VERSION] != *USTAR {
            return Err(ArchiveError::NotUstar { offset });
        }
        if block[CHECKSUM] != checksum(block) {
            return Err(ArchiveError::Checksum { offset });
        }
        if let Some(kind) = foreign_kind(block[KIND.start]) {
            return Err(ArchiveError::Kind { offset, kind });
        }
        let name = text(block, NAME).ok_or(ArchiveError::NotUtf8 { offset, field: "name" })?;
        let prefix = text(block, PREFIX).ok_or(ArchiveError::NotUtf8 { offset, field: "prefix" })?;
        let path =
            EntryPath::new(if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") })?;
        let bytes = octal(&block[SIZE]).ok_or_else(|| ArchiveError::Size { path: path.to_string() })?;
        let within = usize::try_from(bytes).ok().filter(|bytes| *bytes <= MAX_FILE_BYTES);
        let bytes = within.ok_or_else(|| ArchiveError::FileTooLarge { path: path.to_string(), bytes })?;
        let node = if block[KIND.start] == LINK {
            let target = text(block, TARGET).ok_or(ArchiveError::NotUtf8 { offset, field: "link target" })?;
            HeaderNode::Link { target: target.to_owned() }
        } else {
            HeaderNode::File { executable: block[MODE] == *EXECUTABLE_MODE, bytes }
        };
        let header = Self { path, node };
        let expected = header.encode();
        match FIELDS.iter().find(|(_, range)| block[range.clone()] != expected[range.clone()]) {
            Some((field, _)) => Err(ArchiveError::NotCanonical { path: header.path.to_string(), field }),
            None => Ok(header),
        }
    }

    /// The block.
    pub(super) fn encode(&self) -> Block {
        match &self.node {
            HeaderNode::File { executable, bytes } => encode(&self.path, FILE, *executable, *bytes, ""),
            HeaderNode::Link { target } => encode(&self.path, LINK, true, 0, target),
        }
    }
}

/// The block before an entry.
pub(super) fn of(entry: &Entry<'_>) -> Block {
    match entry.node() {
        Node::File { executable, content } => encode(entry.path(), FILE, *executable, content.len(), ""),
        Node::Link { target } => encode(entry.path(), LINK, true, 0, target),
    }
}

fn encode(path: &EntryPath, kind: u8, executable: bool, bytes: usize, target: &str) -> Block {
    let (prefix, name) = path.prefix_and_name();
    let mut block = [0; BLOCK_BYTES];
    let mut put = |field: Range<usize>, value: &[u8]| {
        debug_assert!(value.len() <= field.len(), "paths, targets and sizes are checked when they are made");
        block[field].iter_mut().zip(value).for_each(|(place, byte)| *place = *byte);
    };
    put(NAME, name.as_bytes());
    put(MODE, if executable { EXECUTABLE_MODE } else { PLAIN_MODE });
    put(UID, ZERO);
    put(GID, ZERO);
    put(SIZE, format!("{bytes:011o}\0").as_bytes());
    put(MTIME, b"00000000000\0");
    put(KIND, &[kind]);
    put(TARGET, target.as_bytes());
    put(MAGIC_AND_VERSION, USTAR);
    put(DEVICE_MAJOR, ZERO);
    put(DEVICE_MINOR, ZERO);
    put(PREFIX, prefix.as_bytes());
    let checksum = checksum(&block);
    block[CHECKSUM].copy_from_slice(&checksum);
    block
}

/// The sum of all bytes, those of the checksum itself as spaces: six octal digits, a zero byte, a space.
fn checksum(block: &Block) -> [u8; 8] {
    let bytes = block.iter().enumerate();
    let sum: u32 =
        bytes.map(|(at, byte)| if CHECKSUM.contains(&at) { u32::from(b' ') } else { u32::from(*byte) }).sum();
    let mut field = *b"000000\0 ";
    let digits = format!("{sum:06o}");
    field.iter_mut().zip(digits.as_bytes()).for_each(|(place, digit)| *place = *digit);
    field
}

/// The text of a field, up to the first zero byte.
fn text(block: &Block, field: Range<usize>) -> Option<&str> {
    let field = &block[field];
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    std::str::from_utf8(&field[..end]).ok()
}

/// Eleven octal digits and a zero byte.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(field.strip_suffix(b"\0")?).ok()?;
    let all_digits = digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    if all_digits { u64::from_str_radix(digits, 8).ok() } else { None }
}

/// What an entry is that an archive does not have; `None` for a file and a link.
fn foreign_kind(kind: u8) -> Option<&'static str> {
    match kind {
        FILE | LINK => None,
        b'1' => Some("a hard link"),
        b'3' | b'4' => Some("a device"),
        b'5' => Some("a directory"),
        b'6' => Some("a named pipe"),
        b'x' | b'g' => Some("a pax record"),
        b'K' | b'L' => Some("a long name as GNU tar writes it"),
        b'S' => Some("a sparse file"),
        _ => Some("of an unknown kind"),
    }
}
