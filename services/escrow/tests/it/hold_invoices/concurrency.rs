//! Many at once.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use poa_payment::{InvoiceState, Place, Provider as _};
use poa_proto::escrow::v1::escrow::State;
use poa_testkit::eventually;
use tokio::task::JoinSet;

use super::{PRICE, accepted, assert_nothing_moved, awaiting, hash, job, now, reaches, secure, world};
use crate::chain::{Job, capture, hold, hold_request, receipts, refund};
use crate::world::{SOON, World, refusal, world_with};

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_duplicates_of_one_hold_make_one_invoice_and_of_one_capture_one_transfer() {
    const MANY: usize = 64;
    let world = world().await;
    let (payer, payee) = (world.user(), world.user());
    let job = job(&world, &payer, PRICE);
    let mut calls = JoinSet::new();
    for _ in 0..MANY {
        let (mut client, request) = (world.internal(), hold_request(&job));
        calls.spawn(async move { client.hold_funds(request).await.unwrap().into_inner() });
    }
    let answers = calls.join_all().await;
    let first = now(&world, &job).await;
    for answer in answers {
        assert_eq!(answer.escrow.unwrap().hold_invoice, first.hold_invoice);
    }
    assert_eq!(world.node().list_invoices(Place::START, 10).await.unwrap().len(), 1);

    world.node().pay_invoice(&first.hold_invoice.unwrap().invoice).await.unwrap();
    reaches(&world, &job, State::Accepted).await;
    let chain = receipts(&world, &job, payee.account);
    let released = async || {
        eventually(SOON, "it is released", async || {
            capture(&world, &job, chain.clone()).await.unwrap().escrow.unwrap().state() == State::Released
        })
        .await;
        capture(&world, &job, chain.clone()).await.unwrap().transfer_id
    };
    let mut transfers = join_all((0..MANY).map(|_| released())).await;
    transfers.dedup();
    assert_eq!(transfers.len(), 1);
    assert_eq!(world.balance(&payee).await, (9_500_950, 0));
    assert_eq!(world.count("SELECT count(*) FROM transfers WHERE kind = 'fund'").await, 1);
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_holds_at_once_of_one_payer_never_exceed_the_quota() {
    let world = world_with(|config| config.holds.max_parts_per_payer = 10).await;
    let payer = world.user();
    let mut calls = JoinSet::new();
    for _ in 0..40 {
        let (mut client, request) = (world.internal(), hold_request(&job(&world, &payer, PRICE)));
        calls.spawn(async move { client.hold_funds(request).await });
    }
    let mut counted = BTreeMap::<String, usize>::new();
    for answer in calls.join_all().await {
        let kind = if answer.is_ok() { "ok".to_owned() } else { refusal(answer).1 };
        *counted.entry(kind).or_default() += 1;
    }
    assert_eq!(counted, BTreeMap::from([("QUOTA_EXCEEDED".to_owned(), 30), ("ok".to_owned(), 10)]));
    assert_nothing_moved(&world, &payer).await;
}

/// Pays and refunds one task at the same moment.
async fn race(world: &World, job: &Job, invoice: String) {
    let node = world.node().clone();
    let paying = tokio::spawn(async move { node.pay_invoice(&invoice).await.is_ok() });
    refund(world, job).await.unwrap();
    let _either_is_fine = paying.await.unwrap();
    reaches(world, job, State::Canceled).await;
    let state = world.node().lookup_invoice(hash(&now(world, job).await)).await.unwrap();
    assert_eq!(state, Some(InvoiceState::Canceled));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_what_was_just_paid_leaves_nothing_locked_at_the_node() {
    let world = world_with(|config| {
        config.holds.poll_ms = 50;
        config.holds.max_parts_per_payer = 200;
    })
    .await;
    let payer = world.user();
    let mut made = Vec::new();
    for _ in 0..60 {
        made.push(awaiting(&world, &payer, PRICE).await);
    }
    join_all(made.iter().map(|(job, invoice)| race(&world, job, invoice.clone()))).await;
    assert_eq!(world.node().balance().await.unwrap().incoming.get(), 0);
    assert_nothing_moved(&world, &payer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secured_and_refunded_at_once_one_of_both_happens_and_the_node_agrees() {
    let world = world().await;
    let payer = world.user();
    let mut jobs = Vec::new();
    for _ in 0..30 {
        jobs.push(accepted(&world, &payer, PRICE).await);
    }
    let race = async |job: Job| {
        let (secured, refunded) = tokio::join!(secure(&world, &job), refund(&world, &job));
        match (secured, refunded) {
            (Ok(_), Err(refused)) => {
                assert_eq!(refusal::<()>(Err(refused)).1, "ESCROW_STATE");
                reaches(&world, &job, State::Held).await;
                (0, PRICE)
            }
            (Err(refused), Ok(_)) => {
                assert_eq!(refusal::<()>(Err(refused)).1, "ALREADY_REFUNDED");
                reaches(&world, &job, State::Canceled).await;
                (0, 0)
            }
            // It was held by the time of the refund, which is then a credit of the ledger.
            (Ok(_), Ok(_)) => {
                reaches(&world, &job, State::Refunded).await;
                (PRICE, 0)
            }
            (Err(one), Err(other)) => panic!("{one:?} {other:?}"),
        }
    };
    let sums: Vec<(i64, i64)> = join_all(jobs.into_iter().map(race)).await;
    let sums = sums.iter().fold((0, 0), |sum, (available, held)| (sum.0 + available, sum.1 + held));
    assert_eq!(world.balance(&payer).await, sums);
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_database_make_one_invoice_and_keep_the_quota() {
    let world = world_with(|config| {
        config.holds.poll_ms = 50;
        config.holds.max_parts_per_payer = 10;
    })
    .await;
    let replica = world.replica().await;
    let payer = world.user();
    let jobs: Vec<Job> = (0..20).map(|_| job(&world, &payer, PRICE)).collect();
    let mut calls = JoinSet::new();
    for job in &jobs {
        for server in [&world, &replica] {
            let (mut client, request) = (server.internal(), hold_request(job));
            calls.spawn(async move { client.hold_funds(request).await });
        }
    }
    calls.join_all().await;
    assert_eq!(world.count("SELECT count(*) FROM hold_invoices").await, 10);
    // Whichever server was asked: the one whose node was to make it has.
    let mut shown = 0;
    for job in &jobs {
        if let Ok(held) = hold(&world, job).await {
            shown += i32::from(!held.escrow.unwrap().hold_invoice.unwrap().invoice.is_empty());
        }
    }
    assert!(shown <= 10);
    world.assert_sound().await;
}
