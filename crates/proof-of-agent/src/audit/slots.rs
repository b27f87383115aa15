//! The slots that were taken, in a compact form: the first half of each, sorted, with its place.
//!
//! Half of a slot is 128 bits. Two equal slots have equal halves, so that no twin is missed; who wants two others to look like twins
//! must find a collision of 128 bits, and accuses itself.

use super::finding::{Finding, FindingKind};
use crate::tlog::Slot;

/// Slots that are kept: with 24 bytes each, 192 MiB. Twins are looked for among the first 8,388,608 entries.
pub const MAX_SLOTS: u64 = 1 << 23;
/// Bytes of a slot that are kept.
const HALF: usize = 16;
/// Bytes of a kept slot in a file.
pub(super) const TAKEN_BYTES: usize = HALF + 8;

/// One slot and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Taken {
    half: [u8; HALF],
    log_index: u64,
}

/// All slots of a log, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slots(Vec<Taken>);

// === impl Taken ===

impl Taken {
    /// None beyond the bound.
    pub(super) fn new(slot: &Slot, log_index: u64) -> Option<Self> {
        let (half, _) = slot.digest().as_bytes().split_first_chunk::<HALF>()?;
        (log_index < MAX_SLOTS).then_some(Self { half: *half, log_index })
    }
}

// === impl Slots ===

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds the slots of entries from `first` on, and answers with the twins among them.
    pub(super) fn add(&mut self, fresh: Vec<Taken>, first: u64) -> Vec<Finding> {
        self.0.extend(fresh);
        // Two sorted runs are merged, not sorted anew.
        self.0.sort();
        let pairs = self.0.windows(2).filter_map(|pair| match pair {
            [before, after] if before.half == after.half && after.log_index >= first => Some((before, after)),
            _ => None,
        });
        pairs
            .map(|(before, after)| {
                let (before, after) = (before.log_index, after.log_index);
                let detail = format!(
                    "the entries {before} and {after} take one slot: two statements where one may stand"
                );
                Finding::new(FindingKind::Twin, detail).at(after)
            })
            .collect()
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        for taken in &self.0 {
            bytes.extend_from_slice(&taken.half);
            bytes.extend_from_slice(&taken.log_index.to_be_bytes());
        }
    }

    /// None where the bytes are not sorted slots of a tree of `size` entries.
    pub(super) fn read(bytes: &[u8], size: u64) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<TAKEN_BYTES>();
        let taken = |chunk: &[u8; TAKEN_BYTES]| {
            let (half, place) = chunk.split_first_chunk::<HALF>()?;
            Some(Taken { half: *half, log_index: u64::from_be_bytes(place.try_into().ok()?) })
        };
        let slots: Vec<Taken> = chunks.iter().map(taken).collect::<Option<_>>()?;
        let sound = rest.is_empty() && slots.is_sorted() && slots.iter().all(|taken| taken.log_index < size);
        sound.then_some(Self(slots))
    }
}
