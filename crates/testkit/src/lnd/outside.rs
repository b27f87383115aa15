//! The world outside of the stand-in: who pays its invoices, whose invoices it pays, its chain, and its settings.

use std::time::Duration;

use poa_common::Msat;
use poa_payment::lnd::contract::lnrpc::InvoiceHtlcState;
use poa_payment::{FailureReason, PaymentHash, Preimage, decode};

use super::LndStandIn;
use super::faults::PaymentPlan;
use super::state::LndAttempt;
use super::wallet::Draft;

/// An invoice of somebody outside, for the node to pay.
#[derive(Clone, Copy, Debug)]
pub struct LndOutsideInvoice {
    /// What is asked for; zero leaves it to the payer.
    pub amount: Msat,
    /// How long it can be paid, in whole seconds.
    pub expiry: Duration,
    /// The final CLTV delta, in blocks.
    pub min_final_cltv: u64,
    /// Whether the node finds a way to the payee.
    pub reachable: bool,
}

// === impl LndOutsideInvoice ===

impl LndOutsideInvoice {
    /// For an hour, by somebody with a channel.
    pub fn of(amount: Msat) -> Self {
        Self { amount, expiry: Duration::from_secs(3_600), min_final_cltv: 80, reachable: true }
    }
}

// === impl LndStandIn ===

impl LndStandIn {
    /// Somebody outside pays an invoice of the node as it asks. Returns when the payment has arrived.
    pub fn pay(&self, bolt11: &str) -> Result<(), String> {
        self.pay_with(bolt11, LndAttempt::default())
    }

    /// Somebody outside pays with a mind of their own: more, in parts, with more blocks.
    pub fn pay_with(&self, bolt11: &str, attempt: LndAttempt) -> Result<(), String> {
        let decoded = decode(bolt11).map_err(|error| error.to_string())?;
        self.shared.node().receive(decoded.hash, attempt)
    }

    /// Somebody outside makes an invoice that the node can pay.
    ///
    /// # Panics
    /// Where BOLT11 cannot say it.
    pub fn outside_invoice(&self, wanted: LndOutsideInvoice) -> String {
        let mut node = self.shared.node();
        let preimage = Preimage::new(node.env.random());
        let hash = preimage.hash();
        let draft = Draft {
            hash,
            secret: node.env.random(),
            amount_msat: u64::try_from(wanted.amount.get()).expect("not negative"),
            description_hash: *hash.as_bytes(),
            expiry: wanted.expiry,
            min_final_cltv: wanted.min_final_cltv,
            now: node.now(),
        };
        if wanted.reachable {
            node.outside_preimages.insert(hash, preimage);
        }
        node.outside.sign(&draft).expect("terms that BOLT11 can say")
    }

    /// What becomes of the payments to come, in their order. Then they go as usual.
    pub fn plan(&self, plans: impl IntoIterator<Item = PaymentPlan>) {
        self.shared.node().plans.extend(plans);
    }

    /// A payee that held takes the payment, or gives it back for this reason.
    pub fn resolve_payment(&self, hash: PaymentHash, end: Result<(), FailureReason>) {
        let mut node = self.shared.node();
        match end {
            Ok(()) => node.succeed(hash),
            Err(reason) => node.fail(hash, reason),
        }
    }

    /// A payment that is in flight already says why it is going to fail.
    pub fn announce_failure(&self, hash: PaymentHash, reason: FailureReason) {
        self.shared.node().announce_failure(hash, reason);
    }

    /// The node forgets a payment, as one that was restored from an old backup.
    pub fn forget_payment(&self, hash: PaymentHash) {
        self.shared.node().payments.remove(&hash);
    }

    /// The node forgets an invoice, as one that collects what was cancelled.
    pub fn forget_invoice(&self, hash: PaymentHash) {
        self.shared.node().invoices.remove(&hash);
    }

    /// How many payments the node has begun, of whatever hash.
    pub fn payments_begun(&self) -> u64 {
        self.shared.node().payment_count
    }

    /// The chain grows. Hold invoices that come within 18 blocks of a timeout are cancelled.
    pub fn mine(&self, blocks: u32) {
        self.shared.node().mine(blocks);
    }

    /// Whether the HTLCs of a settled invoice leave the channel at once, or when
    /// [`resolve_htlcs`](Self::resolve_htlcs) says so.
    pub fn resolve_at_once(&self, at_once: bool) {
        self.shared.node().resolves_at_once = at_once;
    }

    /// The first `parts` settled HTLCs of an invoice end: taken, or lost to the payer after all.
    pub fn resolve_htlcs(&self, hash: PaymentHash, parts: usize, taken: bool) {
        let mut node = self.shared.node();
        let Some(row) = node.invoices.get(&hash) else { return };
        let settled = row.invoice.htlcs.iter().filter(|htlc| htlc.state() == InvoiceHtlcState::Settled);
        let numbers: Vec<_> = settled.take(parts).map(|htlc| htlc.htlc_index).collect();
        node.resolutions.extend(numbers.into_iter().map(|number| (number, taken)));
    }

    /// Whether the node runs with `store-final-htlc-resolutions`.
    pub fn store_resolutions(&self, stores: bool) {
        self.shared.node().stores_resolutions = stores;
    }

    /// Whether every update of a stream comes twice.
    pub fn repeat_updates(&self, repeats: bool) {
        self.shared.node().repeats_updates = repeats;
    }

    /// The network that the node says it is on.
    pub fn set_network(&self, network: &'static str) {
        self.shared.node().network = network;
    }

    /// What the node can send.
    pub fn set_spendable(&self, amount: Msat) {
        self.shared.node().local_msat = amount.get();
    }
}
