//! A service at several addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use poa_chassis::client::Peers;
use poa_chassis::config::ServerConfig;
use poa_chassis::keyring::{self, Keyring};
use poa_chassis::{Target, bind, serve_grpc, system_env};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::ServiceExt as _;

/// A server that answers with its name, until it is ended.
struct Replica {
    address: SocketAddr,
    end: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Replica {
    async fn start(name: &'static str) -> Self {
        Self::start_at(name, ServerConfig::default().listen).await
    }

    async fn start_at(name: &'static str, address: SocketAddr) -> Self {
        let config = ServerConfig { drain_seconds: 0, ..ServerConfig::default() };
        let (listen, address) = bind(address).await.expect("a port");
        let end = CancellationToken::new();
        let router = axum::Router::new().route("/", axum::routing::get(move || async move { name }));
        let ended = end.clone();
        let serving = tokio::spawn(async move {
            serve_grpc(listen, router, &config, ended).await.expect("it serves");
        });
        Self { address, end, serving }
    }

    async fn stop(self) {
        self.end.cancel();
        self.serving.await.expect("it ends");
    }
}

/// The peers of a service whose replicas are at these addresses.
fn peers(addresses: &[SocketAddr]) -> Peers {
    let env = system_env();
    let keys = tempfile::tempdir().expect("a folder");
    keyring::provision(keys.path(), &["task"], &env).expect("keys");
    let keyring = Keyring::open(keys.path(), "task", "test", &env).expect("a keyring");
    let list: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
    Peers::new(BTreeMap::from([("who".to_owned(), Target::Address(list.join(",")))]), Arc::new(keyring))
}

/// Who answers on a channel; None where nobody does.
async fn who(channel: &Channel) -> Option<String> {
    let request = http::Request::get("http://service/").body(Body::empty()).expect("a request");
    let answer = tokio::time::timeout(Duration::from_secs(10), channel.clone().oneshot(request)).await;
    let body = answer.expect("an answer or an error in time").ok()?.into_body();
    let bytes = body.collect().await.ok()?.to_bytes();
    String::from_utf8(bytes.to_vec()).ok()
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address")
}

#[tokio::test]
async fn channels_spread_over_the_replicas_and_leave_one_that_is_gone() {
    let (a, b) = (Replica::start("a").await, Replica::start("b").await);
    let peers = peers(&[a.address, b.address]);
    let channels: Vec<Channel> = (0..4).map(|_| peers.channel("who").expect("a channel")).collect();
    let mut seen = BTreeSet::new();
    for channel in &channels {
        seen.insert(who(channel).await.expect("an answer"));
    }
    assert_eq!(seen, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    a.stop().await;
    for channel in &channels {
        assert_eq!(who(channel).await.as_deref(), Some("b"));
    }
}

#[tokio::test]
async fn channels_that_have_failed_over_once_spread_again_when_they_are_made_anew() {
    let (a, b) = (Replica::start("a").await, Replica::start("b").await);
    let (first, second) = (a.address, b.address);
    let peers = peers(&[first, second]);
    let channels: Vec<Channel> = (0..4).map(|_| peers.channel("who").expect("a channel")).collect();
    for channel in &channels {
        who(channel).await.expect("an answer");
    }
    a.stop().await;
    for channel in &channels {
        assert_eq!(who(channel).await.as_deref(), Some("b"));
    }
    let a = Replica::start_at("a", first).await;
    b.stop().await;
    let b = Replica::start_at("b", second).await;
    let mut seen = BTreeSet::new();
    for channel in &channels {
        seen.insert(who(channel).await.expect("an answer"));
    }
    assert_eq!(seen, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_replica_that_takes_no_connection_is_passed_over_and_where_none_does_the_call_fails() {
    let b = Replica::start("b").await;
    let peers = peers(&[nobody().await, b.address, nobody().await]);
    let channels: Vec<Channel> = (0..3).map(|_| peers.channel("who").expect("a channel")).collect();
    for channel in &channels {
        assert_eq!(who(channel).await.as_deref(), Some("b"));
    }
    b.stop().await;
    for channel in &channels {
        assert_eq!(who(channel).await, None);
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_named_with_the_setting() {
    let env = system_env();
    let keys = tempfile::tempdir().expect("a folder");
    keyring::provision(keys.path(), &["task"], &env).expect("keys");
    let keyring = Keyring::open(keys.path(), "task", "test", &env).expect("a keyring");
    let targets = BTreeMap::from([("escrow".to_owned(), Target::Address("escrow:50053".to_owned()))]);
    let error = Peers::new(targets, Arc::new(keyring)).channel("escrow").expect_err("no address");
    assert!(error.to_string().starts_with("peers.escrow: `escrow:50053`"), "{error}");
}
