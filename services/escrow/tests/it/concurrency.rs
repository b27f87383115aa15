//! Many at once: what is decided one by one stays decided one by one.

use std::collections::BTreeMap;

use poa_proto::escrow::v1::escrow;
use tokio::task::JoinSet;
use tonic::Code;

use crate::chain::{hold_request, job, receipts};
use crate::world::{refusal, world};

/// How many answers there were of each kind.
fn tally<T: std::fmt::Debug>(answers: Vec<Result<T, tonic::Status>>) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for answer in answers {
        let kind = if answer.is_ok() { "ok".to_owned() } else { refusal(answer).1 };
        *counted.entry(kind).or_default() += 1;
    }
    counted
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_holds_never_overdraw() {
    let world = world().await;
    let payer = world.rich(1_000_000).await;
    let mut calls = JoinSet::new();
    for _ in 0..64 {
        let request = hold_request(&job(&world, &payer, 100_000));
        let mut client = world.internal();
        calls.spawn(async move { client.hold_funds(request).await });
    }
    let counted = tally(calls.join_all().await);
    assert_eq!(counted, BTreeMap::from([("ok".to_owned(), 10), ("INSUFFICIENT_FUNDS".to_owned(), 54)]));
    assert_eq!(world.balance(&payer).await, (0, 1_000_000));
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_captures_and_refunds_at_once_one_verb_wins_for_good() {
    let world = world().await;
    let (payer, payee) = (world.rich(1_000_000).await, world.user());
    for _ in 0..8 {
        let job = job(&world, &payer, 100_000);
        let chain = receipts(&world, &job, payee.account);
        let mut calls = JoinSet::new();
        for place in 0..24 {
            let mut client = world.internal();
            let (hold, job, chain) = (hold_request(&job), job.clone(), chain.clone());
            calls.spawn(async move {
                let escrow_id = job.escrow.to_string();
                let task_id = job.task.to_string();
                let state = match place % 3 {
                    0 => client.hold_funds(hold).await.map(|answer| answer.into_inner().escrow),
                    1 => client
                        .capture_escrow(poa_proto::escrow::v1::CaptureEscrowRequest { escrow_id, chain })
                        .await
                        .map(|answer| answer.into_inner().escrow),
                    _ => client
                        .refund_escrow(poa_proto::escrow::v1::RefundEscrowRequest { escrow_id, task_id })
                        .await
                        .map(|answer| answer.into_inner().escrow),
                };
                state.map(|escrow| escrow.unwrap().state())
            });
        }
        let mut ends = Vec::new();
        for answer in calls.join_all().await {
            match answer {
                Ok(escrow::State::Held) => {}
                Ok(end) => ends.push(end),
                Err(status) => {
                    assert!(matches!(status.code(), Code::FailedPrecondition | Code::NotFound), "{status:?}");
                }
            }
        }
        ends.dedup();
        assert_eq!(ends.len(), 1, "one end, and every answer says the same: {ends:?}");
    }
    world.assert_sound().await;
}
