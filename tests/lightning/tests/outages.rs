//! A node that goes away in the middle: everything is found again by looking.

use futures_util::StreamExt;
use poa_lightning::{LndWorld, Which};
use poa_payment::{Cursor, Doubt, Error, HoldInvoices, Outcome, Payer, Provider};

use crate::payouts::{held_by_payee, until_held};
use crate::support::{AMOUNT, SOON, assert_paid, until_end, until_final, until_state};

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn hints_end_with_the_node_and_go_on_after_the_last_cursor() {
    let world = LndWorld::new().await;
    let (a, b) = (world.network.a(), world.network.b());
    let first = world.node.create_invoice(LndWorld::order(AMOUNT)).await.unwrap();
    b.pay(&first.bolt11, a).await.unwrap();
    let mut hints = world.node.watch_invoices(Cursor::start());
    let cursor = loop {
        let hint = tokio::time::timeout(SOON, hints.next()).await.unwrap().unwrap();
        if hint.hash == first.hash {
            break hint.cursor;
        }
    };
    world.network.kill(Which::A).await;
    let rest = tokio::time::timeout(SOON, hints.count()).await;
    assert_eq!(rest, Ok(0), "the stream ends with the node");
    world.network.start(Which::A).await;
    world.node.ready(SOON).await.unwrap();
    let second = world.node.create_invoice(LndWorld::order(AMOUNT)).await.unwrap();
    b.pay(&second.bolt11, a).await.unwrap();
    // Opened after the settlement: nothing is missed.
    let mut hints = world.node.watch_invoices(cursor);
    let next = tokio::time::timeout(SOON, hints.next()).await.unwrap().unwrap();
    assert_eq!(next.hash, second.hash);
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_held_payment_outlives_the_node_that_holds_it() {
    let world = LndWorld::new().await;
    let preimage = world.preimage();
    let hash = preimage.hash();
    let invoice = world.node.add(LndWorld::hold_order(hash, AMOUNT)).await.unwrap();
    world.network.b().pay(&invoice.bolt11, world.network.a()).await.unwrap();
    let accepted = until_state(&world, hash, "accepted").await;
    let hints = world.node.watch(hash);
    world.network.kill(Which::A).await;
    let silent = world.node.lookup_invoice(hash).await;
    assert!(matches!(silent, Err(Error::NoAnswer(_))), "{silent:?}");
    assert!(tokio::time::timeout(SOON, hints.count()).await.is_ok(), "the stream ends with the node");
    world.network.start(Which::A).await;
    world.node.ready(SOON).await.unwrap();
    // The parts come back with the channels.
    assert_eq!(until_state(&world, hash, "accepted").await, accepted);
    world.node.settle(preimage).await.unwrap();
    until_state(&world, hash, "settled").await;
    until_final(&world, hash).await;
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_payment_in_flight_outlives_our_node_and_is_settled_while_it_is_away() {
    let world = LndWorld::new().await;
    let (preimage, bolt11) = held_by_payee(&world).await;
    let hash = preimage.hash();
    let intent = world.intent(&bolt11);
    assert_eq!(world.payer.pay(intent.clone()).await, Outcome::InFlight);
    until_held(&world, &preimage).await;
    world.network.kill(Which::A).await;
    let unknown = Outcome::Unknown(Doubt::NoAnswer);
    assert_eq!(world.node.lookup_payment(hash).await, unknown);
    assert_eq!(world.payer.pay(intent.clone()).await, unknown);
    world.network.b().settle(&preimage.to_hex()).await.unwrap();
    world.network.start(Which::A).await;
    world.node.ready(SOON).await.unwrap();
    assert_paid(&until_end(&world, hash).await, hash);
    assert_paid(&world.payer.pay(intent).await, hash);
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_payee_that_goes_away_with_our_payment_is_in_flight_until_it_is_back() {
    let world = LndWorld::new().await;
    let (preimage, bolt11) = held_by_payee(&world).await;
    let hash = preimage.hash();
    assert_eq!(world.payer.pay(world.intent(&bolt11)).await, Outcome::InFlight);
    until_held(&world, &preimage).await;
    world.network.kill(Which::B).await;
    assert_eq!(world.node.lookup_payment(hash).await, Outcome::InFlight);
    world.network.start(Which::B).await;
    world.network.b().settle(&preimage.to_hex()).await.unwrap();
    assert_paid(&until_end(&world, hash).await, hash);
}
