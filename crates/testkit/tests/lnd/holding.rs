//! Hold invoices on a bad day.

use std::time::Duration;

use futures_util::StreamExt;
use poa_common::Msat;
use poa_payment::{Error, Finality, InvoiceState, NewHoldInvoice, NewInvoice, Preimage, Provider};
use poa_testkit::{LndAttempt, LndEffect, LndFault, eventually};
use tonic::Code;

use crate::support::{AMOUNT, Fixture, PATIENCE};

fn fault(method: &'static str, effect: LndEffect) -> LndFault {
    LndFault { method, effect }
}

#[tokio::test]
async fn the_lowest_height_of_many_parts_is_told_and_near_it_the_sats_go_back() {
    let fixture = Fixture::new(1).await;
    let (preimage, invoice) = fixture.hold_invoice(144).await;
    let height = fixture.node.info().await.unwrap().height;
    let attempt = LndAttempt { amount_msat: Some(15_000_000), parts: 5, extra_cltv_blocks: 3 };
    fixture.lnd.pay_with(&invoice.bolt11, attempt).unwrap();
    let expected =
        InvoiceState::Accepted { paid: Msat::new(15_000_000), parts: 5, lowest_expiry_height: height + 147 };
    assert_eq!(fixture.state(invoice.hash).await, expected);
    // Its expiry says until when it can be paid, not until when it is held.
    fixture.clock.advance(Duration::from_secs(86_400));
    fixture.lnd.mine(128);
    assert_eq!(fixture.state(invoice.hash).await, expected);
    fixture.lnd.mine(1);
    assert_eq!(fixture.state(invoice.hash).await, InvoiceState::Canceled);
    let late = fixture.hold().settle(preimage).await;
    assert!(matches!(late, Err(Error::WrongState { state: "canceled" })), "{late:?}");
    assert_eq!(fixture.node.balance().await.unwrap().incoming, Msat::ZERO);
}

#[tokio::test]
async fn settled_is_final_once_every_part_has_left_the_channels() {
    let fixture = Fixture::new(2).await;
    fixture.lnd.resolve_at_once(false);
    let (preimage, invoice) = fixture.hold_invoice(144).await;
    let finality = async || fixture.hold().finality(invoice.hash).await;
    assert_eq!(finality().await.unwrap(), Finality::Pending);
    fixture.lnd.pay_with(&invoice.bolt11, LndAttempt { parts: 20, ..LndAttempt::default() }).unwrap();
    assert_eq!(finality().await.unwrap(), Finality::Pending);
    fixture.hold().settle(preimage).await.unwrap();
    assert_eq!(finality().await.unwrap(), Finality::Pending);
    fixture.lnd.resolve_htlcs(invoice.hash, 19, true);
    assert_eq!(finality().await.unwrap(), Finality::Pending);
    fixture.lnd.resolve_htlcs(invoice.hash, 20, true);
    assert_eq!(finality().await.unwrap(), Finality::Final);
}

#[tokio::test]
async fn settled_is_lost_when_one_part_went_back_to_the_payer() {
    let fixture = Fixture::new(3).await;
    fixture.lnd.resolve_at_once(false);
    let (preimage, invoice) = fixture.hold_invoice(144).await;
    fixture.lnd.pay_with(&invoice.bolt11, LndAttempt { parts: 3, ..LndAttempt::default() }).unwrap();
    fixture.hold().settle(preimage).await.unwrap();
    let finality = async || fixture.hold().finality(invoice.hash).await.unwrap();
    fixture.lnd.resolve_htlcs(invoice.hash, 1, false);
    assert_eq!(finality().await, Finality::Pending, "the others may be taken or not");
    fixture.lnd.resolve_htlcs(invoice.hash, 3, true);
    fixture.lnd.resolve_htlcs(invoice.hash, 1, false);
    let Finality::Lost { kept } = finality().await else { panic!("it is lost") };
    assert_eq!(kept.get(), invoice.amount.get() / 3 * 2, "what two parts of three brought");
    // The invoice goes on saying settled: it is not to be believed.
    assert_eq!(fixture.state(invoice.hash).await.as_str(), "settled");
}

#[tokio::test]
async fn finality_that_cannot_be_asked_for_is_no_finality() {
    let fixture = Fixture::impatient(4).await;
    let (preimage, invoice) = fixture.hold_invoice(144).await;
    fixture.lnd.pay(&invoice.bolt11).unwrap();
    fixture.hold().settle(preimage).await.unwrap();
    for effect in [
        LndEffect::RequestLost,
        LndEffect::Hangs,
        LndEffect::Answers(Code::Unavailable, ""),
        LndEffect::Answers(Code::NotFound, "channel unknown"),
    ] {
        fixture.lnd.script([fault("LookupHtlcResolution", effect)]);
        let answer = fixture.hold().finality(invoice.hash).await;
        assert!(matches!(answer, Err(Error::NoAnswer(_))), "{effect:?}: {answer:?}");
    }
    assert_eq!(fixture.hold().finality(invoice.hash).await.unwrap(), Finality::Final);
    let unknown = Preimage::new([3; 32]).hash();
    assert!(matches!(fixture.hold().finality(unknown).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_node_that_forgets_how_htlcs_end_makes_no_hold_invoices() {
    let fixture = Fixture::new(5).await;
    fixture.lnd.store_resolutions(false);
    // Before the node was asked nobody knows, and the first request asks.
    let preimage = Preimage::new(fixture.env.random());
    let new = NewHoldInvoice { hash: preimage.hash(), invoice: fixture.request() };
    let refused = fixture.hold().add(new).await;
    assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
    assert_eq!(fixture.lnd.calls("AddHoldInvoice"), 0);
    assert!(!fixture.hold().takes_new());
    // It is restarted with the setting, and asked again.
    fixture.lnd.store_resolutions(true);
    fixture.node.info().await.unwrap();
    fixture.hold_invoice(144).await;
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_gives_the_same_invoice_when_it_is_repeated() {
    let fixture = Fixture::impatient(6).await;
    let preimage = Preimage::new(fixture.env.random());
    let new = NewHoldInvoice { hash: preimage.hash(), invoice: fixture.request() };
    fixture.node.info().await.unwrap();
    fixture.lnd.script([fault("AddHoldInvoice", LndEffect::AnswerLost)]);
    let lost = fixture.hold().add(new.clone()).await;
    assert!(matches!(lost, Err(Error::NoAnswer(_))), "{lost:?}");
    let invoice = fixture.hold().add(new.clone()).await.unwrap();
    assert_eq!(fixture.hold().add(new.clone()).await.unwrap(), invoice);
    for other in [
        NewInvoice { amount: Msat::new(1), ..fixture.request() },
        NewInvoice { description_hash: [0; 32], ..fixture.request() },
        NewInvoice { min_final_cltv: Some(99), ..fixture.request() },
    ] {
        let refused = fixture.hold().add(NewHoldInvoice { invoice: other, ..new.clone() }).await;
        assert!(matches!(refused, Err(Error::WrongState { state: "existing" })), "{refused:?}");
    }
    // Its state does not matter: the same request still gets it.
    fixture.lnd.pay(&invoice.bolt11).unwrap();
    fixture.hold().settle(preimage).await.unwrap();
    assert_eq!(fixture.hold().add(new).await.unwrap(), invoice);
}

#[tokio::test]
async fn a_settlement_whose_answer_was_lost_is_found_by_a_lookup() {
    let fixture = Fixture::impatient(7).await;
    for (effect, done) in [
        (LndEffect::AnswerLost, true),
        (LndEffect::DoneAndHangs, true),
        (LndEffect::RequestLost, false),
        (LndEffect::Hangs, false),
    ] {
        let (preimage, invoice) = fixture.hold_invoice(144).await;
        fixture.lnd.pay(&invoice.bolt11).unwrap();
        fixture.lnd.script([fault("SettleInvoice", effect)]);
        let lost = fixture.hold().settle(preimage.clone()).await;
        assert!(matches!(lost, Err(Error::NoAnswer(_))), "{effect:?}: {lost:?}");
        eventually(PATIENCE, "the node again", async || fixture.node.info().await.is_ok()).await;
        let expected = if done { "settled" } else { "accepted" };
        assert_eq!(fixture.state(invoice.hash).await.as_str(), expected, "{effect:?}");
        fixture.hold().settle(preimage).await.unwrap();
        assert_eq!(fixture.state(invoice.hash).await.as_str(), "settled");
    }
}

#[tokio::test]
async fn an_accepted_invoice_is_given_back_by_its_own_verb_only() {
    let fixture = Fixture::new(8).await;
    let (_, invoice) = fixture.hold_invoice(144).await;
    fixture.lnd.pay(&invoice.bolt11).unwrap();
    let refused = fixture.node.cancel_invoice(invoice.hash).await;
    assert!(matches!(refused, Err(Error::WrongState { state: "accepted" })), "{refused:?}");
    assert_eq!(fixture.state(invoice.hash).await.as_str(), "accepted");
    fixture.hold().cancel(invoice.hash).await.unwrap();
    assert_eq!(fixture.state(invoice.hash).await, InvoiceState::Canceled);
}

#[tokio::test]
async fn an_unknown_invoice_is_watched_until_it_appears_and_to_its_end() {
    let fixture = Fixture::new(9).await;
    fixture.lnd.repeat_updates(true);
    let preimage = Preimage::new(fixture.env.random());
    let hash = preimage.hash();
    let hints = fixture.hold().watch(hash);
    let watching = tokio::spawn(hints.collect::<Vec<_>>());
    eventually(PATIENCE, "a watcher", async || fixture.lnd.calls("SubscribeSingleInvoice") > 0).await;
    let invoice = fixture.hold().add(NewHoldInvoice { hash, invoice: fixture.request() }).await.unwrap();
    assert!(!watching.is_finished());
    fixture.lnd.pay(&invoice.bolt11).unwrap();
    fixture.hold().cancel(hash).await.unwrap();
    let hints = tokio::time::timeout(PATIENCE, watching).await.unwrap().unwrap();
    assert!(!hints.is_empty() && hints.iter().all(|hint| hint.hash == hash), "{hints:?}");
    assert_eq!(invoice.amount, AMOUNT);
}
