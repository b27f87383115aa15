//! A stand-in, a client of it, and a clock in the test's hand.

use std::time::Duration;

use poa_common::{Env, Msat};
use poa_payment::lnd::{LndNode, LndPayer, Options, Timeouts};
use poa_payment::{
    HoldInvoices, Invoice, InvoiceState, NewHoldInvoice, NewInvoice, PayIntent, PaymentHash, Preimage,
    Provider, decode,
};
use poa_testkit::{LndOutsideInvoice, LndStandIn, TestClock, env};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long the impatient clients of these tests wait for an answer.
pub(crate) const SHORT: Duration = Duration::from_secs(1);
/// The amount of most tests.
pub(crate) const AMOUNT: Msat = Msat::new(10_000_000);

pub(crate) struct Fixture {
    pub(crate) lnd: LndStandIn,
    pub(crate) node: LndNode,
    pub(crate) payer: LndPayer,
    pub(crate) env: Env,
    pub(crate) clock: TestClock,
}

impl Fixture {
    pub(crate) async fn new(seed: u64) -> Self {
        let (env, clock) = env(seed);
        let lnd = LndStandIn::start(env.clone()).await;
        let (node, payer) = lnd.open();
        Self { lnd, node, payer, env, clock }
    }

    /// With a client that soon gives up on an answer.
    pub(crate) async fn impatient(seed: u64) -> Self {
        let fixture = Self::new(seed).await;
        let (node, payer) = LndNode::open(&fixture.short_options(), fixture.env.clone()).unwrap();
        Self { node, payer, ..fixture }
    }

    pub(crate) fn short_options(&self) -> Options {
        let timeouts = Timeouts { call: SHORT, dispatch: SHORT, ..Timeouts::default() };
        Options { timeouts, ..self.lnd.options() }
    }

    pub(crate) fn request(&self) -> NewInvoice {
        NewInvoice {
            amount: AMOUNT,
            description_hash: [7; 32],
            expiry: Duration::from_secs(600),
            min_final_cltv: None,
        }
    }

    pub(crate) fn hold(&self) -> &dyn HoldInvoices {
        self.node.hold_invoices().unwrap()
    }

    pub(crate) async fn hold_invoice(&self, blocks: u16) -> (Preimage, Invoice) {
        let preimage = Preimage::new(self.env.random());
        let invoice = NewInvoice { min_final_cltv: Some(blocks), ..self.request() };
        let new = NewHoldInvoice { hash: preimage.hash(), invoice };
        let invoice = self.hold().add(new).await.unwrap();
        (preimage, invoice)
    }

    pub(crate) fn intent(&self) -> PayIntent {
        self.intent_for(LndOutsideInvoice::of(AMOUNT))
    }

    pub(crate) fn intent_for(&self, wanted: LndOutsideInvoice) -> PayIntent {
        let bolt11 = self.lnd.outside_invoice(wanted);
        let decoded = decode(&bolt11).unwrap();
        PayIntent {
            hash: decoded.hash,
            amount: decoded.amount.unwrap_or(AMOUNT),
            bolt11,
            fee_limit: Msat::new(100_000),
            deadline: self.env.now() + Duration::from_secs(60),
        }
    }

    pub(crate) async fn state(&self, hash: PaymentHash) -> InvoiceState {
        self.node.lookup_invoice(hash).await.unwrap().unwrap()
    }
}
