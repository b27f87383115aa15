//! Payouts are never made twice and never lost: a thousand of them against a node on its bad days, the service ended in
//! the middle again and again; and real kills of its process.
//!
//! `POA_PAYOUTS` says how many payouts, `POA_PAYOUT_KILLS` how many kills, `POA_PAYOUT_SEED` which days the node has.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the harness of tests: what cannot go on ends the test"
)]

mod adversary;
mod house;
mod killed;
#[path = "../kills/node.rs"]
mod node;

use std::path::Path;

use poa_common::{Env, Msat};
use poa_payment::simulated::{Options, OutsideInvoice, SimulatedNode};
use poa_testkit::LnurlServer;

/// An address of somebody outside.
const ADDRESS: &str = "alice@pay.example";

/// What the caller asks for.
#[expect(clippy::disallowed_methods, reason = "a test's size is the caller's to say")]
fn asked_for(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A host of Lightning addresses, with a wallet of the simulated network behind it.
async fn addresses(folder: &Path, env: Env) -> LnurlServer {
    let options = Options::new(folder.join("wallet.journal"));
    let (wallet, _cannot_send) = SimulatedNode::open(&options, env).expect("a wallet");
    let outside = LnurlServer::start(&["pay.example"], move |amount, description_hash| {
        let wallet = wallet.clone();
        let wanted = OutsideInvoice {
            description_hash: Some(description_hash),
            ..OutsideInvoice::of(Msat::new(amount))
        };
        async move { wallet.outside_invoice(wanted).await.expect("an invoice").bolt11 }
    })
    .await;
    std::fs::write(folder.join("roots.pem"), outside.https().roots()).expect("a file");
    outside
}
