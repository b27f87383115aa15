//! Which hashes this process has asked the node to pay: at most one request per hash.
//!
//! phoenixd refuses a second payment of a hash only while the first is under way or has succeeded: after a failure it would
//! try again. So no request for a hash is made while another may still arrive. One that ended without a trace is never made
//! again by this process; only one that certainly did not leave is forgotten.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use crate::PaymentHash;

/// Hashes that are under way or in doubt at a time. Those in doubt stay until the process ends, so that a bound is needed.
const MAX_HELD: usize = 100_000;

/// The hashes.
#[derive(Debug, Default)]
pub(super) struct Dispatches(Mutex<HashMap<PaymentHash, Phase>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A task of ours is asking.
    Live,
    /// It has ended, and the node does not know the hash. The request may still arrive.
    Doubtful,
}

/// Whether a payment may be asked for.
pub(super) enum Begun {
    /// It may, once.
    First(Claim),
    /// Another call is asking.
    Live,
    /// Another call has asked, and it is not known what became of it.
    Doubtful,
    /// There are too many in doubt.
    Full,
}

/// The right to ask for one payment. Dropped without a word it leaves the hash in doubt.
pub(super) struct Claim {
    dispatches: Arc<Dispatches>,
    hash: PaymentHash,
    after: Option<Phase>,
}

// === impl Dispatches ===

impl Dispatches {
    /// Takes the right, if nobody has or had it.
    pub(super) fn begin(self: &Arc<Self>, hash: PaymentHash) -> Begun {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = held.len() < MAX_HELD;
        match held.entry(hash) {
            Entry::Occupied(entry) => match entry.get() {
                Phase::Live => Begun::Live,
                Phase::Doubtful => Begun::Doubtful,
            },
            Entry::Vacant(_) if !room => Begun::Full,
            Entry::Vacant(entry) => {
                entry.insert(Phase::Live);
                Begun::First(Claim { dispatches: Arc::clone(self), hash, after: Some(Phase::Doubtful) })
            }
        }
    }

    /// Whether a task of ours is asking for this payment.
    pub(super) fn is_live(&self, hash: PaymentHash) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&hash) == Some(&Phase::Live)
    }
}

// === impl Claim ===

impl Claim {
    /// Nothing was sent, or the node knows the hash and will from now on say so itself.
    pub(super) fn forget(mut self) {
        self.after = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut held = self.dispatches.0.lock().unwrap_or_else(PoisonError::into_inner);
        match self.after {
            Some(phase) => held.insert(self.hash, phase),
            None => held.remove(&self.hash),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_taken_once_until_it_is_forgotten_and_stays_in_doubt_where_it_is_not() {
        let (dispatches, hash) = (Arc::new(Dispatches::default()), PaymentHash::new([1; 32]));
        let Begun::First(claim) = dispatches.begin(hash) else { panic!("the first is refused") };
        assert!(matches!(dispatches.begin(hash), Begun::Live));
        claim.forget();
        let Begun::First(claim) = dispatches.begin(hash) else { panic!("a forgotten one is refused") };
        drop(claim);
        assert!(matches!(dispatches.begin(hash), Begun::Doubtful));
        assert!(matches!(dispatches.begin(PaymentHash::new([2; 32])), Begun::First(_)));
    }
}
