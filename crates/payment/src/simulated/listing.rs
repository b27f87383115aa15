//! The node's lists: what it made and what it sent, in its own order.

use poa_common::Timestamp;

use super::core::Core;
use super::record::{InvoicePhase, InvoiceRow, Record};
use crate::{Error, ListedInvoice, ListedPayment, Place};

/// Rows that one call answers at most, whatever it asks for: the node does nothing else meanwhile.
const MAX_LISTED: usize = 1_000;

impl Core {
    /// The invoices after a place. Those whose time has passed are cancelled on the way, durably, as a lookup does it.
    pub(super) fn list_invoices(&mut self, after: Place, limit: u32) -> Result<Vec<ListedInvoice>, Error> {
        let found = self.state.invoice_order.after(after, rows(limit));
        let now = self.now();
        let late =
            |row: &InvoiceRow| row.phase == InvoicePhase::Open && Timestamp::from(row.expires_at) <= now;
        let expired: Vec<_> = found
            .iter()
            .filter(|(_, hash)| self.state.invoices.get(hash).is_some_and(late))
            .map(|(_, hash)| Record::Canceled { hash: *hash })
            .collect();
        if !expired.is_empty() {
            self.commit(expired)?;
        }
        let listed = found.into_iter().filter_map(|(place, hash)| {
            let state = self.state.invoices.get(&hash)?.state();
            Some(ListedInvoice { place, hash, state })
        });
        Ok(listed.collect())
    }

    /// The payments after a place.
    pub(super) fn list_payments(&self, after: Place, limit: u32) -> Vec<ListedPayment> {
        let found = self.state.payment_order.after(after, rows(limit)).into_iter();
        let listed = found.filter_map(|(place, hash)| {
            let row = self.state.payments.get(&hash)?;
            Some(ListedPayment::new(place, hash, row.amount, row.phase.outcome()))
        });
        listed.collect()
    }
}

/// How many rows a call gets. Never none: an empty list is the end.
fn rows(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(MAX_LISTED).clamp(1, MAX_LISTED)
}
