//! The transparency log's Merkle tree, as RFC 6962 and RFC 9162 define it.
//!
//! A log stores the hash of every complete subtree, as a [`Node`], and nothing else of the tree. Everything is
//! computed over those: the functions say which nodes they need, the caller loads them, and a
//! [`HashReader`] hands them over.

mod entry;
mod proof;
mod slot;
mod tile;
mod verify;

use std::collections::HashMap;

pub use entry::{EntryError, EntryKind, LogEntry, MAX_ENTRY_BYTES};
pub use proof::{
    consistency_proof, inclusion_proof, new_nodes_for_append, nodes_needed_for_append,
    nodes_needed_for_consistency, nodes_needed_for_inclusion, nodes_needed_for_root, root,
};
pub use slot::Slot;
pub use tile::{TILE_WIDTH, Tile, TileKind, read_entries, read_hashes, write_entries};
pub use verify::{verify_consistency, verify_inclusion};

use crate::digest::Digest;

/// Entries of a log: a size stands in JSON, where numbers are exact up to 2^53 − 1.
pub const MAX_SIZE: u64 = crate::json::MAX_INTEGER;
/// Hashes of a proof: one per level of the largest tree.
pub const MAX_PROOF_HASHES: usize = 54;

/// Domain separation of RFC 6962: a leaf can never be taken for a node.
const LEAF_PREFIX: [u8; 1] = [0];
const NODE_PREFIX: [u8; 1] = [1];

/// The place of a complete subtree: it covers the leaves `index << level` to `(index + 1) << level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Height above the leaves, which are at level 0.
    pub level: u8,
    /// Place within the level.
    pub index: u64,
}

/// Hands over the hashes of complete subtrees.
pub trait HashReader {
    /// The hash of the subtree at this place, if it is there.
    fn node(&self, level: u8, index: u64) -> Option<Digest>;
}

/// Why a proof could not be made or does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlogError {
    /// The index or the size lies outside the tree.
    #[error("the place lies outside the tree")]
    OutOfRange,
    /// The reader does not have a node.
    #[error("the log's node {} of level {} is missing", .0.index, .0.level)]
    MissingNode(Node),
    /// The proof has too few or too many hashes for this place.
    #[error("the proof does not have the length that this place needs")]
    WrongLength,
    /// The proof leads to another root.
    #[error("the proof leads to another root")]
    WrongRoot,
}

/// The hash of a leaf: `SHA-256(0x00 ‖ entry)`.
pub fn leaf_hash(entry: &[u8]) -> Digest {
    Digest::of_parts(&[&LEAF_PREFIX, entry])
}

/// The hash of a node: `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest::of_parts(&[&NODE_PREFIX, left.as_bytes(), right.as_bytes()])
}

/// The root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Digest {
    Digest::of(&[])
}

impl HashReader for HashMap<Node, Digest> {
    fn node(&self, level: u8, index: u64) -> Option<Digest> {
        self.get(&Node { level, index }).copied()
    }
}

impl<T: HashReader + ?Sized> HashReader for &T {
    fn node(&self, level: u8, index: u64) -> Option<Digest> {
        (**self).node(level, index)
    }
}
