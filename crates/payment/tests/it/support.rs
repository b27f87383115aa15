//! A simulated node in a folder of its own, with a clock in the test's hand.

#[path = "../../src/simulated/test_env.rs"]
mod test_env;

use std::path::PathBuf;
use std::time::Duration;

use poa_common::{Env, Msat};
use poa_payment::simulated::{OpenError, Options, OutsideInvoice, SimulatedNode, SimulatedPayer};
use poa_payment::{Invoice, InvoiceState, NewInvoice, PayIntent, PaymentHash, Preimage, Provider};
use tempfile::TempDir;
use tokio::time::Instant;

pub(crate) use test_env::TestClock;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The amount of most tests.
pub(crate) const AMOUNT: Msat = Msat::new(10_000_000);
/// What paying [`AMOUNT`] costs: a tenth of a per cent.
pub(crate) const FEE: Msat = Msat::new(10_000);

pub(crate) struct Fixture {
    pub(crate) node: SimulatedNode,
    pub(crate) payer: SimulatedPayer,
    pub(crate) env: Env,
    pub(crate) clock: TestClock,
    folder: TempDir,
}

impl Fixture {
    pub(crate) fn new(seed: u64) -> Self {
        let (env, clock) = test_env::env(seed);
        let folder = tempfile::tempdir().unwrap();
        let (node, payer) = SimulatedNode::open(&options(&folder), env.clone()).unwrap();
        Self { node, payer, env, clock, folder }
    }

    pub(crate) fn options(&self) -> Options {
        options(&self.folder)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.options().path
    }

    /// What a crash and a start do: all handles are gone, the file is read again.
    pub(crate) async fn restart(self) -> Self {
        let Self { node, payer, env, clock, folder } = self;
        drop((node, payer));
        let deadline = Instant::now() + PATIENCE;
        // A call that was dropped still runs to its end, and holds the lock until then.
        let (node, payer) = loop {
            match SimulatedNode::open(&options(&folder), env.clone()) {
                Err(OpenError::InUse { .. }) if Instant::now() < deadline => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        Self { node, payer, env, clock, folder }
    }

    /// Stops the node and keeps its folder.
    pub(crate) fn stop(self) -> (Env, TempDir) {
        drop((self.node, self.payer));
        (self.env, self.folder)
    }

    pub(crate) fn request(&self) -> NewInvoice {
        NewInvoice {
            amount: AMOUNT,
            description_hash: [7; 32],
            expiry: Duration::from_secs(600),
            min_final_cltv: None,
        }
    }

    pub(crate) fn preimage(&self) -> Preimage {
        Preimage::new(self.env.random())
    }

    pub(crate) async fn invoice(&self) -> Invoice {
        self.node.create_invoice(self.request()).await.unwrap()
    }

    pub(crate) async fn outside(&self) -> PayIntent {
        let invoice = self.node.outside_invoice(OutsideInvoice::of(AMOUNT)).await.unwrap();
        self.intent(&invoice)
    }

    pub(crate) fn intent(&self, invoice: &Invoice) -> PayIntent {
        PayIntent {
            hash: invoice.hash,
            bolt11: invoice.bolt11.clone(),
            amount: invoice.amount,
            fee_limit: Msat::new(100_000),
            deadline: self.env.now() + Duration::from_secs(60),
        }
    }

    pub(crate) async fn state(&self, hash: PaymentHash) -> InvoiceState {
        self.node.lookup_invoice(hash).await.unwrap().unwrap()
    }

    pub(crate) async fn spendable(&self) -> Msat {
        self.node.balance().await.unwrap().spendable
    }
}

pub(crate) fn options(folder: &TempDir) -> Options {
    Options::new(folder.path().join("node.journal"))
}
