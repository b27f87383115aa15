//! The state of the simulated node: a pure function of its records. Every edge is checked here once more, so
//! that neither a bug nor a damaged file can make an illegal one.

use std::collections::{BTreeMap, VecDeque};

use poa_common::{Msat, MsatError};
use serde::{Deserialize, Serialize};

use super::order::Order;
use super::record::{HtlcEnd, InvoicePhase, InvoiceRow, Micros, PaymentPhase, PaymentRow, Record};
use crate::{PaymentHash, Preimage};

/// Hints that are kept for late readers. A reader that is further behind has lost some, which hints may be.
const MAX_HINTS: usize = 4_096;

/// Everything that the node knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The node's secret key, in hexadecimal as a preimage is, and as little printed.
    pub(super) key: Preimage,
    /// The secret key of the wallet that stands for everybody outside.
    pub(super) outside_key: Preimage,
    pub(super) height: u32,
    pub(super) spendable: Msat,
    pub(super) incoming: Msat,
    pub(super) outgoing: Msat,
    pub(super) invoices: BTreeMap<PaymentHash, InvoiceRow>,
    pub(super) payments: BTreeMap<PaymentHash, PaymentRow>,
    #[serde(default)]
    pub(super) invoice_order: Order,
    #[serde(default)]
    pub(super) payment_order: Order,
    /// How many invoices are open or accepted.
    pub(super) live_invoices: usize,
    /// How many payments are in flight.
    pub(super) live_payments: usize,
    hints: VecDeque<PaymentHash>,
    /// How many hints there have ever been.
    pub(super) hint_count: u64,
}

/// A record that does not follow from the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Illegal {
    #[error("a record about an unknown hash")]
    Unknown,
    #[error("a second record that makes the same hash")]
    Duplicate,
    #[error("a step that the state does not allow")]
    Edge,
    #[error("an amount out of range")]
    Amount,
    #[error("a preimage that does not belong to the hash")]
    Preimage,
}

// === impl State ===

impl State {
    /// A node that has just been born.
    pub(super) fn new(key: Preimage, outside_key: Preimage, height: u32, spendable: Msat) -> Self {
        Self {
            key,
            outside_key,
            height,
            spendable,
            incoming: Msat::ZERO,
            outgoing: Msat::ZERO,
            invoices: BTreeMap::new(),
            payments: BTreeMap::new(),
            invoice_order: Order::default(),
            payment_order: Order::default(),
            live_invoices: 0,
            live_payments: 0,
            hints: VecDeque::new(),
            hint_count: 0,
        }
    }

    /// A state as it came from the file, with the order of its rows. What was written before rows had numbers is numbered
    /// by expiry and hash, so that every start gives the same numbers.
    pub(super) fn restored(mut self) -> Result<Self, Illegal> {
        let mut invoices: Vec<_> = self.invoices.iter_mut().collect();
        // The sort is stable, and the rows come in the order of their hashes.
        invoices.sort_by_key(|(_, row)| row.expires_at);
        let numbers = invoices.into_iter().map(|(hash, row)| (*hash, &mut row.number));
        self.invoice_order.restore(numbers)?;
        let numbers = self.payments.iter_mut().map(|(hash, row)| (*hash, &mut row.number));
        self.payment_order.restore(numbers)?;
        Ok(self)
    }

    /// All sats that are the node's or pass through it. Kept within all bitcoin, so that no sum overflows.
    pub(super) fn wealth(&self) -> Result<Msat, MsatError> {
        Msat::checked_sum([self.spendable, self.incoming, self.outgoing])
    }

    /// Takes one change. An error leaves the state half changed: it is not to be used any more.
    pub(super) fn apply(&mut self, record: Record) -> Result<(), Illegal> {
        match record {
            // It only begins a file.
            Record::Snapshot(_) => return Err(Illegal::Edge),
            Record::Invoice { hash, row } => self.add(hash, row)?,
            Record::Accepted { hash, paid, parts, expiry_height } => {
                self.accept(hash, paid, parts, expiry_height)?;
            }
            Record::Settled { hash, paid, preimage, at } => self.settle(hash, paid, preimage, at)?,
            Record::Resolved { hash, end } => self.resolve(hash, end)?,
            Record::Canceled { hash } => self.cancel(hash)?,
            Record::Dispatched { hash, row } => self.dispatch(hash, row)?,
            Record::Paid { hash, preimage, fee } => {
                if preimage.hash() != hash {
                    return Err(Illegal::Preimage);
                }
                self.conclude(hash, PaymentPhase::Settled { preimage, fee })?;
            }
            Record::Failed { hash, reason } => self.conclude(hash, PaymentPhase::Failed(reason))?,
            Record::Height { height } => {
                if height < self.height {
                    return Err(Illegal::Edge);
                }
                self.height = height;
            }
        }
        Ok(())
    }

    fn add(&mut self, hash: PaymentHash, mut row: InvoiceRow) -> Result<(), Illegal> {
        self.invoice_order.add(hash, &mut row.number)?;
        if row.phase != InvoicePhase::Open || self.invoices.insert(hash, row).is_some() {
            return Err(Illegal::Duplicate);
        }
        self.live_invoices += 1;
        Ok(())
    }

    fn accept(
        &mut self,
        hash: PaymentHash,
        paid: Msat,
        parts: u32,
        expiry_height: u32,
    ) -> Result<(), Illegal> {
        let row = self.invoices.get_mut(&hash).ok_or(Illegal::Unknown)?;
        if row.phase != InvoicePhase::Open || !row.hold || paid < row.amount {
            return Err(Illegal::Edge);
        }
        row.phase = InvoicePhase::Accepted { paid, parts, expiry_height };
        self.incoming = self.incoming.checked_add(paid)?;
        self.hint(hash);
        Ok(())
    }

    fn settle(
        &mut self,
        hash: PaymentHash,
        paid: Msat,
        preimage: Preimage,
        at: Micros,
    ) -> Result<(), Illegal> {
        let row = self.invoices.get_mut(&hash).ok_or(Illegal::Unknown)?;
        if preimage.hash() != hash {
            return Err(Illegal::Preimage);
        }
        match row.phase {
            InvoicePhase::Open if !row.hold && paid >= row.amount => {}
            InvoicePhase::Accepted { paid: accepted, .. } if paid == accepted => {
                self.incoming = self.incoming.checked_sub(accepted)?;
            }
            InvoicePhase::Open
            | InvoicePhase::Accepted { .. }
            | InvoicePhase::Settled { .. }
            | InvoicePhase::Canceled => {
                return Err(Illegal::Edge);
            }
        }
        row.preimage = Some(preimage);
        row.phase = InvoicePhase::Settled { paid, at };
        self.spendable = self.spendable.checked_add(paid)?;
        self.live_invoices -= 1;
        self.hint(hash);
        Ok(())
    }

    /// The end of a settled hold invoice's HTLCs. Sats that go back to the payer must still be there: what was sent on was
    /// ours.
    fn resolve(&mut self, hash: PaymentHash, end: HtlcEnd) -> Result<(), Illegal> {
        let row = self.invoices.get_mut(&hash).filter(|row| row.hold).ok_or(Illegal::Unknown)?;
        let InvoicePhase::Settled { paid, .. } = row.phase else { return Err(Illegal::Edge) };
        match (row.htlcs, end) {
            (HtlcEnd::Unresolved, HtlcEnd::Ours) => {}
            (HtlcEnd::Unresolved, HtlcEnd::TimedOut) => {
                let spendable = self.spendable.checked_sub(paid)?;
                if spendable.is_negative() {
                    return Err(Illegal::Amount);
                }
                self.spendable = spendable;
            }
            (HtlcEnd::Ours | HtlcEnd::TimedOut, _) | (HtlcEnd::Unresolved, HtlcEnd::Unresolved) => {
                return Err(Illegal::Edge);
            }
        }
        row.htlcs = end;
        Ok(())
    }

    fn cancel(&mut self, hash: PaymentHash) -> Result<(), Illegal> {
        let row = self.invoices.get_mut(&hash).ok_or(Illegal::Unknown)?;
        match row.phase {
            InvoicePhase::Open => {}
            InvoicePhase::Accepted { paid, .. } => self.incoming = self.incoming.checked_sub(paid)?,
            InvoicePhase::Settled { .. } | InvoicePhase::Canceled => return Err(Illegal::Edge),
        }
        row.phase = InvoicePhase::Canceled;
        self.live_invoices -= 1;
        self.hint(hash);
        Ok(())
    }

    fn dispatch(&mut self, hash: PaymentHash, mut row: PaymentRow) -> Result<(), Illegal> {
        if row.phase != PaymentPhase::InFlight {
            return Err(Illegal::Edge);
        }
        self.payment_order.add(hash, &mut row.number)?;
        let reserve = row.reserve()?;
        let spendable = self.spendable.checked_sub(reserve)?;
        if spendable.is_negative() {
            return Err(Illegal::Amount);
        }
        if self.payments.insert(hash, row).is_some() {
            return Err(Illegal::Duplicate);
        }
        self.spendable = spendable;
        self.outgoing = self.outgoing.checked_add(reserve)?;
        self.live_payments += 1;
        Ok(())
    }

    fn conclude(&mut self, hash: PaymentHash, end: PaymentPhase) -> Result<(), Illegal> {
        let row = self.payments.get_mut(&hash).ok_or(Illegal::Unknown)?;
        if row.phase != PaymentPhase::InFlight {
            return Err(Illegal::Edge);
        }
        let reserve = row.reserve()?;
        let back = match &end {
            PaymentPhase::InFlight => return Err(Illegal::Edge),
            PaymentPhase::Settled { fee, .. } if !row.reserved || *fee > row.fee_limit => {
                return Err(Illegal::Amount);
            }
            PaymentPhase::Settled { fee, .. } => row.fee_limit.checked_sub(*fee)?,
            PaymentPhase::Failed(_) => reserve,
        };
        row.phase = end;
        self.outgoing = self.outgoing.checked_sub(reserve)?;
        self.spendable = self.spendable.checked_add(back)?;
        self.live_payments -= 1;
        Ok(())
    }

    fn hint(&mut self, hash: PaymentHash) {
        if self.hints.len() == MAX_HINTS {
            self.hints.pop_front();
        }
        self.hints.push_back(hash);
        self.hint_count += 1;
    }

    /// The hints after the first `seen` ones, each with its number, at most `limit` of them.
    pub(super) fn hints_after(&self, seen: u64, limit: usize) -> Vec<(u64, PaymentHash)> {
        let kept = u64::try_from(self.hints.len()).unwrap_or(u64::MAX);
        let first = self.hint_count.saturating_sub(kept);
        (first + 1..)
            .zip(&self.hints)
            .filter(|(number, _)| *number > seen)
            .take(limit)
            .map(|(n, h)| (n, *h))
            .collect()
    }

    /// Forgets invoices that were never paid and can no longer be, where they expired before `before`, as
    /// real nodes collect theirs. What moved sats is kept for ever.
    pub(super) fn forget_canceled(&mut self, before: Micros) {
        let Self { invoices, invoice_order, .. } = self;
        invoices.retain(|_, row| row.phase != InvoicePhase::Canceled || row.expires_at >= before);
        invoice_order.retain(|hash| invoices.contains_key(hash));
    }
}

impl From<MsatError> for Illegal {
    fn from(_: MsatError) -> Self {
        Self::Amount
    }
}
