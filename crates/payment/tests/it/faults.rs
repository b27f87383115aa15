//! The bad days that a caller must survive, on demand.

use std::time::Duration;

use futures_util::StreamExt;
use poa_common::Msat;
use poa_payment::simulated::{
    Answer, ChangeFault, Fault, FinalityFault, HintFault, ListFault, LookupFault, PayEffect, Resolution,
};
use poa_payment::{
    Cursor, Doubt, Error, Finality, HoldInvoices, InvoiceState, NewHoldInvoice, Outcome, Payer, PaymentHash,
    Place, Provider,
};

use crate::support::{AMOUNT, FEE, Fixture, PATIENCE};

/// How long a call that hangs is given before the test believes it.
const BRIEFLY: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_payment_whose_answer_was_lost_is_paid_once() {
    let fixture = Fixture::new(10);
    let before = fixture.spendable().await;
    let intent = fixture.outside().await;
    assert!(fixture.node.script([Fault::Pay { effect: PayEffect::Usual, answer: Answer::Lost }]));
    assert_eq!(fixture.payer.pay(intent.clone()).await, Outcome::Unknown(Doubt::NoAnswer));
    assert_eq!(fixture.payer.pay(intent).await.as_str(), "settled");
    assert_eq!(fixture.node.payments_taken().await.unwrap(), 1);
    let spent = before.checked_sub(fixture.spendable().await).unwrap();
    assert_eq!(spent, AMOUNT.checked_add(FEE).unwrap());
}

#[tokio::test]
async fn a_payment_that_never_arrived_is_unknown_and_then_not_found() {
    let fixture = Fixture::new(11);
    let intent = fixture.outside().await;
    assert!(fixture.node.script([Fault::Pay { effect: PayEffect::NeverArrives, answer: Answer::Given }]));
    assert_eq!(fixture.payer.pay(intent.clone()).await, Outcome::Unknown(Doubt::NoAnswer));
    assert_eq!(fixture.node.lookup_payment(intent.hash).await, Outcome::Unknown(Doubt::NotFound));
    assert_eq!(fixture.node.payments_taken().await.unwrap(), 0);
}

#[tokio::test]
async fn lookups_flap_before_a_late_settlement_shows() {
    let fixture = Fixture::new(12);
    let intent = fixture.outside().await;
    assert!(fixture.node.script([
        Fault::Pay { effect: PayEffect::StaysInFlight, answer: Answer::Lost },
        Fault::LookupPayment(LookupFault::NotFound),
        Fault::LookupPayment(LookupFault::NoAnswer),
        Fault::LookupPayment(LookupFault::Stale),
    ]));
    let heard = fixture.payer.pay(intent.clone()).await;
    fixture.node.resolve_payment(intent.hash, Resolution::Settles).await.unwrap();
    let mut seen = vec![heard.as_str()];
    for _ in 0..4 {
        seen.push(fixture.node.lookup_payment(intent.hash).await.as_str());
    }
    assert_eq!(seen, ["unknown", "unknown", "unknown", "in_flight", "settled"]);
    // It has ended: nothing can end it again.
    assert!(fixture.node.resolve_payment(intent.hash, Resolution::Settles).await.is_err());
}

#[tokio::test]
async fn a_call_that_hangs_holds_nobody_else_up() {
    let fixture = Fixture::new(13);
    let (slow, quick) = (fixture.outside().await, fixture.outside().await);
    assert!(fixture.node.script([Fault::Pay { effect: PayEffect::StaysInFlight, answer: Answer::Never }]));
    let hung = tokio::time::timeout(BRIEFLY, fixture.payer.pay(slow.clone())).await;
    assert!(hung.is_err());
    assert_eq!(fixture.payer.pay(quick).await.as_str(), "settled");
    assert_eq!(fixture.node.lookup_payment(slow.hash).await, Outcome::InFlight);
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_was_made_and_a_lost_request_was_not() {
    let fixture = Fixture::new(14);
    let invoice = fixture.invoice().await;
    for (fault, after) in
        [(ChangeFault::RequestLost, InvoiceState::Open), (ChangeFault::AnswerLost, InvoiceState::Canceled)]
    {
        assert!(fixture.node.script([Fault::Change(fault)]));
        let error = fixture.node.cancel_invoice(invoice.hash).await.unwrap_err();
        assert!(matches!(error, Error::NoAnswer(_)) && !error.certainly_not_applied());
        assert_eq!(fixture.state(invoice.hash).await, after);
    }
}

#[tokio::test]
async fn an_invoices_lookup_flaps_and_the_truth_comes_back() {
    let fixture = Fixture::new(15);
    let invoice = fixture.invoice().await;
    fixture.node.pay_invoice(&invoice.bolt11).await.unwrap();
    let faults = [LookupFault::NotFound, LookupFault::Stale, LookupFault::NoAnswer, LookupFault::Hangs];
    assert!(fixture.node.script(faults.map(Fault::LookupInvoice)));
    assert_eq!(fixture.node.lookup_invoice(invoice.hash).await.unwrap(), None);
    assert_eq!(fixture.node.lookup_invoice(invoice.hash).await.unwrap(), Some(InvoiceState::Open));
    assert!(fixture.node.lookup_invoice(invoice.hash).await.is_err());
    assert!(tokio::time::timeout(BRIEFLY, fixture.node.lookup_invoice(invoice.hash)).await.is_err());
    assert_eq!(fixture.state(invoice.hash).await.as_str(), "settled");
}

#[tokio::test]
async fn hints_come_twice_out_of_order_or_never() {
    let fixture = Fixture::new(16);
    let mut invoices = Vec::new();
    for _ in 0..4 {
        let invoice = fixture.invoice().await;
        fixture.node.pay_invoice(&invoice.bolt11).await.unwrap();
        invoices.push(invoice.hash);
    }
    assert!(fixture.node.script([HintFault::Duplicate, HintFault::Delay, HintFault::Lose].map(Fault::Hint)));
    let hints = fixture.node.watch_invoices(Cursor::start()).take(4).map(|hint| hint.hash);
    let heard: Vec<_> = tokio::time::timeout(PATIENCE, hints.collect()).await.unwrap();
    assert_eq!(heard, [invoices[0], invoices[0], invoices[3], invoices[1]]);
}

#[tokio::test]
async fn a_stream_of_hints_wakes_up_survives_as_a_cursor_and_ends_with_the_node() {
    let fixture = Fixture::new(17);
    let mut hints = fixture.node.watch_invoices(Cursor::start());
    let invoice = fixture.invoice().await;
    let (hint, _) =
        tokio::join!(hints.next(), async { fixture.node.pay_invoice(&invoice.bolt11).await.unwrap() });
    let cursor = hint.unwrap().cursor;

    let fixture = fixture.restart().await;
    assert_eq!(tokio::time::timeout(PATIENCE, hints.next()).await.unwrap(), None);
    let mut hints = fixture.node.watch_invoices(cursor);
    let invoice = fixture.invoice().await;
    fixture.node.cancel_invoice(invoice.hash).await.unwrap();
    let hint = tokio::time::timeout(PATIENCE, hints.next()).await.unwrap().unwrap();
    assert_eq!(hint.hash, invoice.hash);
}

#[tokio::test]
async fn a_list_fails_hangs_or_leaves_its_first_row_out_and_the_truth_comes_back() {
    let fixture = Fixture::new(18);
    let invoices = [fixture.invoice().await.hash, fixture.invoice().await.hash];
    assert!(fixture.node.script([ListFault::NoAnswer, ListFault::Hangs, ListFault::Omit].map(Fault::List)));
    let list = async |limit| {
        let listed = fixture.node.list_invoices(Place::START, limit).await?;
        Ok::<Vec<_>, Error>(listed.into_iter().map(|row| row.hash).collect())
    };
    assert!(matches!(list(10).await, Err(Error::NoAnswer(_))));
    assert!(tokio::time::timeout(BRIEFLY, list(10)).await.is_err());
    // A page of one is not taken for the end of the list.
    assert_eq!(list(1).await.unwrap(), invoices[1..]);
    assert_eq!(list(10).await.unwrap(), invoices);
}

#[tokio::test]
async fn finality_is_pending_as_often_as_it_is_scripted_and_then_it_stays_final() {
    let fixture = Fixture::new(19);
    let hash = settled_hold(&fixture).await;
    let faults =
        [FinalityFault::Pending, FinalityFault::Pending, FinalityFault::NoAnswer, FinalityFault::Hangs];
    assert!(fixture.node.script(faults.map(Fault::Finality)));
    for _ in 0..2 {
        assert_eq!(fixture.node.finality(hash).await.unwrap(), Finality::Pending);
    }
    assert!(matches!(fixture.node.finality(hash).await, Err(Error::NoAnswer(_))));
    assert!(tokio::time::timeout(BRIEFLY, fixture.node.finality(hash)).await.is_err());
    assert_eq!(fixture.node.finality(hash).await.unwrap(), Finality::Final);
    // It was said: no loss is possible any more, not even after a restart.
    let before = fixture.spendable().await;
    let fixture = fixture.restart().await;
    assert!(fixture.node.script([Fault::Finality(FinalityFault::Lost)]));
    assert_eq!(fixture.node.finality(hash).await.unwrap(), Finality::Final);
    assert_eq!(fixture.spendable().await, before);
}

#[tokio::test]
async fn sats_that_were_lost_on_the_chain_leave_the_node_once_and_stay_lost() {
    let fixture = Fixture::new(20);
    let before = fixture.spendable().await;
    let hash = settled_hold(&fixture).await;
    assert_eq!(fixture.spendable().await, before.checked_add(AMOUNT).unwrap());
    assert!(fixture.node.script([Fault::Finality(FinalityFault::Lost)]));
    assert_eq!(fixture.node.finality(hash).await.unwrap(), Finality::Lost { kept: Msat::ZERO });
    let fixture = fixture.restart().await;
    assert_eq!(fixture.node.finality(hash).await.unwrap(), Finality::Lost { kept: Msat::ZERO });
    assert_eq!(fixture.spendable().await, before);
    // The invoice itself says settled, as a real node's does.
    assert_eq!(fixture.state(hash).await.as_str(), "settled");
}

async fn settled_hold(fixture: &Fixture) -> PaymentHash {
    let preimage = fixture.preimage();
    let order = NewHoldInvoice { hash: preimage.hash(), invoice: fixture.request() };
    let invoice = fixture.node.add(order).await.unwrap();
    fixture.node.pay_invoice(&invoice.bolt11).await.unwrap();
    fixture.node.settle(preimage).await.unwrap();
    invoice.hash
}
