//! The receiving side's decisions: invoices, hold invoices, payments from outside, blocks.

use std::time::Duration;

use poa_common::{Msat, Timestamp};

use super::core::Core;
use super::outside::{Attempt, FaucetError};
use super::record::{HtlcEnd, InvoicePhase, InvoiceRow, Record};
use super::wallet::Draft;
use crate::{
    Error, Finality, Invoice, InvoiceState, NewHoldInvoice, NewInvoice, PaymentHash, Preimage, Unit, bolt11,
};

/// Blocks before the first HTLC times out at which the node gives an accepted invoice back (LND's value).
pub(super) const HOLD_EXPIRY_MARGIN_BLOCKS: u32 = 18;
/// The final CLTV delta where none is asked for (LND's default).
const DEFAULT_FINAL_CLTV_BLOCKS: u16 = 80;
/// What a caller may ask for, in blocks: LND's floor, and what senders cap a whole route at.
const FINAL_CLTV_BLOCKS: std::ops::RangeInclusive<u16> = 24..=2_016;
/// The longest that an invoice can be paid (LND's value).
const MAX_EXPIRY: Duration = Duration::from_secs(365 * 24 * 3_600);
/// Open and accepted invoices at a time. Keeps the file and the memory bounded.
const MAX_LIVE_INVOICES: usize = 100_000;
/// HTLCs in one channel direction: no payment has more parts.
const MAX_PARTS: u32 = 483;
/// Overpayment that is still taken, as a multiple of the amount.
const MAX_OVERPAYMENT: i64 = 2;

impl Core {
    /// Makes an ordinary invoice with a random preimage.
    pub(super) fn create(&mut self, new: &NewInvoice) -> Result<Invoice, Error> {
        let preimage = Preimage::new(self.env.random());
        self.add(preimage.hash(), new, Some(preimage))
    }

    /// Makes a hold invoice, or finds the one that the same request has made.
    pub(super) fn add_hold(&mut self, new: &NewHoldInvoice) -> Result<Invoice, Error> {
        let Some(row) = self.state.invoices.get(&new.hash) else {
            return self.add(new.hash, &new.invoice, None);
        };
        let decoded = bolt11::decode(&row.bolt11).map_err(|_| Error::NoAnswer(None))?;
        let same = row.hold
            && row.amount == new.invoice.amount
            && decoded.description_hash == Some(new.invoice.description_hash)
            && row.min_final_cltv == new.invoice.min_final_cltv.unwrap_or(DEFAULT_FINAL_CLTV_BLOCKS);
        if !same {
            return Err(Error::WrongState { state: "existing" });
        }
        Ok(Invoice {
            hash: new.hash,
            bolt11: row.bolt11.clone(),
            amount: row.amount,
            expires_at: row.expires_at.into(),
        })
    }

    fn add(
        &mut self,
        hash: PaymentHash,
        new: &NewInvoice,
        preimage: Option<Preimage>,
    ) -> Result<Invoice, Error> {
        if !Unit::Msat.fits(new.amount) {
            return Err(Error::Invalid("an amount that is not positive or beyond all bitcoin"));
        }
        if new.expiry < Duration::from_secs(1) || new.expiry > MAX_EXPIRY || new.expiry.subsec_nanos() != 0 {
            return Err(Error::Invalid("an expiry that is not whole seconds, from one to a year"));
        }
        let min_final_cltv = new.min_final_cltv.unwrap_or(DEFAULT_FINAL_CLTV_BLOCKS);
        if !FINAL_CLTV_BLOCKS.contains(&min_final_cltv) {
            return Err(Error::Invalid("a final CLTV delta out of range"));
        }
        if self.state.invoices.contains_key(&hash) {
            return Err(Error::WrongState { state: "existing" });
        }
        if self.state.live_invoices >= MAX_LIVE_INVOICES {
            return Err(Error::Full("open invoices"));
        }
        let now = self.now();
        let bolt11 = self.wallet.sign(Draft {
            hash,
            secret: self.env.random(),
            amount: new.amount,
            description_hash: new.description_hash,
            expiry: new.expiry,
            min_final_cltv,
            now,
        })?;
        let expires_at =
            bolt11::decode(&bolt11).map_err(|_| Error::Invalid("a time that BOLT11 cannot say"))?.expires_at;
        let row = InvoiceRow {
            bolt11: bolt11.clone(),
            amount: new.amount,
            expires_at: expires_at.into(),
            min_final_cltv,
            hold: preimage.is_none(),
            preimage,
            phase: InvoicePhase::Open,
            number: self.state.invoice_order.next(),
            htlcs: HtlcEnd::Unresolved,
        };
        self.commit(vec![Record::Invoice { hash, row }])?;
        Ok(Invoice { hash, bolt11, amount: new.amount, expires_at })
    }

    /// The state of an invoice now. One whose time has passed is cancelled on the way, durably.
    pub(super) fn invoice(&mut self, hash: PaymentHash) -> Result<Option<InvoiceState>, Error> {
        self.expire(hash)?;
        Ok(self.state.invoices.get(&hash).map(InvoiceRow::state))
    }

    fn expire(&mut self, hash: PaymentHash) -> Result<(), Error> {
        let now = self.now();
        let late = self
            .state
            .invoices
            .get(&hash)
            .is_some_and(|row| row.phase == InvoicePhase::Open && Timestamp::from(row.expires_at) <= now);
        if late { self.commit(vec![Record::Canceled { hash }]) } else { Ok(()) }
    }

    /// Cancels an open invoice; an accepted one too where the caller may give sats back.
    pub(super) fn cancel(&mut self, hash: PaymentHash, accepted_too: bool) -> Result<(), Error> {
        let row = self.state.invoices.get(&hash).ok_or(Error::NotFound)?;
        match row.phase {
            InvoicePhase::Canceled => Ok(()),
            InvoicePhase::Open => self.commit(vec![Record::Canceled { hash }]),
            InvoicePhase::Accepted { .. } if accepted_too => self.commit(vec![Record::Canceled { hash }]),
            InvoicePhase::Accepted { .. } | InvoicePhase::Settled { .. } => {
                Err(Error::WrongState { state: row.phase.as_str() })
            }
        }
    }

    /// Takes the sats of an accepted hold invoice.
    pub(super) fn settle(&mut self, preimage: Preimage) -> Result<(), Error> {
        let hash = preimage.hash();
        let row = self.state.invoices.get(&hash).filter(|row| row.hold).ok_or(Error::NotFound)?;
        match row.phase {
            InvoicePhase::Settled { .. } => Ok(()),
            InvoicePhase::Accepted { paid, .. } => {
                let at = self.now().into();
                self.commit(vec![Record::Settled { hash, paid, preimage, at }])
            }
            InvoicePhase::Open | InvoicePhase::Canceled => {
                Err(Error::WrongState { state: row.phase.as_str() })
            }
        }
    }

    /// Whether the sats of a settled hold invoice are ours for good: they are as soon as somebody asks, unless they are to
    /// be lost and were not sent on. Either answer is durable before it is given.
    pub(super) fn finality(&mut self, hash: PaymentHash, lose: bool) -> Result<Finality, Error> {
        let row = self.state.invoices.get(&hash).filter(|row| row.hold).ok_or(Error::NotFound)?;
        let InvoicePhase::Settled { paid, .. } = row.phase else { return Ok(Finality::Pending) };
        let end = match row.htlcs {
            HtlcEnd::Ours => return Ok(Finality::Final),
            HtlcEnd::TimedOut => return Ok(Finality::Lost { kept: Msat::ZERO }),
            HtlcEnd::Unresolved if lose && paid <= self.state.spendable => HtlcEnd::TimedOut,
            HtlcEnd::Unresolved => HtlcEnd::Ours,
        };
        self.commit(vec![Record::Resolved { hash, end }])?;
        self.finality(hash, lose)
    }

    /// Somebody outside pays one of our invoices.
    pub(super) fn receive(&mut self, text: &str, attempt: Attempt) -> Result<InvoiceState, FaucetError> {
        let decoded = bolt11::decode(text)?;
        let hash = decoded.hash;
        self.expire(hash)?;
        let row = self.state.invoices.get(&hash).filter(|row| row.bolt11.eq_ignore_ascii_case(text));
        let row = row.filter(|_| decoded.payee == self.id).ok_or(FaucetError::NotOurs)?;
        if row.phase != InvoicePhase::Open {
            return Err(FaucetError::NotOpen { state: row.phase.as_str() });
        }
        let paid = attempt.amount.unwrap_or(row.amount);
        let most = row.amount.get().saturating_mul(MAX_OVERPAYMENT);
        if paid < row.amount || paid.get() > most || paid > Msat::SUPPLY {
            return Err(FaucetError::WrongAmount { asked: row.amount });
        }
        let wealth = self.state.wealth().and_then(|wealth| wealth.checked_add(paid));
        if !wealth.is_ok_and(|wealth| wealth <= Msat::SUPPLY) {
            return Err(FaucetError::Supply);
        }
        if !(1..=MAX_PARTS).contains(&attempt.parts) {
            return Err(FaucetError::TooManyParts);
        }
        let record = match (&row.preimage, row.hold) {
            (Some(preimage), false) => {
                Record::Settled { hash, paid, preimage: preimage.clone(), at: self.now().into() }
            }
            (None, _) | (_, true) => {
                let blocks = u32::from(row.min_final_cltv).saturating_add(attempt.extra_cltv_blocks);
                let expiry_height = self.state.height.saturating_add(blocks);
                Record::Accepted { hash, paid, parts: attempt.parts, expiry_height }
            }
        };
        self.commit(vec![record])?;
        self.invoice(hash)?.ok_or(FaucetError::NotOurs)
    }

    /// The chain grows: accepted invoices whose HTLCs come close to their timeout are given back.
    pub(super) fn mine(&mut self, blocks: u32) -> Result<u32, Error> {
        let height =
            self.state.height.checked_add(blocks).ok_or(Error::Invalid("a height beyond 32 bits"))?;
        let mut records = vec![Record::Height { height }];
        records.extend(self.state.invoices.iter().filter_map(|(hash, row)| match row.phase {
            InvoicePhase::Accepted { expiry_height, .. }
                if expiry_height.saturating_sub(HOLD_EXPIRY_MARGIN_BLOCKS) <= height =>
            {
                Some(Record::Canceled { hash: *hash })
            }
            InvoicePhase::Accepted { .. }
            | InvoicePhase::Open
            | InvoicePhase::Settled { .. }
            | InvoicePhase::Canceled => None,
        }));
        self.commit(records)?;
        Ok(height)
    }
}
