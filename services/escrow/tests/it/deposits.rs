//! CreateDeposit, GetDeposit, WatchDeposit, and what the watcher makes of the node's word.

use std::time::Duration;

use poa_common::{DepositId, Msat};
use poa_payment::decode;
use poa_payment::simulated::{Attempt, ChangeFault, Fault, HintFault, LookupFault};
use poa_proto::escrow::v1::watch_deposit_response::Update;
use poa_proto::escrow::v1::{
    CreateDepositRequest, Deposit, GetDepositRequest, WatchDepositRequest, deposit, ledger_entry,
};
use poa_testkit::eventually;
use tonic::{Code, Status};

use crate::world::{SOON, User, World, refusal, with, world, world_with};

async fn create(world: &World, user: &User, request: CreateDepositRequest) -> Result<Deposit, Status> {
    let answer = world.escrow().create_deposit(with(&user.token, request)).await?;
    Ok(answer.into_inner().deposit.unwrap())
}

async fn get(world: &World, user: &User, id: &str) -> Result<Deposit, Status> {
    let request = GetDepositRequest { deposit_id: id.to_owned() };
    Ok(world.escrow().get_deposit(with(&user.token, request)).await?.into_inner().deposit.unwrap())
}

async fn reaches(world: &World, user: &User, id: &str, state: deposit::State) -> Deposit {
    eventually(SOON, state.as_str_name(), async || get(world, user, id).await.unwrap().state() == state)
        .await;
    get(world, user, id).await.unwrap()
}

#[tokio::test]
async fn a_paid_deposit_is_credited_and_the_invoice_says_what_it_is_for() {
    use sha2::Digest as _;
    let world = world().await;
    let user = world.user();
    let made = world.deposit(&user, 250_000).await;
    assert_eq!(made.state(), deposit::State::Open);
    assert_eq!((made.amount_msat, made.credited_msat), (250_000, 0));
    let invoice = decode(&made.invoice).unwrap();
    assert_eq!(invoice.amount, Some(Msat::new(250_000)));
    assert_eq!(invoice.hash.as_bytes().as_slice(), made.payment_hash);
    let text = format!("simulated\n{}\n{}\n250000\n", made.deposit_id, user.account);
    let digest = sha2::Sha256::digest([b"proof-of-agent deposit v1\0".as_slice(), text.as_bytes()].concat());
    assert_eq!(invoice.description_hash, Some(digest.into()));

    assert_eq!(world.pay(&user, &made.invoice).await.unwrap(), 250_000);
    let settled = reaches(&world, &user, &made.deposit_id, deposit::State::Settled).await;
    assert_eq!(settled.credited_msat, 250_000);
    assert!(settled.settle_time.is_some());
    assert_eq!(world.balance(&user).await, (250_000, 0));
    let entries = world.entries(&user).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].kind(), entries[0].subject_id.as_str()),
        (ledger_entry::Kind::Deposit, made.deposit_id.as_str())
    );
    world.assert_sound().await;
}

#[tokio::test]
async fn a_deposit_is_made_once_per_request() {
    let world = world().await;
    let user = world.user();
    let request = CreateDepositRequest { request_id: world.request_id(), amount_msat: 5_000 };
    let first = create(&world, &user, request.clone()).await.unwrap();
    assert_eq!(create(&world, &user, request.clone()).await.unwrap(), first);
    let other = CreateDepositRequest { amount_msat: 6_000, ..request.clone() };
    let refused = refusal(create(&world, &user, other).await);
    assert_eq!(refused, (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
    // Another account may use the same id.
    let stranger = world.user();
    assert_ne!(create(&world, &stranger, request).await.unwrap().deposit_id, first.deposit_id);
    assert_eq!(world.count("SELECT count(*) FROM deposits").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_many_times_at_once_hands_out_one_invoice() {
    let world = world().await;
    let user = world.user();
    let request = CreateDepositRequest { request_id: world.request_id(), amount_msat: 5_000 };
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (mut client, request) = (world.escrow(), with(&user.token, request.clone()));
        calls.spawn(
            async move { client.create_deposit(request).await.unwrap().into_inner().deposit.unwrap() },
        );
    }
    let mut invoices: Vec<String> = calls.join_all().await.into_iter().map(|made| made.invoice).collect();
    invoices.dedup();
    assert_eq!(invoices.len(), 1);
}

#[tokio::test]
async fn amounts_out_of_bounds_and_malformed_ids_are_refused() {
    let world = world().await;
    let user = world.user();
    for (request_id, amount_msat) in [
        (world.request_id(), 999),
        (world.request_id(), 0),
        (world.request_id(), -5_000),
        (world.request_id(), 2_100_000_000_000_000_001),
        ("7".to_owned(), 5_000),
    ] {
        let refused = refusal(create(&world, &user, CreateDepositRequest { request_id, amount_msat }).await);
        assert_eq!(refused, (Code::InvalidArgument, "FIELDS_INVALID".to_owned()), "{amount_msat}");
    }
}

#[tokio::test]
async fn an_account_has_a_bounded_number_of_open_deposits() {
    let world = world_with(|config| config.deposits.max_open = 2).await;
    let user = world.user();
    let first = world.deposit(&user, 5_000).await;
    world.deposit(&user, 5_000).await;
    let request = CreateDepositRequest { request_id: world.request_id(), amount_msat: 5_000 };
    let refused = refusal(create(&world, &user, request.clone()).await);
    assert_eq!(refused, (Code::ResourceExhausted, "QUOTA_EXCEEDED".to_owned()));
    world.deposit(&world.user(), 5_000).await;
    world.pay(&user, &first.invoice).await.unwrap();
    reaches(&world, &user, &first.deposit_id, deposit::State::Settled).await;
    create(&world, &user, request).await.unwrap();
}

#[tokio::test]
async fn a_node_that_does_not_answer_hands_out_nothing_and_may_be_asked_again() {
    let world = world().await;
    let user = world.user();
    let request = CreateDepositRequest { request_id: world.request_id(), amount_msat: 5_000 };
    for fault in [ChangeFault::RequestLost, ChangeFault::AnswerLost] {
        assert!(world.node().script([Fault::Change(fault)]));
        let refused = refusal(create(&world, &user, request.clone()).await);
        assert_eq!(refused, (Code::Unavailable, "DEPENDENCY_UNAVAILABLE".to_owned()));
    }
    assert_eq!(world.count("SELECT count(*) FROM deposits").await, 0);
    create(&world, &user, request).await.unwrap();
}

#[tokio::test]
async fn hints_that_come_twice_late_or_never_credit_once() {
    let world = world().await;
    let user = world.user();
    for hint in [HintFault::Duplicate, HintFault::Lose, HintFault::Delay, HintFault::Duplicate] {
        assert!(world.node().script([Fault::Hint(hint)]));
        let made = world.deposit(&user, 10_000).await;
        world.pay(&user, &made.invoice).await.unwrap();
        reaches(&world, &user, &made.deposit_id, deposit::State::Settled).await;
    }
    assert_eq!(world.balance(&user).await, (40_000, 0));
    assert_eq!(world.count("SELECT count(*) FROM transfers WHERE kind = 'deposit'").await, 4);
    world.assert_sound().await;
}

#[tokio::test]
async fn lookups_that_fail_flap_or_lie_about_the_past_credit_once_in_the_end() {
    let world = world().await;
    let user = world.user();
    let made = world.deposit(&user, 10_000).await;
    let faults = [LookupFault::NotFound, LookupFault::NoAnswer, LookupFault::Stale, LookupFault::NotFound];
    assert!(world.node().script(faults.map(Fault::LookupInvoice)));
    world.pay(&user, &made.invoice).await.unwrap();
    reaches(&world, &user, &made.deposit_id, deposit::State::Settled).await;
    assert_eq!(world.balance(&user).await, (10_000, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn what_arrived_is_credited_not_what_was_asked() {
    let world = world().await;
    let user = world.user();
    let made = world.deposit(&user, 10_000).await;
    let more = Attempt { amount: Some(Msat::new(15_000)), ..Attempt::default() };
    world.node().pay_invoice_with(&made.invoice, more).await.unwrap();
    let settled = reaches(&world, &user, &made.deposit_id, deposit::State::Settled).await;
    assert_eq!((settled.amount_msat, settled.credited_msat), (10_000, 15_000));
    assert_eq!(world.balance(&user).await, (15_000, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_deposit_that_is_not_paid_in_time_expires_by_the_nodes_word() {
    let world = world().await;
    let user = world.user();
    let made = world.deposit(&user, 10_000).await;
    world.clock.advance(Duration::from_secs(3_601));
    let user = world.again(&user);
    let expired = reaches(&world, &user, &made.deposit_id, deposit::State::Expired).await;
    assert_eq!((expired.credited_msat, expired.settle_time), (0, None));
    assert_eq!(refusal(world.pay(&user, &made.invoice).await).1, "INVOICE_REFUSED");
    assert_eq!(world.balance(&user).await, (0, 0));
}

#[tokio::test]
async fn a_clock_that_jumps_a_day_moves_no_sats() {
    let world = world().await;
    let user = world.user();
    let made = world.deposit(&user, 10_000).await;
    world.pay(&user, &made.invoice).await.unwrap();
    reaches(&world, &user, &made.deposit_id, deposit::State::Settled).await;
    let start = world.env.now();
    for hours in [24, -24] {
        world.clock.set(start + time::Duration::hours(hours));
        world.fund(&world.again(&user), 1_000).await;
    }
    assert_eq!(world.balance(&world.again(&user)).await, (12_000, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_watch_shows_the_deposit_and_each_change_and_ends_with_it() {
    let world = world().await;
    let user = world.user();
    let made = world.deposit(&user, 10_000).await;
    let request = WatchDepositRequest { deposit_id: made.deposit_id.clone() };
    let mut stream =
        world.escrow().watch_deposit(with(&user.token, request.clone())).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().update, Some(Update::Snapshot(made.clone())));
    world.pay(&user, &made.invoice).await.unwrap();
    let Some(Update::Event(settled)) = stream.message().await.unwrap().unwrap().update else {
        panic!("an event was to come")
    };
    assert_eq!(settled.state(), deposit::State::Settled);
    assert_eq!(stream.message().await.unwrap(), None);

    // What has ended is one snapshot.
    let mut stream = world.escrow().watch_deposit(with(&user.token, request)).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().update, Some(Update::Snapshot(settled)));
    assert_eq!(stream.message().await.unwrap(), None);
}

#[tokio::test]
async fn the_deposits_of_others_are_not_there() {
    let world = world().await;
    let (user, eve) = (world.user(), world.user());
    let made = world.deposit(&user, 10_000).await;
    let absent = (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned());
    assert_eq!(refusal(get(&world, &eve, &made.deposit_id).await), absent);
    assert_eq!(refusal(get(&world, &user, &world.nobody::<DepositId>()).await), absent);
    assert_eq!(refusal(get(&world, &user, "dep_1").await).1, "FIELDS_INVALID");
    let request = WatchDepositRequest { deposit_id: made.deposit_id };
    let watched = world.escrow().watch_deposit(with(&eve.token, request)).await;
    assert_eq!(refusal(watched.map(|_| ())), absent);
    let narrow = User { token: world.token(user.account, "money.read", 600), ..user };
    let request = CreateDepositRequest { request_id: world.request_id(), amount_msat: 5_000 };
    assert_eq!(refusal(create(&world, &narrow, request).await).1, "SCOPE_MISSING");
}
