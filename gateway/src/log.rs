//! The transparency log over plain HTTP, as C2SP tlog-tiles has it: `/checkpoint`, and `/tile/…`, which never changes.
//!
//! A file server could serve the same; whoever has many readers puts an HTTP cache in front, which the headers allow.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use poa_chassis::{BuildError, Deps, failure};
use poa_proto::attestation::v1::attestation_service_client::AttestationServiceClient;
use poa_proto::attestation::v1::{GetCheckpointRequest, GetTileRequest};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::forward::address;
use crate::limits::Limiter;

/// What a file costs its caller: a read.
const COST: u32 = 1;
/// A checkpoint is news: caches may keep it for as long as the log may take to make another.
const CHECKPOINT_CACHING: HeaderValue = HeaderValue::from_static("public, max-age=1");
/// A tile is the same for ever.
const TILE_CACHING: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// What the files are made from.
#[derive(Clone)]
struct Log {
    client: AttestationServiceClient<Channel>,
    limiter: Arc<Limiter>,
}

/// The log's files.
pub(crate) fn files(deps: &Deps, limiter: &Arc<Limiter>) -> Result<Router, BuildError> {
    let client = AttestationServiceClient::new(deps.peers.channel("attestation")?);
    Ok(Router::new()
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*path}", get(tile))
        .with_state(Log { client, limiter: Arc::clone(limiter) }))
}

async fn checkpoint(State(mut log): State<Log>, request: Request) -> Response {
    if let Err(error) = log.limiter.charge_address(address(&request), COST) {
        return refused(&poa_chassis::status(error));
    }
    match log.client.get_checkpoint(GetCheckpointRequest {}).await {
        Ok(answer) => {
            let kind = HeaderValue::from_static("text/plain; charset=utf-8");
            let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, CHECKPOINT_CACHING)];
            (headers, answer.into_inner().checkpoint).into_response()
        }
        Err(status) => refused(&status),
    }
}

async fn tile(State(mut log): State<Log>, Path(path): Path<String>, request: Request) -> Response {
    if let Err(error) = log.limiter.charge_address(address(&request), COST) {
        return refused(&poa_chassis::status(error));
    }
    match log.client.get_tile(GetTileRequest { path }).await {
        Ok(answer) => {
            let kind = HeaderValue::from_static("application/octet-stream");
            let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, TILE_CACHING)];
            (headers, answer.into_inner().data).into_response()
        }
        Err(status) => refused(&status),
    }
}

/// What a reader of files makes of a gRPC status. A path that is none is as absent as a tile that is none.
fn refused(status: &Status) -> Response {
    let code = match status.code() {
        Code::NotFound | Code::InvalidArgument => StatusCode::NOT_FOUND,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable | Code::DeadlineExceeded => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    };
    let text = match code {
        StatusCode::NOT_FOUND => "the published log has no such tile".to_owned(),
        _ => failure(status).reason,
    };
    let mut response = (code, format!("{text}\n")).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
