//! Tasks of which nothing comes: what the payer's wallet has locked is its own again, and never was in the ledger.

use poa_sdk::api::escrow::escrow;
use poa_sdk::api::task::task::State;

use super::market::Market;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_task_that_is_cancelled_gives_back_what_was_locked_and_leaves_no_trace_in_the_ledger() {
    let market = Market::open().await;
    let before = market.outside_balance().await;

    // Nobody has paid yet: now nobody can.
    let (task, asked) = market.hire().await;
    market.alice.cancel_task(&task.task_id).await.unwrap();
    market.task_becomes(&task.task_id, State::Canceled).await;
    market.escrow_becomes(&task, escrow::State::Canceled).await;
    assert_eq!(market.network.a().invoice_state(&asked.hash).await.unwrap(), "CANCELED");
    let refused = market.network.b().pay(&asked.bolt11, market.network.a()).await.unwrap_err();
    assert_eq!(refused, "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS");

    // Paid, and nobody has claimed it.
    let (task, asked) = market.hire().await;
    market.lock(&asked).await;
    market.task_becomes(&task.task_id, State::Open).await;
    market.escrow_becomes(&task, escrow::State::Accepted).await;
    market.alice.cancel_task(&task.task_id).await.unwrap();
    market.task_becomes(&task.task_id, State::Canceled).await;
    market.escrow_becomes(&task, escrow::State::Canceled).await;
    market.our_invoice_becomes(&asked.hash, "CANCELED").await;
    market.outside_payment_becomes(&asked.hash, "FAILED").await;

    market.outside_balance_becomes(before).await;
    assert_eq!(market.movements(&market.alice).await, 0);
    assert_eq!(market.balance(&market.alice).await, (0, 0));
    market.books_are_right().await;
}
