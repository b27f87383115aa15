//! Invoices and hints on a bad day.

use std::time::Duration;

use futures_util::StreamExt;
use poa_common::Msat;
use poa_payment::{Cursor, Error, InvoiceState, NewInvoice, PaymentHash, Place, Provider};
use poa_testkit::{Direction, LndAttempt, LndEffect, LndFault};
use tonic::Code;

use crate::support::{AMOUNT, Fixture, PATIENCE};

fn fault(method: &'static str, effect: LndEffect) -> LndFault {
    LndFault { method, effect }
}

#[tokio::test]
async fn what_arrived_is_what_counts_in_however_many_parts() {
    let fixture = Fixture::new(1).await;
    let invoice = fixture.node.create_invoice(fixture.request()).await.unwrap();
    let attempt = LndAttempt { amount_msat: Some(25_000_001), parts: 7, ..LndAttempt::default() };
    fixture.lnd.pay_with(&invoice.bolt11, attempt).unwrap();
    let InvoiceState::Settled { paid, at, preimage } = fixture.state(invoice.hash).await else {
        panic!("not settled")
    };
    assert_eq!((paid, at), (Msat::new(25_000_001), fixture.env.now()));
    assert_eq!(preimage.unwrap().hash(), invoice.hash);
}

#[tokio::test]
async fn an_invoice_that_has_expired_is_cancelled_and_cannot_be_paid() {
    let fixture = Fixture::new(2).await;
    let invoice = fixture.node.create_invoice(fixture.request()).await.unwrap();
    fixture.clock.advance(Duration::from_secs(600));
    assert_eq!(fixture.state(invoice.hash).await, InvoiceState::Canceled);
    fixture.lnd.pay(&invoice.bolt11).unwrap_err();
    fixture.node.cancel_invoice(invoice.hash).await.unwrap();
}

#[tokio::test]
async fn a_node_that_never_had_an_invoice_does_not_know_one() {
    let fixture = Fixture::new(3).await;
    let hash = PaymentHash::new([1; 32]);
    assert_eq!(fixture.node.lookup_invoice(hash).await.unwrap(), None);
    assert!(matches!(fixture.node.cancel_invoice(hash).await, Err(Error::NotFound)));
    fixture.node.create_invoice(fixture.request()).await.unwrap();
    assert_eq!(fixture.node.lookup_invoice(hash).await.unwrap(), None);
}

#[tokio::test]
async fn what_lnd_would_refuse_is_invalid_before_it_is_asked() {
    let fixture = Fixture::new(4).await;
    let good = fixture.request();
    let year = Duration::from_secs(365 * 86_400);
    let wrong = [
        NewInvoice { expiry: Duration::ZERO, ..good.clone() },
        NewInvoice { expiry: Duration::from_millis(1_500), ..good.clone() },
        NewInvoice { expiry: year + Duration::from_secs(1), ..good.clone() },
        NewInvoice { min_final_cltv: Some(23), ..good.clone() },
        NewInvoice { min_final_cltv: Some(2_017), ..good.clone() },
    ];
    for request in wrong {
        let answer = fixture.node.create_invoice(request).await;
        assert!(matches!(answer, Err(Error::Invalid(_))), "{answer:?}");
    }
    assert_eq!(fixture.lnd.calls("AddInvoice"), 0);
    for request in [
        NewInvoice { expiry: year, ..good.clone() },
        NewInvoice { min_final_cltv: Some(24), ..good.clone() },
        NewInvoice { amount: Msat::new(1), ..good },
    ] {
        fixture.node.create_invoice(request).await.unwrap();
    }
}

#[tokio::test]
async fn a_lookup_that_fails_is_no_answer_and_not_absence() {
    let fixture = Fixture::impatient(5).await;
    let invoice = fixture.node.create_invoice(fixture.request()).await.unwrap();
    for effect in [
        LndEffect::RequestLost,
        LndEffect::AnswerLost,
        LndEffect::Hangs,
        LndEffect::Answers(Code::Internal, "internal server error"),
        LndEffect::Answers(Code::NotFound, "not found"),
    ] {
        fixture.lnd.script([fault("LookupInvoiceV2", effect)]);
        let answer = fixture.node.lookup_invoice(invoice.hash).await;
        assert!(matches!(answer, Err(Error::NoAnswer(_))), "{effect:?}: {answer:?}");
    }
    assert_eq!(fixture.state(invoice.hash).await, InvoiceState::Open);
}

#[tokio::test]
async fn an_invoice_whose_answer_was_lost_is_never_handed_out() {
    let fixture = Fixture::impatient(6).await;
    fixture.lnd.script([fault("AddInvoice", LndEffect::AnswerLost)]);
    let answer = fixture.node.create_invoice(fixture.request()).await;
    assert!(matches!(answer, Err(Error::NoAnswer(_))), "{answer:?}");
}

#[tokio::test]
async fn hints_come_from_the_first_settlement_on_and_go_on_after_a_cursor() {
    let fixture = Fixture::new(7).await;
    let mut hashes = Vec::new();
    for _ in 0..5 {
        let invoice = fixture.node.create_invoice(fixture.request()).await.unwrap();
        hashes.push(invoice.hash);
        fixture.lnd.pay(&invoice.bolt11).unwrap();
    }
    let all: Vec<_> = fixture.node.watch_invoices(Cursor::start()).take(5).collect().await;
    assert_eq!(all.iter().map(|hint| hint.hash).collect::<Vec<_>>(), hashes);
    for (seen, hint) in (1..).zip(&all[..4]) {
        let rest: Vec<_> = fixture.node.watch_invoices(hint.cursor.clone()).take(5 - seen).collect().await;
        assert_eq!(rest, all[seen..]);
    }
    let strange = Cursor::from("not a cursor".to_owned());
    assert_eq!(fixture.node.watch_invoices(strange).next().await, Some(all[0].clone()));
}

#[tokio::test]
async fn the_first_settlement_of_a_new_node_is_hinted_at_too() {
    let fixture = Fixture::new(8).await;
    let open = fixture.node.create_invoice(fixture.request()).await.unwrap();
    let paid = fixture.node.create_invoice(fixture.request()).await.unwrap();
    let node = fixture.node.clone();
    let waiting =
        tokio::spawn(async move { node.watch_invoices(Cursor::start()).take(2).collect::<Vec<_>>().await });
    poa_testkit::eventually(PATIENCE, "a look at the list", async || fixture.lnd.calls("ListInvoices") > 0)
        .await;
    fixture.lnd.pay(&paid.bolt11).unwrap();
    fixture.lnd.pay(&open.bolt11).unwrap();
    let hints = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(hints.iter().map(|hint| hint.hash).collect::<Vec<_>>(), [paid.hash, open.hash]);
}

#[tokio::test]
async fn a_first_settlement_that_the_node_has_forgotten_does_not_keep_the_others_back() {
    let fixture = Fixture::new(12).await;
    let mut hashes = Vec::new();
    for _ in 0..3 {
        let invoice = fixture.node.create_invoice(fixture.request()).await.unwrap();
        hashes.push(invoice.hash);
        fixture.lnd.pay(&invoice.bolt11).unwrap();
    }
    fixture.lnd.forget_invoice(hashes[0]);
    let hints: Vec<_> = fixture.node.watch_invoices(Cursor::start()).take(2).collect().await;
    assert_eq!(hints.iter().map(|hint| hint.hash).collect::<Vec<_>>(), hashes[1..]);
}

#[tokio::test]
async fn a_connection_that_died_in_silence_ends_the_stream_of_hints() {
    let fixture = Fixture::new(13).await;
    let invoice = fixture.node.create_invoice(fixture.request()).await.unwrap();
    fixture.lnd.pay(&invoice.bolt11).unwrap();
    let mut hints = fixture.node.watch_invoices(Cursor::start());
    let hint = hints.next().await.unwrap();
    let mut rest = fixture.node.watch_invoices(hint.cursor);
    let silent = async {
        poa_testkit::eventually(PATIENCE, "a stream", async || fixture.lnd.calls("SubscribeInvoices") > 0)
            .await;
        fixture.lnd.proxy().pause(Direction::Both);
    };
    let (next, ()) = tokio::join!(tokio::time::timeout(PATIENCE, rest.next()), silent);
    assert_eq!(next.unwrap(), None);
}

#[tokio::test]
async fn the_stream_of_hints_ends_when_the_node_is_lost_and_resumes_from_its_cursor() {
    let fixture = Fixture::new(9).await;
    fixture.lnd.repeat_updates(true);
    let first = fixture.node.create_invoice(fixture.request()).await.unwrap();
    let second = fixture.node.create_invoice(fixture.request()).await.unwrap();
    fixture.lnd.pay(&first.bolt11).unwrap();
    let mut hints = fixture.node.watch_invoices(Cursor::start());
    let cursor = hints.next().await.unwrap().cursor;
    fixture.lnd.stop();
    assert_eq!(tokio::time::timeout(PATIENCE, hints.next()).await.unwrap(), None);
    fixture.lnd.pay(&second.bolt11).unwrap();
    fixture.lnd.start_again();
    // Twice, as everything here.
    let hints: Vec<_> = fixture.node.watch_invoices(cursor).take(2).collect().await;
    assert!(hints.iter().all(|hint| hint.hash == second.hash), "{hints:?}");
}

#[tokio::test]
async fn invoices_are_listed_in_the_order_in_which_they_were_made() {
    let fixture = Fixture::new(10).await;
    let mut expected = Vec::new();
    for number in 0..5 {
        let invoice = fixture.node.create_invoice(fixture.request()).await.unwrap();
        let state = match number % 3 {
            0 => "open",
            1 => {
                fixture.lnd.pay(&invoice.bolt11).unwrap();
                "settled"
            }
            _ => {
                fixture.node.cancel_invoice(invoice.hash).await.unwrap();
                "canceled"
            }
        };
        expected.push((invoice.hash, state));
    }
    let (_, held) = fixture.hold_invoice(144).await;
    fixture.lnd.pay(&held.bolt11).unwrap();
    expected.push((held.hash, "accepted"));

    let mut found = Vec::new();
    let mut after = Place::START;
    loop {
        let page = fixture.node.list_invoices(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.place;
        found.extend(page.iter().map(|listed| (listed.hash, listed.state.as_str())));
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn what_is_on_the_chain_backs_and_cannot_be_sent() {
    let fixture = Fixture::new(11).await;
    let balance = fixture.node.balance().await.unwrap();
    assert_eq!(balance.spendable, Msat::new(5_000_000_000));
    assert_eq!(balance.on_chain, Msat::new(251_000_000));
    assert_eq!(
        (balance.incoming, balance.outgoing, balance.fee_credit),
        (Msat::ZERO, Msat::ZERO, Msat::ZERO)
    );
    let (_, held) = fixture.hold_invoice(144).await;
    fixture.lnd.pay(&held.bolt11).unwrap();
    let held = fixture.node.balance().await.unwrap();
    assert_eq!((held.incoming, held.spendable), (AMOUNT, balance.spendable));
}
