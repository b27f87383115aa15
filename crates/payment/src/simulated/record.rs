//! What the journal says: the changes, and the rows that they make.

use poa_common::{Msat, MsatError, Timestamp};
use serde::{Deserialize, Serialize};

use super::state::State;
use crate::{FailureReason, InvoiceState, Outcome, PaymentHash, Preimage};

/// One change. A line of the journal holds a list of them that happened together.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    /// The whole state: the first record of every file.
    Snapshot(Box<State>),
    /// An invoice was made.
    Invoice { hash: PaymentHash, row: InvoiceRow },
    /// A hold invoice was paid and waits.
    Accepted { hash: PaymentHash, paid: Msat, parts: u32, expiry_height: u32 },
    /// An invoice's sats are ours.
    Settled { hash: PaymentHash, paid: Msat, preimage: Preimage, at: Micros },
    /// The HTLCs of a settled hold invoice are resolved for good.
    Resolved { hash: PaymentHash, end: HtlcEnd },
    /// An invoice can no longer be paid.
    Canceled { hash: PaymentHash },
    /// A payment is under way.
    Dispatched { hash: PaymentHash, row: PaymentRow },
    /// A payment arrived.
    Paid { hash: PaymentHash, preimage: Preimage, fee: Msat },
    /// A payment failed for good.
    Failed { hash: PaymentHash, reason: FailureReason },
    /// The chain grew to this height.
    Height { height: u32 },
}

/// A time in microseconds since 1970, the resolution of [`poa_common::Env::now`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Micros(i64);

/// An invoice of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InvoiceRow {
    /// The text, lower case.
    pub(super) bolt11: String,
    pub(super) amount: Msat,
    pub(super) expires_at: Micros,
    pub(super) min_final_cltv: u16,
    /// Known from the start for an ordinary invoice, from the settlement on for a hold invoice.
    pub(super) preimage: Option<Preimage>,
    pub(super) hold: bool,
    pub(super) phase: InvoicePhase,
    /// Its place in the list of invoices, from one. Files of before have none: they get one when they are opened.
    #[serde(default)]
    pub(super) number: u64,
    /// Of a hold invoice, once it has settled and somebody has asked.
    #[serde(default)]
    pub(super) htlcs: HtlcEnd,
}

/// What became of the HTLCs of a settled hold invoice. Neither end changes any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HtlcEnd {
    /// They are in the channels' commitments.
    #[default]
    Unresolved,
    /// Their sats are ours.
    Ours,
    /// They timed out on the chain: their sats are the payer's.
    TimedOut,
}

/// Where an invoice stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InvoicePhase {
    Open,
    Accepted { paid: Msat, parts: u32, expiry_height: u32 },
    Settled { paid: Msat, at: Micros },
    Canceled,
}

/// A payment of this node. Kept for ever: one payment per hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PaymentRow {
    pub(super) amount: Msat,
    /// What is set aside on top of the amount while the payment is in flight.
    pub(super) fee_limit: Msat,
    /// What the route will take.
    pub(super) fee: Msat,
    /// What the payee would show, where the simulated network can know it.
    pub(super) preimage: Option<Preimage>,
    pub(super) fate: Fate,
    pub(super) phase: PaymentPhase,
    /// Whether amount and fee limit were set aside: nothing is for a payment that the node cannot afford.
    #[serde(default = "set_aside")]
    pub(super) reserved: bool,
    /// Its place in the list of payments, from one. Files of before have none: they get one when they are opened.
    #[serde(default)]
    pub(super) number: u64,
}

/// What the network will do with a payment, decided and written down before anything is answered, so that
/// a restart does not change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fate {
    Settle,
    Fail(FailureReason),
    /// It stays in flight until somebody says what became of it.
    Wait,
}

/// Where a payment stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PaymentPhase {
    InFlight,
    Settled { preimage: Preimage, fee: Msat },
    Failed(FailureReason),
}

// === impl Micros ===

impl From<Timestamp> for Micros {
    fn from(time: Timestamp) -> Self {
        // The calendar ends at the year 9999, far below 2^63 µs.
        Self(i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000)).unwrap_or(i64::MAX))
    }
}

impl From<Micros> for Timestamp {
    fn from(micros: Micros) -> Self {
        Self::from_unix_timestamp_nanos(i128::from(micros.0) * 1_000).unwrap_or(Self::UNIX_EPOCH)
    }
}

// === impl InvoiceRow ===

impl InvoiceRow {
    /// What the node says of it.
    pub(super) fn state(&self) -> InvoiceState {
        match self.phase {
            InvoicePhase::Open => InvoiceState::Open,
            InvoicePhase::Accepted { paid, parts, expiry_height } => {
                InvoiceState::Accepted { paid, parts, lowest_expiry_height: expiry_height }
            }
            InvoicePhase::Settled { paid, at } => {
                InvoiceState::Settled { paid, at: at.into(), preimage: self.preimage.clone() }
            }
            InvoicePhase::Canceled => InvoiceState::Canceled,
        }
    }
}

// === impl PaymentRow ===

impl PaymentRow {
    /// What is set aside while it is in flight.
    pub(super) fn reserve(&self) -> Result<Msat, MsatError> {
        if self.reserved { self.amount.checked_add(self.fee_limit) } else { Ok(Msat::ZERO) }
    }
}

/// Files of before wrote an amount of zero where nothing was set aside.
fn set_aside() -> bool {
    true
}

// === impl PaymentPhase ===

impl PaymentPhase {
    /// What the node says of it.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::InFlight => Outcome::InFlight,
            Self::Settled { preimage, fee } => Outcome::Settled { preimage: preimage.clone(), fee: *fee },
            Self::Failed(reason) => Outcome::Failed(*reason),
        }
    }
}

// === impl InvoicePhase ===

impl InvoicePhase {
    /// The name, as of [`crate::InvoiceState::as_str`].
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted { .. } => "accepted",
            Self::Settled { .. } => "settled",
            Self::Canceled => "canceled",
        }
    }
}
