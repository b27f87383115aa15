//! The stand-in's payments, by a real node's rules: one that succeeded or is in flight is not begun again, one that failed is.

use lightning_invoice::Bolt11Invoice;
use poa_payment::lnd::contract::lnrpc::htlc_attempt::HtlcStatus;
use poa_payment::lnd::contract::lnrpc::payment::PaymentStatus;
use poa_payment::lnd::contract::lnrpc::{HtlcAttempt, Payment, PaymentFailureReason};
use poa_payment::lnd::contract::routerrpc::SendPaymentRequest;
use poa_payment::{Chain, Decoded, FailureReason, PaymentHash, Preimage, decode};
use tonic::{Code, Status};

use super::faults::PaymentPlan;
use super::state::{Node, PaymentRow, go_error};

/// What the one route takes: a tenth of a per cent, rounded up to the msat.
const ROUTE_FEE_DIVISOR: i64 = 1_000;
/// What the node adds to the payee's final CLTV delta, in blocks.
const ROUTE_CLTV_BLOCKS: u64 = 80;

// === impl Node ===

impl Node {
    /// Takes a payment, or refuses it before taking note of it.
    pub(super) fn send(&mut self, request: &SendPaymentRequest) -> Result<PaymentHash, Status> {
        let decoded = self.check_intent(request)?;
        let hash = decoded.hash;
        if let Some(row) = self.payments.get(&hash) {
            let text = match row.payment.status() {
                PaymentStatus::Succeeded => Some("invoice is already paid"),
                PaymentStatus::InFlight => Some("payment is in transition"),
                PaymentStatus::Initiated | PaymentStatus::Unknown => Some("payment already exists"),
                PaymentStatus::Failed => None,
            };
            if let Some(text) = text {
                return Err(Status::new(Code::AlreadyExists, text));
            }
        }
        self.begin(request, &decoded);
        Ok(hash)
    }

    /// The checks of a real node in their order. It looks at the hash only after all of them.
    fn check_intent(&self, request: &SendPaymentRequest) -> Result<Decoded, Status> {
        let text = &request.payment_request;
        text.parse::<Bolt11Invoice>()
            .map_err(|_| go_error("checksum failed. Expected aaaaaa, got bbbbbb."))?;
        let decoded = decode(text).map_err(|_| go_error("invoice too large"))?;
        if decoded.chain != Chain::Regtest {
            return Err(go_error("invoice not for current active network 'regtest'"));
        }
        if decoded.expires_at <= self.env.now() {
            let until = decoded.expires_at;
            return Err(go_error(format!(
                "invoice expired. Valid until {} {} +0000 UTC",
                until.date(),
                until.time()
            )));
        }
        if decoded.amount.is_none() {
            return Err(go_error("amount must be specified when paying a zero amount invoice"));
        }
        if !request.allow_self_payment && decoded.payee == self.id() {
            return Err(go_error("self-payments not allowed"));
        }
        Ok(decoded)
    }

    fn begin(&mut self, request: &SendPaymentRequest, decoded: &Decoded) {
        let hash = decoded.hash;
        let amount = decoded.amount.expect("checked above").get();
        let fee = amount / ROUTE_FEE_DIVISOR + i64::from(amount % ROUTE_FEE_DIVISOR != 0);
        let out_msat = amount + fee;
        let preimage = self.outside_preimages.get(&hash).cloned();
        let cltv_fits = i64::try_from(decoded.min_final_cltv + ROUTE_CLTV_BLOCKS)
            .is_ok_and(|blocks| blocks <= i64::from(request.cltv_limit));
        self.payment_count += 1;
        let mut payment = Payment {
            payment_hash: hash.to_hex(),
            payment_preimage: "0".repeat(64),
            value_msat: amount,
            payment_index: self.payment_count,
            ..Payment::default()
        };
        payment.set_status(PaymentStatus::InFlight);
        let plan = self.plans.pop_front().unwrap_or_default();
        let unaffordable = out_msat > self.local_msat;
        let fails = match plan {
            PaymentPlan::Fails(reason) => Some(reason),
            PaymentPlan::Usual | PaymentPlan::PayeeHolds if unaffordable => {
                Some(FailureReason::InsufficientBalance)
            }
            PaymentPlan::Usual | PaymentPlan::PayeeHolds
                if fee > request.fee_limit_msat || !cltv_fits || preimage.is_none() =>
            {
                Some(FailureReason::NoRoute)
            }
            PaymentPlan::Usual | PaymentPlan::PayeeHolds => None,
        };
        let out_msat = if fails.is_some() { 0 } else { out_msat };
        if fails.is_none() {
            payment.htlcs.push(HtlcAttempt { status: HtlcStatus::InFlight.into() });
        }
        self.local_msat -= out_msat;
        self.payments.insert(hash, PaymentRow { payment, preimage, out_msat });
        self.changed();
        match (fails, plan) {
            (Some(reason), _) => self.fail(hash, reason),
            (None, PaymentPlan::PayeeHolds) => {}
            (None, PaymentPlan::Usual | PaymentPlan::Fails(_)) => self.succeed(hash),
        }
    }

    /// The payee takes it.
    pub(super) fn succeed(&mut self, hash: PaymentHash) {
        let Some(row) = self.payments.get_mut(&hash) else { return };
        let Some(preimage) = row.preimage.as_ref().map(Preimage::to_hex) else { return };
        if row.payment.status() == PaymentStatus::InFlight {
            row.payment.payment_preimage = preimage;
            row.payment.fee_msat = row.out_msat - row.payment.value_msat;
            row.payment.set_status(PaymentStatus::Succeeded);
            row.payment.htlcs.iter_mut().for_each(|htlc| htlc.set_status(HtlcStatus::Succeeded));
            self.changed();
        }
    }

    /// The reason is known, and the HTLC is not back yet.
    pub(super) fn announce_failure(&mut self, hash: PaymentHash, reason: FailureReason) {
        if let Some(row) = self.payments.get_mut(&hash) {
            row.payment.set_failure_reason(wire(reason));
            self.changed();
        }
    }

    /// It comes back.
    pub(super) fn fail(&mut self, hash: PaymentHash, reason: FailureReason) {
        let Some(row) = self.payments.get_mut(&hash) else { return };
        if row.payment.status() == PaymentStatus::InFlight {
            row.payment.set_failure_reason(wire(reason));
            row.payment.set_status(PaymentStatus::Failed);
            row.payment.htlcs.iter_mut().for_each(|htlc| htlc.set_status(HtlcStatus::Failed));
            self.local_msat += row.out_msat;
            self.changed();
        }
    }
}

fn wire(reason: FailureReason) -> PaymentFailureReason {
    match reason {
        FailureReason::Timeout => PaymentFailureReason::Timeout,
        FailureReason::NoRoute => PaymentFailureReason::NoRoute,
        FailureReason::IncorrectDetails => PaymentFailureReason::IncorrectPaymentDetails,
        FailureReason::InsufficientBalance => PaymentFailureReason::InsufficientBalance,
        FailureReason::Canceled => PaymentFailureReason::Canceled,
        FailureReason::Error => PaymentFailureReason::Error,
    }
}
