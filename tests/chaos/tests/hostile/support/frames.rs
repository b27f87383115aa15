//! HTTP/2 frames by hand, for what no client library would send (RFC 9113, RFC 7541).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
/// GOAWAY, which only servers send here.
const GOAWAY: u8 = 7;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// What a client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A write that makes no progress for this long: the server does not listen any more.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);

/// How often what was heard is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// One raw connection. What the server says is always read, so that it is never the server who has to wait.
pub(crate) struct Raw {
    writer: OwnedWriteHalf,
    heard: Arc<Mutex<Heard>>,
}

/// What a server has said so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// Everything, up to [`KEPT`] bytes.
    pub(crate) bytes: Vec<u8>,
    /// Whether it ended the connection itself.
    pub(crate) closed: bool,
}

/// How much of an answer is kept.
const KEPT: usize = 64 * 1_024;

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block without compression: literals that are not indexed.
pub(crate) fn block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name.as_bytes(), value] {
            length(&mut bytes, text.len());
            bytes.extend_from_slice(text);
        }
    }
    bytes
}

/// An integer with a prefix of seven bits.
fn length(bytes: &mut Vec<u8>, mut number: usize) {
    const LARGEST: usize = 127;
    if number < LARGEST {
        bytes.push(u8::try_from(number).expect("below 127"));
        return;
    }
    bytes.push(127);
    number -= LARGEST;
    while number >= 128 {
        bytes.push(u8::try_from(number % 128 + 128).expect("a byte"));
        number /= 128;
    }
    bytes.push(u8::try_from(number).expect("below 128"));
}

/// The header block of a call.
pub(crate) fn call_block(path: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
    let mut fields: Vec<(&str, &[u8])> = vec![
        (":method", b"POST"),
        (":scheme", b"http"),
        (":path", path.as_bytes()),
        (":authority", b"localhost"),
        ("content-type", b"application/grpc"),
        ("te", b"trailers"),
    ];
    fields.extend_from_slice(more);
    block(&fields)
}

// === impl Raw ===

impl Raw {
    /// Connects and says the preface with these settings, as (identifier, value).
    pub(crate) async fn open(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut raw = Self::silent(address).await;
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [id.to_be_bytes().to_vec(), value.to_be_bytes().to_vec()].concat())
            .collect();
        raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat()).await;
        raw
    }

    /// Connects and says nothing.
    pub(crate) async fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        let (mut from, writer) = stream.into_split();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let kept = Arc::clone(&heard);
        tokio::spawn(async move {
            let mut buffer = [0; 16 * 1_024];
            loop {
                let read = from.read(&mut buffer).await;
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                match read {
                    Ok(0) | Err(_) => {
                        kept.closed = true;
                        return;
                    }
                    Ok(count) if kept.bytes.len() < KEPT => kept.bytes.extend_from_slice(&buffer[..count]),
                    Ok(_) => {}
                }
            }
        });
        Self { writer, heard }
    }

    /// Sends bytes; `false` once the server does not take them any more.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        matches!(tokio::time::timeout(WRITE_PATIENCE, self.writer.write_all(bytes)).await, Ok(Ok(())))
    }

    /// Sends the same bytes many times, in large writes; `false` where the server stopped listening before.
    pub(crate) async fn repeat(&mut self, times: usize, mut each: impl FnMut(usize) -> Vec<u8>) -> bool {
        const AT_ONCE: usize = 100;
        let mut done = 0;
        while done < times {
            let part: Vec<u8> = (done..times.min(done + AT_ONCE)).flat_map(&mut each).collect();
            if !self.send(&part).await {
                return false;
            }
            done += AT_ONCE;
        }
        true
    }

    /// Listens until what was heard is as it should be, the connection is closed, or the time is over.
    pub(crate) async fn hear(&self, within: Duration, enough: impl Fn(&Heard) -> bool) -> Heard {
        let end = Instant::now() + within;
        loop {
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if heard.closed || enough(&heard) || Instant::now() > end {
                return heard;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

// === impl Heard ===

impl Heard {
    /// The kinds of the frames that were heard, in order.
    pub(crate) fn kinds(&self) -> Vec<u8> {
        let mut kinds = Vec::new();
        let mut rest = self.bytes.as_slice();
        while let [a, b, c, kind, _, _, _, _, _, ..] = rest {
            kinds.push(*kind);
            let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).expect("a length");
            rest = rest.get(9 + length..).unwrap_or_default();
        }
        kinds
    }

    /// Whether the server refused: it reset a stream or said goodbye.
    pub(crate) fn is_refusal(&self) -> bool {
        self.kinds().iter().any(|kind| [RST_STREAM, GOAWAY].contains(kind))
    }
}
