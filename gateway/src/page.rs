//! What a person sees who opens the port in a browser, and the headers that keep the page harmless.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

const WELCOME: &str = include_str!("welcome.html");

/// The page at `/`.
pub(crate) async fn welcome() -> Html<&'static str> {
    Html(WELCOME)
}

/// The answer to an unknown path: a gRPC status to a gRPC client, a line of text to anybody else.
pub(crate) async fn not_found(headers: HeaderMap) -> Response {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.starts_with("application/grpc") {
        return tonic::Status::unimplemented(
            "there is no such method; `grpcurl HOST list` shows what there is",
        )
        .into_http();
    }
    (StatusCode::NOT_FOUND, "There is nothing here. The API is gRPC and grpc-web; see /\n").into_response()
}

/// Keeps browsers from guessing, framing and running what we did not send.
pub(crate) async fn security_headers(State(()): State<()>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let is_page = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("text/html"));
    if is_page {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
        );
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    response
}
