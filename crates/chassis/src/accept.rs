//! Accepts connections, within bounds: so many in all, so many of one address, and none that says nothing.

use std::future::Future as _;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::config::Limits;
use crate::open::{Held, OpenCounts};

/// How long a new connection may take to show what it speaks.
const PREFACE_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of HTTP/2's preface, and fewer than any HTTP/1.1 request has. Until they are here nobody else watches over the
/// connection: HTTP/1.1's header timer and HTTP/2's pings begin later.
const PREFACE_BYTES: usize = 24;
/// The wait after a failed accept: out of descriptors, trying again at once would only burn a core.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// A connection that counts until it is dropped.
pub(crate) struct Counted {
    stream: TcpStream,
    /// None once the peer has said enough.
    silence: Option<Pin<Box<Sleep>>>,
    /// Bytes still to come before it has.
    missing: usize,
    _one_of_all: OwnedSemaphorePermit,
    _one_of_its_address: Held<IpAddr>,
}

/// The connections of a listener. Beyond the limit of all, new ones wait in the kernel's queue; beyond the limit of its
/// address, one is closed.
pub(crate) fn incoming(
    listener: TcpListener,
    limits: &Limits,
) -> impl Stream<Item = io::Result<Counted>> + use<> {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let per_address = limits.connections_per_ip;
    let state = (listener, slots, OpenCounts::new());
    futures_util::stream::unfold(state, move |(listener, slots, addresses)| async move {
        loop {
            // The semaphore is never closed.
            let permit = Arc::clone(&slots).acquire_owned().await.ok()?;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let Some(held) = addresses.hold(peer.ip(), per_address) else { continue };
                    // Small messages must not wait for an acknowledgement (Nagle).
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "a connection was gone before it was served");
                        continue;
                    }
                    let counted = Counted {
                        stream,
                        silence: Some(Box::pin(tokio::time::sleep(PREFACE_WITHIN))),
                        missing: PREFACE_BYTES,
                        _one_of_all: permit,
                        _one_of_its_address: held,
                    };
                    return Some((Ok(counted), (listener, slots, addresses)));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    })
}

// === impl Counted ===

impl Connected for Counted {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            let read_bytes = buffer.filled().len().saturating_sub(before);
            self.missing = self.missing.saturating_sub(read_bytes);
            if self.missing == 0 {
                self.silence = None;
            }
            return Poll::Ready(read);
        }
        match &mut self.silence {
            Some(silence) => {
                ready!(silence.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
