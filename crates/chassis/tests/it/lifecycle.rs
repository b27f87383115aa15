//! Load, drain and stop.

use std::time::Duration;

use poa_proto::auth::v1::WatchAgentEventsRequest;
use poa_proto::auth::v1::auth_internal_service_client::AuthInternalServiceClient;
use tonic::Code;

use crate::server::{HANG, TestServer, pay, reason, with_token};

const SCOPE: &str = "money.deposit";
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_server_at_its_limit_refuses_at_once_and_takes_calls_again_when_there_is_room() {
    let server = TestServer::start(|config| config.limits.in_flight = 1).await;
    let token = server.token(SCOPE, MINUTE);
    let mut faucet = server.faucet();
    // One connection answers in order of arrival, so the first call is inside when the second one is refused.
    let hanging = tokio::spawn({
        let (mut faucet, request) = (faucet.clone(), with_token(pay(HANG), &token));
        async move { faucet.pay_invoice(request).await }
    });
    let refused = loop {
        match faucet.pay_invoice(with_token(pay("x"), &token)).await {
            Ok(_before_the_first_one) => tokio::task::yield_now().await,
            Err(status) => break status,
        }
    };
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "OVERLOADED"));
    hanging.abort();
    assert!(hanging.await.unwrap_err().is_cancelled());
    eventually(async || faucet.pay_invoice(with_token(pay("x"), &token)).await.is_ok()).await;
}

#[tokio::test]
async fn a_drain_ends_streams_with_unavailable_and_then_the_server() {
    let server = TestServer::start(|_| {}).await;
    let mut client = AuthInternalServiceClient::new(server.as_service("attestation"));
    let mut stream =
        client.watch_agent_events(WatchAgentEventsRequest::default()).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    server.deps.lifecycle.begin_drain();
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Unavailable);
    drop((stream, client));
    tokio::time::timeout(Duration::from_secs(15), server.serving).await.expect("the server ends").unwrap();
}

#[tokio::test]
async fn a_part_that_is_gone_is_not_ready() {
    let readiness = poa_chassis::Readiness::default();
    let latch = readiness.latch("database");
    assert_eq!(readiness.missing(), ["database"]);
    latch.ready();
    assert!(readiness.missing().is_empty());
    drop(latch);
    assert_eq!(readiness.missing(), ["database"]);
    let turn = readiness.latch("turn");
    assert_eq!(readiness.missing(), ["database", "turn"]);
    turn.retire();
    assert_eq!(readiness.missing(), ["database"], "what is no part any more is not waited for");
}

/// Waits until a predicate holds, ten seconds at most.
async fn eventually(mut predicate: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    while !predicate().await {
        assert!(tokio::time::Instant::now() < end, "it did not come to be");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
