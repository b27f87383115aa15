//! WatchTask.

use std::time::Duration;

use poa_common::AccountId;
use poa_proto::task::v1::task::State;
use poa_proto::task::v1::watch_task_response::Update;
use poa_proto::task::v1::{Task, WatchTaskRequest, WatchTaskResponse};
use tonic::{Code, Status, Streaming};

use crate::support::{SOON, World, refusal};

async fn watch(
    world: &World,
    account: AccountId,
    task: &str,
    cursor: &str,
) -> Result<Streaming<WatchTaskResponse>, Status> {
    let request = WatchTaskRequest { task_id: task.to_owned(), cursor: cursor.to_owned() };
    Ok(world.client().watch_task(world.by(account, request)).await?.into_inner())
}

async fn next(stream: &mut Streaming<WatchTaskResponse>) -> Option<WatchTaskResponse> {
    tokio::time::timeout(SOON, stream.message()).await.unwrap().unwrap()
}

fn task(message: &WatchTaskResponse) -> &Task {
    match message.update.as_ref().unwrap() {
        Update::Snapshot(task) | Update::Event(task) => task,
        Update::Heartbeat(_) | Update::Resync(_) => panic!("{message:?}"),
    }
}

#[tokio::test]
async fn a_stream_begins_with_a_snapshot_tells_changes_in_order_and_ends_with_the_task() {
    let world = World::new().await;
    let open = world.open().await;
    let mut stream = watch(&world, world.requester, &open.task_id, "").await.unwrap();
    let snapshot = next(&mut stream).await.unwrap();
    assert!(matches!(snapshot.update, Some(Update::Snapshot(_))));
    assert_eq!(task(&snapshot).etag, open.etag);

    let (_, acceptance) = world.claim(&world.agent, &open, 1).await;
    let claimed = next(&mut stream).await.unwrap();
    assert!(matches!(claimed.update, Some(Update::Event(_))));
    assert_eq!(task(&claimed).state(), State::Claimed);

    world.submit(&world.agent, &acceptance, &acceptance, b"hello").await.unwrap();
    let mut states = Vec::new();
    while let Some(message) = next(&mut stream).await {
        states.push(task(&message).state());
    }
    assert_eq!(states.last(), Some(&State::Completed));
    let order = [State::Submitted, State::Releasing, State::Completed];
    let places: Vec<_> = states.iter().map(|seen| order.iter().position(|state| state == seen)).collect();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{states:?}");
}

#[tokio::test]
async fn a_stream_that_resumes_hears_of_what_changed_since_and_of_nothing_twice() {
    let world = World::new().await;
    let open = world.open().await;
    let mut stream = watch(&world, world.requester, &open.task_id, "").await.unwrap();
    let cursor = next(&mut stream).await.unwrap().cursor;
    drop(stream);

    let mut quiet = watch(&world, world.requester, &open.task_id, &cursor).await.unwrap();
    let silent = tokio::time::timeout(Duration::from_millis(300), quiet.message()).await;
    assert!(silent.is_err(), "nothing changed");
    drop(quiet);

    world.claim(&world.agent, &open, 1).await;
    let mut resumed = watch(&world, world.requester, &open.task_id, &cursor).await.unwrap();
    let message = next(&mut resumed).await.unwrap();
    assert!(matches!(message.update, Some(Update::Event(_))));
    assert_eq!(task(&message).state(), State::Claimed);
}

#[tokio::test]
async fn an_ended_task_is_told_at_once_and_the_stream_ends() {
    let world = World::new().await;
    let open = world.open().await;
    let (_, acceptance) = world.claim(&world.agent, &open, 1).await;
    world.submit(&world.agent, &acceptance, &acceptance, b"hello").await.unwrap();
    let mut stream = watch(&world, world.agent.account, &open.task_id, "").await.unwrap();
    let message = next(&mut stream).await.unwrap();
    assert_eq!(task(&message).state(), State::Completed);
    assert!(next(&mut stream).await.is_none());
    let mut resumed = watch(&world, world.agent.account, &open.task_id, &message.cursor).await.unwrap();
    assert_eq!(task(&next(&mut resumed).await.unwrap()).state(), State::Completed);
}

#[tokio::test]
async fn who_may_not_see_a_task_may_not_watch_it() {
    let world = World::new().await;
    let open = world.open().await;
    let stranger = world.env.new_id();
    let mut stream = watch(&world, stranger, &open.task_id, "").await.unwrap();
    let snapshot = next(&mut stream).await.unwrap();
    assert!(task(&snapshot).input.is_none());
    world.claim(&world.agent, &open, 1).await;
    let ended = tokio::time::timeout(SOON, stream.message()).await.unwrap();
    assert_eq!(refusal(ended), (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()));
    assert_eq!(refusal(watch(&world, stranger, &open.task_id, "").await).0, Code::NotFound);
}
