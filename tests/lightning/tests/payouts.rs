//! Payments of a real node to payees who hold, refuse, are away, or are nowhere.

use poa_lightning::{LndWorld, Which};
use poa_payment::simulated::{Options, OutsideInvoice, SimulatedNode};
use poa_payment::{Doubt, FailureReason, Outcome, Payer, Preimage, Provider, Refusal};
use poa_testkit::eventually;

use crate::support::{AMOUNT, SOON, assert_paid, until_end};

/// A hold invoice of the payee's, and its secret.
pub(crate) async fn held_by_payee(world: &LndWorld) -> (Preimage, String) {
    let preimage = world.preimage();
    let bolt11 = world.network.b().hold_invoice(&preimage.hash().to_hex(), AMOUNT).await;
    (preimage, bolt11)
}

/// Waits until the payee holds our payment.
pub(crate) async fn until_held(world: &LndWorld, preimage: &Preimage) {
    let hash = preimage.hash().to_hex();
    eventually(SOON, "the payee holds it", async || {
        world.network.b().invoice_state(&hash).await.is_ok_and(|state| state == "ACCEPTED")
    })
    .await;
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_payee_that_holds_is_not_waited_for_and_its_end_is_found_by_looking() {
    let world = LndWorld::new().await;
    for settles in [true, false] {
        let (preimage, bolt11) = held_by_payee(&world).await;
        let hash = preimage.hash();
        let intent = world.intent(&bolt11);
        assert_eq!(world.payer.pay(intent.clone()).await, Outcome::InFlight);
        until_held(&world, &preimage).await;
        assert_eq!(world.node.lookup_payment(hash).await, Outcome::InFlight);
        assert_eq!(world.payer.pay(intent.clone()).await, Outcome::InFlight, "the same hash again");
        assert_eq!(world.node.balance().await.unwrap().outgoing, AMOUNT);
        let b = world.network.b();
        if settles {
            b.settle(&preimage.to_hex()).await.unwrap();
            assert_paid(&until_end(&world, hash).await, hash);
            assert_paid(&world.payer.pay(intent).await, hash);
        } else {
            b.cancel(&hash.to_hex()).await.unwrap();
            let refused = Outcome::Failed(FailureReason::IncorrectDetails);
            assert_eq!(until_end(&world, hash).await, refused);
            assert_eq!(world.payer.pay(intent).await, refused);
        }
    }
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn what_was_paid_is_said_again_by_another_payer_and_after_the_invoice_has_expired() {
    let world = LndWorld::new().await;
    let amount = AMOUNT.get().to_string();
    let bolt11 = world.network.b().bolt11(&["addinvoice", "--amt_msat", &amount, "--expiry", "4"]).await;
    let intent = world.intent(&bolt11);
    world.payer.pay(intent.clone()).await;
    let paid = until_end(&world, intent.hash).await;
    assert_paid(&paid, intent.hash);
    let expires_at = world.node.decode(&bolt11).unwrap().expires_at;
    eventually(SOON, "the invoice expires", async || world.time() > expires_at).await;
    let (_node, another) =
        poa_payment::lnd::LndNode::open(&world.network.options().await, poa_chassis::system_env()).unwrap();
    for payer in [&world.payer, &another] {
        assert_eq!(payer.pay(intent.clone()).await, paid);
    }
    // An expired invoice that nobody has paid is refused, and nothing is known of it.
    let unpaid = world.network.b().bolt11(&["addinvoice", "--amt_msat", &amount, "--expiry", "1"]).await;
    let intent = world.intent(&unpaid);
    let expires_at = world.node.decode(&unpaid).unwrap().expires_at;
    eventually(SOON, "the invoice expires", async || world.time() > expires_at).await;
    assert_eq!(world.payer.pay(intent.clone()).await, Outcome::NotSent(Refusal::Expired));
    assert_eq!(world.node.lookup_payment(intent.hash).await, Outcome::Unknown(Doubt::NotFound));
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_payee_that_nobody_knows_has_no_route_and_nothing_is_spent() {
    let world = LndWorld::new().await;
    let file = world.network.folder().join(world.preimage().hash().to_hex());
    let (nowhere, _) = SimulatedNode::open(&Options::new(file), poa_chassis::system_env()).unwrap();
    let invoice = nowhere.outside_invoice(OutsideInvoice::of(AMOUNT)).await.unwrap();
    let before = world.node.balance().await.unwrap();
    let intent = world.intent(&invoice.bolt11);
    world.payer.pay(intent.clone()).await;
    let failed = Outcome::Failed(FailureReason::NoRoute);
    assert_eq!(until_end(&world, intent.hash).await, failed);
    assert_eq!(world.node.balance().await.unwrap(), before);
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn what_has_failed_is_not_sent_again_when_the_payee_is_back() {
    let world = LndWorld::new().await;
    let b = world.network.b();
    let intent = world.intent(&b.invoice(AMOUNT).await);
    world.network.stop(Which::B).await;
    world.payer.pay(intent.clone()).await;
    let failed = until_end(&world, intent.hash).await;
    assert!(matches!(failed, Outcome::Failed(_)), "{failed:?}");
    world.network.start(Which::B).await;
    assert_eq!(world.payer.pay(intent.clone()).await, failed);
    assert_eq!(b.invoice_state(&intent.hash.to_hex()).await.unwrap(), "OPEN");
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_payee_that_could_lock_our_sats_for_long_is_refused() {
    let world = LndWorld::new().await;
    let (hash, amount) = (world.preimage().hash().to_hex(), AMOUNT.get().to_string());
    let arguments = ["addholdinvoice", &hash, "--amt_msat", &amount, "--cltv_expiry_delta", "433"];
    let intent = world.intent(&world.network.b().bolt11(&arguments).await);
    assert_eq!(world.payer.pay(intent.clone()).await, Outcome::NotSent(Refusal::CltvTooLong));
    assert_eq!(world.node.lookup_payment(intent.hash).await, Outcome::Unknown(Doubt::NotFound));
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_call_that_is_dropped_leaves_its_payment_going() {
    let world = LndWorld::new().await;
    let intent = world.intent(&world.network.b().invoice(AMOUNT).await);
    let call = world.payer.pay(intent.clone());
    // Begun, and given up before the node can have answered.
    let began = tokio::time::timeout(std::time::Duration::ZERO, call).await;
    assert!(began.is_err(), "{began:?}");
    eventually(SOON, "it is paid all the same", async || {
        matches!(world.node.lookup_payment(intent.hash).await, Outcome::Settled { .. })
    })
    .await;
    assert_paid(&world.payer.pay(intent.clone()).await, intent.hash);
}
