//! The proxy in front of a server that sends back what it hears.

use std::io::ErrorKind;

use super::*;
use crate::eventually;

const SOON: Duration = Duration::from_secs(10);
/// Long enough for bytes that are not held to arrive.
const A_MOMENT: Duration = Duration::from_millis(150);

/// A server that echoes, and its proxy.
async fn echo() -> FaultProxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    FaultProxy::to_tcp(address).await
}

async fn client(proxy: &FaultProxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

/// Sends a word and reads it back.
async fn echoes(stream: &mut TcpStream, word: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(word).await?;
    let mut heard = vec![0; word.len()];
    stream.read_exact(&mut heard).await?;
    Ok(heard)
}

#[tokio::test]
async fn bytes_pass_unchanged_and_an_end_is_told() {
    let proxy = echo().await;
    let mut stream = client(&proxy).await;
    assert_eq!(echoes(&mut stream, b"hello").await.unwrap(), b"hello");
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).await.unwrap(), 0);
    let counts = proxy.counts();
    assert_eq!((counts.accepted, counts.cut, counts.bytes), (1, 0, 10));
}

#[tokio::test]
async fn a_pause_holds_the_bytes_and_keeps_the_connection() {
    for direction in [Direction::Both, Direction::ToServer, Direction::ToClient] {
        let proxy = echo().await;
        let mut stream = client(&proxy).await;
        assert_eq!(echoes(&mut stream, b"one").await.unwrap(), b"one");
        proxy.pause(direction);
        stream.write_all(b"two").await.unwrap();
        let mut heard = [0; 3];
        let early = tokio::time::timeout(A_MOMENT, stream.read_exact(&mut heard)).await;
        assert!(early.is_err(), "{direction:?}: {early:?}");
        proxy.resume();
        tokio::time::timeout(SOON, stream.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(&heard, b"two");
        assert_eq!(proxy.counts().cut, 0);
    }
}

#[tokio::test]
async fn a_cut_resets_what_is_open_and_lets_new_connections_in() {
    let proxy = echo().await;
    let (mut first, mut second) = (client(&proxy).await, client(&proxy).await);
    echoes(&mut first, b"one").await.unwrap();
    echoes(&mut second, b"two").await.unwrap();
    proxy.cut();
    for stream in [&mut first, &mut second] {
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "a reset, not an end");
    }
    assert_eq!(echoes(&mut client(&proxy).await, b"three").await.unwrap(), b"three");
    eventually(SOON, "two were cut", async || proxy.counts().cut == 2).await;
}

#[tokio::test]
async fn a_cut_in_the_middle_lets_exactly_so_many_bytes_pass() {
    let proxy = echo().await;
    let mut stream = client(&proxy).await;
    echoes(&mut stream, b"before").await.unwrap();
    proxy.cut_after(Direction::ToClient, 3);
    stream.write_all(b"frame").await.unwrap();
    let mut heard = Vec::new();
    let error = stream.read_to_end(&mut heard).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    // A reset may overtake what was sent before it, but nothing more than that was sent.
    assert!(b"fra".starts_with(&heard), "{heard:?}");
    assert_eq!(proxy.counts().bytes, 6 + 6 + 5 + 3);
    assert_eq!(echoes(&mut client(&proxy).await, b"after").await.unwrap(), b"after");
}

#[tokio::test]
async fn new_connections_are_refused_until_healed_while_open_ones_go_on() {
    let proxy = echo().await;
    let mut open = client(&proxy).await;
    echoes(&mut open, b"one").await.unwrap();
    proxy.refuse(true);
    let refused = async {
        let mut stream = TcpStream::connect(proxy.address()).await?;
        stream.read_u8().await
    };
    assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(echoes(&mut open, b"two").await.unwrap(), b"two");
    proxy.heal();
    assert_eq!(echoes(&mut client(&proxy).await, b"three").await.unwrap(), b"three");
    assert_eq!(proxy.counts().refused, 1);
}

#[tokio::test]
async fn a_delay_is_added_both_ways() {
    let proxy = echo().await;
    let mut stream = client(&proxy).await;
    proxy.delay(Duration::from_millis(60));
    let begun = std::time::Instant::now();
    echoes(&mut stream, b"slow").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(120), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_is_away_is_a_reset() {
    let proxy = FaultProxy::to_unix("/nonexistent/socket").await;
    let error = client(&proxy).await.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_dropped_proxy_takes_its_connections_along() {
    let proxy = echo().await;
    let mut stream = client(&proxy).await;
    echoes(&mut stream, b"one").await.unwrap();
    drop(proxy);
    assert!(stream.read_u8().await.is_err());
}
