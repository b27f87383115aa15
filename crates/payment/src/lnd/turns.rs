//! One dispatch of a hash at a time: LND sends a hash again that has failed, so that two dispatches at once could pay what
//! somebody has just seen fail.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::PaymentHash;

/// Who is at work on which hash. Bounded by the calls that are alive.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: Mutex<HashMap<PaymentHash, Arc<AsyncMutex<()>>>>,
}

/// A hash that nobody else works on.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    hash: PaymentHash,
    guard: Option<OwnedMutexGuard<()>>,
}

// === impl Turns ===

impl Turns {
    /// Waits until nobody works on the hash.
    pub(super) async fn take(&self, hash: PaymentHash) -> Turn<'_> {
        let lock =
            Arc::clone(self.waiting.lock().unwrap_or_else(PoisonError::into_inner).entry(hash).or_default());
        Turn { turns: self, hash, guard: Some(lock.lock_owned().await) }
    }
}

// === impl Turn ===

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut waiting = self.turns.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.guard.take());
        // With the map locked nobody comes to wait: one owner left means that nobody does.
        if waiting.get(&self.hash).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            waiting.remove(&self.hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_is_worked_on_by_one_at_a_time_and_forgotten_after_the_last() {
        let turns = Arc::new(Turns::default());
        let hash = PaymentHash::new([1; 32]);
        let turn = turns.take(hash).await;
        let other = turns.take(PaymentHash::new([2; 32])).await;
        let second = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { drop(turns.take(hash).await) }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop((turn, other));
        second.await.unwrap();
        assert!(turns.waiting.lock().unwrap().is_empty());
    }
}
