//! Two instances of the service on one database.

use std::time::{Duration, Instant};

use poa_proto::task::v1::task::State;

use crate::support::{FEE, Fault, PRICE, SOON, World, offer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_pay_each_task_once_whoever_drives_it() {
    let world = World::new().await;
    let mut second = world.replica().await;
    for call in ["TermsOffered", "capture"] {
        world.attestation.faults.plan(call, Fault::Lost, 5);
        world.escrow.faults.plan(call, Fault::Lost, 5);
    }
    let task = second.create_task(world.by(world.requester, offer(&world.env))).await.unwrap();
    let task = world.until(&task.into_inner().task.unwrap().task_id, State::Open).await;
    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    let request = world.agent.submit(&acceptance, &acceptance, b"hello");
    let (first, other) =
        tokio::join!(second.submit_result(world.by(world.agent.account, request.clone())), async {
            world.client().submit_result(world.by(world.agent.account, request.clone())).await
        },);
    assert!(first.is_ok() && other.is_ok(), "{first:?} {other:?}");
    world.until(&task.task_id, State::Completed).await;
    assert_eq!(world.escrow.balance(world.agent.account), PRICE - FEE);
    assert_eq!(world.attestation.kinds(&task.task_id).len(), 6);
}

#[tokio::test]
async fn two_instances_do_not_make_the_mesh_clock_faster_than_time() {
    let world = World::new().await;
    let _second = world.replica().await;
    let started = Instant::now();
    let before = world.count("SELECT now_us FROM mesh_clock").await;
    poa_testkit::eventually(SOON, "half a second of mesh time", async || {
        world.count("SELECT now_us FROM mesh_clock").await >= before + 500_000
    })
    .await;
    // One tick may have been under way when we began to look.
    assert!(started.elapsed() + Duration::from_millis(40) >= Duration::from_millis(500));
}
