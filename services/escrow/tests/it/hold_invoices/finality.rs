//! Settled is not final: HTLCs can still time out on the chain.

use poa_payment::simulated::{Fault, FinalityFault};
use poa_payment::{InvoiceState, Provider as _};
use poa_proto::escrow::v1::escrow::State;
use poa_testkit::eventually;
use tonic::Code;

use super::{PRICE, accepted, assert_nothing_moved, hash, now, reaches, secure, world};
use crate::chain::{capture, hold, receipts, refund};
use crate::world::{SOON, refusal};

#[tokio::test]
async fn while_it_is_not_final_nothing_is_booked_and_nothing_can_be_refunded() {
    let mut world = world().await;
    let (payer, payee) = (world.user(), world.user());
    let job = accepted(&world, &payer, PRICE).await;
    let chain = receipts(&world, &job, payee.account);
    assert!(world.node().script([Fault::Finality(FinalityFault::NoAnswer)]));
    assert!(world.node().script([Fault::Finality(FinalityFault::Pending); 1_000]));
    capture(&world, &job, chain.clone()).await.unwrap();
    let settling = hash(&now(&world, &job).await);
    eventually(SOON, "the node has settled", async || {
        matches!(world.node().lookup_invoice(settling).await, Ok(Some(InvoiceState::Settled { .. })))
    })
    .await;
    assert_eq!(now(&world, &job).await.state(), State::Settling);
    assert_nothing_moved(&world, &payer).await;
    assert_eq!(refusal(refund(&world, &job).await).1, "ESCROW_STATE");
    // The node's script ends with it; what it has settled does not.
    world.stop().await;
    world.start().await;
    reaches(&world, &job, State::Held).await;
    capture(&world, &job, chain).await.unwrap();
    assert_eq!(world.balance(&payee).await, (9_500_950, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn what_is_lost_after_it_was_settled_is_never_booked_nor_released() {
    let world = world().await;
    let (payer, payee) = (world.user(), world.user());
    let job = accepted(&world, &payer, PRICE).await;
    let chain = receipts(&world, &job, payee.account);
    assert!(
        world.node().script([Fault::Finality(FinalityFault::Pending), Fault::Finality(FinalityFault::Lost)])
    );
    capture(&world, &job, chain.clone()).await.unwrap();
    let lost = reaches(&world, &job, State::FundingLost).await;
    assert!(lost.end_time.is_some());
    let refused = (Code::FailedPrecondition, "FUNDING_LOST".to_owned());
    assert_eq!(refusal(capture(&world, &job, chain).await), refused);
    assert_eq!(refusal(hold(&world, &job).await), refused);
    assert_eq!(refusal(secure(&world, &job).await), refused);
    assert_nothing_moved(&world, &payer).await;
}
