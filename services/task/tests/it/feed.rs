//! WatchOpenTasks.

use std::collections::HashSet;

use poa_proto::task::v1::watch_open_tasks_response::Update;
use poa_proto::task::v1::{
    CancelTaskRequest, CreateTaskRequest, WatchOpenTasksRequest, WatchOpenTasksResponse,
};
use tonic::Streaming;

use crate::support::{PRICE, SOON, World, bad_fields, offer, uuid};

async fn feed(world: &World, request: WatchOpenTasksRequest) -> Streaming<WatchOpenTasksResponse> {
    let request = world.by(world.agent.account, request);
    world.client().watch_open_tasks(request).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<WatchOpenTasksResponse>) -> Update {
    tokio::time::timeout(SOON, stream.message()).await.unwrap().unwrap().unwrap().update.unwrap()
}

/// The ids of a snapshot.
async fn snapshot(stream: &mut Streaming<WatchOpenTasksResponse>) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        match next(stream).await {
            Update::Snapshot(part) => {
                assert!(part.tasks.len() <= 100);
                ids.extend(part.tasks.into_iter().map(|task| task.task_id));
                if part.last {
                    return ids;
                }
            }
            other => panic!("{other:?} inside of a snapshot"),
        }
    }
}

#[tokio::test]
async fn the_feed_tells_what_is_open_what_opens_and_what_closes() {
    let world = World::new().await;
    let first = world.open().await;
    let mut stream = feed(&world, WatchOpenTasksRequest::default()).await;
    assert_eq!(snapshot(&mut stream).await, std::slice::from_ref(&first.task_id));

    let second = world.open().await;
    let mut update = next(&mut stream).await;
    if matches!(&update, Update::Opened(open) if open.task_id == first.task_id) {
        // What opened around the snapshot may be told twice.
        update = next(&mut stream).await;
    }
    match update {
        Update::Opened(open) => {
            assert_eq!((open.task_id, open.terms), (second.task_id.clone(), second.terms));
            assert_eq!((open.next_claim_number, open.payee_msat), (1, second.payee_msat));
            assert!(open.expire_time.is_some());
        }
        other => panic!("{other:?}"),
    }
    world.claim(&world.agent, &first, 1).await;
    match next(&mut stream).await {
        Update::Closed(closed) => assert_eq!(closed.task_id, first.task_id),
        other => panic!("{other:?}"),
    }
    let cancel = CancelTaskRequest { request_id: uuid(&world.env), task_id: second.task_id.clone() };
    world.client().cancel_task(world.by(world.requester, cancel)).await.unwrap();
    match next(&mut stream).await {
        Update::Closed(closed) => assert_eq!(closed.task_id, second.task_id),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_filter_holds_for_the_snapshot_and_for_what_comes() {
    let world = World::new().await;
    let other = CreateTaskRequest { capability: "text.other".to_owned(), ..offer(&world.env) };
    let cheap = CreateTaskRequest { price_msat: 2_000, request_id: uuid(&world.env), ..offer(&world.env) };
    let direct = CreateTaskRequest { direct_agent_id: world.agent.id.to_string(), ..offer(&world.env) };
    let request = WatchOpenTasksRequest {
        capabilities: vec!["text.greet".to_owned()],
        min_payee_msat: PRICE / 2,
        agent_id: String::new(),
    };
    for offer in [&other, &cheap, &direct] {
        world.create(offer.clone()).await.unwrap();
    }
    let wanted = world.open().await;
    let mut plain = feed(&world, request.clone()).await;
    assert_eq!(snapshot(&mut plain).await, std::slice::from_ref(&wanted.task_id));
    let hired = WatchOpenTasksRequest { agent_id: world.agent.id.to_string(), ..request };
    let mut hired = feed(&world, hired).await;
    assert_eq!(snapshot(&mut hired).await.len(), 2);

    for offer in [other, cheap, direct] {
        world.create(CreateTaskRequest { request_id: uuid(&world.env), ..offer }).await.unwrap();
    }
    let last = world.open().await;
    loop {
        match next(&mut plain).await {
            Update::Opened(open) if open.task_id == wanted.task_id => {}
            Update::Opened(open) => break assert_eq!(open.task_id, last.task_id),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_snapshot_comes_in_parts_and_holds_each_task_once() {
    let world = World::new().await;
    let mut made = HashSet::new();
    for _ in 0..105 {
        world.escrow.deposit(world.requester, PRICE);
        made.insert(world.open().await.task_id);
    }
    let mut stream = feed(&world, WatchOpenTasksRequest::default()).await;
    let ids = snapshot(&mut stream).await;
    assert_eq!(ids.len(), made.len());
    assert_eq!(ids.into_iter().collect::<HashSet<_>>(), made);
}

#[tokio::test]
async fn a_malformed_filter_is_refused() {
    let world = World::new().await;
    let request = WatchOpenTasksRequest {
        capabilities: vec!["Not Good".to_owned()],
        agent_id: "nobody".to_owned(),
        ..WatchOpenTasksRequest::default()
    };
    let outcome = world.client().watch_open_tasks(world.by(world.requester, request)).await;
    assert_eq!(bad_fields(outcome), ["capabilities[0]", "agent_id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_who_does_not_keep_up_hears_so_and_begins_again() {
    let world = World::new().await;
    let task = world.open().await;
    let mut stream = feed(&world, WatchOpenTasksRequest::default()).await;
    assert_eq!(snapshot(&mut stream).await.len(), 1);
    // More than the stream, the transport and the hub hold together, while nobody reads.
    world
        .sql(
            r#"INSERT INTO events_pending (id, topic, subject, kind, payload, occurred_at)
               SELECT gen_random_uuid(), 'tasks', gen_random_uuid(), 'CLAIMED',
                      '{"version":1,"feed":"closed","facets":{"capability":"text.greet","payee_msat":1}}',
                      now()
               FROM generate_series(1, 20000)"#,
        )
        .await;
    poa_testkit::eventually(SOON, "the events are published", async || {
        world.count("SELECT count(*) FROM events_pending").await == 0
    })
    .await;
    while !matches!(next(&mut stream).await, Update::Resync(_)) {}
    assert_eq!(snapshot(&mut stream).await, [task.task_id]);
}
