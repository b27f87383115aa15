//! What the tests share: waiting for what the provider says.

use std::time::Duration;

use poa_common::Msat;
use poa_lightning::LndWorld;
use poa_payment::{Finality, HoldInvoices, InvoiceState, Outcome, PaymentHash, Provider};
use poa_testkit::eventually;

/// How long a test waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// The amount of most tests.
pub(crate) const AMOUNT: Msat = Msat::new(50_000_000);

/// Waits until a lookup gives an invoice in this state.
pub(crate) async fn until_state(world: &LndWorld, hash: PaymentHash, expected: &str) -> InvoiceState {
    let mut found = None;
    eventually(SOON, expected, async || {
        found = world.node.lookup_invoice(hash).await.unwrap();
        found.as_ref().is_some_and(|state| state.as_str() == expected)
    })
    .await;
    found.unwrap()
}

/// Waits until a lookup gives the end of a payment.
pub(crate) async fn until_end(world: &LndWorld, hash: PaymentHash) -> Outcome {
    let mut found = None;
    eventually(SOON, "the payment ends", async || {
        found = Some(world.node.lookup_payment(hash).await);
        found.as_ref().is_some_and(Outcome::is_terminal)
    })
    .await;
    found.unwrap()
}

/// Waits until what was settled is ours for good.
pub(crate) async fn until_final(world: &LndWorld, hash: PaymentHash) {
    eventually(SOON, "it becomes final", async || match world.node.finality(hash).await.unwrap() {
        Finality::Pending => false,
        Finality::Final => true,
        Finality::Lost { .. } => panic!("settled sats were lost"),
    })
    .await;
}

/// The settled end of a payment of this hash, which cost nothing: the other node is our peer.
pub(crate) fn assert_paid(outcome: &Outcome, hash: PaymentHash) {
    let paid = matches!(outcome, Outcome::Settled { preimage, fee }
        if preimage.hash() == hash && *fee == Msat::ZERO);
    assert!(paid, "{outcome:?}");
}
