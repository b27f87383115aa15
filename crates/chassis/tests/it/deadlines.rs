//! The caller's time, from the first byte to the last.

use std::time::{Duration, Instant};

use poa_proto::auth::v1::WatchAgentEventsRequest;
use poa_proto::auth::v1::auth_internal_service_client::AuthInternalServiceClient;
use tonic::Code;

use crate::server::{HANG, REMAINING, TestServer, pay, reason, with_token};

const SCOPE: &str = "money.deposit";
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_handler_that_hangs_is_answered_deadline_exceeded_in_the_callers_time() {
    let server = TestServer::start(|_| {}).await;
    let mut request = with_token(pay(HANG), &server.token(SCOPE, MINUTE));
    // As another client would send it: no timer of tonic's on our side.
    request.metadata_mut().insert("grpc-timeout", "300m".parse().unwrap());
    let started = Instant::now();
    let refused = server.faucet().pay_invoice(request).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert!(started.elapsed() < Duration::from_secs(8), "long before the method's own limit");
}

#[tokio::test]
async fn the_remaining_time_reaches_the_handler_and_is_capped_by_the_method() {
    let server = TestServer::start(|_| {}).await;
    let token = server.token(SCOPE, MINUTE);
    let ask = |timeout: &'static str| {
        let mut request = with_token(pay(REMAINING), &token);
        request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
        let mut faucet = server.faucet();
        async move { faucet.pay_invoice(request).await.unwrap().into_inner().amount_msat }
    };
    assert!((1..=5_000).contains(&ask("5S").await));
    assert!((5_001..=10_000).contains(&ask("99999999H").await), "an absurd time is the method's own");
}

#[tokio::test]
async fn a_stream_ends_at_the_callers_deadline_with_its_status() {
    let server = TestServer::start(|_| {}).await;
    let mut client = AuthInternalServiceClient::new(server.as_service("attestation"));
    let context = poa_chassis::Context {
        request_id: "stream".into(),
        deadline: Some(Instant::now() + Duration::from_millis(400)),
    };
    let stream = context.scope(client.watch_agent_events(WatchAgentEventsRequest::default())).await;
    let mut stream = stream.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    let end = stream.message().await.unwrap_err();
    assert_eq!(end.code(), Code::DeadlineExceeded, "{end}");
}
