//! Header hygiene: what passes inwards is a list of what we know, so that no identity or forwarding header of a
//! caller's making reaches a service.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderName;

/// What may pass. `authorization` is checked; the rest is harmless to believe.
const PASSED: [&str; 18] = [
    "accept",
    "authorization",
    "content-length",
    "content-type",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-timeout",
    "host",
    "origin",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "user-agent",
    "x-grpc-web",
    "x-request-id",
    "x-user-agent",
    // Preflights of browsers.
    "access-control-request-method",
];

pub(crate) async fn layer(mut request: Request, next: Next) -> Response {
    let foreign: Vec<HeaderName> =
        request.headers().keys().filter(|name| !PASSED.contains(&name.as_str())).cloned().collect();
    for name in foreign {
        request.headers_mut().remove(name);
    }
    next.run(request).await
}
