//! What is not known is not failed: lost requests, lost answers, hangs, restarts, and texts that seem to say "failed".

use std::time::Duration;

use poa_payment::{Doubt, Outcome, PayIntent, Payer as _, Provider as _};
use poa_testkit::eventually;
use poa_testkit::phoenixd::{Effect, Endpoint, Resolution, Trouble};

use crate::support::{FEE, FULL, Fixture, PATIENCE, raw, settled};

const NOT_FOUND: Outcome = Outcome::Unknown(Doubt::NotFound);
const NO_ANSWER: Outcome = Outcome::Unknown(Doubt::NoAnswer);
/// How long a payer waits for a payment that never begins, in the tests where none does.
const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_success_that_the_caller_never_hears_of_is_found_by_its_hash() {
    let fixture = Fixture::new(20).await;
    for trouble in [Trouble::LostAfter, Trouble::HangsAfter, Trouble::Torn] {
        fixture.phoenixd.trouble(Endpoint::PayInvoice, [trouble.clone()]);
        let intent = fixture.outside();
        assert_eq!(settled(&fixture.pay(&intent).await, intent.hash), Some(FEE), "{trouble:?}");
        assert_eq!(fixture.phoenixd.payments_of(*intent.hash.as_bytes()), 1);
    }
}

#[tokio::test]
async fn a_request_that_may_still_arrive_is_never_made_again() {
    let fixture = Fixture::new(21).await;
    let (_, payer) = fixture.another(|options| options.payment_timeout = SHORT);
    let lost = [
        Trouble::LostBefore,
        Trouble::Answers(500, String::new()),
        Trouble::Answers(502, "<html>Bad Gateway</html>".to_owned()),
        Trouble::Answers(
            400,
            "Request parameter invoice couldn't be parsed/converted to bolt11invoice".to_owned(),
        ),
        Trouble::Answers(401, "Invalid authentication".to_owned()),
        Trouble::Answers(200, "{}".to_owned()),
        Trouble::Answers(200, r#"{"reason":"payment request features not supported"}"#.to_owned()),
        Trouble::HangsBefore,
    ];
    for trouble in lost {
        fixture.phoenixd.trouble(Endpoint::PayInvoice, [trouble.clone()]);
        let intent = fixture.outside();
        let asked = fixture.asked();
        for _ in 0..3 {
            assert_eq!(payer.pay(intent.clone()).await, NOT_FOUND, "{trouble:?}");
        }
        assert_eq!(fixture.asked(), asked + 1, "{trouble:?}");
    }
}

#[tokio::test]
async fn a_request_that_arrives_after_all_patience_is_one_payment() {
    let fixture = Fixture::new(22).await;
    let (node, payer) = fixture.another(|options| options.payment_timeout = SHORT);
    fixture.phoenixd.trouble(Endpoint::PayInvoice, [Trouble::Late]);
    let intent = fixture.outside();
    for _ in 0..3 {
        assert_eq!(payer.pay(intent.clone()).await, NOT_FOUND);
    }
    fixture.phoenixd.release();
    eventually(PATIENCE, "the late request is carried out", async || {
        settled(&node.lookup_payment(intent.hash).await, intent.hash).is_some()
    })
    .await;
    assert!(settled(&payer.pay(intent.clone()).await, intent.hash).is_some());
    assert_eq!(fixture.phoenixd.attempts_of(*intent.hash.as_bytes()), 1);
}

#[tokio::test]
async fn a_request_that_certainly_never_left_is_made_again() {
    let fixture = Fixture::new(23).await;
    // The connections of the lookups live on: only the one for the payment is refused.
    assert_eq!(fixture.node.lookup_payment(fixture.outside().hash).await, NOT_FOUND);
    fixture.phoenixd.close_port().await;
    let intent = fixture.outside();
    assert_eq!(fixture.pay(&intent).await, NO_ANSWER);
    assert_eq!(fixture.node.lookup_payment(intent.hash).await, NOT_FOUND);
    fixture.phoenixd.start_again().await;
    // The old connections are gone, and one of them may be tried.
    eventually(PATIENCE, "the node answers", async || {
        fixture.node.lookup_payment(intent.hash).await == NOT_FOUND
    })
    .await;
    assert_eq!(settled(&fixture.pay(&intent).await, intent.hash), Some(FEE));
    assert_eq!(fixture.asked(), 1);
}

#[tokio::test]
async fn texts_that_seem_to_say_failed_are_looked_behind() {
    let fixture = Fixture::new(24).await;
    // Somebody else has sent it, and we looked before: our request comes second.
    for (effect, settles) in [(Effect::StaysPending, false), (Effect::Usual, true)] {
        let intent = fixture.outside();
        fixture.phoenixd.effects([effect]);
        let (address, form) = (fixture.phoenixd.address(), format!("invoice={}", intent.bolt11));
        tokio::spawn(async move { raw(&address, "POST /payinvoice", Some(FULL), &form).await });
        let hash = *intent.hash.as_bytes();
        eventually(PATIENCE, "the first request is carried out", async || {
            fixture.phoenixd.attempts_of(hash) == 1
                && fixture.phoenixd.payments_of(hash) == usize::from(settles)
        })
        .await;
        fixture.phoenixd.trouble(Endpoint::LookupPayment, [Trouble::NotFound]);
        let asked = fixture.asked();
        let outcome = fixture.pay(&intent).await;
        assert_eq!(fixture.asked(), asked + 1, "the second request was made");
        assert_eq!(settled(&outcome, intent.hash).is_some(), settles, "{outcome:?}");
        assert_eq!(outcome == Outcome::InFlight, !settles, "{outcome:?}");
        assert_eq!(fixture.phoenixd.attempts_of(*intent.hash.as_bytes()), 1);
    }
    // The same texts out of nowhere.
    for reason in ["another payment is in progress for that invoice", "this invoice has already been paid"] {
        let intent = fixture.outside();
        let body = format!(r#"{{"paymentHash":"{}","reason":"{reason}"}}"#, intent.hash);
        fixture.phoenixd.trouble(Endpoint::PayInvoice, [Trouble::Answers(200, body)]);
        assert_eq!(fixture.pay(&intent).await, NOT_FOUND, "{reason}");
    }
}

#[tokio::test]
async fn a_success_is_believed_only_where_a_lookup_says_so() {
    let fixture = Fixture::new(25).await;
    let intent = fixture.outside();
    let body = format!(
        r#"{{"recipientAmountSat":1,"routingFeeSat":0,"paymentId":"x","paymentHash":"{}","paymentPreimage":"{}"}}"#,
        intent.hash,
        "00".repeat(32)
    );
    fixture.phoenixd.trouble(Endpoint::PayInvoice, [Trouble::Answers(200, body)]);
    assert_eq!(fixture.pay(&intent).await, NOT_FOUND);
}

#[tokio::test]
async fn nothing_is_sent_while_it_is_not_known_whether_the_node_knows_the_hash() {
    let fixture = Fixture::new(26).await;
    let troubles = [
        Trouble::Answers(500, String::new()),
        Trouble::Answers(404, "Unknown endpoint (check api doc)".to_owned()),
        Trouble::Answers(404, "Not found\n".to_owned()),
        Trouble::Answers(404, "<html>Not found</html>".to_owned()),
        Trouble::Answers(204, String::new()),
        Trouble::Answers(200, "Not found".to_owned()),
        Trouble::LostBefore,
        Trouble::Torn,
        Trouble::Flood,
    ];
    let intent = fixture.outside();
    for trouble in troubles {
        fixture.phoenixd.trouble(Endpoint::LookupPayment, [trouble.clone()]);
        let torn_not_found = trouble == Trouble::Torn;
        if torn_not_found {
            // Half of "Not found" is not "Not found".
            assert_eq!(fixture.node.lookup_payment(intent.hash).await, NO_ANSWER);
            continue;
        }
        assert_eq!(fixture.pay(&intent).await, NO_ANSWER, "{trouble:?}");
    }
    // What else is asked before a payment.
    for endpoint in [Endpoint::GetInfo, Endpoint::LookupInvoice] {
        fixture.phoenixd.trouble(endpoint, [Trouble::Answers(500, String::new())]);
        assert_eq!(fixture.pay(&intent).await, NO_ANSWER, "{endpoint:?}");
    }
    assert_eq!(fixture.asked(), 0);
    assert_eq!(settled(&fixture.pay(&intent).await, intent.hash), Some(FEE));
}

#[tokio::test]
async fn lookups_that_flap_make_no_end_of_what_has_none() {
    let fixture = Fixture::new(27).await;
    fixture.phoenixd.effects([Effect::StaysPending]);
    let intent = fixture.outside();
    assert_eq!(fixture.pay(&intent).await, Outcome::InFlight);
    let flaps = [
        (Trouble::NotFound, NOT_FOUND),
        (Trouble::Answers(503, String::new()), NO_ANSWER),
        (Trouble::LostBefore, NO_ANSWER),
        (Trouble::None, Outcome::InFlight),
        (Trouble::NotFound, NOT_FOUND),
    ];
    for (trouble, expected) in flaps {
        fixture.phoenixd.trouble(Endpoint::LookupPayment, [trouble]);
        assert_eq!(fixture.node.lookup_payment(intent.hash).await, expected);
    }
    // The request ends with the payment, and one look of its own.
    let looks = fixture.phoenixd.requests("GET /payments/outgoingbyhash");
    fixture.phoenixd.resolve(*intent.hash.as_bytes(), Resolution::Settles);
    eventually(PATIENCE, "the request ends", async || {
        fixture.phoenixd.requests("GET /payments/outgoingbyhash") > looks
    })
    .await;
    fixture.phoenixd.trouble(Endpoint::LookupPayment, [Trouble::NotFound]);
    assert_eq!(fixture.node.lookup_payment(intent.hash).await, NOT_FOUND);
    assert!(settled(&fixture.node.lookup_payment(intent.hash).await, intent.hash).is_some());
}

#[tokio::test]
async fn a_restart_in_flight_leaves_the_payment_as_it_is() {
    let fixture = Fixture::new(28).await;
    fixture.phoenixd.effects([Effect::StaysPending, Effect::StaysPending]);
    let (settling, failing) = (fixture.outside(), fixture.outside());
    assert_eq!(fixture.pay(&settling).await, Outcome::InFlight);
    assert_eq!(fixture.pay(&failing).await, Outcome::InFlight);
    fixture.phoenixd.stop();
    assert_eq!(fixture.node.lookup_payment(settling.hash).await, NO_ANSWER);
    assert_eq!(fixture.pay(&settling).await, NO_ANSWER);
    // It ends while nobody listens, and after its invoice has expired.
    fixture.clock.advance(Duration::from_secs(7_200));
    fixture.phoenixd.resolve(*settling.hash.as_bytes(), Resolution::Settles);
    let text = "wallet restarted while a payment was ongoing".to_owned();
    fixture.phoenixd.resolve(*failing.hash.as_bytes(), Resolution::Fails(text));
    fixture.phoenixd.start_again().await;
    assert!(settled(&fixture.pay(&settling).await, settling.hash).is_some());
    assert!(matches!(fixture.pay(&failing).await, Outcome::Failed(_)));
    assert_eq!(fixture.asked(), 2);
}

#[tokio::test]
async fn a_failure_of_an_earlier_attempt_is_not_that_of_a_request_under_way() {
    let fixture = Fixture::new(30).await;
    let (_, payer) = fixture.another(|options| options.payment_timeout = SHORT);
    fixture.phoenixd.effects([Effect::Fails("no".to_owned()), Effect::Usual]);
    let intent = fixture.outside();
    assert!(matches!(fixture.pay(&intent).await, Outcome::Failed(_)));
    // A lookup that flaps lets another process ask once more, and its request is late.
    fixture.phoenixd.trouble(Endpoint::LookupPayment, [Trouble::NotFound]);
    fixture.phoenixd.trouble(Endpoint::PayInvoice, [Trouble::Late]);
    assert_eq!(payer.pay(intent.clone()).await, NO_ANSWER);
    fixture.phoenixd.release();
    eventually(PATIENCE, "the late request is carried out", async || {
        settled(&fixture.node.lookup_payment(intent.hash).await, intent.hash).is_some()
    })
    .await;
}

#[tokio::test]
async fn what_is_in_flight_when_its_invoice_expires_stays_in_flight() {
    let fixture = Fixture::new(29).await;
    fixture.phoenixd.effects([Effect::StaysPending]);
    let intent = fixture.outside();
    assert_eq!(fixture.pay(&intent).await, Outcome::InFlight);
    fixture.clock.advance(Duration::from_secs(7_200));
    let late = PayIntent { deadline: fixture.env.now(), ..intent.clone() };
    assert_eq!(fixture.pay(&late).await, Outcome::InFlight);
    fixture.phoenixd.resolve(*intent.hash.as_bytes(), Resolution::Settles);
    assert!(settled(&fixture.pay(&late).await, intent.hash).is_some());
}
