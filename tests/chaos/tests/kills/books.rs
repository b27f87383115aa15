//! What must be where, to the msat: the test's own books, kept from what the stories say.

use poa_sdk::api::escrow::Balance;

/// What a story has changed once it has come to its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effect {
    /// Of the requester's balance, in msat.
    pub(crate) requester: i64,
    /// Of the worker's balance, in msat.
    pub(crate) worker: i64,
    /// Payments that left: amount and fee of each, in msat.
    pub(crate) paid_out: Vec<i64>,
}

/// The sum of all effects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    requester: i64,
    worker: i64,
    /// What left, payment by payment, amount and fee, in msat.
    pub(crate) paid_out: Vec<i64>,
    /// Stories that came to their end.
    pub(crate) stories: usize,
}

// === impl Books ===

impl Books {
    pub(crate) fn add(&mut self, effect: &Effect) {
        self.requester += effect.requester;
        self.worker += effect.worker;
        self.paid_out.extend(&effect.paid_out);
        self.stories += 1;
    }

    /// What is wrong with the balances, if anything.
    pub(crate) fn differ(&self, requester: &Balance, worker: &Balance) -> Option<String> {
        let found =
            [(requester.available_msat, requester.held_msat), (worker.available_msat, worker.held_msat)];
        let wanted = [(self.requester, 0), (self.worker, 0)];
        (found != wanted).then(|| format!("(available, held) is {found:?}, and must be {wanted:?}"))
    }
}
