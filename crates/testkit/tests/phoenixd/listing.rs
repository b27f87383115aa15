//! The lists: complete, in order, each row once, although phoenixd lists backwards, by offset, and by the millisecond.

use std::time::Duration;

use poa_common::Msat;
use poa_payment::{ListedPayment, Outcome, PaymentHash, Place, Provider as _};
use poa_testkit::phoenixd::{Effect, Endpoint, OutsideInvoice, Trouble};

use crate::support::{AMOUNT, FEE, Fixture, settled};

/// Reads a list to its end.
async fn invoices(fixture: &Fixture, from: Place, limit: u32) -> Vec<(Place, PaymentHash)> {
    let (mut all, mut after) = (Vec::new(), from);
    loop {
        let page = fixture.node.list_invoices(after, limit).await.unwrap();
        assert!(page.len() <= usize::try_from(limit).unwrap(), "a page of {}", page.len());
        let Some(last) = page.last() else { return all };
        after = last.place;
        all.extend(page.into_iter().map(|row| (row.place, row.hash)));
    }
}

async fn payments(fixture: &Fixture, limit: u32) -> Vec<ListedPayment> {
    let (mut all, mut after) = (Vec::new(), Place::START);
    loop {
        let page = fixture.node.list_payments(after, limit).await.unwrap();
        let Some(last) = page.last() else { return all };
        after = last.place;
        all.extend(page);
    }
}

#[tokio::test]
async fn invoices_of_one_millisecond_are_all_listed_whatever_the_page() {
    let fixture = Fixture::frozen(60).await;
    let mut made = Vec::new();
    for group in 0..3 {
        for _ in 0..5 {
            made.push((group, fixture.invoice().await.hash));
        }
        fixture.clock.advance(Duration::from_millis(1));
    }
    // Within a millisecond there is no order but that of the hashes.
    made.sort_unstable();
    let expected: Vec<_> = made.into_iter().map(|(_, hash)| hash).collect();
    for limit in [1, 2, 7, 100] {
        let found = invoices(&fixture, Place::START, limit).await;
        assert!(found.is_sorted_by(|one, next| one.0 < next.0), "places that do not rise");
        assert_eq!(found.iter().map(|row| row.1).collect::<Vec<_>>(), expected, "{limit} at a time");
    }
    // From the place of any row the rest follows.
    let all = invoices(&fixture, Place::START, 100).await;
    for (at, (place, _)) in all.iter().enumerate() {
        assert_eq!(invoices(&fixture, *place, 4).await, all[at + 1..], "after row {at}");
    }
}

#[tokio::test]
async fn a_long_and_uneven_history_is_listed_in_order() {
    let fixture = Fixture::new(61).await;
    let mut made = Vec::new();
    for round in 0..40_u64 {
        for _ in 0..round % 7 {
            made.push(fixture.invoice().await.hash);
        }
        // Rows that the API drops from its pages.
        for _ in 0..round % 3 {
            fixture.phoenixd.receive_on_chain();
        }
        fixture.clock.advance(Duration::from_secs(round * round * 1_000));
    }
    for limit in [9, 1_000] {
        let found = invoices(&fixture, Place::START, limit).await;
        assert_eq!(found.into_iter().map(|row| row.1).collect::<Vec<_>>(), made, "{limit} at a time");
    }
}

#[tokio::test]
async fn payments_are_listed_with_their_ends_and_without_what_moved_on_the_chain() {
    let fixture = Fixture::new(62).await;
    fixture.phoenixd.effects([Effect::Usual, Effect::Fails("no".to_owned()), Effect::StaysPending]);
    let mut made = Vec::new();
    for _ in 0..3 {
        for kind in ["auto_liquidity", "splice_out", "channel_close"] {
            fixture.phoenixd.send_on_chain(kind);
        }
        let intent = fixture.outside();
        fixture.pay(&intent).await;
        made.push(intent.hash);
    }
    let odd = fixture.intent(&fixture.phoenixd.outside_invoice(OutsideInvoice::of_sat(123)));
    assert_eq!(settled(&fixture.pay(&odd).await, odd.hash), Some(Msat::new(4_492)));
    made.push(odd.hash);
    for limit in [1, 2, 100] {
        let found = payments(&fixture, limit).await;
        assert_eq!(found.iter().map(|row| row.hash).collect::<Vec<_>>(), made, "{limit} at a time");
        let amounts: Vec<_> = found.iter().map(|row| row.amount).collect();
        assert_eq!(amounts, [AMOUNT, AMOUNT, AMOUNT, Msat::new(123_000)]);
        let ends: Vec<_> = found.iter().map(|row| row.outcome.as_str()).collect();
        assert_eq!(ends, ["settled", "failed", "in_flight", "settled"]);
        assert!(matches!(found[0].outcome, Outcome::Settled { fee: FEE, .. }));
    }
}

#[tokio::test]
async fn an_attempt_of_somebody_else_after_a_failure_is_a_row_of_its_own() {
    let fixture = Fixture::new(63).await;
    fixture.phoenixd.effects([Effect::Fails("no".to_owned()), Effect::Usual]);
    let intent = fixture.outside();
    assert!(matches!(fixture.pay(&intent).await, Outcome::Failed(_)));
    // By hand, past us: phoenixd tries again.
    let (_, by_hand) = fixture.another(|_| {});
    fixture.phoenixd.trouble(Endpoint::LookupPayment, [Trouble::NotFound]);
    let outcome = poa_payment::Payer::pay(&by_hand, intent.clone()).await;
    assert!(settled(&outcome, intent.hash).is_some());
    assert!(settled(&fixture.node.lookup_payment(intent.hash).await, intent.hash).is_some());
    let ends: Vec<_> = payments(&fixture, 1).await.iter().map(|row| row.outcome.as_str()).collect();
    assert_eq!(ends, ["failed", "settled"]);
}

#[tokio::test]
async fn a_row_that_is_in_the_list_late_is_not_passed_over() {
    let fixture = Fixture::new(64).await;
    let lag = Duration::from_millis(400);
    let (node, _) = fixture.another(|options| options.listing_lag = lag);
    let first = fixture.invoice().await.hash;
    // Made before the one after it, and in the list after it.
    let middle = fixture.invoice().await.hash;
    let late = fixture.phoenixd.withhold_newest_invoice();
    let last = fixture.invoice().await.hash;
    let listing = tokio::spawn(async move { node.list_invoices(Place::START, 10).await });
    poa_testkit::eventually(crate::support::PATIENCE, "the list was read once", async || {
        fixture.phoenixd.requests("GET /payments/incoming") >= 3
    })
    .await;
    fixture.phoenixd.show(late);
    let found: Vec<_> = listing.await.unwrap().unwrap().into_iter().map(|row| row.hash).collect();
    assert_eq!(found, [first, middle, last]);
}

#[tokio::test]
async fn a_list_that_is_not_understood_is_no_list() {
    let fixture = Fixture::new(65).await;
    let hash = fixture.invoice().await.hash;
    let row = |created: &str| {
        format!(
            r#"[{{"paymentHash":"{hash}","preimage":"{}","isPaid":false,"isExpired":false,"receivedSat":0,"createdAt":{created}}}]"#,
            "00".repeat(32)
        )
    };
    // Nothing, cut off, another shape, a time that was not asked for.
    for body in ["", "[", "{}", "[{}]", "null", &row("-1"), &row("7258118400001"), &row("1e300")] {
        // The first request looks how much there is.
        let troubles = [Trouble::None, Trouble::Answers(200, body.to_owned())];
        fixture.phoenixd.trouble(Endpoint::ListIncoming, troubles);
        let answer = fixture.node.list_invoices(Place::START, 10).await;
        assert!(matches!(answer, Err(poa_payment::Error::NoAnswer(_))), "{body}: {answer:?}");
    }
    // An endless repetition of the same rows ends.
    assert_eq!(fixture.node.list_invoices(Place::START, 10).await.unwrap().len(), 1);
}
