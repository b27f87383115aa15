//! The outermost layer: a request id, a span, metrics, and a net for panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt as _;
use http::HeaderValue;
use tracing::Instrument as _;

use crate::context::{Context, REQUEST_ID};
use crate::error::{Error, status};
use crate::metrics;

/// The longest request id that is taken over from a caller.
const MAX_REQUEST_ID: usize = 64;

pub(super) async fn layer(mut request: Request, next: Next) -> Response {
    let request_id: Arc<str> = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|text| usable(text))
        .map_or_else(|| new_id().into(), Into::into);
    let method = poa_proto::Method::find(request.uri().path()).map_or("other", |method| method.path);
    let context = Context { request_id: Arc::clone(&request_id), deadline: None };
    request.extensions_mut().insert(context.clone());
    // So that whom we forward to logs the same id.
    let header = HeaderValue::from_str(&request_id).ok();
    if let Some(value) = &header {
        request.headers_mut().insert(REQUEST_ID, value.clone());
    }

    let span = tracing::info_span!("request", %request_id, method);
    let started = Instant::now();
    ::metrics::gauge!(metrics::IN_FLIGHT).increment(1);
    let outcome =
        AssertUnwindSafe(context.scope(next.run(request))).catch_unwind().instrument(span.clone()).await;
    ::metrics::gauge!(metrics::IN_FLIGHT).decrement(1);

    let mut response = outcome.unwrap_or_else(|_panic| {
        let _entered = span.enter();
        status(Error::Internal("a handler panicked".into())).into_http()
    });
    if let Some(value) = header {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let code =
        response.headers().get("grpc-status").and_then(|value| value.to_str().ok()).unwrap_or("0").to_owned();
    tracing::debug!(parent: &span, code, seconds = started.elapsed().as_secs_f64(), "answered");
    ::metrics::histogram!(metrics::REQUEST_SECONDS, "method" => method).record(started.elapsed());
    ::metrics::counter!(metrics::REQUESTS, "method" => method, "code" => code).increment(1);
    response
}

/// Whether a caller's request id can stand in a log line as it is.
fn usable(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_REQUEST_ID
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn new_id() -> String {
    let mut bytes = [0; 16];
    // Without randomness the id is all zeros: a request is still served, only harder to find.
    let _randomness = getrandom::fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
