//! Chains that were replayed before. A hint: what is taken out is held against the stored place, so that a chain
//! that another replica has moved on, or whose transaction was rolled back, is replayed again.

use std::collections::HashMap;

use poa_common::TaskId;

use super::{Place, TaskChain};

/// Replayed chains, bounded by weight. Two generations: when the younger is full, the older goes.
#[derive(Debug)]
pub(crate) struct ChainCache {
    young: HashMap<TaskId, TaskChain>,
    old: HashMap<TaskId, TaskChain>,
    young_bytes: usize,
    generation_bytes: usize,
}

/// What a chain costs beside its statements.
const OVERHEAD_BYTES: usize = 1_024;

// === impl ChainCache ===

impl ChainCache {
    /// A cache of at most about `bytes`.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_bytes: 0, generation_bytes: bytes / 2 }
    }

    /// Takes out the chain of a task, if it ends at this place.
    pub(crate) fn take(&mut self, task_id: TaskId, place: Place) -> Option<TaskChain> {
        let young = self.young.remove(&task_id);
        if let Some(chain) = &young {
            self.young_bytes = self.young_bytes.saturating_sub(cost(chain));
        }
        let chain = young.or_else(|| self.old.remove(&task_id))?;
        (chain.end().map(|end| end.place) == Some(place)).then_some(chain)
    }

    /// Puts a chain in, in place of what is there of this task.
    pub(crate) fn put(&mut self, task_id: TaskId, chain: TaskChain) {
        self.old.remove(&task_id);
        self.young_bytes = self.young_bytes.saturating_add(cost(&chain));
        if let Some(before) = self.young.insert(task_id, chain) {
            self.young_bytes = self.young_bytes.saturating_sub(cost(&before));
        }
        if self.young_bytes > self.generation_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

fn cost(chain: &TaskChain) -> usize {
    chain.weight().saturating_add(OVERHEAD_BYTES)
}

#[cfg(test)]
mod tests {
    use poa_common::{AccountId, EscrowId, Msat, Network, Timestamp, TypedId as _};
    use proof_of_agent::{Author, Content, DidKey, Nonce, Rail, ReleasePolicy, Statement, TermsOffered};
    use uuid::Uuid;

    use super::*;

    fn offered(task: TaskId) -> TaskChain {
        let key = DidKey::of(&ed25519_dalek::SigningKey::from_bytes(&[1; 32]));
        let terms = TermsOffered {
            requester: AccountId::from_uuid(Uuid::from_u128(1)),
            title: "Count to three".to_owned(),
            capability: None,
            input: Content::of(b"", ""),
            criteria: Vec::new(),
            price_msat: Msat::new(1_000),
            fee_bps: 0,
            fee_msat: Msat::ZERO,
            payee_net_msat: Msat::new(1_000),
            policy: ReleasePolicy::OnAcceptance,
            expires_in_seconds: 60,
            claim_seconds: 60,
            work_seconds: 60,
            review_seconds: 60,
            rail: Rail::Balance,
            escrow: EscrowId::from_uuid(Uuid::from_u128(1)),
            direct_agent: None,
            offered_time: Timestamp::UNIX_EPOCH,
        };
        let author = Author::platform_for_requester(key, Nonce::new([1; 16]));
        let offer = Statement::offer(task, Network::Simulated, "here", author, terms).unwrap();
        let mut chain = TaskChain::new(&[key]);
        chain.append(offer).unwrap();
        chain
    }

    fn task(number: u128) -> TaskId {
        TaskId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_chain_that_ends_elsewhere_than_stored_is_not_used() {
        let mut cache = ChainCache::new(1_000_000);
        let chain = offered(task(1));
        let place = chain.end().unwrap().place;
        cache.put(task(1), chain);
        assert!(cache.take(task(1), Place { length: 2, ..place }).is_none());
        // It is gone for good: the stored chain is replayed, and put in its place.
        assert!(cache.take(task(1), place).is_none());
        cache.put(task(1), offered(task(1)));
        assert!(cache.take(task(1), place).is_some());
    }

    #[test]
    fn the_longest_unused_chains_go_and_the_rest_stays_within_bounds() {
        let bytes = 20 * cost(&offered(task(0)));
        let mut cache = ChainCache::new(bytes);
        for number in 0..1_000 {
            cache.put(task(number), offered(task(number)));
            let kept = cache.young.values().chain(cache.old.values()).map(cost).sum::<usize>();
            assert!(kept <= bytes + cost(&offered(task(0))), "{kept} bytes");
        }
        assert!(cache.take(task(0), offered(task(0)).end().unwrap().place).is_none());
        assert!(cache.take(task(999), offered(task(999)).end().unwrap().place).is_some());
    }
}
