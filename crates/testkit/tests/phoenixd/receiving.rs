//! Invoices and what the node says of itself.

use std::time::Duration;

use futures_util::StreamExt as _;
use poa_common::{Msat, Network};
use poa_payment::{Chain, Cursor, Error, InvoiceState, NewInvoice, Outcome, Provider as _};
use poa_testkit::phoenixd::{Arrival, Effect, Endpoint, Resolution, Trouble};

use crate::support::{AMOUNT, FEE, Fixture, PATIENCE, request};

/// After which an unpaid invoice has ended: its expiry and the margin.
const LONG: Duration = Duration::from_secs(600 + 600 + 1);

async fn paid(fixture: &Fixture, arrival: Arrival) -> Msat {
    let invoice = fixture.invoice().await;
    fixture.phoenixd.pay_from_outside_with(&invoice.bolt11, arrival).unwrap();
    match fixture.state(invoice.hash).await {
        InvoiceState::Settled { paid, preimage, .. } => {
            assert_eq!(preimage.map(|preimage| preimage.hash()), Some(invoice.hash));
            paid
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_arrived_is_what_is_said_whoever_bore_the_fees() {
    let fixture = Fixture::new(40).await;
    assert_eq!(paid(&fixture, Arrival::default()).await, AMOUNT);
    let more = Arrival { more_sat: 5, ..Arrival::default() };
    assert_eq!(paid(&fixture, more).await, Msat::new(10_005_000));
    let less = Arrival { liquidity_fee_sat: 9_000, ..Arrival::default() };
    assert_eq!(paid(&fixture, less).await, Msat::new(1_000_000));
    // A channel with room for later payments may cost more than the payment.
    let nothing = Arrival { liquidity_fee_sat: 30_000, ..Arrival::default() };
    assert_eq!(paid(&fixture, nothing).await, Msat::ZERO);
}

#[tokio::test]
async fn an_unpaid_invoice_shows_its_preimage_and_is_open() {
    let fixture = Fixture::new(41).await;
    let invoice = fixture.invoice().await;
    assert_eq!(fixture.state(invoice.hash).await, InvoiceState::Open);
}

#[tokio::test]
async fn no_invoice_is_made_while_sats_could_become_fee_credit() {
    let fixture = Fixture::new(42).await;
    let invoice = fixture.invoice().await;
    let arrival = Arrival { becomes_fee_credit: true, ..Arrival::default() };
    fixture.phoenixd.pay_from_outside_with(&invoice.bolt11, arrival).unwrap();
    let answer = fixture.node.create_invoice(request()).await;
    assert!(matches!(answer, Err(Error::Full(text)) if text.contains("--max-fee-credit off")), "{answer:?}");
    assert_eq!(fixture.phoenixd.requests("POST /createinvoice"), 1);
    assert_eq!(fixture.node.balance().await.unwrap().fee_credit, AMOUNT);

    fixture.phoenixd.set_fee_credit_sat(0);
    fixture.invoice().await;
    // Not known is not zero.
    fixture.phoenixd.trouble(Endpoint::GetBalance, [Trouble::Answers(500, String::new())]);
    let answer = fixture.node.create_invoice(request()).await;
    assert!(matches!(answer, Err(Error::NoAnswer(_))), "{answer:?}");
    assert_eq!(fixture.phoenixd.requests("POST /createinvoice"), 2);
}

#[tokio::test]
async fn an_invoice_ends_only_when_it_is_expired_and_unpaid_and_a_margin_has_passed() {
    let fixture = Fixture::new(43).await;
    let (unpaid, late) = (fixture.invoice().await, fixture.invoice().await);
    let paid = fixture.invoice().await;
    fixture.clock.advance(Duration::from_millis(599_900));
    fixture.phoenixd.pay_from_outside(&paid.bolt11).unwrap();
    fixture.clock.advance(Duration::from_secs(60));
    assert!(fixture.phoenixd.pay_from_outside(&unpaid.bolt11).is_err(), "the node takes it after its expiry");
    for invoice in [&unpaid, &late] {
        assert_eq!(fixture.state(invoice.hash).await, InvoiceState::Open);
    }
    // What had begun to arrive in time, over a channel that was made for it.
    let arrival = Arrival { begun_in_time: true, ..Arrival::default() };
    fixture.phoenixd.pay_from_outside_with(&late.bolt11, arrival).unwrap();
    fixture.clock.advance(LONG);
    assert_eq!(fixture.state(unpaid.hash).await, InvoiceState::Canceled);
    for invoice in [paid, late] {
        assert!(matches!(fixture.state(invoice.hash).await, InvoiceState::Settled { paid: AMOUNT, .. }));
    }
}

#[tokio::test]
async fn an_invoice_that_was_not_ordered_is_not_handed_out() {
    let fixture = Fixture::new(44).await;
    let other =
        fixture.node.create_invoice(NewInvoice { description_hash: [8; 32], ..request() }).await.unwrap();
    let dear =
        fixture.node.create_invoice(NewInvoice { amount: Msat::new(11_000_000), ..request() }).await.unwrap();
    let mine = fixture.invoice().await;
    let bodies = [
        format!(r#"{{"amountSat":10000,"paymentHash":"{}","serialized":"{}"}}"#, other.hash, other.bolt11),
        format!(r#"{{"amountSat":10000,"paymentHash":"{}","serialized":"{}"}}"#, dear.hash, dear.bolt11),
        format!(r#"{{"amountSat":10000,"paymentHash":"{}","serialized":"{}"}}"#, other.hash, mine.bolt11),
        format!(r#"{{"amountSat":10000,"paymentHash":"{}","serialized":"lntb1"}}"#, mine.hash),
    ];
    for body in bodies {
        fixture.phoenixd.trouble(Endpoint::CreateInvoice, [Trouble::Answers(200, body)]);
        let answer = fixture.node.create_invoice(request()).await;
        assert!(matches!(answer, Err(Error::NoAnswer(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn what_phoenixd_cannot_do_is_said() {
    let fixture = Fixture::new(45).await;
    assert!(fixture.node.hold_invoices().is_none());
    let hash = fixture.invoice().await.hash;
    assert!(matches!(fixture.node.cancel_invoice(hash).await, Err(Error::Unsupported(_))));
    let answer = fixture.node.create_invoice(NewInvoice { min_final_cltv: Some(80), ..request() }).await;
    assert!(matches!(answer, Err(Error::Unsupported(_))), "{answer:?}");
    for expiry in [Duration::ZERO, Duration::from_millis(1_500), Duration::from_secs(400 * 24 * 3_600)] {
        let answer = fixture.node.create_invoice(NewInvoice { expiry, ..request() }).await;
        assert!(matches!(answer, Err(Error::Invalid(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_lookup_takes_only_the_exact_words_for_absence() {
    let fixture = Fixture::new(46).await;
    let hash = fixture.invoice().await.hash;
    fixture.phoenixd.trouble(Endpoint::LookupInvoice, [Trouble::NotFound]);
    assert_eq!(fixture.node.lookup_invoice(hash).await.unwrap(), None);
    for text in ["Unknown endpoint (check api doc)", "not found", "Not found ", ""] {
        fixture.phoenixd.trouble(Endpoint::LookupInvoice, [Trouble::Answers(404, text.to_owned())]);
        let answer = fixture.node.lookup_invoice(hash).await;
        assert!(matches!(answer, Err(Error::NoAnswer(_))), "{text:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_balance_without_a_channel_that_is_disconnected_is_none() {
    let fixture = Fixture::new(47).await;
    fixture.phoenixd.set_connected(false);
    assert!(matches!(fixture.node.balance().await, Err(Error::NoAnswer(_))));
    fixture.phoenixd.set_connected(true);
    assert_eq!(fixture.node.balance().await.unwrap().spendable, Msat::new(5_000_000_000));
}

#[tokio::test]
async fn what_is_in_flight_is_neither_spendable_nor_gone() {
    let fixture = Fixture::new(48).await;
    let before = fixture.node.balance().await.unwrap();
    fixture.phoenixd.effects([Effect::StaysPending, Effect::Usual, Effect::StaysPending]);
    let (first, second, third) = (fixture.outside(), fixture.outside(), fixture.outside());
    for intent in [&first, &second, &third] {
        fixture.pay(intent).await;
    }
    fixture.phoenixd.send_on_chain("auto_liquidity");
    let one = AMOUNT.checked_add(FEE).unwrap().get();
    let during = fixture.node.balance().await.unwrap();
    assert_eq!(during.outgoing, Msat::new(2 * one));
    assert_eq!(during.spendable, Msat::new(before.spendable.get() - 3 * one));
    fixture.phoenixd.resolve(*first.hash.as_bytes(), Resolution::Fails("no".to_owned()));
    assert_eq!(fixture.node.balance().await.unwrap().outgoing, Msat::new(one));
    fixture.clock.advance(Duration::from_secs(24 * 3_600));
    assert_eq!(fixture.pay(&third).await, Outcome::InFlight);
    assert!(matches!(fixture.pay(&fixture.outside()).await, Outcome::Settled { .. }));
    assert_eq!(fixture.node.balance().await.unwrap().outgoing, Msat::new(one));
    fixture.phoenixd.resolve(*third.hash.as_bytes(), Resolution::Settles);
    let after = fixture.node.balance().await.unwrap();
    assert_eq!((after.outgoing, after.spendable), (Msat::ZERO, Msat::new(before.spendable.get() - 3 * one)));
}

#[tokio::test]
async fn a_chain_is_money_only_where_it_is_mainnet() {
    let fixture = Fixture::new(49).await;
    let chains = [
        ("mainnet", Some((Chain::Bitcoin, Network::Mainnet))),
        ("testnet3", Some((Chain::Testnet, Network::Regtest))),
        ("regtest", None),
        ("Mainnet", None),
        ("mainnet2", None),
        ("", None),
    ];
    for (name, expected) in chains {
        fixture.phoenixd.set_chain(name);
        let info = fixture.node.info().await.ok();
        assert_eq!(info.map(|info| (info.chain, info.network)), expected, "{name}");
    }
    fixture.phoenixd.set_chain("testnet3");
    assert!(fixture.node.info().await.unwrap().synced);
    fixture.phoenixd.set_height(None);
    let info = fixture.node.info().await.unwrap();
    assert!(!info.synced && info.height == 0, "a node that has heard of no block: {info:?}");
}

#[tokio::test]
async fn hints_of_the_same_moment_all_come_and_a_cursor_goes_on_after_them() {
    let fixture = Fixture::frozen(50).await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        let invoice = fixture.invoice().await;
        fixture.phoenixd.pay_from_outside(&invoice.bolt11).unwrap();
        expected.push(invoice.hash);
    }
    expected.sort_unstable();
    let hints = fixture.node.watch_invoices(Cursor::start()).take(5).collect::<Vec<_>>();
    let hints = tokio::time::timeout(PATIENCE, hints).await.unwrap();
    assert_eq!(hints.iter().map(|hint| hint.hash).collect::<Vec<_>>(), expected);

    let cursor = hints.last().unwrap().cursor.clone();
    let mut stream = fixture.node.watch_invoices(cursor);
    fixture.clock.advance(Duration::from_secs(60));
    let later = fixture.invoice().await;
    fixture.phoenixd.pay_from_outside(&later.bolt11).unwrap();
    loop {
        // What is near the cursor may come again.
        let hint = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap();
        if hint.hash == later.hash {
            break;
        }
    }
    fixture.phoenixd.stop();
    assert!(tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().is_none(), "the node is lost");
}
