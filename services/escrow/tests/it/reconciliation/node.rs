//! Another node, a node with a past, and a database that is older than the node.

use poa_payment::simulated::SimulatedNode;
use poa_proto::escrow::v1::withdrawal::State;
use poa_testkit::eventually;
use sqlx::Executor as _;

use super::{assert_clean, drifts, foreign_invoice, look, spend, withdrawn};
use crate::world::{SOON, World, world, world_with};

#[tokio::test]
async fn another_node_in_the_place_of_ours_is_not_believed() {
    let mut world = world().await;
    let user = world.rich(1_000_000).await;
    assert!(look(&world).await.clean);
    world.stop().await;
    std::fs::rename(world.node_file(), world.node_file().with_extension("away")).unwrap();
    world.start().await;
    let found = look(&world).await;
    assert_eq!(drifts(&found), [("node_changed", 0, 0)]);
    // An operator takes it. What the node before has received stays received; what this one did before is its own.
    foreign_invoice(world.node(), 5).await;
    spend(&world, 5).await;
    world.sql().await.execute("UPDATE reconciliation SET node_id = NULL").await.unwrap();
    assert_clean(&world).await;
    world.fund(&user, 1_000).await;
    assert_clean(&world).await;
    spend(&world, 1).await;
    assert_eq!(drifts(&look(&world).await), [("unknown_payment", 1_001, 0)]);
}

#[tokio::test]
async fn what_a_node_did_before_it_was_ours_is_passed_over() {
    let mut world = world_with(|_| {}).await;
    world.stop().await;
    {
        // A service that has never looked.
        let mut sql = world.sql().await;
        sql.execute("UPDATE reconciliation SET node_id = NULL, adopting = true").await.unwrap();
        let options = poa_payment::simulated::Options::new(world.node_file());
        let (node, _payer) = SimulatedNode::open(&options, world.env.clone()).unwrap();
        let invoice = foreign_invoice(&node, 3).await;
        node.pay_invoice(&invoice.bolt11).await.unwrap();
    }
    world.start().await;
    assert_clean(&world).await;
    let invoice = foreign_invoice(world.node(), 3).await;
    world.node().pay_invoice(&invoice.bolt11).await.unwrap();
    assert_eq!(drifts(&look(&world).await), [("unknown_invoice", 3_000, 0)]);
}

/// A copy of a database as it is now, which nobody may be connected to.
async fn backup(world: &World) -> String {
    let cluster = poa_testkit::postgres().await;
    let name: String =
        sqlx::query_scalar("SELECT current_database()").fetch_one(&mut world.sql().await).await.unwrap();
    let copy = format!("{name}_backup");
    let statement = format!("CREATE DATABASE {copy} TEMPLATE {name}");
    let mut sql =
        <sqlx::PgConnection as sqlx::Connection>::connect(&cluster.url_for("postgres")).await.unwrap();
    eventually(SOON, "nobody is connected any more", async || {
        sql.execute(sqlx::AssertSqlSafe(statement.clone())).await.is_ok()
    })
    .await;
    cluster.url_for(&copy)
}

#[tokio::test]
async fn a_restored_database_finds_out_what_the_node_has_done_since_before_anything_is_sent() {
    // Nothing is sent yet.
    let mut world = world_with(|config| config.withdrawals.max_in_flight = 0).await;
    let user = world.rich(1_000_000).await;
    let before = world.outside_invoice(&user, 100_000).await;
    let before = world.withdraw(&user, &before, None).await.unwrap();
    assert!(look(&world).await.clean);
    world.stop().await;
    let restored = backup(&world).await;
    world.change(|config| config.withdrawals.max_in_flight = 400);
    world.start().await;
    world.reaches(&user, &before.withdrawal_id, State::Succeeded).await;
    withdrawn(&world, &user, 30_000).await;
    world.fund(&user, 5_000).await;
    assert_clean(&world).await;
    let sent = world.node().payments_taken().await.unwrap();
    assert_eq!(sent, 2);
    world.stop().await;

    world.restore(restored);
    world.start().await;
    // What was reserved in the backup was sent meanwhile: it is found out, and not sent again.
    world.reaches(&user, &before.withdrawal_id, State::Succeeded).await;
    assert_eq!(world.node().payments_taken().await.unwrap(), sent);
    // What the backup does not have at all is for a person to decide.
    let found = look(&world).await;
    let mut kinds = drifts(&found);
    kinds.sort_unstable();
    assert_eq!(kinds, [("unknown_invoice", 5_000, 0), ("unknown_payment", 30_030, 0)]);
    assert_eq!(world.balance(&user).await, (1_000_000 - 100_100, 0));
    world.assert_sound().await;
}
