//! What reaches a service, and what a caller hears when it does not.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use poa_chassis::failure;
use poa_proto::auth::v1::ExchangeApiKeyRequest;
use poa_proto::auth::v1::auth_internal_service_client::AuthInternalServiceClient;
use poa_proto::task::v1::WatchOpenTasksRequest;
use poa_proto::task::v1::task_service_client::TaskServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;

use crate::edge::{API_KEY, Edge, pay};

#[tokio::test]
async fn a_call_passes_with_its_token_and_without_a_strangers_headers() {
    let edge = Edge::start(|_| {}).await;
    assert!(edge.faucet().pay_invoice(pay("x", &edge.token())).await.is_ok());
    let mut request = pay("headers", &edge.token());
    for name in ["x-forwarded-for", "x-poa-account", "forwarded", "x-real-ip", "cookie", "x-spiffe-id"] {
        request.metadata_mut().insert(name, "forged".parse().expect("a header"));
    }
    request.metadata_mut().insert("x-request-id", "kept".parse().expect("a header"));
    let refused = edge.faucet().pay_invoice(request).await.expect_err("the headers");
    assert!(
        refused.message().contains("x-request-id") && refused.message().contains("authorization"),
        "{refused}"
    );
    for name in ["forward", "poa-account", "real-ip", "cookie", "spiffe"] {
        assert!(!refused.message().contains(name), "{name} passed: {refused}");
    }
}

#[tokio::test]
async fn an_api_key_is_exchanged_once_and_a_wrong_one_is_refused() {
    let edge = Edge::start(|_| {}).await;
    for _ in 0..3 {
        assert!(edge.faucet().pay_invoice(pay("x", API_KEY)).await.is_ok());
    }
    assert_eq!(edge.exchanges.load(Ordering::SeqCst), 1, "the token is kept for a while");
    let refused = edge.faucet().pay_invoice(pay("x", "poak_wrong")).await.expect_err("a wrong key");
    assert_eq!(refused.code(), Code::Unauthenticated);
    let long = format!("poak_{}", "x".repeat(500));
    assert_eq!(
        edge.faucet().pay_invoice(pay("x", &long)).await.expect_err("a long key").code(),
        Code::Unauthenticated
    );
    assert_eq!(edge.exchanges.load(Ordering::SeqCst), 2, "what cannot be a key costs auth nothing");
}

#[tokio::test]
async fn a_caller_beyond_its_limit_is_told_when_to_come_back() {
    let edge = Edge::start(|config| {
        config.rates.per_account = 1;
        config.rates.account_burst = 25;
    })
    .await;
    let token = edge.token();
    // PayInvoice costs 10.
    assert!(edge.faucet().pay_invoice(pay("x", &token)).await.is_ok());
    assert!(edge.faucet().pay_invoice(pay("x", &token)).await.is_ok());
    let refused = edge.faucet().pay_invoice(pay("x", &token)).await.expect_err("the limit");
    assert_eq!(
        (refused.code(), failure(&refused).reason.as_str()),
        (Code::ResourceExhausted, "RATE_LIMITED")
    );
    assert!(
        edge.faucet().pay_invoice(pay("x", &edge.token())).await.is_ok(),
        "another account is not touched"
    );
}

#[tokio::test]
async fn a_service_that_hangs_is_given_up_in_the_callers_time() {
    let edge = Edge::start(|_| {}).await;
    let started = Instant::now();
    // By hand: tonic's client has a timer of its own for this header, and would win now and then.
    let answer =
        by_hand(&edge, "grpc-timeout: 300m\r\n", &[0, 0, 0, 0, 6, 10, 4, b'h', b'a', b'n', b'g'], 11).await;
    assert!(answer.contains("grpc-status: 4") || answer.contains("grpc-status:4"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(8), "long before the method's own limit");
}

#[tokio::test]
async fn a_service_is_given_what_is_left_of_the_callers_time_after_its_message_came_in() {
    let edge = Edge::start(|_| {}).await;
    let sent_after = Duration::from_millis(600);
    let body = [0, 0, 0, 0, 6, 10, 4, b'l', b'e', b'f', b't'];
    let answer = by_hand_after(&edge, "grpc-timeout: 9S\r\n", sent_after, &body, 11).await;
    let (before, _) = answer.split_once("%20ms").unwrap_or_else(|| panic!("{answer}"));
    let digits = before.rsplit(|letter: char| !letter.is_ascii_digit()).next().expect("a number");
    let left: u64 = digits.parse().expect("a number");
    assert!((1..=8_400).contains(&left), "{left} ms are left");
}

#[tokio::test]
async fn what_is_not_public_has_no_route_even_with_a_token() {
    let edge = Edge::start(|_| {}).await;
    let mut internal = AuthInternalServiceClient::new(edge.channel());
    let refused = internal.exchange_api_key(ExchangeApiKeyRequest::default()).await.expect_err("no route");
    assert_eq!(refused.code(), Code::Unimplemented);
}

#[tokio::test]
async fn an_error_of_a_service_arrives_with_its_details() {
    let edge = Edge::start(|_| {}).await;
    let mut request =
        tonic::Request::new(poa_proto::escrow::v1::CreateOutsideInvoiceRequest { amount_msat: 1_000 });
    let bearer = format!("Bearer {}", edge.token()).parse().expect("a header");
    request.metadata_mut().insert("authorization", bearer);
    let refused = edge.faucet().create_outside_invoice(request).await.expect_err("overloaded");
    assert_eq!((refused.code(), failure(&refused).reason.as_str()), (Code::Unavailable, "OVERLOADED"));
}

fn feed(
    edge: &Edge,
    token: &str,
) -> (TaskServiceClient<tonic::transport::Channel>, tonic::Request<WatchOpenTasksRequest>) {
    let mut request = tonic::Request::new(WatchOpenTasksRequest::default());
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    (TaskServiceClient::new(edge.channel()), request)
}

#[tokio::test]
async fn an_account_that_holds_too_many_streams_is_refused_and_calls_of_others_go_on() {
    let edge = Edge::start(|config| config.open.streams_per_account = 2).await;
    let token = edge.token();
    let mut held = Vec::new();
    for _ in 0..2 {
        let (mut client, request) = feed(&edge, &token);
        let mut stream = client.watch_open_tasks(request).await.expect("a stream").into_inner();
        assert!(stream.message().await.expect("a message").is_some());
        held.push(stream);
    }
    let (mut client, request) = feed(&edge, &token);
    let refused = client.watch_open_tasks(request).await.expect_err("too many");
    assert_eq!(failure(&refused).reason, "RATE_LIMITED");
    let (mut client, request) = feed(&edge, &edge.token());
    assert!(client.watch_open_tasks(request).await.is_ok(), "another account is not touched");
    drop(held);
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let (mut client, request) = feed(&edge, &token);
        if client.watch_open_tasks(request).await.is_ok() {
            break;
        }
        assert!(Instant::now() < end, "a closed stream still counts");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn streams_that_anybody_may_open_count_as_calls_of_their_address() {
    let edge = Edge::start(|config| config.open.calls_per_ip = 2).await;
    let watch = async || {
        let mut client = tonic_health::pb::health_client::HealthClient::new(edge.channel());
        client.watch(tonic_health::pb::HealthCheckRequest::default()).await
    };
    let held = (watch().await.expect("a stream"), watch().await.expect("a stream"));
    assert_eq!(failure(&watch().await.expect_err("too many")).reason, "RATE_LIMITED");
    let refused = edge.faucet().pay_invoice(pay("x", &edge.token())).await.expect_err("too many");
    assert_eq!(failure(&refused).reason, "RATE_LIMITED");
    drop(held);
    let end = Instant::now() + Duration::from_secs(10);
    while watch().await.is_err() {
        assert!(Instant::now() < end, "a closed stream still counts");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_drain_ends_open_streams_with_unavailable() {
    let edge = Edge::start(|_| {}).await;
    let (mut client, request) = feed(&edge, &edge.token());
    let mut stream = client.watch_open_tasks(request).await.expect("a stream").into_inner();
    assert!(stream.message().await.expect("a message").is_some());
    edge.lifecycle.begin_drain();
    assert_eq!(stream.message().await.expect_err("the end").code(), Code::Unavailable);
}

#[tokio::test]
async fn a_caller_who_does_not_send_its_message_is_cut_off_and_reaches_no_service() {
    let edge = Edge::start(|_| {}).await;
    let started = Instant::now();
    let answer = by_hand(&edge, "", &[], 5).await;
    assert!(answer.contains("grpc-status: 4"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(9), "long before the method's own limit");
}

/// PayInvoice as a browser's grpc-web client sends it, byte by byte.
async fn by_hand(edge: &Edge, headers: &str, body: &[u8], announced: usize) -> String {
    by_hand_after(edge, headers, Duration::ZERO, body, announced).await
}

/// The same with a pause before the body.
async fn by_hand_after(edge: &Edge, headers: &str, pause: Duration, body: &[u8], announced: usize) -> String {
    let mut socket = tokio::net::TcpStream::connect(edge.address()).await.expect("a connection");
    let head = format!(
        "POST /poa.escrow.v1.FaucetService/PayInvoice HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\
         content-type: application/grpc-web+proto\r\nauthorization: Bearer {}\r\ncontent-length: {announced}\r\n\r\n",
        edge.token()
    );
    socket.write_all(head.as_bytes()).await.expect("the head");
    tokio::time::sleep(pause).await;
    socket.write_all(body).await.expect("the body");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await;
    read.expect("an answer").expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}
