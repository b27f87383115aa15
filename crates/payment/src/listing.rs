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
