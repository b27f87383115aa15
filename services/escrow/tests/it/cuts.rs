//! The database goes away in the middle, and two servers write at once: nothing acknowledged is lost, nothing moves twice.

use std::sync::Arc;

use poa_chassis::failure;
use poa_common::AccountId;
use poa_proto::escrow::v1::GetBalanceRequest;
use sqlx::Executor as _;
use tokio::task::JoinSet;

use crate::chain::{Job, capture, hold_request, job, receipts, refund};
use crate::world::{SOON, World, with, world};

/// Asks until the answer is something else than "try again".
async fn insist<T, F: Future<Output = Result<T, tonic::Status>>>(mut call: impl FnMut() -> F) -> T {
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(status) if status.code() == tonic::Code::Unavailable => tokio::task::yield_now().await,
            Err(status) => panic!("{status:?}: {:?}", failure(&status)),
        }
    }
}

/// Holds for a task, then releases or refunds it, however often it takes.
async fn carry_through(world: Arc<World>, job: Job, release: Option<AccountId>) {
    let hold = hold_request(&job);
    insist(|| {
        let (mut client, hold) = (world.internal(), hold.clone());
        async move { client.hold_funds(hold).await }
    })
    .await;
    if let Some(payee) = release {
        let chain = receipts(&world, &job, payee);
        insist(|| capture(&world, &job, chain.clone())).await;
    } else {
        insist(|| refund(&world, &job)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_lose_and_double_nothing() {
    const CUTS: usize = 40;
    const WAVE: i64 = 10;
    let world = Arc::new(world().await);
    let (payer, payee) = (world.rich(100_000_000).await, world.user());
    let mut sql = world.sql().await;
    let cutter = tokio::spawn(async move {
        for _ in 0..CUTS {
            sql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await
            .unwrap();
            // Time enough to connect anew and get some work done.
            sql.execute("SELECT pg_sleep(0.04)").await.unwrap();
        }
    });
    let mut waves = 0;
    while !cutter.is_finished() {
        let mut calls = JoinSet::new();
        for place in 0..WAVE {
            let release = (place % 2 == 0).then_some(payee.account);
            calls.spawn(carry_through(Arc::clone(&world), job(&world, &payer, 100_000), release));
        }
        let _ended = calls.join_all().await;
        waves += 1;
    }
    cutter.await.unwrap();
    poa_testkit::eventually(SOON, "the database is back", async || {
        world.escrow().get_balance(with(&payer.token, GetBalanceRequest {})).await.is_ok()
    })
    .await;
    let released = waves * WAVE / 2;
    assert_eq!(world.balance(&payer).await, (100_000_000 - released * 100_000, 0));
    assert_eq!(world.balance(&payee).await, (released * 95_000, 0));
    world.assert_sound().await;
}

async fn race(worlds: [&World; 2], jobs: Vec<Job>) -> usize {
    let mut calls = JoinSet::new();
    for job in jobs {
        for world in worlds {
            let (mut client, request) = (world.internal(), hold_request(&job));
            calls.spawn(async move {
                client.hold_funds(request).await.map(|answer| answer.into_inner().transfer_id)
            });
        }
    }
    let mut transfers: Vec<String> = calls.join_all().await.into_iter().filter_map(Result::ok).collect();
    transfers.sort();
    transfers.dedup();
    transfers.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_database_never_overdraw_and_agree() {
    let world = world().await;
    let replica = world.replica().await;
    let payer = world.rich(1_000_000).await;
    let jobs: Vec<Job> = (0..40).map(|_| job(&world, &payer, 100_000)).collect();
    let held = race([&world, &replica], jobs).await;
    assert_eq!(held, 10, "each hold has one transfer, whichever server answers");
    assert_eq!(replica.balance(&payer).await, (0, 1_000_000));
    world.assert_sound().await;
}
