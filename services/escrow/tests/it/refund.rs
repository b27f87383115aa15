//! RefundEscrow.

use poa_common::TaskId;
use poa_proto::escrow::v1::{RefundEscrowRequest, escrow};
use tonic::Code;

use crate::chain::{capture, held, hold, job, receipts, refund};
use crate::world::{refusal, world};

#[tokio::test]
async fn a_refund_gives_all_back_and_repeats_its_answer() {
    let world = world().await;
    let payer = world.rich(1_000_000).await;
    let job = held(&world, &payer, 100_999).await;
    let refunded = refund(&world, &job).await.unwrap();
    assert_eq!(refunded.escrow.as_ref().unwrap().state(), escrow::State::Refunded);
    assert_eq!(world.balance(&payer).await, (1_000_000, 0));
    assert_eq!(refund(&world, &job).await.unwrap(), refunded);
    assert_eq!(refusal(hold(&world, &job).await), (Code::FailedPrecondition, "ALREADY_REFUNDED".to_owned()));
    assert_eq!(world.entries(&payer).await.len(), 3);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_refund_before_the_hold_leaves_a_tombstone_that_the_hold_hits() {
    let world = world().await;
    let payer = world.rich(1_000_000).await;
    let job = job(&world, &payer, 100_000);
    let void = refund(&world, &job).await.unwrap();
    assert_eq!(void.escrow.as_ref().unwrap().state(), escrow::State::Void);
    assert_eq!(void.transfer_id, "");
    assert_eq!(refund(&world, &job).await.unwrap(), void);
    assert_eq!(refusal(hold(&world, &job).await), (Code::FailedPrecondition, "ALREADY_REFUNDED".to_owned()));
    let chain = receipts(&world, &job, payer.account);
    assert_eq!(refusal(capture(&world, &job, chain).await).1, "ALREADY_REFUNDED");
    assert_eq!(world.balance(&payer).await, (1_000_000, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_refund_after_the_release_is_refused() {
    let world = world().await;
    let (payer, payee) = (world.rich(1_000_000).await, world.user());
    let job = held(&world, &payer, 100_000).await;
    capture(&world, &job, receipts(&world, &job, payee.account)).await.unwrap();
    let refused = refusal(refund(&world, &job).await);
    assert_eq!(refused, (Code::FailedPrecondition, "ALREADY_RELEASED".to_owned()));
    assert_eq!(world.balance(&payee).await, (95_000, 0));
}

#[tokio::test]
async fn a_refund_for_another_task_moves_nothing() {
    let world = world().await;
    let payer = world.rich(1_000_000).await;
    let job = held(&world, &payer, 100_000).await;
    let request =
        RefundEscrowRequest { escrow_id: job.escrow.to_string(), task_id: world.nobody::<TaskId>() };
    let refused = world.internal().refund_escrow(request).await;
    assert_eq!(refusal(refused), (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()));
    let malformed = RefundEscrowRequest { escrow_id: "x".to_owned(), task_id: "y".to_owned() };
    assert_eq!(refusal(world.internal().refund_escrow(malformed).await).1, "FIELDS_INVALID");
    assert_eq!(world.balance(&payer).await, (900_000, 100_000));
}
