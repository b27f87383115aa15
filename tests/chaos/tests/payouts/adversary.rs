//! A thousand payouts against a node on its bad days, with the service ended in the middle of every wave of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use poa_common::{AccountId, Msat};
use poa_payment::simulated::{
    Answer, ChangeFault, Fault, HintFault, LookupFault, OutsideInvoice, PayEffect, Resolution,
};
use poa_payment::{FailureReason, Outcome, PaymentHash, Place, Provider as _};
use poa_proto::escrow::v1::{CreateDepositRequest, CreateWithdrawalRequest, GetBalanceRequest};
use poa_testkit::SeededEntropy;
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::house::{House, with};
use crate::{ADDRESS, asked_for};

const PAYOUTS: u64 = 1_000;
/// How many are asked for before the service is ended.
const WAVE: u64 = 25;
/// The service is ended once so many new payouts are in flight, at the most, or after so long.
const IN_FLIGHT: u64 = 8;
const CRASH_WITHIN: Duration = Duration::from_secs(3);
/// And at the latest so many microseconds after that.
const LATER_US: u64 = 20_000;
/// How far the clock runs ahead of ours: failures after several dispatches wait for deadlines by it.
const AHEAD: u32 = 10;
/// How long the rest may take once the node behaves.
const REST_WITHIN: Duration = Duration::from_secs(120);
/// What the payer begins with, in msat.
const MEANS: i64 = 50_000_000_000;

/// What was asked for, which one account repeats until it hears.
struct Asked {
    request: CreateWithdrawalRequest,
    answered: bool,
}

/// What has happened.
#[derive(Default)]
struct Figures {
    crashes: u64,
    in_flight: BTreeSet<uuid::Uuid>,
    repeated: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_payouts_none_is_made_twice_and_none_is_lost() {
    let payouts = asked_for("POA_PAYOUTS").unwrap_or(PAYOUTS);
    let seed = asked_for("POA_PAYOUT_SEED").unwrap_or(1);
    let since = Instant::now();
    let mut house = House::open(seed).await;
    let dice = SeededEntropy::new(seed);
    let ticking = tokio::spawn(tick(house.clock.clone()));
    let (payer, payee): (AccountId, AccountId) = (house.env.new_id(), house.env.new_id());
    fund(&house, payer).await;
    let mut asked: Vec<Asked> = Vec::new();
    let mut figures = Figures::default();
    while u64::try_from(asked.len()).unwrap() < payouts {
        let room = payouts - u64::try_from(asked.len()).unwrap();
        for _ in 0..WAVE.min(room) {
            let request = payout(&house, payee, &dice).await;
            asked.push(Asked { request, answered: false });
        }
        wave(&mut house, payer, &mut asked, &dice, &mut figures).await;
    }
    // The node behaves from now on, and payees take or leave what they have held.
    house.crash();
    house.start(Vec::new()).await;
    figures.repeated += ask(&house, payer, &mut asked, None::<std::future::Ready<()>>).await;
    assert!(asked.iter().all(|asked| asked.answered));
    rest(&house, &dice).await;
    ticking.abort();
    check(&house, payer, payee, &asked).await;
    let states = states(&house).await;
    let crashed = figures.in_flight.len();
    eprintln!(
        "\n== {payouts} payouts against a node on its bad days (seed {seed}, {:.1?})\n{} crashes, {crashed} payouts in \
         flight at one of them, {} requests repeated, {} invoices of Lightning addresses\nended {states:?}; double \
         payments 0, lost 0, audit clean\n",
        since.elapsed(),
        figures.crashes,
        figures.repeated,
        house.outside.invoices(),
    );
    assert!(
        u64::try_from(crashed).unwrap() * 10 >= payouts,
        "at least one in ten was crashed in flight: {crashed}"
    );
}

/// Lets the clock run ahead.
async fn tick(clock: poa_testkit::TestClock) {
    const STEP: Duration = Duration::from_millis(20);
    loop {
        tokio::time::sleep(STEP).await;
        clock.advance(STEP * AHEAD);
    }
}

/// Credits the payer.
async fn fund(house: &House, account: AccountId) {
    let invoice = deposit(house, account, MEANS).await;
    house.node().pay_invoice(&invoice).await.unwrap();
    let end = Instant::now() + REST_WITHIN;
    while balance(house, account).await.0 != MEANS {
        assert!(Instant::now() < end, "the deposit is not credited");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn deposit(house: &House, account: AccountId, amount_msat: i64) -> String {
    let request = CreateDepositRequest { request_id: house.request_id(), amount_msat };
    loop {
        let call = with(&house.token(account), request.clone());
        if let Ok(answer) = house.escrow().create_deposit(call).await {
            return answer.into_inner().deposit.unwrap().invoice;
        }
    }
}

async fn balance(house: &House, account: AccountId) -> (i64, i64) {
    let call = with(&house.token(account), GetBalanceRequest {});
    let balance = house.escrow().get_balance(call).await.unwrap().into_inner().balance.unwrap();
    (balance.available_msat, balance.held_msat)
}

/// A payout of one kind or another: most to an invoice of somebody outside, some to an address, some within the ledger.
async fn payout(house: &House, payee: AccountId, dice: &SeededEntropy) -> CreateWithdrawalRequest {
    let msat = 10_000 + i64::try_from(dice.next_u64() % 90).unwrap() * 1_000;
    let mut request = CreateWithdrawalRequest { request_id: house.request_id(), ..Default::default() };
    match dice.next_u64() % 10 {
        0 | 1 => (request.lightning_address, request.amount_msat) = (ADDRESS.to_owned(), msat),
        2 | 3 => request.invoice = deposit(house, payee, msat).await,
        _ => {
            let wanted = OutsideInvoice::of(Msat::new(msat));
            request.invoice = house.node().outside_invoice(wanted).await.unwrap().bolt11;
        }
    }
    request
}

/// Asks for everything that was not answered yet, ends the service in the middle of it, and starts it again.
async fn wave(
    house: &mut House,
    payer: AccountId,
    asked: &mut [Asked],
    dice: &SeededEntropy,
    figures: &mut Figures,
) {
    let wanted = usize::try_from(dice.next_u64() % IN_FLIGHT + 1).unwrap();
    let later = Duration::from_micros(dice.next_u64() % LATER_US);
    let (sql, known) = (house.sql.clone(), figures.in_flight.clone());
    let moment = async move {
        let end = Instant::now() + CRASH_WITHIN;
        while dispatched(&sql).await.difference(&known).count() < wanted && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(later).await;
    };
    figures.repeated += ask(house, payer, asked, Some(moment)).await;
    house.crash();
    figures.crashes += 1;
    figures.in_flight.extend(dispatched(&house.sql).await);
    house.start(days(dice)).await;
    resolve(house, dice, 3).await;
}

/// What is in flight by the rows.
async fn dispatched(sql: &PgPool) -> BTreeSet<uuid::Uuid> {
    let rows: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT id FROM withdrawals WHERE state = 'dispatched'")
        .fetch_all(sql)
        .await
        .unwrap();
    rows.into_iter().collect()
}

/// Asks for all that was not answered, until a moment has come, or else until it is. Answers how many of them were asked before.
async fn ask(
    house: &House,
    payer: AccountId,
    asked: &mut [Asked],
    until: Option<impl Future<Output = ()>>,
) -> u64 {
    let mut calls = JoinSet::new();
    let token: Arc<str> = house.token(payer).into();
    let mut open = 0;
    for (place, row) in asked.iter().enumerate().filter(|(_, row)| !row.answered) {
        let (mut client, request, token) = (house.escrow(), row.request.clone(), Arc::clone(&token));
        open += 1;
        calls.spawn(async move {
            loop {
                match client.create_withdrawal(with(&token, request.clone())).await {
                    Ok(_) => return place,
                    // Not one of these says that it was not done; the address could not be heard, or the answer was lost.
                    Err(status) => {
                        let failure = poa_chassis::failure(&status);
                        let again = matches!(
                            status.code(),
                            tonic::Code::Unavailable
                                | tonic::Code::Unknown
                                | tonic::Code::Cancelled
                                | tonic::Code::DeadlineExceeded
                        ) || failure.reason == "ADDRESS_REFUSED";
                        assert!(again, "{status:?}");
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            }
        });
    }
    let answering = async {
        while let Some(answered) = calls.join_next().await {
            asked[answered.unwrap()].answered = true;
        }
    };
    match until {
        // What all have heard by then may still be in flight.
        Some(until) => {
            let mut answering = std::pin::pin!(answering);
            let mut until = std::pin::pin!(until);
            tokio::select! {
                () = &mut until => {}
                () = &mut answering => until.await,
            }
        }
        None => answering.await,
    }
    u64::try_from(open).unwrap().saturating_sub(WAVE)
}

/// What the node does wrong after a start.
fn days(dice: &SeededEntropy) -> Vec<Fault> {
    let pay = |effect, answer| Fault::Pay { effect, answer };
    let kinds = [
        pay(PayEffect::Usual, Answer::Given),
        pay(PayEffect::Usual, Answer::Lost),
        pay(PayEffect::Usual, Answer::Never),
        pay(PayEffect::StaysInFlight, Answer::Given),
        pay(PayEffect::StaysInFlight, Answer::Lost),
        pay(PayEffect::StaysInFlight, Answer::Never),
        pay(PayEffect::Fails(FailureReason::NoRoute), Answer::Given),
        pay(PayEffect::Fails(FailureReason::IncorrectDetails), Answer::Lost),
        pay(PayEffect::NeverArrives, Answer::Lost),
        pay(PayEffect::NeverArrives, Answer::Never),
        Fault::LookupPayment(LookupFault::NotFound),
        Fault::LookupPayment(LookupFault::NoAnswer),
        Fault::LookupPayment(LookupFault::Stale),
        Fault::LookupInvoice(LookupFault::NotFound),
        Fault::LookupInvoice(LookupFault::NoAnswer),
        Fault::LookupInvoice(LookupFault::Stale),
        Fault::Change(ChangeFault::RequestLost),
        Fault::Change(ChangeFault::AnswerLost),
        Fault::Hint(HintFault::Lose),
        Fault::Hint(HintFault::Duplicate),
    ];
    let pick = |_| kinds[usize::try_from(dice.next_u64()).unwrap() % kinds.len()];
    (0..40).map(pick).collect()
}

/// Payees take or leave some of what they hold: one in `one_in` of it.
async fn resolve(house: &House, dice: &SeededEntropy, one_in: u64) {
    for hash in held(house).await {
        if dice.next_u64().is_multiple_of(one_in) {
            let end = if dice.next_u64().is_multiple_of(3) {
                Resolution::Fails(FailureReason::Timeout)
            } else {
                Resolution::Settles
            };
            // Some have ended meanwhile.
            let _ended = house.node().resolve_payment(hash, end).await;
        }
    }
}

async fn held(house: &House) -> Vec<PaymentHash> {
    let payments = listed(house).await;
    payments.into_iter().filter(|(_, outcome)| *outcome == Outcome::InFlight).map(|(hash, _)| hash).collect()
}

/// Every payment that the node was ever told to make.
async fn listed(house: &House) -> Vec<(PaymentHash, Outcome)> {
    let (mut payments, mut place) = (Vec::new(), Place::default());
    loop {
        let Ok(page) = house.node().list_payments(place, 500).await else { continue };
        let Some(last) = page.last() else { return payments };
        place = last.place;
        payments.extend(page.into_iter().map(|row| (row.hash, row.outcome)));
    }
}

async fn states(house: &House) -> BTreeMap<String, i64> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT state || CASE WHEN deposit_id IS NULL THEN '' ELSE ' within the ledger' END, count(*)
         FROM withdrawals GROUP BY 1",
    )
    .fetch_all(&house.sql)
    .await
    .unwrap();
    rows.into_iter().collect()
}

/// Waits until every payout has ended.
async fn rest(house: &House, dice: &SeededEntropy) {
    let end = Instant::now() + REST_WITHIN;
    loop {
        resolve(house, dice, 1).await;
        let open: i64 =
            sqlx::query_scalar("SELECT count(*) FROM withdrawals WHERE state IN ('reserved', 'dispatched')")
                .fetch_one(&house.sql)
                .await
                .unwrap();
        if open == 0 {
            return;
        }
        assert!(Instant::now() < end, "{open} payouts have no end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One row per request, one payment per row that succeeded and none beside, every msat where it belongs.
async fn check(house: &House, payer: AccountId, payee: AccountId, asked: &[Asked]) {
    let rows: Vec<(uuid::Uuid, String, Vec<u8>, i64, i64, bool)> = sqlx::query_as(
        "SELECT request_id, state, payment_hash, amount_msat, fee_msat, deposit_id IS NOT NULL FROM withdrawals",
    )
    .fetch_all(&house.sql)
    .await
    .unwrap();
    let requests: BTreeSet<String> = rows.iter().map(|row| row.0.to_string()).collect();
    assert_eq!((rows.len(), requests.len()), (asked.len(), asked.len()), "one row for each request");
    assert!(asked.iter().all(|asked| requests.contains(&asked.request.request_id)), "nothing was lost");

    let settled: Vec<PaymentHash> = listed(house)
        .await
        .into_iter()
        .filter(|(_, outcome)| matches!(outcome, Outcome::Settled { .. }))
        .map(|(hash, _)| hash)
        .collect();
    let distinct: BTreeSet<&[u8]> = settled.iter().map(|hash| hash.as_bytes().as_slice()).collect();
    assert_eq!(distinct.len(), settled.len(), "no hash was paid twice");
    let sent: Vec<_> = rows.iter().filter(|row| row.1 == "succeeded" && !row.5).collect();
    let booked: BTreeSet<&[u8]> = sent.iter().map(|row| row.2.as_slice()).collect();
    assert_eq!(booked, distinct, "what the node has paid is what is booked, and nothing beside");

    let out: i64 = sent.iter().map(|row| row.3 + row.4).sum();
    let within: i64 = rows.iter().filter(|row| row.1 == "succeeded" && row.5).map(|row| row.3).sum();
    assert_eq!(balance(house, payer).await, (MEANS - out - within, 0));
    assert_eq!(balance(house, payee).await, (within, 0));
    let lightning: i64 = sqlx::query_scalar("SELECT available_msat FROM accounts WHERE kind = 'lightning'")
        .fetch_one(&house.sql)
        .await
        .unwrap();
    assert_eq!(lightning, out - MEANS, "the flows of the ledger are the node's");
    let node = house.node().balance().await.unwrap();
    assert_eq!((node.spendable.get(), node.outgoing.get()), (100_000_000_000 + MEANS - out, 0));
    let audit = house.audit().await;
    assert!(audit.clean, "{:#?}", audit.checks);
}
