//! What a node has done, in its own order: for holding a ledger against it.

use poa_common::Msat;

use crate::{InvoiceState, Outcome, PaymentHash};

/// A place in a node's list: its own number, which never changes. Invoices and payments are numbered apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u64);

/// An invoice as the node lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedInvoice {
    /// Its place, to go on from.
    pub place: Place,
    /// The payment hash.
    pub hash: PaymentHash,
    /// Where it stands.
    pub state: InvoiceState,
}

/// A payment as the node lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPayment {
    /// Its place, to go on from.
    pub place: Place,
    /// The payment hash.
    pub hash: PaymentHash,
    /// What the payee gets, without the fee.
    pub amount: Msat,
    /// What became of it. Never [`Outcome::NotSent`].
    pub outcome: Outcome,
    /// What has left the node by it, with its fee, where the node calls it paid: proved by a preimage or not.
    pub sent: Option<Msat>,
}

// === impl ListedPayment ===

impl ListedPayment {
    /// One that counts as paid where its outcome proves it.
    pub fn new(place: Place, hash: PaymentHash, amount: Msat, outcome: Outcome) -> Self {
        let sent = match &outcome {
            // Beyond all bitcoin there is no sum: then it differs from whatever is booked.
            Outcome::Settled { fee, .. } => Some(amount.checked_add(*fee).unwrap_or(Msat::SUPPLY)),
            Outcome::NotSent(_) | Outcome::InFlight | Outcome::Failed(_) | Outcome::Unknown(_) => None,
        };
        Self { place, hash, amount, outcome, sent }
    }
}

// === impl Place ===

impl Place {
    /// Before the first.
    pub const START: Self = Self(0);

    /// The place of a node's number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The node's number.
    pub const fn get(self) -> u64 {
        self.0
    }
}
