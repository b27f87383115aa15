//! How long, how much and in how many parts sats may be locked.

use poa_payment::{Place, Provider as _};
use poa_proto::escrow::v1::escrow::State;
use poa_testkit::eventually;
use tonic::Code;

use super::{PRICE, accepted, assert_nothing_moved, awaiting, job, job_with, pays, reaches, world};
use crate::chain::{hold, refund};
use crate::world::{SOON, fact, refusal, world_with};

#[tokio::test]
async fn a_task_that_no_hold_invoice_can_fund_is_refused_with_the_reason() {
    let world = world().await;
    let payer = world.user();
    let too_long = hold(&world, &job_with(&world, &payer, PRICE, |terms| terms.work_seconds = 400_000)).await;
    assert_eq!(fact(too_long.clone(), "problem"), "durations");
    assert_eq!(fact(too_long.clone(), "needed_blocks"), "1047");
    assert_eq!(fact(too_long.clone(), "max_blocks"), "1000");
    assert_eq!(refusal(too_long), (Code::FailedPrecondition, "HOLD_INVOICE_UNAVAILABLE".to_owned()));
    let too_cheap = hold(&world, &job(&world, &payer, 4_999_999)).await;
    assert_eq!(fact(too_cheap.clone(), "problem"), "price");
    assert_eq!(fact(too_cheap.clone(), "least_msat"), "5000000");
    assert_eq!(refusal(too_cheap).1, "HOLD_INVOICE_UNAVAILABLE");
    assert_eq!(world.count("SELECT count(*) FROM escrows").await, 0);
    assert!(world.node().list_invoices(Place::START, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn switched_off_no_new_one_is_made_and_what_is_locked_goes_on() {
    let mut world = world().await;
    let payer = world.user();
    let before = accepted(&world, &payer, PRICE).await;
    world.stop().await;
    world.change(|config| config.holds.enabled = false);
    world.start().await;
    let refused = hold(&world, &job(&world, &payer, PRICE)).await;
    assert_eq!(fact(refused.clone(), "problem"), "node");
    assert_eq!(refusal(refused).1, "HOLD_INVOICE_UNAVAILABLE");
    refund(&world, &before).await.unwrap();
    reaches(&world, &before, State::Canceled).await;
}

#[tokio::test]
async fn a_long_task_locks_for_long() {
    let world = world().await;
    let payer = world.user();
    let job = job_with(&world, &payer, PRICE, |terms| terms.review_seconds = 200_000);
    let made = hold(&world, &job).await.unwrap().escrow.unwrap().hold_invoice.unwrap();
    let decoded = poa_payment::decode(&made.invoice).unwrap();
    // 36 and 204,200 s at 400 s.
    assert_eq!(decoded.min_final_cltv, 547);
}

#[tokio::test]
async fn a_payment_in_too_many_parts_or_of_too_many_sats_goes_back_at_once() {
    let world = world_with(|config| {
        config.holds.poll_ms = 50;
        config.holds.max_msat_per_payer = 15_000_000;
    })
    .await;
    let payers = [world.user(), world.user()];
    for (payer, attempt) in payers.iter().zip([pays(PRICE, 37), pays(15_000_001, 1)]) {
        let (job, invoice) = awaiting(&world, payer, PRICE).await;
        world.node().pay_invoice_with(&invoice, attempt).await.unwrap();
        let given_back = reaches(&world, &job, State::Canceled).await;
        assert_eq!(given_back.hold_invoice.unwrap().paid_msat, attempt.amount.unwrap().get());
        assert_eq!(world.node().balance().await.unwrap().incoming.get(), 0);
        assert_nothing_moved(&world, payer).await;
    }
}

#[tokio::test]
async fn each_payer_has_a_quota_of_their_own_and_all_have_one() {
    let world = world_with(|config| {
        config.holds.poll_ms = 50;
        config.holds.max_parts_per_payer = 3;
        config.holds.max_parts_total = 5;
    })
    .await;
    let [one, two, three] = [world.user(), world.user(), world.user()];
    let (first, invoice) = awaiting(&world, &one, PRICE).await;
    world.node().pay_invoice_with(&invoice, pays(PRICE, 2)).await.unwrap();
    reaches(&world, &first, State::Accepted).await;
    awaiting(&world, &one, PRICE).await;
    let refused = hold(&world, &job(&world, &one, PRICE)).await;
    assert_eq!(fact(refused.clone(), "limit"), "3");
    assert_eq!(refusal(refused), (Code::ResourceExhausted, "QUOTA_EXCEEDED".to_owned()));
    // What nobody has paid keeps nobody else out.
    for _ in 0..2 {
        awaiting(&world, &two, PRICE).await;
    }
    let (paid, invoice) = awaiting(&world, &two, PRICE).await;
    world.node().pay_invoice_with(&invoice, pays(PRICE, 1)).await.unwrap();
    reaches(&world, &paid, State::Accepted).await;
    let (last, invoice) = awaiting(&world, &three, PRICE).await;
    world.node().pay_invoice_with(&invoice, pays(PRICE, 2)).await.unwrap();
    reaches(&world, &last, State::Accepted).await;
    let full = hold(&world, &job(&world, &world.user(), PRICE)).await;
    assert_eq!((fact(full.clone(), "limit"), refusal(full).1), ("5".to_owned(), "QUOTA_EXCEEDED".to_owned()));
    // What ends makes room.
    refund(&world, &first).await.unwrap();
    reaches(&world, &first, State::Canceled).await;
    awaiting(&world, &three, PRICE).await;
    awaiting(&world, &one, PRICE).await;
    world.assert_sound().await;
}

#[tokio::test]
async fn the_sats_of_a_payer_are_limited_and_what_was_taken_counts_no_more() {
    let world = world_with(|config| {
        config.holds.poll_ms = 50;
        config.holds.max_msat_per_payer = 2 * PRICE;
    })
    .await;
    let payer = world.user();
    let taken = accepted(&world, &payer, PRICE).await;
    awaiting(&world, &payer, PRICE).await;
    let refused = hold(&world, &job(&world, &payer, PRICE)).await;
    assert_eq!(fact(refused.clone(), "limit"), (2 * PRICE).to_string());
    assert_eq!(refusal(refused).1, "QUOTA_EXCEEDED");
    super::secure(&world, &taken).await.unwrap();
    eventually(SOON, "there is room again", async || hold(&world, &job(&world, &payer, PRICE)).await.is_ok())
        .await;
}
