//! kill -9 and restarts in the middle, of the platform and of the node: everything comes to the end that it would have had.

use poa_common::Msat;
use poa_lightning::Which;
use poa_sdk::api::escrow::{escrow, withdrawal};
use poa_sdk::api::task::task::State;

use super::market::{FEE, Market, PRICE};
use super::sats::{held_outside, until_held_outside};

const DEPOSIT: Msat = Msat::new(100_000_000);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn what_is_awaited_locked_being_settled_or_in_flight_outlives_platform_and_node() {
    let mut market = Market::open().await;
    market.deposit(&market.alice, DEPOSIT).await;

    // AWAITING_FUNDS: paid while the platform is down.
    let (task, asked) = market.hire().await;
    market.mesh.kill("mesh");
    market.lock(&asked).await;
    market.mesh.start("mesh").await;
    market.mesh.wait_ready().await;
    market.task_becomes(&task.task_id, State::Open).await;

    // ACCEPTED, and a withdrawal that its payee holds: the node restarts under the platform, then the platform itself.
    let (preimage, bolt11) = held_outside(&market).await;
    let withdrawal = market.withdraw(&market.alice, &bolt11).await.unwrap();
    until_held_outside(&market, &preimage).await;
    market.network.restart(Which::A).await;
    market.mesh.kill_and_restart("mesh").await;
    market.mesh.wait_ready().await;
    market.work(&task.task_id).await;
    market.escrow_becomes(&task, escrow::State::Accepted).await;

    // SETTLING: with the payer's node gone, lnd calls the invoice settled, and its sats are not ours yet.
    market.network.kill(Which::B).await;
    market.alice.accept_result(&task.task_id).await.unwrap();
    market.escrow_becomes(&task, escrow::State::Settling).await;
    market.our_invoice_becomes(&asked.hash, "SETTLED").await;
    market.mesh.kill_and_restart("mesh").await;
    market.mesh.wait_ready().await;
    market.escrow_becomes(&task, escrow::State::Settling).await;
    assert_eq!(market.task_becomes(&task.task_id, State::Releasing).await.state(), State::Releasing);
    assert_eq!(market.balance(&market.bob).await, (0, 0), "nobody is credited what may still be lost");
    let now = market.alice.withdrawal(&withdrawal.withdrawal_id).await.unwrap();
    assert_eq!(now.state(), withdrawal::State::InFlight);

    // Everything goes down, the withdrawal ends while nobody looks, and all comes back.
    market.mesh.kill("mesh");
    market.network.kill(Which::A).await;
    market.network.start(Which::B).await;
    market.network.b().settle(&preimage.to_hex()).await.unwrap();
    market.network.start(Which::A).await;
    market.mesh.start("mesh").await;
    market.mesh.wait_ready().await;
    market.task_becomes(&task.task_id, State::Completed).await;
    market.outside_payment_becomes(&asked.hash, "SUCCEEDED").await;
    market.balance_becomes(&market.bob, PRICE.get() - FEE.get()).await;
    let paid = market
        .withdrawal_becomes(&market.alice, &withdrawal.withdrawal_id, withdrawal::State::Succeeded)
        .await;
    assert_eq!(paid.preimage, preimage.as_bytes());
    let left = DEPOSIT.get() - paid.amount_msat - paid.fee_msat;
    market.balance_becomes(&market.alice, left).await;
    market.deposit(&market.alice, DEPOSIT).await;
    market.books_are_right().await;
}
