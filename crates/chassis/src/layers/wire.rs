//! What comes over the wire and is no call: refused as HTTP has it where it is not gRPC, and as the caller's mistake
//! where its message cannot be read.
//!
//! tonic answers INTERNAL to a message that does not decode, and a client would take that for a bug of ours. Errors of
//! ours carry details, tonic's carry none: so they can be told apart.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Method, StatusCode, header};
use tonic::Code;

use crate::error::{Error, status};

/// Where a status carries its details.
const DETAILS: &str = "grpc-status-details-bin";

/// Refuses what is not gRPC (nor grpc-web) with an HTTP status that any client understands.
pub async fn grpc_only(request: Request, next: Next) -> Response {
    if !is_grpc(request.headers()) {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "This is gRPC: send application/grpc\n").into_response();
    }
    if request.method() != Method::POST {
        let allow = [(header::ALLOW, "POST")];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, "A gRPC call is a POST\n").into_response();
    }
    next.run(request).await
}

/// Names what tonic could not read as the caller's mistake.
pub(super) async fn explain(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match unread(response.headers()) {
        Some(why) => status(Error::unreadable(&why)).into_http(),
        None => response,
    }
}

/// Why tonic refused a request before any handler of ours saw it.
fn unread(headers: &HeaderMap) -> Option<String> {
    if headers.contains_key(DETAILS) {
        return None;
    }
    let refused = tonic::Status::from_header_map(headers)?;
    matches!(refused.code(), Code::Internal | Code::OutOfRange).then(|| refused.message().to_owned())
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    kind.strip_prefix(b"application/grpc").is_some_and(|rest| rest.is_empty() || b"+-;".contains(&rest[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_grpc_or_grpc_web_counts_as_such() {
        let is = |kind: &'static str| {
            is_grpc(&HeaderMap::from_iter([(header::CONTENT_TYPE, http::HeaderValue::from_static(kind))]))
        };
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc-web-text"] {
            assert!(is(kind), "{kind}");
        }
        for kind in ["", "application/json", "application/grpcx", "text/html", "Application/Grpc"] {
            assert!(!is(kind), "{kind}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn an_error_of_ours_is_left_as_it_is_and_one_of_tonics_is_explained() {
        let ours = status(Error::Internal("a bug".into())).into_http::<tonic::body::Body>();
        assert_eq!(unread(ours.headers()), None);
        let theirs = tonic::Status::internal("buffer underflow").into_http::<tonic::body::Body>();
        assert_eq!(unread(theirs.headers()).as_deref(), Some("buffer underflow"));
        let unknown = tonic::Status::unimplemented("no").into_http::<tonic::body::Body>();
        assert_eq!(unread(unknown.headers()), None);
        assert_eq!(unread(&HeaderMap::new()), None);
    }
}
