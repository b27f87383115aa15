//! The port: a server whose connections break when it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::{Shared, answers, api};

/// How long a port may stay taken after a stop.
const PORT_PATIENCE: Duration = Duration::from_secs(10);

/// A running server. Dropped, it breaks every connection.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
    /// Whether the port is to be closed, and whether it is.
    closing: watch::Sender<(bool, bool)>,
}

/// Breaks the connection that a request came over.
#[derive(Clone, Debug, Default)]
pub(super) struct Breaker(Arc<Notify>);

// === impl Server ===

impl Server {
    pub(super) async fn start(shared: Arc<Shared>, address: SocketAddr) -> Self {
        let listener = listen(address).await;
        let address = listener.local_addr().expect("a bound port has an address");
        let closing = watch::Sender::new((false, false));
        let state = closing.clone();
        let accepting = tokio::spawn(async move {
            let mut told = state.subscribe();
            // Dropped with this task, and its connections with it.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    // An error is a client that went away before its turn.
                    taken = listener.accept() => if let Ok((stream, _)) = taken {
                        connections.spawn(serve(Arc::clone(&shared), stream));
                    },
                    _closing = told.wait_for(|(closing, _)| *closing) => break,
                }
                while connections.try_join_next().is_some() {}
            }
            drop(listener);
            state.send_replace((true, true));
            while connections.join_next().await.is_some() {}
        });
        Self { address, accepting, closing }
    }

    /// Closes the port; done when it is closed. Connections live on.
    pub(super) fn close(&self) -> impl Future<Output = ()> + use<> {
        self.closing.send_replace((true, false));
        let mut closed = self.closing.subscribe();
        async move {
            let _never_gone = closed.wait_for(|(_, closed)| *closed).await;
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A port that was just left is taken again.
async fn listen(address: SocketAddr) -> TcpListener {
    let end = Instant::now() + PORT_PATIENCE;
    loop {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("a socket that may be taken again");
        match socket.bind(address).and_then(|()| socket.listen(64)) {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < end, "{address} is taken: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let breaker = Breaker::default();
    let broken = breaker.clone();
    let router = Router::new().fallback(move |request: Request| {
        let (shared, breaker) = (Arc::clone(&shared), breaker.clone());
        async move { api::answer(shared, breaker, request).await }
    });
    let builder = Builder::new(TokioExecutor::new()).http1_only();
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::select! {
        _ended = connection => {}
        () = broken.0.notified() => {}
    }
}

// === impl Breaker ===

impl Breaker {
    /// Never answers: the connection is gone.
    pub(super) async fn break_it(&self) -> Response {
        self.0.notify_one();
        std::future::pending::<()>().await;
        answers::text(StatusCode::INTERNAL_SERVER_ERROR, "")
    }
}
