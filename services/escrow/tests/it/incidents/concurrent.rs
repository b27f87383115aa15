//! Many at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use poa_proto::escrow::v1::withdrawal::State;
use poa_proto::escrow::v1::{CreateWithdrawalRequest, SetPayoutDestinationRequest};
use poa_testkit::{SeededEntropy, eventually};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::world::{SOON, User, World, fact, refusal, with, world, world_with};

/// How many answers there were of each kind.
fn tally<T: std::fmt::Debug>(answers: Vec<Result<T, Status>>) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for answer in answers {
        let kind = if answer.is_ok() { "ok".to_owned() } else { refusal(answer).1 };
        *counted.entry(kind).or_default() += 1;
    }
    counted
}

/// Asks until the answer is definite: a busy machine refuses some of a thousand.
async fn insist(world: Arc<World>, user: User, request: CreateWithdrawalRequest) -> Result<String, Status> {
    loop {
        match world.escrow().create_withdrawal(with(&user.token, request.clone())).await {
            Ok(answer) => return Ok(answer.into_inner().withdrawal.unwrap().withdrawal_id),
            Err(status) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(status) => return Err(status),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_withdrawals_of_the_whole_balance_do_not_beat_the_check() {
    const MANY: usize = 1_000;
    // Far more than one account would be let through at the edge.
    let world = Arc::new(world_with(|config| config.server.limits.in_flight = 2 * MANY).await);
    let user = world.rich(1_005_000).await;
    let mut calls = JoinSet::new();
    for _ in 0..MANY {
        let wanted = poa_payment::simulated::OutsideInvoice::of(poa_common::Msat::new(1_000_000));
        let request = CreateWithdrawalRequest {
            request_id: world.request_id(),
            invoice: world.node().outside_invoice(wanted).await.unwrap().bolt11,
            fee_limit_msat: Some(5_000),
            ..Default::default()
        };
        calls.spawn(insist(Arc::clone(&world), user.clone(), request));
    }
    let counted = tally(calls.join_all().await);
    assert_eq!(counted, BTreeMap::from([("ok".to_owned(), 1), ("INSUFFICIENT_FUNDS".to_owned(), MANY - 1)]));
    let (available, held) = world.balance(&user).await;
    assert!(available + held <= 1_005_000 && available >= 0, "{available} {held}");
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_invoice_submitted_as_two_withdrawals_is_refused_and_debits_nothing() {
    let world = world().await;
    let users = [world.rich(500_000).await, world.rich(500_000).await, world.rich(500_000).await];
    let invoice = world.outside_invoice(&users[0], 100_000).await;
    let calls = (0..60).map(|place| world.withdraw(&users[place % 3], &invoice, None));
    let counted = tally(futures_util::future::join_all(calls).await);
    assert_eq!(counted, BTreeMap::from([("ok".to_owned(), 1), ("INVOICE_ALREADY_USED".to_owned(), 59)]));
    let debited = "SELECT count(*) FROM transfers WHERE kind = 'withdraw_reserve'";
    assert_eq!(world.count(debited).await, 1);
    assert!(world.node().payments_taken().await.unwrap() <= 1);
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paid_internally_and_from_outside_is_paid_by_one_of_the_two() {
    const ROUNDS: usize = 60;
    let world = world_with(|config| config.deposits.poll_ms = 20).await;
    let (payer, payee, other) = (world.rich(10_000_000).await, world.user(), world.user());
    let (mut inside, mut outside) = (0, 0);
    for round in 0..ROUNDS {
        let deposit = world.deposit(&payee, 10_000).await;
        // Now the one, now the other is a little ahead.
        let late = Duration::from_millis(u64::try_from(round % 12).unwrap() * 3);
        let from_outside = async {
            tokio::time::sleep(late).await;
            world.pay(&other, &deposit.invoice).await
        };
        let (paid, made) = tokio::join!(from_outside, world.withdraw(&payer, &deposit.invoice, Some(0)));
        let ended = match made {
            // It was settled before the request came.
            Err(refused) => {
                assert_eq!(fact::<()>(Err(refused), "problem"), "not-open");
                State::Failed
            }
            Ok(made) => {
                let ended = || async { world.withdrawal(&payer, &made.withdrawal_id).await };
                eventually(SOON, "it has ended", async || ended().await.end_time.is_some()).await;
                let ended = ended().await;
                assert!(ended.state() == State::Succeeded || ended.failure == "already_paid", "{ended:?}");
                ended.state()
            }
        };
        assert_eq!(ended == State::Succeeded, paid.is_err(), "one of the two, round {round}");
        if paid.is_ok() { outside += 1 } else { inside += 1 }
    }
    let total = i64::try_from(ROUNDS).unwrap() * 10_000;
    eventually(SOON, "every deposit is credited once", async || world.balance(&payee).await == (total, 0))
        .await;
    assert_eq!(world.balance(&payer).await, (10_000_000 - inside * 10_000, 0));
    eprintln!("{ROUNDS} deposits paid from both sides: {inside} within the ledger, {outside} from outside");
    assert_eq!(world.count("SELECT count(*) FROM deposits WHERE paid_by IS NOT NULL").await, inside);
    assert!(inside > 0 && outside > 0, "both happen");
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_update_is_lost_of_those_that_come_at_once() {
    const MANY: i64 = 32;
    let world = world().await;
    let replica = world.replica().await;
    let user = world.user();
    let set = async |world: &World, threshold: i64| {
        let request = SetPayoutDestinationRequest {
            request_id: world.request_id(),
            lightning_address: "a@one.example".to_owned(),
            automatic_threshold_msat: threshold,
        };
        let answer = world.escrow().set_payout_destination(with(&user.token, request)).await.unwrap();
        answer.into_inner().destination.unwrap().etag
    };
    let calls = (0..MANY).map(|place| set(if place % 2 == 0 { &world } else { &replica }, 1_000 * place));
    let mut etags = futures_util::future::join_all(calls).await;
    etags.sort();
    etags.dedup();
    assert_eq!(etags.len(), 32, "each change was made on the one before: {etags:?}");
    assert_eq!(world.count("SELECT version FROM payout_destinations").await, MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_client_loses_no_acknowledged_write() {
    const MANY: usize = 150;
    let world = Arc::new(world_with(|config| config.withdrawals.max_live = 1_000).await);
    let user = world.rich(100_000_000).await;
    let dice = SeededEntropy::new(5);
    let since = std::time::Instant::now();
    for _ in 0..10 {
        let invoice = world.outside_invoice(&user, 10_000).await;
        world.withdraw(&user, &invoice, None).await.unwrap();
    }
    // Two calls each.
    let usual = u64::try_from(since.elapsed().as_micros() / 20).unwrap().max(500);
    let mut requests = Vec::new();
    let mut acknowledged = BTreeMap::new();
    for _ in 0..MANY {
        let request = CreateWithdrawalRequest {
            request_id: world.request_id(),
            invoice: world.outside_invoice(&user, 10_000).await,
            fee_limit_msat: Some(1_000),
            ..Default::default()
        };
        let mut client = world.escrow();
        let call = client.create_withdrawal(with(&user.token, request.clone()));
        // Somewhere between at once and well after the answer.
        let hangs_up = Duration::from_micros(dice.next_u64() % (3 * usual));
        if let Ok(Ok(answer)) = tokio::time::timeout(hangs_up, call).await {
            let id = answer.into_inner().withdrawal.unwrap().withdrawal_id;
            acknowledged.insert(request.request_id.clone(), id);
        }
        requests.push(request);
    }
    let heard = acknowledged.len();
    assert!(heard > 0 && heard < MANY, "some hear the answer, and some do not: {heard}");
    for request in requests {
        let id = insist(Arc::clone(&world), user.clone(), request.clone()).await.unwrap();
        let known = acknowledged.entry(request.request_id).or_insert_with(|| id.clone());
        assert_eq!(*known, id, "what was acknowledged is there");
    }
    eprintln!(
        "{MANY} callers who hang up: {heard} heard the answer, all {} are there once",
        acknowledged.len()
    );
    eventually(SOON, "all are paid", async || {
        world.count("SELECT count(*) FROM withdrawals WHERE state = 'succeeded'").await
            == i64::try_from(MANY).unwrap() + 10
    })
    .await;
    let idle = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    eventually(SOON, "no transaction is left open", async || world.count(idle).await == 0).await;
    assert_eq!(world.node().payments_taken().await.unwrap(), MANY + 10);
    world.assert_sound().await;
}
