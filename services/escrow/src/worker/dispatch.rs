//! The one module that can send sats away.
//!
//! Nothing else in this service names the payer: a test reads the sources and says so. Whatever is sent was committed as an
//! intent before.

use std::time::Duration;

use poa_common::Timestamp;
use poa_payment::{Doubt, NodeId, Outcome, PayIntent, Payer};
use poa_storage::{Database, Error};

use crate::domain::withdrawal::{Seen, Withdrawal};
use crate::failpoint::{self, Failpoint};
use crate::metrics;
use crate::store::withdrawals::{self, Committed, Intent};

/// Sends payments. The payout worker has the only one.
pub struct Dispatcher {
    payer: Box<dyn Payer>,
}

/// How a dispatch is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// The node that pays.
    pub(super) node: NodeId,
    /// Until when it may try.
    pub(super) deadline: Timestamp,
    /// How long we wait for its answer.
    pub(super) patience: Duration,
}

// === impl Dispatcher ===

impl Dispatcher {
    /// Takes what sends. Hand it over once.
    pub fn new(payer: impl Payer) -> Self {
        Self { payer: Box::new(payer) }
    }

    /// Commits the intent to pay, then tells the node. Answers which dispatch it was, from 1, and what was heard; none where
    /// the withdrawal has moved on meanwhile, or payouts are paused: nothing was sent.
    ///
    /// The wait for the answer is bounded; an answer that did not come is an unknown outcome, and so is a dropped call.
    pub(super) async fn dispatch(
        &self,
        db: &Database,
        withdrawal: &Withdrawal,
        terms: Terms,
    ) -> Result<Option<(i32, Seen)>, Error> {
        assert_eq!(withdrawal.deposit, None, "what the ledger pays is never sent");
        let Terms { node, deadline, patience } = terms;
        let intent = Intent { withdrawal: withdrawal.id, dispatches: withdrawal.dispatches, node, deadline };
        let dispatches = match withdrawals::commit_intent(db, intent).await? {
            Committed::Dispatch(dispatches) => dispatches,
            Committed::Overtaken | Committed::Paused => return Ok(None),
        };
        let payment = PayIntent {
            hash: withdrawal.hash,
            bolt11: withdrawal.invoice.clone(),
            amount: withdrawal.amount,
            fee_limit: withdrawal.fee_limit,
            deadline,
        };
        let unknown = Outcome::Unknown(Doubt::NoAnswer);
        let paying = failpoint::call(Failpoint::DISPATCH, unknown.clone(), self.payer.pay(payment));
        let outcome = tokio::time::timeout(patience, paying).await.unwrap_or(unknown);
        metrics::dispatched(&outcome);
        tracing::info!(
            withdrawal_id = %withdrawal.id,
            dispatches,
            outcome = outcome.as_str(),
            "payment dispatched"
        );
        let seen = if dispatches == 1 { Seen::FirstDispatch(outcome) } else { Seen::LaterDispatch(outcome) };
        Ok(Some((dispatches, seen)))
    }
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dispatcher")
    }
}
