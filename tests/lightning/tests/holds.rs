//! Hold invoices of a real node: when they are final, in parts, and what ends them.

use futures_util::StreamExt;
use poa_common::Msat;
use poa_lightning::{LndWorld, Which};
use poa_payment::{Error, Finality, HoldInvoices, InvoiceState, Provider};
use poa_testkit::eventually;

use crate::support::{AMOUNT, SOON, until_final, until_state};

/// More than one HTLC may carry below, less than two.
const TWO_PARTS: Msat = Msat::new(6_000_000_000);
/// The most of a part where a payer is told to make small ones, in sat.
const PART_SAT: u64 = 20_000;
/// LND gives an accepted invoice back when its HTLCs are so close to their timeout, in blocks.
const HOLD_EXPIRY_DELTA: u32 = 18;

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_settled_hold_invoice_becomes_final_and_stays_it_after_a_restart() {
    let world = LndWorld::new().await;
    let preimage = world.preimage();
    let hash = preimage.hash();
    let invoice = world.node.add(LndWorld::hold_order(hash, AMOUNT)).await.unwrap();
    assert_eq!(world.node.finality(hash).await.unwrap(), Finality::Pending);
    world.network.b().pay(&invoice.bolt11, world.network.a()).await.unwrap();
    until_state(&world, hash, "accepted").await;
    assert_eq!(world.node.finality(hash).await.unwrap(), Finality::Pending);
    world.node.settle(preimage.clone()).await.unwrap();
    let settled = until_state(&world, hash, "settled").await;
    let InvoiceState::Settled { paid, preimage: shown, .. } = settled else { panic!("{settled:?}") };
    assert_eq!((paid, shown), (AMOUNT, Some(preimage)));
    until_final(&world, hash).await;
    world.network.restart(Which::A).await;
    world.node.ready(SOON).await.unwrap();
    assert_eq!(world.node.finality(hash).await.unwrap(), Finality::Final);
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_payment_in_two_parts_is_accepted_once_and_final_with_both() {
    let world = LndWorld::new().await;
    let preimage = world.preimage();
    let hash = preimage.hash();
    let invoice = world.node.add(LndWorld::hold_order(hash, TWO_PARTS)).await.unwrap();
    let (a, b) = (world.network.a(), world.network.b());
    b.pay_other(&invoice.bolt11, 6_000_000, 4_000_000, a).await.unwrap();
    let accepted = until_state(&world, hash, "accepted").await;
    let InvoiceState::Accepted { paid, parts, .. } = accepted else { panic!("{accepted:?}") };
    assert_eq!(paid, TWO_PARTS);
    assert!(parts >= 2, "{parts} parts");
    world.node.settle(preimage).await.unwrap();
    until_state(&world, hash, "settled").await;
    until_final(&world, hash).await;
    // Back to where it came from, for the tests to come.
    a.pay(&b.invoice(TWO_PARTS).await, b).await.unwrap();
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn what_a_payer_gives_too_much_is_said_and_too_little_is_refused() {
    let world = LndWorld::new().await;
    let (a, b) = (world.network.a(), world.network.b());
    let preimage = world.preimage();
    let hash = preimage.hash();
    let invoice = world.node.add(LndWorld::hold_order(hash, AMOUNT)).await.unwrap();
    let too_little = b.pay_other(&invoice.bolt11, 49_999, PART_SAT, a).await;
    assert_eq!(too_little, Err("FAILURE_REASON_INCORRECT_PAYMENT_DETAILS".to_owned()));
    assert_eq!(until_state(&world, hash, "open").await, InvoiceState::Open);
    b.pay_other(&invoice.bolt11, 75_000, PART_SAT, a).await.unwrap();
    let accepted = until_state(&world, hash, "accepted").await;
    let InvoiceState::Accepted { paid, parts, .. } = accepted else { panic!("{accepted:?}") };
    assert_eq!((paid, parts), (Msat::new(75_000_000), 4));
    world.node.settle(preimage).await.unwrap();
    let settled = until_state(&world, hash, "settled").await;
    let InvoiceState::Settled { paid, .. } = settled else { panic!("{settled:?}") };
    assert_eq!(paid, Msat::new(75_000_000));
    until_final(&world, hash).await;
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn what_is_held_too_long_is_given_back_by_the_node_and_can_no_longer_be_settled() {
    let world = LndWorld::new().await;
    let preimage = world.preimage();
    let hash = preimage.hash();
    let invoice = world.node.add(LndWorld::hold_order(hash, AMOUNT)).await.unwrap();
    let mut hints = world.node.watch(hash);
    assert!(tokio::time::timeout(SOON, hints.next()).await.unwrap().is_some(), "it is open");
    world.network.b().pay(&invoice.bolt11, world.network.a()).await.unwrap();
    let accepted = until_state(&world, hash, "accepted").await;
    let InvoiceState::Accepted { lowest_expiry_height, .. } = accepted else { panic!("{accepted:?}") };
    let height = world.node.info().await.unwrap().height;
    let last = lowest_expiry_height - HOLD_EXPIRY_DELTA - 1;
    assert!(last > height, "there is time: {last} is after {height}");
    world.network.mine(last - height).await;
    let held = world.node.lookup_invoice(hash).await.unwrap().unwrap();
    assert_eq!(held.as_str(), "accepted", "not a block too early");
    world.network.mine(1).await;
    until_state(&world, hash, "canceled").await;
    let too_late = world.node.settle(preimage).await;
    assert!(matches!(too_late, Err(Error::WrongState { state: "canceled" })), "{too_late:?}");
    let rest = tokio::time::timeout(SOON, hints.count()).await.unwrap();
    assert!(rest >= 2, "accepted, cancelled, and the end");
    let payer = world.network.b();
    eventually(SOON, "the payer has its sats back", async || {
        payer.payment_status(&hash.to_hex()).await.is_some_and(|status| status == "FAILED")
    })
    .await;
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn the_height_at_which_it_times_out_is_the_payers_and_at_least_what_was_asked_for() {
    let world = LndWorld::new().await;
    let preimage = world.preimage();
    let hash = preimage.hash();
    let mut order = LndWorld::hold_order(hash, AMOUNT);
    order.invoice.min_final_cltv = Some(288);
    let invoice = world.node.add(order).await.unwrap();
    let before = world.node.info().await.unwrap().height;
    world.network.b().pay(&invoice.bolt11, world.network.a()).await.unwrap();
    let accepted = until_state(&world, hash, "accepted").await;
    let InvoiceState::Accepted { lowest_expiry_height, .. } = accepted else { panic!("{accepted:?}") };
    assert!(lowest_expiry_height >= before + 288, "{lowest_expiry_height} after {before}");
    world.node.cancel(hash).await.unwrap();
    until_state(&world, hash, "canceled").await;
}
