//! Verification of proofs, step by step as RFC 9162 has it (2.1.3.2 and 2.1.4.2).

use super::{MAX_SIZE, TlogError, node_hash};
use crate::digest::Digest;

/// Whether `leaf` is at `index` in the tree of `size` leaves with this root.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), TlogError> {
    if index >= size || size > MAX_SIZE {
        return Err(TlogError::OutOfRange);
    }
    let (mut place, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for step in proof {
        if last == 0 {
            return Err(TlogError::WrongLength);
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(step, &hash);
            // The right edge of a tree that is not complete skips the levels where it has no sibling.
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(TlogError::WrongLength);
    }
    if hash == *root { Ok(()) } else { Err(TlogError::WrongRoot) }
}

/// Whether the tree of `new_size` leaves begins with the tree of `old_size` leaves.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Digest,
    new_size: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), TlogError> {
    if old_size > new_size || new_size > MAX_SIZE {
        return Err(TlogError::OutOfRange);
    }
    if old_size == 0 && *old_root != super::empty_root() {
        return Err(TlogError::WrongRoot);
    }
    if old_size == new_size || old_size == 0 {
        let same = old_size != new_size || old_root == new_root;
        return match (proof.is_empty(), same) {
            (false, _) => Err(TlogError::WrongLength),
            (true, false) => Err(TlogError::WrongRoot),
            (true, true) => Ok(()),
        };
    }
    let (mut place, mut last) = (old_size - 1, new_size - 1);
    let mut steps = proof.iter();
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    // Where the old tree is complete its root is the first hash, and the proof leaves it out.
    let first = if old_size.is_power_of_two() { Some(old_root) } else { steps.next() };
    let first = first.ok_or(TlogError::WrongLength)?;
    let (mut old_hash, mut new_hash) = (*first, *first);
    for step in steps {
        if last == 0 {
            return Err(TlogError::WrongLength);
        }
        if place & 1 == 1 || place == last {
            old_hash = node_hash(step, &old_hash);
            new_hash = node_hash(step, &new_hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, step);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(TlogError::WrongLength);
    }
    if old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(TlogError::WrongRoot) }
}
