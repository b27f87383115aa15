//! Roots and proofs, computed over stored nodes.
//!
//! Every hash of a proof is the hash of a range of leaves that starts at a multiple of its own width. Such a
//! range falls apart into complete subtrees, from left to right and ever smaller, and folding those from the
//! right gives its hash.

use std::collections::HashMap;

use super::{HashReader, MAX_SIZE, Node, TlogError, empty_root, node_hash};
use crate::digest::Digest;

/// Leaves from `start` up to `end`, which is not among them.
#[derive(Clone, Copy)]
struct Range {
    start: u64,
    end: u64,
}

/// The nodes that [`root`] reads for a tree of `size` leaves.
pub fn nodes_needed_for_root(size: u64) -> Vec<Node> {
    Range { start: 0, end: size }.nodes()
}

/// The root of the tree over the first `size` leaves.
pub fn root(size: u64, reader: &impl HashReader) -> Result<Digest, TlogError> {
    match size {
        0 => Ok(empty_root()),
        1..=MAX_SIZE => Range { start: 0, end: size }.hash(reader),
        _ => Err(TlogError::OutOfRange),
    }
}

/// The nodes that [`inclusion_proof`] reads.
pub fn nodes_needed_for_inclusion(index: u64, size: u64) -> Result<Vec<Node>, TlogError> {
    Ok(inclusion_ranges(index, size)?.into_iter().flat_map(Range::nodes).collect())
}

/// The proof that the leaf at `index` is in the tree of `size` leaves (RFC 6962, 2.1.1).
pub fn inclusion_proof(index: u64, size: u64, reader: &impl HashReader) -> Result<Vec<Digest>, TlogError> {
    inclusion_ranges(index, size)?.into_iter().map(|range| range.hash(reader)).collect()
}

/// The nodes that [`consistency_proof`] reads.
pub fn nodes_needed_for_consistency(old_size: u64, new_size: u64) -> Result<Vec<Node>, TlogError> {
    Ok(consistency_ranges(old_size, new_size)?.into_iter().flat_map(Range::nodes).collect())
}

/// The proof that the tree of `new_size` leaves begins with that of `old_size` leaves (RFC 6962, 2.1.2).
pub fn consistency_proof(
    old_size: u64,
    new_size: u64,
    reader: &impl HashReader,
) -> Result<Vec<Digest>, TlogError> {
    consistency_ranges(old_size, new_size)?.into_iter().map(|range| range.hash(reader)).collect()
}

/// The nodes that [`new_nodes_for_append`] reads: those along the tree's right edge.
pub fn nodes_needed_for_append(size: u64) -> Vec<Node> {
    nodes_needed_for_root(size)
}

/// The nodes, leaves included, that come into being when `leaves` are appended to a tree of `size` leaves,
/// children before parents. Store them, and the tree has grown.
pub fn new_nodes_for_append(
    size: u64,
    leaves: &[Digest],
    reader: &impl HashReader,
) -> Result<Vec<(Node, Digest)>, TlogError> {
    let mut made: HashMap<Node, Digest> = HashMap::new();
    let mut order = Vec::new();
    for (position, leaf) in (size..).zip(leaves) {
        if position >= MAX_SIZE {
            return Err(TlogError::OutOfRange);
        }
        let mut node = Node { level: 0, index: position };
        let mut hash = *leaf;
        made.insert(node, hash);
        order.push((node, hash));
        // A right child completes its parent.
        while node.index & 1 == 1 {
            let left = Node { level: node.level, index: node.index ^ 1 };
            let left_hash = made.get(&left).copied().or_else(|| reader.node(left.level, left.index));
            hash = node_hash(&left_hash.ok_or(TlogError::MissingNode(left))?, &hash);
            node = Node { level: node.level + 1, index: node.index >> 1 };
            made.insert(node, hash);
            order.push((node, hash));
        }
    }
    Ok(order)
}

/// The ranges whose hashes prove the leaf, nearest first.
fn inclusion_ranges(index: u64, size: u64) -> Result<Vec<Range>, TlogError> {
    if index >= size || size > MAX_SIZE {
        return Err(TlogError::OutOfRange);
    }
    let mut ranges = Vec::new();
    let mut tree = Range { start: 0, end: size };
    while tree.len() > 1 {
        let (left, right) = tree.split();
        let inside_left = index < left.end;
        ranges.push(if inside_left { right } else { left });
        tree = if inside_left { left } else { right };
    }
    ranges.reverse();
    Ok(ranges)
}

/// The ranges whose hashes prove that the old tree is the beginning of the new one.
fn consistency_ranges(old_size: u64, new_size: u64) -> Result<Vec<Range>, TlogError> {
    if old_size > new_size || new_size > MAX_SIZE {
        return Err(TlogError::OutOfRange);
    }
    // Every tree begins with the empty one, and with itself: nothing to prove.
    if old_size == 0 || old_size == new_size {
        return Ok(Vec::new());
    }
    let mut ranges = Vec::new();
    let mut tree = Range { start: 0, end: new_size };
    while tree.end != old_size {
        let (left, right) = tree.split();
        let ends_left = old_size <= left.end;
        ranges.push(if ends_left { right } else { left });
        tree = if ends_left { left } else { right };
    }
    // A verifier who never left the left edge knows this hash already: it is the old root.
    if tree.start > 0 {
        ranges.push(tree);
    }
    ranges.reverse();
    Ok(ranges)
}

// === impl Range ===

impl Range {
    fn len(self) -> u64 {
        self.end - self.start
    }

    /// The left part is the largest power of two that leaves something on the right.
    fn split(self) -> (Self, Self) {
        let width = 1 << (u64::BITS - 1 - (self.len() - 1).leading_zeros());
        let middle = self.start + width;
        (Self { start: self.start, end: middle }, Self { start: middle, end: self.end })
    }

    /// The complete subtrees that make up the range, from left to right.
    fn nodes(self) -> Vec<Node> {
        let mut nodes = Vec::new();
        let mut start = self.start;
        while start < self.end {
            let bits = u64::BITS - 1 - (self.end - start).leading_zeros();
            let level = u8::try_from(bits).unwrap_or(u8::MAX);
            nodes.push(Node { level, index: start >> bits });
            start += 1 << bits;
        }
        nodes
    }

    fn hash(self, reader: &impl HashReader) -> Result<Digest, TlogError> {
        let mut hash = None;
        for node in self.nodes().into_iter().rev() {
            let left = reader.node(node.level, node.index).ok_or(TlogError::MissingNode(node))?;
            hash = Some(match hash {
                None => left,
                Some(right) => node_hash(&left, &right),
            });
        }
        hash.ok_or(TlogError::OutOfRange)
    }
}
