//! An invoice of our own node that is a deposit here: the ledger pays it, and the node's invoice is cancelled first.
//!
//! Payment and cancellation exclude each other at the node, so its word about the invoice decides: cancelled means that nobody
//! outside can pay it any more, settled means that somebody has. One of the two, never both.

use poa_payment::InvoiceState;

/// What follows from what the node says of the invoice, once the intent is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is cancelled: move the sats.
    Transfer,
    /// Somebody outside has paid it: give the sats back. Why, for people.
    Return(&'static str),
    /// It can still be paid: cancel it.
    Cancel,
    /// Nothing is known: look again later.
    Wait,
    /// What was heard cannot be: a person must look. Nothing moves.
    Alarm(&'static str),
}

/// Somebody outside was faster.
const ALREADY_PAID: &str = "already_paid";

/// What an answer means. `heard` is none where the node did not answer, and holds none where it does not know the invoice.
pub(crate) fn next(heard: Option<Option<InvoiceState>>, same_node: bool) -> Step {
    match heard {
        // Another node's invoices are not these: what it does not know, it never knew.
        Some(_) if !same_node => Step::Alarm("another node answers"),
        Some(Some(InvoiceState::Canceled)) => Step::Transfer,
        Some(Some(InvoiceState::Settled { .. })) => Step::Return(ALREADY_PAID),
        Some(Some(InvoiceState::Open)) => Step::Cancel,
        // A hold invoice is no deposit.
        Some(Some(InvoiceState::Accepted { .. })) => {
            Step::Alarm("the invoice of a deposit is a hold invoice")
        }
        // Absence proves neither.
        Some(None) => Step::Alarm("the node does not know the invoice of a deposit"),
        None => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poa_common::{Msat, Timestamp};

    #[test]
    fn only_a_cancelled_invoice_moves_sats_and_only_a_paid_one_gives_them_back() {
        let settled =
            || InvoiceState::Settled { paid: Msat::new(1), at: Timestamp::UNIX_EPOCH, preimage: None };
        let accepted = InvoiceState::Accepted { paid: Msat::new(1), parts: 1, lowest_expiry_height: 1 };
        for (heard, step) in [
            (Some(Some(InvoiceState::Canceled)), Step::Transfer),
            (Some(Some(settled())), Step::Return("already_paid")),
            (Some(Some(InvoiceState::Open)), Step::Cancel),
            (None, Step::Wait),
        ] {
            assert_eq!(next(heard, true), step);
        }
        for strange in [Some(None), Some(Some(accepted))] {
            assert!(matches!(next(strange, true), Step::Alarm(_)));
        }
    }

    #[test]
    fn another_node_proves_nothing() {
        let paid = InvoiceState::Settled { paid: Msat::new(1), at: Timestamp::UNIX_EPOCH, preimage: None };
        for heard in [Some(InvoiceState::Canceled), Some(paid), Some(InvoiceState::Open), None] {
            assert!(matches!(next(Some(heard), false), Step::Alarm(_)));
        }
        assert_eq!(next(None, false), Step::Wait);
    }
}
