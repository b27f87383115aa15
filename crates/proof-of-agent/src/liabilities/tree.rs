//! The Merkle-sum tree. Its shape is that of RFC 6962: no leaf is added to fill it, and none stands twice.

use poa_common::{AccountId, Msat, TypedId as _};

use super::LiabilitiesError;
use crate::digest::Digest;

/// Bytes of a leaf's salt: nobody guesses a balance and finds it in the tree.
pub const SALT_BYTES: usize = 32;
/// Leaves of a tree.
pub const MAX_LEAVES: u64 = 1 << 40;
/// What stands before a leaf's fields: it is never taken for a node, nor for anything else that is hashed here.
const LEAF_TAG: &[u8] = b"proof-of-agent liabilities leaf v1\n";
/// What stands before a node's fields.
const NODE_TAG: &[u8] = b"proof-of-agent liabilities node v1\n";

/// A hash and the sum of what is below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumNode {
    /// It commits to the sums of both children: a sum alone could be shifted from one to the other.
    pub hash: Digest,
    /// 0 to all bitcoin.
    pub sum: Msat,
}

/// The leaf of an account: `SHA-256(tag ‖ account, 16 bytes ‖ salt, 32 ‖ balance in msat, 8, big-endian)`.
///
/// # Errors
/// `Amount` for a negative balance, or one of more than all bitcoin.
pub fn leaf(account: AccountId, salt: &[u8; SALT_BYTES], balance: Msat) -> Result<SumNode, LiabilitiesError> {
    let amount = amount(balance)?;
    let hash = Digest::of_parts(&[LEAF_TAG, account.uuid().as_bytes(), salt, &amount]);
    Ok(SumNode { hash, sum: balance })
}

/// The node over two: `SHA-256(tag ‖ left hash ‖ left sum, 8 ‖ right hash ‖ right sum, 8)`, with the sum of both.
///
/// # Errors
/// `Amount` where a sum is negative or more than all bitcoin.
pub fn node(left: &SumNode, right: &SumNode) -> Result<SumNode, LiabilitiesError> {
    let (of_left, of_right) = (amount(left.sum)?, amount(right.sum)?);
    let sum = left.sum.checked_add(right.sum).map_err(|_| LiabilitiesError::Amount)?;
    amount(sum)?;
    let hash =
        Digest::of_parts(&[NODE_TAG, left.hash.as_bytes(), &of_left, right.hash.as_bytes(), &of_right]);
    Ok(SumNode { hash, sum })
}

/// The root over leaves, or over the roots of parts of one and the same power of two, of which the last may be smaller:
/// both give the same root.
///
/// # Errors
/// `Place` for none, `Amount` where a sum is too large.
pub fn root(nodes: &[SumNode]) -> Result<SumNode, LiabilitiesError> {
    match nodes {
        [] => Err(LiabilitiesError::Place),
        [only] => {
            amount(only.sum)?;
            Ok(*only)
        }
        [_, _, ..] => {
            let (left, right) = nodes.split_at(middle(nodes.len()));
            node(&root(left)?, &root(right)?)
        }
    }
}

/// The siblings on the way from a leaf to the root, nearest first.
///
/// # Errors
/// As [`root`]; `Place` for an index outside.
pub fn path(nodes: &[SumNode], index: usize) -> Result<Vec<SumNode>, LiabilitiesError> {
    if index >= nodes.len() {
        return Err(LiabilitiesError::Place);
    }
    if nodes.len() == 1 {
        return Ok(Vec::new());
    }
    let middle = middle(nodes.len());
    let (left, right) = nodes.split_at(middle);
    let (mut below, sibling) = if index < middle {
        (path(left, index)?, root(right)?)
    } else {
        (path(right, index - middle)?, root(left)?)
    };
    below.push(sibling);
    Ok(below)
}

/// The root to which a leaf's path leads, in a tree of `count` leaves.
pub(super) fn climb(
    leaf: SumNode,
    index: u64,
    count: u64,
    path: &[SumNode],
) -> Result<SumNode, LiabilitiesError> {
    if index >= count || count > MAX_LEAVES {
        return Err(LiabilitiesError::Place);
    }
    let (mut place, mut last) = (index, count - 1);
    let mut found = leaf;
    for step in path {
        if last == 0 {
            return Err(LiabilitiesError::PathLength);
        }
        if place & 1 == 1 || place == last {
            found = node(step, &found)?;
            // The right edge of a tree that is not complete skips the levels where it has no sibling.
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            found = node(&found, step)?;
        }
        place >>= 1;
        last >>= 1;
    }
    if last == 0 { Ok(found) } else { Err(LiabilitiesError::PathLength) }
}

/// The largest power of two below a count of at least two.
fn middle(count: usize) -> usize {
    count.next_power_of_two() / 2
}

/// An amount as it is hashed.
fn amount(amount: Msat) -> Result<[u8; 8], LiabilitiesError> {
    let sound = !amount.is_negative() && amount <= Msat::SUPPLY;
    if sound { Ok(amount.get().to_be_bytes()) } else { Err(LiabilitiesError::Amount) }
}
