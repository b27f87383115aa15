//! Answers that no phoenixd gives: no panic, and no end made of a doubt.

use std::time::{Duration, Instant};

use poa_payment::{Doubt, Error, Outcome, Provider as _};
use poa_testkit::phoenixd::{Endpoint, Trouble};

use crate::support::Fixture;

/// Bodies that are wrong wherever they stand.
fn nonsense() -> Vec<String> {
    let deep = "[".repeat(100_000);
    let mut bodies =
        vec![deep, "\u{0}".to_owned(), "é".repeat(1_000), format!("{{\"x\":{}}}", "9".repeat(10_000))];
    let plain = [
        "",
        " ",
        "null",
        "true",
        "0",
        "\"\"",
        "[]",
        "{}",
        "[1]",
        "{\"isPaid\":true}",
        "NaN",
        "{\"isPaid\":false}",
    ];
    bodies.extend(plain.map(str::to_owned));
    bodies
}

#[tokio::test]
async fn nonsense_is_no_answer_to_anything() {
    let fixture = Fixture::new(100).await;
    let invoice = fixture.invoice().await;
    for body in nonsense() {
        let shown = body.chars().take(40).collect::<String>();
        let answer = || [Trouble::Answers(200, body.clone())];
        fixture.phoenixd.trouble(Endpoint::LookupPayment, answer());
        let outcome = fixture.node.lookup_payment(invoice.hash).await;
        assert_eq!(outcome, Outcome::Unknown(Doubt::NoAnswer), "{shown}");
        fixture.phoenixd.trouble(Endpoint::LookupInvoice, answer());
        assert!(
            matches!(fixture.node.lookup_invoice(invoice.hash).await, Err(Error::NoAnswer(_))),
            "{shown}"
        );
        fixture.phoenixd.trouble(Endpoint::GetInfo, answer());
        assert!(matches!(fixture.node.info().await, Err(Error::NoAnswer(_))), "{shown}");
        fixture.phoenixd.trouble(Endpoint::GetBalance, answer());
        assert!(matches!(fixture.node.balance().await, Err(Error::NoAnswer(_))), "{shown}");
        fixture.phoenixd.trouble(Endpoint::CreateInvoice, answer());
        let made = fixture.node.create_invoice(crate::support::request()).await;
        assert!(matches!(made, Err(Error::NoAnswer(_))), "{shown}");
    }
}

#[tokio::test]
async fn a_payment_of_another_hash_or_with_a_false_proof_proves_nothing() {
    let fixture = Fixture::new(101).await;
    let (mine, other) = (fixture.outside(), fixture.outside());
    let row = |hash: &str, rest: &str| {
        format!(
            r#"{{"subType":"lightning","paymentId":"x","paymentHash":"{hash}","sent":1,"fees":0,"createdAt":1,{rest}}}"#
        )
    };
    let (hash, foreign) = (mine.hash.to_hex(), other.hash.to_hex());
    let preimage = "00".repeat(32);
    let bodies = [
        row(&foreign, r#""isPaid":false,"completedAt":5"#),
        row(&hash, &format!(r#""isPaid":true,"completedAt":5,"preimage":"{preimage}""#)),
        row(&hash, r#""isPaid":true,"completedAt":5"#),
        row(&hash, &format!(r#""isPaid":false,"completedAt":5,"preimage":"{preimage}""#)),
        row(&hash, r#""isPaid":"false","completedAt":5"#),
        row(&hash, r#""isPaid":false,"completedAt":-5"#),
        row(&hash, r#""isPaid":false,"completedAt":1e3"#),
        row(&hash, r#""isPaid":false,"isPaid":false,"completedAt":5"#),
        row(&hash, r#""completedAt":5"#),
        row(&hash, r#""isPaid":false,"completedAt":5"#).replace("lightning", "splice_out"),
        row(&hash, r#""isPaid":false,"completedAt":5"#)
            .replace("\"sent\":1", "\"sent\":99999999999999999999"),
    ];
    for body in bodies {
        fixture.phoenixd.trouble(Endpoint::LookupPayment, [Trouble::Answers(200, body.clone())]);
        let outcome = fixture.node.lookup_payment(mine.hash).await;
        assert_eq!(outcome, Outcome::Unknown(Doubt::NoAnswer), "{body}");
    }
    let failed = row(&hash, r#""isPaid":false,"completedAt":5,"new":{"field":[null]}"#);
    fixture.phoenixd.trouble(Endpoint::LookupPayment, [Trouble::Answers(200, failed)]);
    assert!(matches!(fixture.node.lookup_payment(mine.hash).await, Outcome::Failed(_)));
}

#[tokio::test]
async fn an_answer_without_an_end_is_cut_off_by_its_size() {
    let fixture = Fixture::new(102).await;
    let hash = fixture.invoice().await.hash;
    let begun = Instant::now();
    fixture.phoenixd.trouble(Endpoint::LookupPayment, [Trouble::Flood]);
    assert_eq!(fixture.node.lookup_payment(hash).await, Outcome::Unknown(Doubt::NoAnswer));
    fixture.phoenixd.trouble(Endpoint::LookupInvoice, [Trouble::Flood]);
    let error = fixture.node.lookup_invoice(hash).await.unwrap_err();
    let Error::NoAnswer(Some(source)) = error else { panic!("{error:?}") };
    assert!(source.to_string().contains("longer than 65536 bytes"), "{source}");
    fixture.phoenixd.trouble(Endpoint::ListIncoming, [Trouble::None, Trouble::Flood]);
    assert!(fixture.node.list_invoices(poa_payment::Place::START, 10).await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(9), "by its size, not by its time");
}

#[tokio::test]
async fn a_node_that_hangs_is_given_up_at_the_limit() {
    let fixture = Fixture::new(103).await;
    let hash = fixture.invoice().await.hash;
    let (node, _) = fixture.another(|options| options.request_timeout = Duration::from_millis(100));
    fixture.phoenixd.trouble(Endpoint::LookupPayment, [Trouble::HangsBefore]);
    assert_eq!(node.lookup_payment(hash).await, Outcome::Unknown(Doubt::NoAnswer));
    fixture.phoenixd.trouble(Endpoint::LookupInvoice, [Trouble::HangsAfter]);
    assert!(matches!(node.lookup_invoice(hash).await, Err(Error::NoAnswer(_))));
}
