//! WatchAttestationEvents.

use std::sync::Arc;

use poa_proto::attestation::v1::attestation::State;
use poa_proto::attestation::v1::watch_attestation_events_response::Update;
use poa_proto::attestation::v1::{
    AttestationEvent, WatchAttestationEventsRequest, WatchAttestationEventsResponse,
};
use poa_storage::events::Place;
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::fixture::{Cast, Play, refusal};
use crate::server::{Deployment, Replica, SOON};

type Messages = Streaming<WatchAttestationEventsResponse>;

async fn watch(deployment: &Deployment, replica: &Replica, cursor: &str) -> Result<Messages, Status> {
    let request = WatchAttestationEventsRequest { cursor: cursor.to_owned() };
    let mut client = deployment.as_service("search", replica.pipe());
    client.watch_attestation_events(request).await.map(tonic::Response::into_inner)
}

/// The next event and its cursor, whatever heartbeats come before.
async fn next(messages: &mut Messages) -> (String, AttestationEvent) {
    loop {
        let message = tokio::time::timeout(SOON, messages.message()).await.unwrap().unwrap().unwrap();
        if let Some(Update::Event(event)) = message.update {
            return (message.cursor, event);
        }
    }
}

#[tokio::test]
async fn the_log_is_told_in_its_order_with_the_agents_that_signed() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    // Opened before there is anything: what comes is told too.
    let mut messages = watch(&deployment, &replica, "").await.unwrap();
    let cast = Cast::logged(&deployment).await;
    let statements = Play::new(&deployment, replica.pipe(), &cast).paid().await;
    let agent = cast.agent_id.to_string();
    let signers = ["", &agent, &agent, "", "", ""];
    assert_eq!(statements.len(), signers.len());
    // The agent's key event comes first, and is no task's.
    for (place, signer) in (1i64..).zip(signers) {
        let (cursor, event) = next(&mut messages).await;
        let position = Place::parse(&cursor).unwrap().position();
        assert_eq!((position, event.agent_id.as_str()), (place + 1, signer));
        assert!(event.event_time.is_some());
        let attestation = event.attestation.unwrap();
        assert_eq!((attestation.log_index, attestation.state()), (place, State::Logged));
        assert!(attestation.envelope.is_empty(), "bodies are elsewhere");
    }
    replica.stop().await;
}

#[tokio::test]
async fn whoever_goes_on_from_a_cursor_hears_of_what_comes_after_it() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    Play::new(&deployment, replica.pipe(), &Cast::logged(&deployment).await).paid().await;
    let mut messages = watch(&deployment, &replica, "").await.unwrap();
    for _ in 0..3 {
        next(&mut messages).await;
    }
    let (cursor, _) = next(&mut messages).await;
    let another = deployment.replica().await;
    let mut resumed = watch(&deployment, &another, &cursor).await.unwrap();
    assert_eq!(next(&mut resumed).await.1.attestation.unwrap().log_index, 5);
    assert_eq!(next(&mut resumed).await.1.attestation.unwrap().log_index, 6);
    another.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn a_cursor_of_nobodys_is_refused_and_so_is_everybody_but_search() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    Play::new(&deployment, replica.pipe(), &Cast::logged(&deployment).await).paid().await;
    let mut messages = watch(&deployment, &replica, "").await.unwrap();
    let (known, _) = next(&mut messages).await;
    assert!(watch(&deployment, &replica, &known).await.is_ok());
    // What another log has at a place that there is, as after a restored backup; and a place that there is not.
    let other = Place::after(2, Uuid::from_u128(7)).to_string();
    let beyond = known.replacen("2.", "1000.", 1);
    for cursor in ["x", "-1", "007", "1", &other, &beyond] {
        assert_eq!(refusal(watch(&deployment, &replica, cursor).await).0, "FIELDS_INVALID", "{cursor}");
    }
    let request = WatchAttestationEventsRequest::default();
    let refused = deployment.as_task(replica.pipe()).watch_attestation_events(request).await;
    assert_eq!(refusal(refused).0, "AUDIENCE_MISMATCH");
    replica.stop().await;
}
