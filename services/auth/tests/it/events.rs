//! WatchAgentEvents.

use std::time::Duration;

use poa_proto::auth::v1::watch_agent_events_response::Update;
use poa_proto::auth::v1::{AgentEvent, RetireAgentRequest, WatchAgentEventsRequest, agent, agent_event};
use poa_storage::events::Place;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use crate::support::{Server, User, bad_fields, refusal, server, server_with, with};

type Messages = Streaming<poa_proto::auth::v1::WatchAgentEventsResponse>;

async fn watch(server: &Server, cursor: &str) -> Result<Messages, Status> {
    let request = WatchAgentEventsRequest { cursor: cursor.to_owned() };
    server.internal("attestation").watch_agent_events(request).await.map(tonic::Response::into_inner)
}

async fn register(server: &Server, user: &User, name: &str) -> String {
    let request = with(&user.tokens.access_token, server.agent_request(user, name));
    server.agents().register_agent(request).await.unwrap().into_inner().agent.unwrap().agent_id
}

async fn retire(server: &Server, user: &User, agent_id: &str) {
    let request = RetireAgentRequest { request_id: server.request_id(), agent_id: agent_id.to_owned() };
    server.agents().retire_agent(with(&user.tokens.access_token, request)).await.unwrap();
}

fn position(cursor: &str) -> i64 {
    Place::parse(cursor).unwrap().position()
}

/// The next event and its cursor, whatever heartbeats come before.
async fn next(messages: &mut Messages) -> (String, AgentEvent) {
    loop {
        let message = messages.message().await.unwrap().unwrap();
        if let Some(Update::Event(event)) = message.update {
            return (message.cursor, event);
        }
    }
}

#[tokio::test]
async fn stored_events_come_first_and_new_ones_as_they_happen() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let first = register(&server, &user, "one").await;
    retire(&server, &user, &first).await;
    // Changes nothing, so it is no event.
    retire(&server, &user, &first).await;

    let mut messages = watch(&server, "").await.unwrap();
    let (cursor, event) = next(&mut messages).await;
    assert_eq!((position(&cursor), event.kind()), (1, agent_event::Kind::Registered));
    let agent = event.agent.unwrap();
    assert_eq!((agent.agent_id.as_str(), agent.name.as_str()), (first.as_str(), "one"));
    assert_eq!(agent.state(), agent::State::Active);
    assert_eq!(agent.public_key.len(), 32);
    let (cursor, event) = next(&mut messages).await;
    assert_eq!((position(&cursor), event.kind()), (2, agent_event::Kind::Retired));
    assert_eq!(event.agent.unwrap().state(), agent::State::Retired);

    let second = register(&server, &user, "two").await;
    let (cursor, event) = next(&mut messages).await;
    assert_eq!((position(&cursor), event.agent.unwrap().agent_id), (3, second));
}

#[tokio::test]
async fn a_reader_goes_on_after_its_cursor_at_any_replica() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    for name in ["one", "two", "three"] {
        register(&server, &user, name).await;
    }
    let mut messages = watch(&server, "").await.unwrap();
    let (cursor, _) = next(&mut messages).await;
    let another = server.another().await;
    let mut resumed = watch(&another, &cursor).await.unwrap();
    for name in ["two", "three"] {
        assert_eq!(next(&mut resumed).await.1.agent.unwrap().name, name);
    }
    // What one replica writes, the readers of another hear.
    register(&server, &user, "four").await;
    assert_eq!(next(&mut resumed).await.1.agent.unwrap().name, "four");
}

#[tokio::test]
async fn silence_is_broken_by_heartbeats_whose_cursor_may_be_resumed_from() {
    let server = server_with(|config| config.watch.heartbeat_ms = 20).await;
    let user = server.sign_up("ada").await;
    let mut messages = watch(&server, "").await.unwrap();
    let beat = messages.message().await.unwrap().unwrap();
    assert!(matches!(beat.update, Some(Update::Heartbeat(_))));
    assert_eq!(beat.cursor, "0");
    register(&server, &user, "one").await;
    let (cursor, _) = next(&mut messages).await;
    let beat = messages.message().await.unwrap().unwrap();
    assert!(matches!(beat.update, Some(Update::Heartbeat(_))));
    assert_eq!(beat.cursor, cursor);
    let mut resumed = watch(&server, &beat.cursor).await.unwrap();
    register(&server, &user, "two").await;
    assert_eq!(next(&mut resumed).await.1.agent.unwrap().name, "two");
}

#[tokio::test]
async fn a_cursor_of_nobodys_is_refused_before_the_stream_begins() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    register(&server, &user, "one").await;
    let mut messages = watch(&server, "").await.unwrap();
    let (known, _) = next(&mut messages).await;
    assert!(watch(&server, &known).await.is_ok());
    // What another history has at a place that there is, as after a restored backup; and a place that there is not.
    let other = Place::after(1, Uuid::from_u128(7)).to_string();
    let beyond = known.replacen("1.", "2.", 1);
    for cursor in ["x", "-1", "007", "1", &other, &beyond] {
        assert_eq!(bad_fields(watch(&server, cursor).await), ["cursor"], "{cursor}");
    }
}

#[tokio::test]
async fn a_draining_server_ends_the_stream_so_that_the_reader_goes_elsewhere() {
    let server = server().await;
    let mut messages = watch(&server, "").await.unwrap();
    drop(server);
    let ended = tokio::time::timeout(Duration::from_secs(10), messages.message()).await.unwrap();
    assert_eq!(ended.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn attestation_and_search_follow_agents_and_nobody_else() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let request = WatchAgentEventsRequest::default;
    for service in ["attestation", "search"] {
        assert!(server.internal(service).watch_agent_events(request()).await.is_ok(), "{service}");
    }
    let refused = server.internal("gateway").watch_agent_events(request()).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "AUDIENCE_MISMATCH".to_owned()));
    let refused = server.internal_bare().watch_agent_events(with(&user.tokens.access_token, request())).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "AUDIENCE_MISMATCH".to_owned()));
}
