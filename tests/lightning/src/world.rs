//! The LND provider on our node, with the other node as everybody outside.

use std::time::Duration;

use futures_util::future::BoxFuture;
use poa_common::{Env, Msat, Timestamp};
use poa_payment::conformance::World;
use poa_payment::lnd::{LndNode, LndPayer};
use poa_payment::{NewHoldInvoice, NewInvoice, PayIntent, Payer, PaymentHash, Preimage, Provider};

use crate::network::{Exclusive, network};

/// How long our node may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// What the invoices of the tests pay for.
const DESCRIPTION_HASH: [u8; 32] = [0xd5; 32];

/// Our node behind the traits of a provider, and the network around it, to the exclusion of every other test.
#[derive(Debug)]
pub struct LndWorld {
    /// The network.
    pub network: Exclusive,
    /// What receives and observes.
    pub node: LndNode,
    /// What sends.
    pub payer: LndPayer,
    env: Env,
}

// === impl LndWorld ===

impl LndWorld {
    /// The provider, connected.
    ///
    /// # Panics
    /// Where the network does not come up or our node does not answer.
    pub async fn new() -> Self {
        let network = network().await;
        let env = poa_chassis::system_env();
        let (node, payer) = LndNode::open(&network.options().await, env.clone()).expect("files of the node");
        node.ready(READY_WITHIN).await.expect("a node that is ready");
        Self { network, node, payer, env }
    }

    /// The time.
    pub fn time(&self) -> Timestamp {
        self.env.now()
    }

    /// A new secret.
    pub fn preimage(&self) -> Preimage {
        Preimage::new(self.env.random())
    }

    /// A hold invoice of our node.
    pub fn hold_order(hash: PaymentHash, amount: Msat) -> NewHoldInvoice {
        NewHoldInvoice { hash, invoice: Self::order(amount) }
    }

    /// An ordinary invoice of our node, for an hour.
    pub fn order(amount: Msat) -> NewInvoice {
        NewInvoice {
            amount,
            description_hash: DESCRIPTION_HASH,
            expiry: Duration::from_secs(3_600),
            min_final_cltv: None,
        }
    }

    /// The intent to pay an invoice within a minute, for a fee of 1 %.
    pub fn intent(&self, bolt11: &str) -> PayIntent {
        let decoded = self.node.decode(bolt11).expect("an invoice");
        let amount = decoded.amount.expect("an invoice with an amount");
        PayIntent {
            hash: decoded.hash,
            bolt11: bolt11.to_owned(),
            amount,
            fee_limit: Msat::new(amount.get() / 100),
            deadline: self.time() + Duration::from_secs(60),
        }
    }
}

impl World for LndWorld {
    fn provider(&self) -> &dyn Provider {
        &self.node
    }

    fn payer(&self) -> &dyn Payer {
        &self.payer
    }

    fn now(&self) -> Timestamp {
        self.time()
    }

    fn pay_from_outside<'a>(&'a self, bolt11: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.network.b().pay(bolt11, self.network.a()))
    }

    /// The other node has opened the channels and pays for their commitments.
    fn balance_tolerance(&self) -> Msat {
        Msat::ZERO
    }

    fn outside_invoice(&self, amount: Msat) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async move { Ok(self.network.b().invoice(amount).await) })
    }
}
