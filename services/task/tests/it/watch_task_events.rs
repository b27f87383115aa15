//! WatchTaskEvents.

use poa_proto::task::v1::task::State;
use poa_proto::task::v1::watch_task_events_response::Update;
use poa_proto::task::v1::{CancelTaskRequest, TaskEvent, WatchTaskEventsRequest, WatchTaskEventsResponse};
use poa_storage::events::Place;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use crate::support::{SOON, World, bad_fields, refusal, uuid};

async fn watch(world: &World, cursor: &str) -> Result<Streaming<WatchTaskEventsResponse>, Status> {
    let request = WatchTaskEventsRequest { cursor: cursor.to_owned() };
    world.internal("search").watch_task_events(request).await.map(tonic::Response::into_inner)
}

/// Waits until every event that was written has its place in the stream.
async fn until_published(world: &World) {
    poa_testkit::eventually(SOON, "all events are published", async || {
        world.count("SELECT count(*) FROM events_pending").await == 0
    })
    .await;
}

/// The next event and its cursor, whatever heartbeats come before.
async fn next(stream: &mut Streaming<WatchTaskEventsResponse>) -> (String, TaskEvent) {
    loop {
        let message = tokio::time::timeout(SOON, stream.message()).await.unwrap().unwrap().unwrap();
        if let Some(Update::Event(event)) = message.update {
            return (message.cursor, event);
        }
    }
}

/// Reads until a task is told in a state; answers with the message's cursor too.
async fn until(
    stream: &mut Streaming<WatchTaskEventsResponse>,
    task_id: &str,
    state: State,
) -> (String, TaskEvent) {
    loop {
        let (cursor, event) = next(stream).await;
        if event.task.as_ref().is_some_and(|task| task.task_id == task_id && task.state() == state) {
            return (cursor, event);
        }
    }
}

#[tokio::test]
async fn a_task_is_told_as_it_is_without_bodies_criteria_and_terms() {
    let world = World::new().await;
    let (task, _) = world.submitted().await;
    let mut stream = watch(&world, "").await.unwrap();
    let (_, event) = until(&mut stream, &task.task_id, State::Submitted).await;
    let told = event.task.unwrap();
    assert_eq!((told.title.as_str(), told.capability.as_str()), ("Say hello", "text.greet"));
    assert_eq!(told.price_msat, task.price_msat);
    assert_eq!(told.claim.unwrap().agent_id, world.agent.id.to_string());
    assert!(told.result_summary.is_some());
    assert!(event.event_time.is_some());
    assert!(told.input.is_none() && told.result.is_none());
    assert!(told.criteria.is_empty() && told.terms.is_empty());
}

#[tokio::test]
async fn whoever_goes_on_from_a_cursor_hears_of_what_changed_after_it_and_of_nothing_else() {
    let world = World::new().await;
    let first = world.open().await;
    // All of it at once: its first event may come with the task as it is by then, and leave the last one for later.
    until_published(&world).await;
    let mut stream = watch(&world, "").await.unwrap();
    let (cursor, told) = until(&mut stream, &first.task_id, State::Open).await;
    let second = world.open().await;
    let mut resumed = watch(&world, &cursor).await.unwrap();
    let (_, event) = next(&mut resumed).await;
    assert_eq!(event.task.unwrap().task_id, second.task_id);
    let cancel = CancelTaskRequest { request_id: uuid(&world.env), task_id: first.task_id.clone() };
    world.client().cancel_task(world.by(world.requester, cancel)).await.unwrap();
    let (_, later) = until(&mut resumed, &first.task_id, State::Canceled).await;
    assert!(later.version > told.version, "{} after {}", later.version, told.version);
}

#[tokio::test]
async fn events_of_a_task_that_lie_together_come_as_one() {
    let world = World::new().await;
    let (task, _) = world.submitted().await;
    until_published(&world).await;
    let events = world.count("SELECT count(*) FROM events_published").await;
    assert!(events > 1, "{events}");
    let mut stream = watch(&world, "").await.unwrap();
    let (cursor, event) = next(&mut stream).await;
    assert_eq!(event.task.unwrap().task_id, task.task_id);
    assert_eq!(Place::parse(&cursor).unwrap().position(), events);
}

#[tokio::test]
async fn a_cursor_of_nobodys_is_refused_before_the_stream_begins() {
    let world = World::new().await;
    world.open().await;
    until_published(&world).await;
    let mut stream = watch(&world, "").await.unwrap();
    let (known, _) = next(&mut stream).await;
    assert!(watch(&world, &known).await.is_ok());
    let position = Place::parse(&known).unwrap().position();
    // What another history has at a place that there is, as after a restored backup; and a place that there is not.
    let other = Place::after(position, Uuid::from_u128(7)).to_string();
    let beyond = known.replacen(&position.to_string(), "1000", 1);
    for cursor in ["x", "-1", "007", "1", &other, &beyond] {
        assert_eq!(bad_fields(watch(&world, cursor).await), ["cursor"], "{cursor}");
    }
}

#[tokio::test]
async fn only_search_follows_tasks() {
    let world = World::new().await;
    let refused = world.internal("escrow").watch_task_events(WatchTaskEventsRequest::default()).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "AUDIENCE_MISMATCH".to_owned()));
}
