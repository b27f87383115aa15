//! Decisions from a seed.

use poa_testkit::SeededEntropy;

/// A source of decisions: the same seed gives the same ones.
#[derive(Debug)]
pub(crate) struct Dice(SeededEntropy);

// === impl Dice ===

impl Dice {
    /// Dice of their own for a purpose, so that one more decision in one place changes none in another.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a: https://datatracker.ietf.org/doc/html/draft-eastlake-fnv
        let mixed = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64 ^ seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(SeededEntropy::new(mixed))
    }

    /// From 0 to one below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound.max(1)
    }

    /// An index of a slice that is not empty.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).unwrap())).unwrap()
    }

    /// Whether something of this many in a hundred happens.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of some, each as likely.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    /// One of some, by weight.
    pub(crate) fn weighted<T: Copy>(&mut self, from: &[(u64, T)]) -> T {
        let mut left = self.below(from.iter().map(|(weight, _)| weight).sum());
        for (weight, choice) in from {
            if left < *weight {
                return *choice;
            }
            left -= weight;
        }
        unreachable!("the weights were summed up")
    }
}
