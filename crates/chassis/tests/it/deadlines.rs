//! The caller's time, from the first byte to the last.

use std::time::{Duration, Instant};

use poa_proto::auth::v1::WatchAgentEventsRequest;
use poa_proto::auth::v1::auth_internal_service_client::AuthInternalServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;

use crate::server::{REMAINING, TestServer, pay, with_token};

const SCOPE: &str = "money.deposit";
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_handler_that_hangs_is_answered_deadline_exceeded_in_the_callers_time() {
    let server = TestServer::start(|_| {}).await;
    let started = Instant::now();
    // By hand: tonic's client has a timer of its own for this header, and would win now and then.
    let mut socket = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST /poa.escrow.v1.FaucetService/PayInvoice HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/grpc\r\ngrpc-timeout: 300m\r\nauthorization: Bearer {}\r\n\
         content-length: 11\r\n\r\n",
        server.token(SCOPE, MINUTE)
    );
    let message = [0, 0, 0, 0, 6, 10, 4, b'h', b'a', b'n', b'g'];
    socket.write_all(&[head.as_bytes(), &message].concat()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains("grpc-status: 4"), "{answer}");
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
        deadline: Some(Instant::now() + Duration::from_secs(2)),
    };
    let stream = context.scope(client.watch_agent_events(WatchAgentEventsRequest::default())).await;
    let mut stream = stream.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    let end = stream.message().await.unwrap_err();
    assert_eq!(end.code(), Code::DeadlineExceeded, "{end}");
    assert_eq!(poa_chassis::failure(&end).reason, "DEADLINE_EXCEEDED");
}
