//! CreateWithdrawal to a Lightning address.

use poa_proto::escrow::v1::CreateWithdrawalRequest;
use poa_proto::escrow::v1::withdrawal::State;
use poa_testkit::{HttpsAnswer, LnurlServer};
use tonic::{Code, Status};

use crate::payee::{ALICE, Payee};
use crate::world::{User, World, fact, refusal, with, world_with};

async fn world_of(payee: &Payee) -> World {
    world_with(|config| payee.known_to(config)).await
}

async fn ask(world: &World, user: &User, request: CreateWithdrawalRequest) -> Result<String, Status> {
    let answer = world.escrow().create_withdrawal(with(&user.token, request)).await?;
    Ok(answer.into_inner().withdrawal.unwrap().withdrawal_id)
}

#[tokio::test]
async fn an_address_is_asked_for_an_invoice_of_exactly_the_amount_and_paid() {
    let payee = Payee::start().await;
    let world = world_of(&payee).await;
    let user = world.rich(1_000_000).await;
    let made = world.send(&user, "Alice@Pay.Example", 250_000).await.unwrap();
    assert_eq!((made.lightning_address.as_str(), made.amount_msat), (ALICE, 250_000));
    assert!(!made.internal && !made.automatic && made.replaces.is_empty());
    let paid = world.reaches(&user, &made.withdrawal_id, State::Succeeded).await;
    assert_eq!(
        (paid.fee_msat, paid.invoice, paid.lightning_address),
        (250, made.invoice, made.lightning_address)
    );
    assert_eq!(world.balance(&user).await, (749_750, 0));
    assert_eq!(payee.lnurl.invoices(), 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_repeat_shows_the_same_withdrawal_and_asks_the_address_no_more() {
    let payee = Payee::start().await;
    let world = world_of(&payee).await;
    let user = world.rich(1_000_000).await;
    let request = world.send_request(ALICE, 100_000);
    let first = ask(&world, &user, request.clone()).await.unwrap();
    let asked = payee.lnurl.https().requests();
    world.reaches(&user, &first, State::Succeeded).await;
    assert_eq!(ask(&world, &user, request.clone()).await.unwrap(), first);
    // Nor where the host would give no invoice any more.
    payee.lnurl.script(|_, _| Some(HttpsAnswer::json("{}").with_status(404)));
    assert_eq!(ask(&world, &user, request.clone()).await.unwrap(), first);
    assert_eq!(payee.lnurl.https().requests(), asked);
    let other = CreateWithdrawalRequest { amount_msat: 100_001, ..request };
    assert_eq!(refusal(ask(&world, &user, other).await).1, "REQUEST_ID_REUSED");
    assert_eq!(world.node().payments_taken().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_ask_at_once_under_one_id_each_gets_the_one_withdrawal() {
    let payee = Payee::start().await;
    let world = world_of(&payee).await;
    let user = world.rich(1_000_000).await;
    let request = world.send_request(ALICE, 100_000);
    let calls = (0..8).map(|_| ask(&world, &user, request.clone()));
    let mut made: Vec<String> =
        futures_util::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
    made.dedup();
    assert_eq!(made.len(), 1, "{made:?}");
    world.reaches(&user, &made[0], State::Succeeded).await;
    assert_eq!(world.node().payments_taken().await.unwrap(), 1);
    assert_eq!(world.balance(&user).await, (899_900, 0));
    world.assert_sound().await;
}

/// The usual answer to the first question, with something else in it.
fn offering(change: fn(String) -> String) -> impl Fn(&str, &str) -> Option<HttpsAnswer> {
    move |host, path| {
        let name = path.strip_prefix("/.well-known/lnurlp/")?;
        Some(HttpsAnswer::json(change(LnurlServer::offer(host, name))))
    }
}

/// The usual answer to the first question, and this one to the second.
fn giving(answer: HttpsAnswer) -> impl Fn(&str, &str) -> Option<HttpsAnswer> {
    move |_, path| path.contains("amount=").then(|| answer.clone())
}

#[tokio::test]
async fn an_address_that_cannot_be_paid_is_refused_with_the_reason_and_nothing_is_reserved() {
    let payee = Payee::start().await;
    let world = world_of(&payee).await;
    let user = world.rich(1_000_000).await;
    let refused = async |address: &str, msat: i64| {
        let refused = world.send(&user, address, msat).await;
        assert_eq!(refusal(refused.clone()), (Code::InvalidArgument, "ADDRESS_REFUSED".to_owned()));
        fact(refused, "problem")
    };
    assert_eq!(refused("alice@localhost", 10_000).await, "malformed");
    assert_eq!(refused("../admin@pay.example", 10_000).await, "malformed");
    // Not in the certificate.
    assert_eq!(refused("alice@third.example", 10_000).await, "unreachable");
    assert_eq!(refused(ALICE, 999).await, "out-of-bounds");
    payee.lnurl.script(|_, _| Some(HttpsAnswer::json("{}").with_status(404)));
    assert_eq!(refused(ALICE, 10_000).await, "no-such-name");
    payee.lnurl.script(|_, _| Some(HttpsAnswer::json(r#"{"status":"ERROR","reason":"who?"}"#)));
    assert_eq!(refused(ALICE, 10_000).await, "no-such-name");
    payee.lnurl.script(|_, _| {
        let location = vec!["Location: https://other.example/".to_owned()];
        Some(HttpsAnswer { headers: location, ..HttpsAnswer::json("").with_status(301) })
    });
    assert_eq!(refused(ALICE, 10_000).await, "bad-answer");
    payee.lnurl.script(offering(|offer| offer.replace("payRequest", "withdrawRequest")));
    assert_eq!(refused(ALICE, 10_000).await, "bad-answer");
    payee.lnurl.script(offering(|offer| offer.replace("https://pay.example/", "https://other.example/")));
    assert_eq!(refused(ALICE, 10_000).await, "other-host");
    payee.lnurl.script(giving(HttpsAnswer::json(r#"{"status":"ERROR"}"#)));
    assert_eq!(refused(ALICE, 10_000).await, "host-refused");
    payee.lnurl.script(giving(HttpsAnswer::json(r#"{"routes":[]}"#)));
    assert_eq!(refused(ALICE, 10_000).await, "bad-answer");
    assert_eq!(world.balance(&user).await, (1_000_000, 0));
    assert_eq!(world.count("SELECT count(*) FROM withdrawals").await, 0);
}

#[tokio::test]
async fn an_invoice_that_is_not_what_was_asked_for_is_not_paid() {
    let payee = Payee::start().await;
    let world = world_of(&payee).await;
    let user = world.rich(1_000_000).await;
    let refused = async |payee: &Payee, invoice: &str| {
        let pr = format!(r#"{{"pr":"{invoice}","routes":[]}}"#);
        payee.lnurl.script(giving(HttpsAnswer::json(pr)));
        let refused = world.send(&world.again(&user), ALICE, 10_000).await;
        assert_eq!(refusal(refused.clone()).1, "ADDRESS_REFUSED");
        (fact(refused.clone(), "problem"), fact(refused, "invoice_problem"))
    };
    let invoice = |problem: &str| ("invoice".to_owned(), problem.to_owned());
    let problem = |problem: &str| (problem.to_owned(), String::new());
    assert_eq!(refused(&payee, "lnbc1nonsense").await, invoice("malformed"));
    let less = world.outside_invoice(&user, 9_999).await;
    assert_eq!(refused(&payee, &less).await, problem("other-amount"));
    // Right in everything, and about something else.
    let other = world.outside_invoice(&user, 10_000).await;
    assert_eq!(refused(&payee, &other).await, problem("other-description"));
    // A deposit of this platform's own is about that deposit, never about what the address offers.
    let own = world.deposit(&user, 10_000).await;
    assert_eq!(refused(&payee, &own.invoice).await, problem("other-description"));
    world.clock.advance(std::time::Duration::from_secs(3_600));
    assert_eq!(refused(&payee, &other).await, invoice("expired"));
    assert_eq!(world.count("SELECT count(*) FROM withdrawals").await, 0);
}

#[tokio::test]
async fn nobody_is_asked_for_what_would_be_refused_in_any_case() {
    let payee = Payee::start().await;
    let world = world_of(&payee).await;
    let user = world.rich(10_000).await;
    assert_eq!(refusal(world.send(&user, ALICE, 10_001).await).1, "INSUFFICIENT_FUNDS");
    world.pause(true, "a test").await;
    let paused = (Code::Unavailable, "PAYOUTS_PAUSED".to_owned());
    assert_eq!(refusal(world.send(&user, ALICE, 5_000).await), paused);
    for (invoice, address, msat, field) in [
        ("", "", 0, "invoice"),
        ("lnsb1", ALICE, 0, "lightning_address"),
        ("", ALICE, 0, "amount_msat"),
        ("lnsb1", "", 5_000, "amount_msat"),
    ] {
        let request = CreateWithdrawalRequest {
            request_id: world.request_id(),
            invoice: invoice.to_owned(),
            lightning_address: address.to_owned(),
            amount_msat: msat,
            ..Default::default()
        };
        let refused = ask(&world, &user, request).await.unwrap_err();
        let failure = poa_chassis::failure(&refused);
        assert_eq!(failure.reason, "FIELDS_INVALID");
        assert!(refused.message().contains(field), "{}", refused.message());
    }
    assert_eq!(payee.lnurl.https().requests(), 0);
}
