//! The sending side's decisions: one payment per hash, ever.

use poa_common::Msat;

use super::core::Core;
use super::faults::PayEffect;
use super::outside::{Resolution, ResolveError};
use super::record::{Fate, PaymentPhase, PaymentRow, Record};
use super::wallet::known_preimage;
use crate::{
    Chain, Doubt, Error, FailureReason, Outcome, PayIntent, PaymentHash, Preimage, Refusal, Unit, bolt11,
};

/// What the simulated route takes: a tenth of a per cent of the amount, rounded up to the msat.
const ROUTING_FEE_BASIS_POINTS: u32 = 10;
/// Payments in flight at a time: the HTLCs of one channel direction.
const MAX_LIVE_PAYMENTS: usize = 483;
/// A payee that asks for more could lock our sats for more than three days.
const MAX_FINAL_CLTV_BLOCKS: u64 = 432;

impl Core {
    /// Sends a payment, or says what became of the first one with this hash.
    pub(super) fn pay(&mut self, intent: &PayIntent, effect: PayEffect) -> Outcome {
        // First of all: no check of the invoice may speak over an earlier dispatch.
        if self.state.payments.contains_key(&intent.hash) {
            return self.payment(intent.hash);
        }
        let preimage = match self.admit(intent) {
            Ok(preimage) => preimage,
            Err(refusal) => return Outcome::NotSent(refusal),
        };
        match self.dispatch(intent, preimage, effect) {
            Ok(()) => self.payment(intent.hash),
            Err(_) => Outcome::Unknown(Doubt::NoAnswer),
        }
    }

    /// The checks before anything is sent; the preimage, where the simulated network can know it.
    fn admit(&self, intent: &PayIntent) -> Result<Option<Preimage>, Refusal> {
        let invoice = bolt11::parse(&intent.bolt11).map_err(|_| Refusal::Malformed)?;
        let decoded = bolt11::summarise(&invoice).map_err(|_| Refusal::Malformed)?;
        if decoded.chain != Chain::Simnet {
            return Err(Refusal::WrongNetwork);
        }
        let amount = decoded.amount.ok_or(Refusal::Amountless)?;
        let limit_fits = !intent.fee_limit.is_negative() && intent.fee_limit <= Msat::SUPPLY;
        if amount != intent.amount || decoded.hash != intent.hash || !Unit::Msat.fits(amount) || !limit_fits {
            return Err(Refusal::Mismatch);
        }
        if decoded.payee == self.id || self.state.invoices.contains_key(&intent.hash) {
            return Err(Refusal::OwnInvoice);
        }
        let now = self.now();
        if decoded.expires_at <= now {
            return Err(Refusal::Expired);
        }
        if intent.deadline <= now {
            return Err(Refusal::DeadlinePassed);
        }
        if decoded.min_final_cltv > MAX_FINAL_CLTV_BLOCKS {
            return Err(Refusal::CltvTooLong);
        }
        if self.state.live_payments >= MAX_LIVE_PAYMENTS {
            return Err(Refusal::Full);
        }
        Ok(known_preimage(&invoice))
    }

    fn dispatch(
        &mut self,
        intent: &PayIntent,
        preimage: Option<Preimage>,
        effect: PayEffect,
    ) -> Result<(), Error> {
        let fee = routing_fee(intent.amount);
        let affordable =
            intent.amount.checked_add(intent.fee_limit).is_ok_and(|reserve| reserve <= self.state.spendable);
        let usual = if !affordable {
            Fate::Fail(FailureReason::InsufficientBalance)
        } else if fee > intent.fee_limit || preimage.is_none() {
            Fate::Fail(FailureReason::NoRoute)
        } else {
            Fate::Settle
        };
        let fate = match effect {
            PayEffect::StaysInFlight if affordable => Fate::Wait,
            PayEffect::Fails(reason) => Fate::Fail(reason),
            PayEffect::Usual | PayEffect::StaysInFlight | PayEffect::NeverArrives => usual,
        };
        let row = PaymentRow {
            amount: intent.amount,
            fee_limit: intent.fee_limit,
            fee,
            preimage,
            fate,
            phase: PaymentPhase::InFlight,
            // What cannot be afforded sets nothing aside, or the balance would go below zero.
            reserved: affordable,
            number: self.state.payment_order.next(),
        };
        self.commit(vec![Record::Dispatched { hash: intent.hash, row }])?;
        self.conclude(intent.hash)
    }

    /// Lets the network do what was decided, if the payment does not wait.
    fn conclude(&mut self, hash: PaymentHash) -> Result<(), Error> {
        let Some(row) = self.state.payments.get(&hash).filter(|row| row.phase == PaymentPhase::InFlight)
        else {
            return Ok(());
        };
        let record = match (row.fate, &row.preimage) {
            (Fate::Wait, _) => return Ok(()),
            (Fate::Fail(reason), _) => Record::Failed { hash, reason },
            (Fate::Settle, Some(preimage)) => Record::Paid { hash, preimage: preimage.clone(), fee: row.fee },
            (Fate::Settle, None) => Record::Failed { hash, reason: FailureReason::NoRoute },
        };
        self.commit(vec![record])
    }

    /// After a start: what was decided and not yet done.
    pub(super) fn conclude_all(&mut self) -> Result<(), Error> {
        let in_flight: Vec<_> = self
            .state
            .payments
            .iter()
            .filter(|(_, row)| row.phase == PaymentPhase::InFlight)
            .map(|(hash, _)| *hash)
            .collect();
        in_flight.into_iter().try_for_each(|hash| self.conclude(hash))
    }

    /// What is known of a payment.
    pub(super) fn payment(&self, hash: PaymentHash) -> Outcome {
        let known = self.state.payments.get(&hash).map(|row| row.phase.outcome());
        known.unwrap_or(Outcome::Unknown(Doubt::NotFound))
    }

    /// The end of a payment that waits in flight.
    pub(super) fn resolve(&mut self, hash: PaymentHash, resolution: Resolution) -> Result<(), ResolveError> {
        let row = self.state.payments.get(&hash).ok_or(ResolveError::NotInFlight)?;
        if row.phase != PaymentPhase::InFlight {
            return Err(ResolveError::NotInFlight);
        }
        let record = match (resolution, &row.preimage) {
            (Resolution::Fails(reason), _) => Record::Failed { hash, reason },
            (Resolution::Settles, Some(preimage)) if row.fee <= row.fee_limit => {
                Record::Paid { hash, preimage: preimage.clone(), fee: row.fee }
            }
            (Resolution::Settles, Some(_)) => return Err(ResolveError::FeeAboveLimit),
            (Resolution::Settles, None) => return Err(ResolveError::NoPreimage),
        };
        Ok(self.commit(vec![record])?)
    }
}

/// The fee of the one route there is.
fn routing_fee(amount: Msat) -> Msat {
    let parts = 10_000 / i64::from(ROUTING_FEE_BASIS_POINTS);
    Msat::new(amount.get().div_euclid(parts) + i64::from(amount.get().rem_euclid(parts) != 0))
}
