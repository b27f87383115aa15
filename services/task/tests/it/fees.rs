//! The platform's fee, which escrow quotes.

use poa_proto::task::v1::CreateTaskRequest;
use poa_proto::task::v1::task::State;
use tonic::Code;

use crate::support::{PRICE, World, offer, refusal, said};

#[tokio::test]
async fn the_fee_is_escrows_to_say_and_is_asked_for_once_in_a_while() {
    let world = World::new().await;
    world.escrow.set_fee(250, 60_000);
    for _ in 0..3 {
        let task = world.create(offer(&world.env)).await.unwrap();
        assert_eq!((task.fee_msat, task.payee_msat), (PRICE / 40, PRICE - PRICE / 40));
    }
    assert_eq!(world.escrow.quotes(), 1);
    // What may not be kept is asked for each time.
    let other = world.env.new_id();
    world.escrow.deposit(other, 10 * PRICE);
    world.escrow.set_fee(250, 0);
    for _ in 0..2 {
        world.client().create_task(world.by(other, offer(&world.env))).await.unwrap();
    }
    assert_eq!(world.escrow.quotes(), 3);
}

#[tokio::test]
async fn a_fee_that_changed_before_the_hold_cancels_the_task_and_the_same_request_states_it_anew() {
    let world = World::new().await;
    world.open().await;
    world.escrow.set_fee(300, 60_000);
    let request = offer(&world.env);
    let outcome = world.create(request.clone()).await;
    assert_eq!(refusal(outcome.clone()), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE".to_owned()));
    assert_eq!(said(outcome, "dependency"), "escrow");
    assert_eq!(
        world.count("SELECT count(*) FROM task_status WHERE state = 9 AND note LIKE '%fee changed%'").await,
        1
    );
    let task = world.create(request).await.unwrap();
    assert_eq!((task.state(), task.fee_msat), (State::Open, 3 * PRICE / 100));
    assert_eq!(world.escrow.held(), 2 * PRICE);
}

#[tokio::test]
async fn without_a_quote_no_task_is_offered_and_one_that_was_is_still_answered() {
    let world = World::new().await;
    world.escrow.set_fee(500, 0);
    let request = offer(&world.env);
    let task = world.create(request.clone()).await.unwrap();
    world.escrow.faults.down("quote");
    assert_eq!(world.create(request.clone()).await.unwrap().task_id, task.task_id);
    let other = CreateTaskRequest { title: "Say something else".to_owned(), ..request };
    assert_eq!(refusal(world.create(other).await).1, "REQUEST_ID_REUSED");
    let outcome = world.create(offer(&world.env)).await;
    assert_eq!(refusal(outcome), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE".to_owned()));
    assert_eq!(world.count("SELECT count(*) FROM tasks").await, 1);
}
