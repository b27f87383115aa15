//! HTTP/1.1: what could be read in two ways is refused, or read in one way and the connection ended.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::mesh::{Mesh, SERVERS};

/// How long a server may take to say what it has to say to a whole request.
const SPOKEN_WITHIN: Duration = Duration::from_secs(3);
/// The start of a grpc-web call, to which a test adds headers of its own.
const START: &str = "POST /poa.auth.v1.AuthService/GetServerInfo HTTP/1.1\r\nHost: localhost\r\n\
                     Content-Type: application/grpc-web+proto\r\n";
/// A request that hides in the body of another.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_can_be_read_in_two_ways_are_not_read_twice() {
    let mesh = Mesh::start().await;
    for server in SERVERS {
        let address = mesh.address(server);
        ambiguous_lengths_are_refused_or_end_the_connection(address, server).await;
        malformed_heads_are_refused(address, server).await;
    }
    let gateway = mesh.address("gateway");
    let absolute = START.replace("POST /", "POST http://elsewhere.example/");
    let answer =
        said(gateway, &format!("{absolute}Content-Length: 5\r\nConnection: close\r\n\r\n\0\0\0\0\0")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("elsewhere"), "{answer}");
    let upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                   HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    assert!(!said(gateway, upgrade).await.contains("101 "), "no upgrade");
    let connect = said(gateway, "CONNECT 127.0.0.1:5432 HTTP/1.1\r\nHost: 127.0.0.1:5432\r\n\r\n").await;
    assert!(!connect.starts_with("HTTP/1.1 200"), "no proxy: {connect}");
    assert!(said(gateway, "TRACE / HTTP/1.1\r\nHost: x\r\nCookie: secret\r\n\r\n").await.contains("405"));
    mesh.expect_unharmed().await;
}

async fn ambiguous_lengths_are_refused_or_end_the_connection(address: SocketAddr, server: &str) {
    let hidden = HIDDEN.len() + 5;
    let lengths = [
        ("both kinds of length", format!("Content-Length: {hidden}\r\nTransfer-Encoding: chunked\r\n")),
        ("both, the other way", format!("Transfer-Encoding: chunked\r\nContent-Length: {hidden}\r\n")),
        ("two lengths", format!("Content-Length: 5\r\nContent-Length: {hidden}\r\n")),
        ("a list of lengths", format!("Content-Length: 5, {hidden}\r\n")),
        ("a length with a sign", "Content-Length: +5\r\n".to_owned()),
        ("a length in hexadecimal", "Content-Length: 0x5\r\n".to_owned()),
        ("a length below 0", "Content-Length: -5\r\n".to_owned()),
        ("a length beyond 64 bits", "Content-Length: 18446744073709551621\r\n".to_owned()),
        ("an unknown coding", "Transfer-Encoding: xchunked\r\n".to_owned()),
        ("chunked that is not last", "Transfer-Encoding: chunked, identity\r\n".to_owned()),
        ("a coding behind a control character", "Transfer-Encoding: \x0bchunked\r\n".to_owned()),
        ("a space before the colon", "Transfer-Encoding : chunked\r\n".to_owned()),
    ];
    let lengths = lengths.map(|(what, headers)| (what, format!("{START}{headers}\r\n0\r\n\r\n{HIDDEN}")));
    let chunks = [
        ("a chunk size of 2^64", "10000000000000000\r\n".to_owned()),
        ("a chunk size that is none", "zz\r\n".to_owned()),
        ("a chunk without its end", "5\r\n\0\0\0\0\0XX0\r\n\r\n".to_owned()),
        ("a giant chunk extension", format!("5;{}\r\n", "a".repeat(100_000))),
    ];
    let chunks = chunks
        .map(|(what, chunks)| (what, format!("{START}Transfer-Encoding: chunked\r\n\r\n{chunks}{HIDDEN}")));
    for (what, answer) in all_said(address, lengths.into_iter().chain(chunks)).await {
        let twice = answers_in(&answer) > 1 || answer.contains("There is nothing here");
        assert!(!twice, "{what} at {server}: the hidden request was read: {answer}");
        assert!(!answer.contains("HTTP/1.1 5"), "{what} at {server}: {answer}");
    }
}

async fn malformed_heads_are_refused(address: SocketAddr, server: &str) {
    let heads = [
        ("a folded header", "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n\r\n".to_owned()),
        ("NUL in a header", "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n".to_owned()),
        ("a bare CR in a header", "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\rX-B: b\r\n\r\n".to_owned()),
        ("a header without a name", "GET / HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n".to_owned()),
        ("an unknown version", "GET / HTTP/9.9\r\nHost: x\r\n\r\n".to_owned()),
        ("no version", "GET /\r\n\r\n".to_owned()),
        ("a space in the path", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("a control character in the path", "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("1,000 headers", format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-A: b\r\n".repeat(1_000))),
        ("a header of 1 MiB", format!("GET / HTTP/1.1\r\nHost: x\r\nX-A: {}\r\n\r\n", "a".repeat(1 << 20))),
        ("a path of 1 MiB", format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20))),
        ("TLS", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03".to_owned()),
        ("PostgreSQL", "\0\0\0\x08\x04\u{d2}\x16/".to_owned()),
    ];
    for (what, answer) in all_said(address, heads).await {
        let refused =
            answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
        assert!(refused, "{what} at {server}: {answer:.200}");
    }
    // A line that ends with LF alone is a line, as RFC 9112 allows; it is one request all the same.
    let bare = said(address, "GET /x HTTP/1.1\nHost: x\nConnection: close\n\n").await;
    assert_eq!(answers_in(&bare), 1, "{server}: {bare}");
}

/// What a server says to each of many texts, on connections of their own.
async fn all_said(
    address: SocketAddr,
    texts: impl IntoIterator<Item = (&'static str, String)>,
) -> Vec<(&'static str, String)> {
    let said = texts.into_iter().map(|(what, text)| async move { (what, said(address, &text).await) });
    futures_util::future::join_all(said).await
}

fn answers_in(said: &str) -> usize {
    said.matches("HTTP/1.1 ").count()
}

/// Sends a text and hears what comes until the server closes the connection or has nothing more to say.
async fn said(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    let (mut from, mut to) = stream.split();
    let sending = async {
        // A server may have heard enough before the end.
        let _refused = to.write_all(text.as_bytes()).await;
    };
    let mut heard = Vec::new();
    let hearing = async {
        let mut buffer = [0; 4_096];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            heard.extend_from_slice(&buffer[..count]);
        }
    };
    let _spoken = tokio::time::timeout(SPOKEN_WITHIN, async { tokio::join!(sending, hearing) }).await;
    String::from_utf8_lossy(&heard).into_owned()
}
