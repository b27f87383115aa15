//! Tiles: the tree's hashes and the log's entries as files that never change.
//!
//! Source: <https://c2sp.org/tlog-tiles>. A tile holds up to 256 hashes that follow each other at one height in eight; a bundle
//! the 256 entries under a tile of leaves. Whoever has the tiles makes every proof.

use std::fmt;

use super::{EntryError, LogEntry, MAX_ENTRY_BYTES, MAX_SIZE, Node};
use crate::checkpoint::decimal;
use crate::digest::Digest;

/// Hashes of a full tile.
pub const TILE_WIDTH: u64 = 256;
/// The tree's levels that one level of tiles spans.
const TILE_HEIGHT: u8 = 8;
/// The highest level of tiles: eight levels of the tree each, up to the largest size.
const MAX_TILE_LEVEL: u8 = 6;
/// Digits of a part of a tile's path.
const DIGITS: usize = 3;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TileKind {
    /// Hashes of the tree, at this level of tiles.
    Hashes(u8),
    /// Entries of the log.
    Entries,
}

/// One tile, whole or in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// What it holds.
    pub kind: TileKind,
    /// Its place among the tiles of its level, from 0.
    pub index: u64,
    /// How many hashes or entries it holds: 1 to 256.
    pub width: u64,
}

// === impl Tile ===

impl Tile {
    /// The tile of a path such as `0/x001/067`, `1/000.p/17` or `entries/000`: what follows `/tile/`. None where it is another
    /// spelling, or beyond the largest log.
    pub fn parse(path: &str) -> Option<Self> {
        let (kind, rest) = path.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(decimal(level).and_then(|level| u8::try_from(level).ok())?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, decimal(width).filter(|width| (1..TILE_WIDTH).contains(width))?),
            None => (rest, TILE_WIDTH),
        };
        let tile = Self { kind, index: parse_index(index)?, width };
        (tile.level() <= MAX_TILE_LEVEL && tile.first_leaf().is_some()).then_some(tile)
    }

    /// The tile as it is in a tree of `size` leaves: none where it is empty.
    pub fn in_tree(kind: TileKind, index: u64, size: u64) -> Option<Self> {
        let level = Self { kind, index, width: 1 }.level();
        let hashes = size
            .checked_shr(u32::from(level) * u32::from(TILE_HEIGHT))
            .filter(|_| level <= MAX_TILE_LEVEL)?;
        let width = hashes.saturating_sub(index.checked_mul(TILE_WIDTH)?).min(TILE_WIDTH);
        (width > 0).then_some(Self { kind, index, width })
    }

    /// Whether a tree of `size` leaves has all of the tile.
    pub fn is_in_tree(&self, size: u64) -> bool {
        Self::in_tree(self.kind, self.index, size).is_some_and(|whole| self.width <= whole.width)
    }

    /// The level of tiles: entries stand under the lowest.
    fn level(&self) -> u8 {
        match self.kind {
            TileKind::Hashes(level) => level,
            TileKind::Entries => 0,
        }
    }

    /// The first leaf below it.
    fn first_leaf(&self) -> Option<u64> {
        let first = self.index.checked_mul(TILE_WIDTH)?;
        let bits = u32::from(self.level()) * u32::from(TILE_HEIGHT);
        Some(first.checked_shl(bits)?).filter(|leaf| leaf >> bits == first && *leaf < MAX_SIZE)
    }

    /// The place of its first hash or entry within its level.
    pub fn start(&self) -> u64 {
        self.index.saturating_mul(TILE_WIDTH)
    }

    /// The nodes of the tree that it holds, in order.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + use<> {
        let level = self.level().saturating_mul(TILE_HEIGHT);
        (self.start()..self.start().saturating_add(self.width)).map(move |index| Node { level, index })
    }
}

impl fmt::Display for Tile {
    /// The path after `/tile/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "{level}/")?,
            TileKind::Entries => f.write_str("entries/")?,
        }
        let digits = self.index.to_string();
        let padded = format!("{digits:0>width$}", width = digits.len().div_ceil(DIGITS) * DIGITS);
        let parts = padded.len() / DIGITS;
        for part in 0..parts {
            let text = padded.get(part * DIGITS..(part + 1) * DIGITS).unwrap_or_default();
            write!(
                f,
                "{}{text}{}",
                if part + 1 < parts { "x" } else { "" },
                if part + 1 < parts { "/" } else { "" }
            )?;
        }
        if self.width < TILE_WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// An index in its one spelling: parts of three digits, all but the last with an `x` before them, and no part of zeros first.
fn parse_index(text: &str) -> Option<u64> {
    let parts: Vec<&str> = text.split('/').collect();
    let (last, before) = parts.split_last()?;
    let mut digits = String::new();
    for part in before {
        digits.push_str(part.strip_prefix('x')?);
    }
    digits.push_str(last);
    let whole = last.len() == DIGITS && before.iter().all(|part| part.len() == 1 + DIGITS);
    let exact = whole && digits.bytes().all(|byte| byte.is_ascii_digit());
    let shortest = parts.len() == 1 || !digits.starts_with("000");
    if exact && shortest { digits.parse().ok() } else { None }
}

/// A bundle of entries: each with its length before it, in two bytes, big-endian.
pub fn write_entries<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        // No entry is longer than MAX_ENTRY_BYTES.
        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    bytes
}

/// Reads a bundle of entries.
///
/// # Errors
/// Where a length does not fit, or an entry is none.
pub fn read_entries(mut bytes: &[u8]) -> Result<Vec<LogEntry>, EntryError> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>().ok_or(EntryError)?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length > MAX_ENTRY_BYTES {
            return Err(EntryError);
        }
        let (entry, rest) = rest.split_at_checked(length).ok_or(EntryError)?;
        entries.push(LogEntry::decode(entry)?);
        bytes = rest;
    }
    Ok(entries)
}

/// Reads a tile of hashes.
///
/// # Errors
/// Where it is not a row of hashes.
pub fn read_hashes(bytes: &[u8]) -> Result<Vec<Digest>, EntryError> {
    let (hashes, rest) = bytes.as_chunks::<{ Digest::LENGTH }>();
    if rest.is_empty() { Ok(hashes.iter().map(|hash| Digest::new(*hash)).collect()) } else { Err(EntryError) }
}
