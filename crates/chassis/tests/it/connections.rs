//! Connections beyond the bounds, and those that say nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use poa_chassis::config::ServerConfig;
use poa_chassis::{bind, serve_grpc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

async fn start(change: impl FnOnce(&mut ServerConfig)) -> (SocketAddr, CancellationToken) {
    let mut config = ServerConfig::default();
    change(&mut config);
    let (listen, address) = bind(config.listen).await.expect("a port");
    let end = CancellationToken::new();
    let router = axum::Router::new().route("/", axum::routing::get(|| async { "here" }));
    let ended = end.clone();
    tokio::spawn(async move { serve_grpc(listen, router, &config, ended).await });
    (address, end)
}

/// Whether a request on a connection is answered.
async fn answered(stream: &mut TcpStream) -> bool {
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut answer = [0; 64];
    stream.write_all(request).await.is_ok() && stream.read(&mut answer).await.is_ok_and(|read| read > 0)
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_gets_one_again_when_it_gives_one_back() {
    let (address, _end) = start(|config| config.limits.connections_per_ip = 2).await;
    let mut first = TcpStream::connect(address).await.expect("a connection");
    let mut second = TcpStream::connect(address).await.expect("a connection");
    assert!(answered(&mut first).await && answered(&mut second).await);
    let mut third = TcpStream::connect(address).await.expect("the kernel accepts");
    assert!(!answered(&mut third).await, "closed at once");
    drop(first);
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let mut again = TcpStream::connect(address).await.expect("a connection");
        if answered(&mut again).await {
            break;
        }
        assert!(Instant::now() < end, "a closed connection still counts");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_connection_that_does_not_say_what_it_speaks_is_closed() {
    let (address, _end) = start(|_| {}).await;
    // Nothing, a beginning of HTTP/2's preface, and one byte of it.
    let cases = [b"".as_slice(), b"PRI * HTTP/2.0\r\n\r\n", b"P"].map(async |said| {
        let mut silent = TcpStream::connect(address).await.expect("a connection");
        silent.write_all(said).await.expect("it is sent");
        let closed = tokio::time::timeout(Duration::from_secs(20), silent.read(&mut [0; 8])).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "still open after {said:?}: {closed:?}");
    });
    let [nothing, beginning, one_byte] = cases;
    tokio::join!(nothing, beginning, one_byte);
}
