//! Payments that our node sends: the intent, and what is known of its outcome.

use std::fmt;

use poa_common::{Msat, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{PaymentHash, Preimage};

/// A payment to send, as the caller has committed it before it asks.
#[derive(Clone, PartialEq, Eq)]
pub struct PayIntent {
    /// The payment hash: the key under which the payment is known for ever.
    pub hash: PaymentHash,
    /// The invoice to pay. It names its amount.
    pub bolt11: String,
    /// What the payee gets: exactly what the invoice asks for.
    pub amount: Msat,
    /// What the route may cost on top, at most. Reserved by the caller.
    pub fee_limit: Msat,
    /// After this the node makes no further attempt. An attempt that is under way lives on.
    pub deadline: Timestamp,
}

/// What is known of a payment. `Settled` and `Failed` are final; everything else is to be looked up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The node refused before it sent anything. It counts **only as the answer to the first dispatch of a
    /// hash**: after that, a refusal says nothing of what an earlier dispatch did.
    NotSent(Refusal),
    /// The node has it, and it may still succeed or fail, even days later.
    InFlight,
    /// Paid, with the proof.
    Settled {
        /// Its hash is the payment hash.
        preimage: Preimage,
        /// What the route cost, at most the limit.
        fee: Msat,
    },
    /// The node says that it failed for good, and nothing left.
    Failed(FailureReason),
    /// Nothing is known. A state with a resolver, never a failure: funds stay reserved.
    Unknown(Doubt),
}

/// Why a node refused to send. Nothing here was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The text is not a valid BOLT11 invoice.
    Malformed,
    /// The invoice is of another network.
    WrongNetwork,
    /// The invoice names no amount.
    Amountless,
    /// The intent's hash or amount is not the invoice's, or an amount is out of range.
    Mismatch,
    /// The invoice is our own node's: an internal transfer, not a payment.
    OwnInvoice,
    /// The invoice has expired.
    Expired,
    /// The intent's deadline has passed.
    DeadlinePassed,
    /// The invoice's final CLTV delta is above what the provider allows: it could lock our sats for days.
    CltvTooLong,
    /// The node is at a limit of its own.
    Full,
}

/// Why a payment failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// No attempt succeeded before the deadline.
    Timeout,
    /// There is no route within the fee limit.
    NoRoute,
    /// The payee refused: unknown, already paid or cancelled invoice, wrong amount.
    IncorrectDetails,
    /// The node has too little to send.
    InsufficientBalance,
    /// Cancelled at the node.
    Canceled,
    /// The node's own error.
    Error,
}

/// Why nothing is known of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The node says that it does not know the hash. A worker of it may still send, and a restored node
    /// forgets: this alone frees no funds.
    NotFound,
    /// No answer, or none that can be understood.
    NoAnswer,
}

// === impl PayIntent ===

impl fmt::Debug for PayIntent {
    /// Without the text: an invoice belongs in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hash, bolt11: _, amount, fee_limit, deadline } = self;
        f.debug_struct("PayIntent")
            .field("hash", hash)
            .field("amount", amount)
            .field("fee_limit", fee_limit)
            .field("deadline", deadline)
            .finish_non_exhaustive()
    }
}

// === impl Outcome ===

impl Outcome {
    /// Whether this can never change.
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Settled { .. } | Self::Failed(_) => true,
            Self::NotSent(_) | Self::InFlight | Self::Unknown(_) => false,
        }
    }

    /// The name for messages and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotSent(_) => "not_sent",
            Self::InFlight => "in_flight",
            Self::Settled { .. } => "settled",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "unknown",
        }
    }
}

// === impl FailureReason ===

impl FailureReason {
    /// The name for messages, rows and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NoRoute => "no_route",
            Self::IncorrectDetails => "incorrect_details",
            Self::InsufficientBalance => "insufficient_balance",
            Self::Canceled => "canceled",
            Self::Error => "error",
        }
    }
}

// === impl Refusal ===

impl Refusal {
    /// The name for messages, rows and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::WrongNetwork => "wrong_network",
            Self::Amountless => "amountless",
            Self::Mismatch => "mismatch",
            Self::OwnInvoice => "own_invoice",
            Self::Expired => "expired",
            Self::DeadlinePassed => "deadline_passed",
            Self::CltvTooLong => "cltv_too_long",
            Self::Full => "full",
        }
    }
}
