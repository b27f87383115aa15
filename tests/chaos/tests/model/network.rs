//! The network between services: a relay on each link, which by the seed delays, drops, duplicates and reorders requests
//! and loses answers. The n-th call of a method on a link always meets the same fate.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{Request, Response, request};
use http_body_util::{BodyExt as _, Full};
use poa_chassis::config::ServerConfig;
use poa_chassis::{InProcess, Lifecycle, serve_grpc};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::ServiceExt as _;

use crate::dice::Dice;
use crate::house::Door;

/// What the names of streams begin with: they are let through, or not.
const STREAMS: &str = "Watch";

/// What happened on all links.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) calls: AtomicUsize,
    pub(crate) delayed: AtomicUsize,
    pub(crate) dropped_requests: AtomicUsize,
    pub(crate) dropped_answers: AtomicUsize,
    pub(crate) duplicates: AtomicUsize,
    /// Copies on their way.
    pub(crate) on_their_way: AtomicUsize,
    healed: AtomicBool,
    /// What was done to which call, for the history of a failure.
    pub(crate) notes: Mutex<Vec<String>>,
}

/// The link from one service to another.
#[derive(Debug)]
struct Link {
    from: &'static str,
    seed: u64,
    door: Arc<Door>,
    traffic: Arc<Traffic>,
    /// How many calls of each method there were.
    counts: Mutex<HashMap<String, u64>>,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Pass,
    Delay(Duration),
    DropRequest,
    /// Carried out, and the caller hears that the line broke.
    DropAnswer,
    /// Carried out, and the caller hears nothing.
    Silence,
    /// Carried out, and once more later.
    Twice(Duration),
}

// === impl Traffic ===

impl Traffic {
    /// From now on everything arrives.
    pub(crate) fn heal(&self) {
        self.healed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.healed.load(Ordering::SeqCst)
    }

    fn note(&self, text: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

/// Opens a link through which `from` reaches a service.
pub(crate) fn link(from: &'static str, seed: u64, door: Arc<Door>, traffic: &Arc<Traffic>) -> InProcess {
    let (pipe, listen) = InProcess::pair();
    let link = Arc::new(Link { from, seed, door, traffic: Arc::clone(traffic), counts: Mutex::default() });
    let carry = move |request: Request<axum::body::Body>| {
        let link = Arc::clone(&link);
        async move { link.carry(request).await }
    };
    let router = Router::new().fallback(carry);
    // The relay lives as long as the one who calls through it holds the pipe.
    tokio::spawn(async move {
        let config = ServerConfig::default();
        let _ended = serve_grpc(listen, router, &config, Lifecycle::default().draining()).await;
    });
    pipe
}

// === impl Link ===

impl Link {
    async fn carry(self: Arc<Self>, request: Request<axum::body::Body>) -> Response<Body> {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let fate = self.fate(&method);
        self.traffic.calls.fetch_add(1, Ordering::Relaxed);
        if method.starts_with(STREAMS) {
            return match fate {
                Fate::DropRequest => broken(),
                _ => self.stream(request).await,
            };
        }
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return broken() };
        let body = body.to_bytes();
        if !matches!(fate, Fate::Pass) {
            self.traffic.note(format!("{} -> {} {method}: {fate:?}", self.from, self.door.name()));
        }
        let count = |counter: &AtomicUsize| counter.fetch_add(1, Ordering::Relaxed);
        match fate {
            Fate::Pass => self.deliver(head, body, Duration::ZERO).await,
            Fate::Delay(wait) => {
                count(&self.traffic.delayed);
                self.deliver(head, body, wait).await
            }
            Fate::DropRequest => {
                count(&self.traffic.dropped_requests);
                broken()
            }
            Fate::DropAnswer => {
                count(&self.traffic.dropped_answers);
                let _unheard = self.deliver(head, body, Duration::ZERO).await;
                broken()
            }
            Fate::Silence => {
                count(&self.traffic.dropped_answers);
                let _unheard = self.deliver(head, body, Duration::ZERO).await;
                std::future::pending().await
            }
            Fate::Twice(later) => {
                count(&self.traffic.duplicates);
                let (copy, copied) = (copy_of(&head), body.clone());
                let link = Arc::clone(&self);
                tokio::spawn(async move { link.deliver(copy, copied, later).await });
                self.deliver(head, body, Duration::ZERO).await
            }
        }
    }

    /// Brings a request to its service, whether its caller still waits or not.
    async fn deliver(&self, head: request::Parts, body: Bytes, wait: Duration) -> Response<Body> {
        let (door, traffic) = (Arc::clone(&self.door), Arc::clone(&self.traffic));
        traffic.on_their_way.fetch_add(1, Ordering::SeqCst);
        let delivered = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let answer = match door.channel(0) {
                Some(channel) => call(channel, Request::from_parts(head, Body::new(Full::new(body)))).await,
                None => broken(),
            };
            traffic.on_their_way.fetch_sub(1, Ordering::SeqCst);
            answer
        });
        delivered.await.unwrap_or_else(|_| broken())
    }

    async fn stream(&self, request: Request<axum::body::Body>) -> Response<Body> {
        let Some(channel) = self.door.channel(0) else { return broken() };
        channel.oneshot(request.map(Body::new)).await.unwrap_or_else(|_| broken())
    }

    fn fate(&self, method: &str) -> Fate {
        if self.traffic.is_healed() {
            return Fate::Pass;
        }
        let count = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(method.to_owned()).or_default();
            *count += 1;
            *count
        };
        let mut dice = Dice::new(self.seed, &format!("{}>{}/{method}#{count}", self.from, self.door.name()));
        match dice.below(100) {
            0..=9 => Fate::Delay(Duration::from_millis(5 + dice.below(150))),
            10..=15 => Fate::DropRequest,
            16..=22 => Fate::DropAnswer,
            23..=24 => Fate::Silence,
            25..=36 => {
                let slow = dice.chance(25);
                Fate::Twice(Duration::from_millis(dice.below(if slow { 3_000 } else { 150 })))
            }
            _ => Fate::Pass,
        }
    }
}

/// Calls, and reads the whole answer with its trailers.
async fn call(channel: Channel, request: Request<Body>) -> Response<Body> {
    let Ok(answer) = channel.oneshot(request).await else { return broken() };
    let (head, body) = answer.into_parts();
    match body.collect().await {
        Ok(body) => Response::from_parts(head, Body::new(body)),
        Err(_) => broken(),
    }
}

fn copy_of(head: &request::Parts) -> request::Parts {
    let mut copy = Request::new(()).into_parts().0;
    copy.method = head.method.clone();
    copy.uri = head.uri.clone();
    copy.version = head.version;
    copy.headers = head.headers.clone();
    copy
}

/// What a caller hears of a line that broke.
fn broken() -> Response<Body> {
    Status::unavailable("the line broke").into_http()
}
