//! The witness over HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use poa_sdk::receipts::witness::MAX_REQUEST_BYTES;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::{Answer, Witness};

/// How long a request's body may take.
const BODY_LIMIT: Duration = Duration::from_secs(10);
/// Requests at one time: each log asks once a second.
const MAX_REQUESTS: usize = 64;
/// How long answers may take once it is told to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Shared {
    witness: Arc<Witness>,
    room: Arc<Semaphore>,
}

/// Serves until `stop` is done, and answers what is under way.
pub(crate) async fn serve(
    listener: TcpListener,
    witness: Arc<Witness>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let shared = Shared { witness, room: Arc::new(Semaphore::new(MAX_REQUESTS)) };
    let router = Router::new()
        .route("/", get(describe))
        .route("/add-checkpoint", post(add_checkpoint))
        .with_state(shared);
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let drain = async move {
        stop.await;
        let _ = stopping.send(true);
    };
    let serving = axum::serve(listener, router).with_graceful_shutdown(drain).into_future();
    // A connection that does not end does not keep the process.
    let given_up = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
        tokio::time::sleep(DRAIN_LIMIT).await;
    };
    tokio::select! {
        served = serving => served,
        () = given_up => Ok(()),
    }
}

async fn describe(State(shared): State<Shared>) -> String {
    shared.witness.describe()
}

async fn add_checkpoint(State(shared): State<Shared>, body: Body) -> Response {
    let Ok(permit) = shared.room.try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let body = match tokio::time::timeout(BODY_LIMIT, to_bytes(body, MAX_REQUEST_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            return (StatusCode::BAD_REQUEST, "the request is too large, or broken\n").into_response();
        }
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let witness = shared.witness;
    // Whoever goes away does not stop it halfway.
    let judged = tokio::task::spawn_blocking(move || {
        let answer = witness.add_checkpoint(&body);
        drop(permit);
        answer
    });
    match judged.await {
        Ok(answer) => answer.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, self.media_type)], self.body).into_response()
    }
}
