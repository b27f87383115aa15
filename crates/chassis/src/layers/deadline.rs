//! Deadlines: the caller's `grpc-timeout`, capped by the method's own, from the first byte to the last.
//!
//! tonic's own timeout answers CANCELLED and ends at the response headers; this one answers DEADLINE_EXCEEDED, and
//! ends streams too. A stream also ends when its token does, and when the server drains.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyStream, StreamBody};
use poa_common::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::error::{Error, status};

const TIMEOUT: &str = "grpc-timeout";
/// A caller who asks for more gets this: nothing waits a day.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);
/// We answer before tonic's own timer would, which says CANCELLED: by a tenth of the time, within these. Its timer begins
/// when the headers are read, and ours when the request comes to us, which on a busy machine is later.
const HEAD_START: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];
/// The longest life of a stream: its token ends before.
const LONGEST_STREAM: Duration = Duration::from_secs(3_600);

/// When the caller's token ends, as the authorisation layer found: a stream ends with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenEnd(pub(super) Duration);

pub(super) async fn layer(
    State(draining): State<CancellationToken>,
    mut request: Request,
    next: Next,
) -> Response {
    let method = poa_proto::Method::find(request.uri().path());
    let streaming = method.is_none_or(|method| method.server_streaming);
    let asked = request.headers().get(TIMEOUT).and_then(parse).map(|asked| asked.min(LONGEST));
    let cap = if streaming {
        LONGEST
    } else {
        Duration::from_millis(method.map_or(u64::from(u32::MAX), |method| u64::from(method.deadline_ms)))
    };
    let budget = asked.map_or(cap, |asked| asked.saturating_sub(head_start(asked)).min(cap));
    if budget.is_zero() {
        // Two timers of no time at all: tonic's might be read first.
        return status(Error::DeadlineExceeded).into_http();
    }
    let deadline = Instant::now() + budget;

    let mut context = Context::current().unwrap_or_else(|| Context { request_id: "".into(), deadline: None });
    // A streaming handler must not pass a day-long budget on to the calls that it makes.
    context.deadline = if streaming { asked.map(|_| deadline) } else { Some(deadline) };
    request.extensions_mut().insert(context.clone());

    let answered = tokio::time::timeout_at(deadline.into(), context.scope(next.run(request))).await;
    let Ok(response) = answered else {
        return status(Error::DeadlineExceeded).into_http();
    };
    if !streaming {
        return response;
    }
    let token_end =
        response.extensions().get::<TokenEnd>().map_or(LONGEST_STREAM, |end| end.0.min(LONGEST_STREAM));
    response.map(|body| bounded(body, asked.map(|_| deadline), token_end, draining))
}

fn head_start(asked: Duration) -> Duration {
    let [least, most] = HEAD_START;
    (asked / 10).clamp(least, most)
}

/// At an edge, which forwards what others bound: streams end when the server drains, and nothing else.
pub(super) async fn drain_layer(
    State(draining): State<CancellationToken>,
    request: Request,
    next: Next,
) -> Response {
    let streaming =
        poa_proto::Method::find(request.uri().path()).is_some_and(|method| method.server_streaming);
    let response = next.run(request).await;
    if streaming { response.map(|body| bounded(body, None, LONGEST_STREAM, draining)) } else { response }
}

/// A stream's body that ends, with its status, at the deadline, with the token, or when the server drains.
fn bounded(body: Body, deadline: Option<Instant>, token_end: Duration, draining: CancellationToken) -> Body {
    let end = async move {
        let deadline_passed = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = deadline_passed => Error::DeadlineExceeded,
            () = tokio::time::sleep(token_end) => Error::CredentialsInvalid { problem: "expired" },
            () = draining.cancelled() => Error::Overloaded,
        }
    };
    let frames = BodyStream::new(body);
    let cut = Box::pin(end);
    let stream = futures_util::stream::unfold(Some((frames, cut)), |state| async move {
        let (mut frames, mut cut) = state?;
        tokio::select! {
            // The end first: a reader who is always behind would never see it else.
            biased;
            error = &mut cut => Some((Ok(Frame::trailers(trailers(error))), None)),
            frame = frames.next() => frame.map(|frame| (frame, Some((frames, cut)))),
        }
    });
    Body::new(StreamBody::new(stream))
}

fn trailers(error: Error) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if status(error).add_header(&mut headers).is_err() {
        headers.insert("grpc-status", HeaderValue::from_static("14"));
    }
    headers
}

/// Reads `grpc-timeout`: at most eight digits and a unit. Anything else counts as not given.
pub fn parse(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// The time from now to a token's end.
pub(super) fn until(expire_time: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(expire_time - now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read_as_the_specification_has_it_and_nothing_else() {
        let read = |text| parse(&HeaderValue::from_static(text));
        assert_eq!(read("100m"), Some(Duration::from_millis(100)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        for text in ["", "m", "10", "1.5S", "-1S", "999999999S", "10x", "10 S"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
