//! What the height of the chain decides: the guard height is come to while the platform looks, and passed while it is away.

use poa_sdk::api::escrow::escrow;
use poa_sdk::api::task::task::State;
use poa_sdk::api::task::{FundingInvoice, Task};
use poa_sdk::receipts::{Outcome, Policy};

use super::market::{Asked, FEE, Market, PRICE};

/// LND gives an accepted invoice back when its HTLCs are so close to their timeout, in blocks.
const HOLD_EXPIRY_DELTA: u32 = 18;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn at_the_guard_height_what_nobody_took_goes_back_and_what_is_submitted_is_secured() {
    let market = Market::open().await;
    let before = market.outside_balance().await;
    let (idle, asked_idle) = market.hire().await;
    let (done, asked_done) = market.hire().await;
    locked(&market, &idle, &asked_idle).await;
    let heights = locked(&market, &done, &asked_done).await;
    market.work(&done.task_id).await;

    mine_to(&market, heights.guard_height).await;
    let expired = market.task_becomes(&idle.task_id, State::Expired).await;
    assert!(!expired.note.is_empty());
    market.escrow_becomes(&idle, escrow::State::Canceled).await;
    market.outside_payment_becomes(&asked_idle.hash, "FAILED").await;
    market.escrow_becomes(&done, escrow::State::Held).await;
    market.our_invoice_becomes(&asked_done.hash, "SETTLED").await;
    assert_eq!(market.balance(&market.alice).await, (0, PRICE.get()), "held in the ledger, as any others");
    market.alice.accept_result(&done.task_id).await.unwrap();
    market.task_becomes(&done.task_id, State::Completed).await;
    assert_eq!(market.balance(&market.bob).await, (PRICE.get() - FEE.get(), 0));
    market.outside_balance_becomes(before - PRICE.get()).await;
    market.books_are_right().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn what_the_node_gave_back_while_the_platform_was_away_is_paid_to_nobody() {
    let mut market = Market::open().await;
    let before = market.outside_balance().await;
    let (task, asked) = market.hire().await;
    let heights = locked(&market, &task, &asked).await;
    market.work(&task.task_id).await;
    market.mesh.kill("mesh");
    mine_to(&market, heights.expiry_height - i32::try_from(HOLD_EXPIRY_DELTA).unwrap() + 1).await;
    market.our_invoice_becomes(&asked.hash, "CANCELED").await;
    market.mesh.start("mesh").await;
    market.mesh.wait_ready().await;
    let ended = market.task_becomes(&task.task_id, State::Canceled).await;
    assert!(ended.note.contains("lost"), "{}", ended.note);
    market.outside_payment_becomes(&asked.hash, "FAILED").await;
    market.outside_balance_becomes(before).await;
    for whose in [&market.alice, &market.bob] {
        assert_eq!((market.balance(whose).await, market.movements(whose).await), ((0, 0), 0));
    }
    let (_bundle, verified) = market.receipt(&task, Policy::default()).await;
    assert!(matches!(verified.outcome, Outcome::FundingLost { .. }), "{:?}", verified.outcome);
    market.books_are_right().await;
}

/// Locks the sats of a task, and says between which heights they are.
async fn locked(market: &Market, task: &Task, asked: &Asked) -> FundingInvoice {
    market.lock(asked).await;
    market.task_becomes(&task.task_id, State::Open).await.funding_invoice.unwrap()
}

async fn mine_to(market: &Market, height: i32) {
    let info = market.network.a().lncli(&["getinfo"]).await.unwrap();
    let now = i32::try_from(info["block_height"].as_i64().unwrap()).unwrap();
    market.network.mine(u32::try_from(height - now).unwrap()).await;
}
