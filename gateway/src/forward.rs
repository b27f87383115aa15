//! Forwards the frames of a public method to its service, undecoded.
//!
//! On the way in: the address's rate limit (before any signature is checked), the API key's exchange for a token, the
//! token's signature, the account's rate limit. The service behind checks the token again, and the scope.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use poa_chassis::keyring::Keyring;
use poa_chassis::{Error, status};
use poa_proto::Method;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::{Service, ServiceExt as _};

use crate::api_keys::ApiKeys;
use crate::limits::Limiter;
use crate::upstreams::{self, Upstreams};

/// What the gateway adds to a service's own longest time before it gives the call up.
const GRACE: Duration = Duration::from_millis(500);
/// How much earlier the service is to answer than the caller stops waiting.
const HEAD_START: Duration = Duration::from_millis(10);

/// How long a caller may take to send its one message.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// The bytes before a message: a flag and its length.
const FRAME_HEAD: usize = 5;

/// What all routes share.
#[derive(Clone)]
pub(crate) struct Forwarder(Arc<Shared>);

struct Shared {
    upstreams: Upstreams,
    keyring: Arc<Keyring>,
    limiter: Arc<Limiter>,
    api_keys: Arc<ApiKeys>,
    /// Bytes of one request message.
    max_message: usize,
}

/// The route of one method.
#[derive(Clone)]
pub(crate) struct Route {
    shared: Forwarder,
    method: &'static Method,
}

// === impl Forwarder ===

impl Forwarder {
    pub(crate) fn new(
        upstreams: Upstreams,
        keyring: Arc<Keyring>,
        limiter: Arc<Limiter>,
        api_keys: Arc<ApiKeys>,
        max_message: usize,
    ) -> Self {
        Self(Arc::new(Shared { upstreams, keyring, limiter, api_keys, max_message }))
    }

    /// The route of one method.
    pub(crate) fn of(&self, method: &'static Method) -> Route {
        Route { shared: self.clone(), method }
    }
}

// === impl Route ===

impl Route {
    /// Until `deadline`, where the caller has one: whoever calls this holds it to that.
    async fn forward(
        self,
        mut request: Request<Body>,
        deadline: Option<Instant>,
    ) -> Result<Response<Body>, Error> {
        let shared = &self.shared.0;
        let address = address(&request);
        shared.limiter.charge_address(address, self.method.cost)?;
        let call = shared.limiter.hold_call(address)?;
        if let Some(secret) = shared.api_keys.secret_of(request.headers()) {
            let token = shared.api_keys.exchange(secret).await?;
            request.headers_mut().insert(header::AUTHORIZATION, token);
        }
        let mut stream = None;
        if !self.method.anonymous {
            let token = bearer(&request).ok_or(Error::CredentialsInvalid { problem: "missing" })?;
            let principal = shared.keyring.verify_access(token)?;
            shared.limiter.charge_account(principal.account_id, self.method.cost)?;
            if self.method.server_streaming {
                stream = Some(shared.limiter.hold_stream(principal.account_id)?);
            }
        }
        let mut request = whole(request, shared.max_message).await?;
        if let Some(deadline) = deadline {
            pass_on(&mut request, deadline);
        }
        let patience = Duration::from_millis(u64::from(self.method.deadline_ms)) + GRACE;
        let name = upstreams::service(self.method)
            .ok_or_else(|| Error::Internal("a public method has no service behind it".into()))?;
        let down = || Error::DependencyUnavailable { dependency: name };
        let channel = shared.upstreams.channel(name, self.method).ok_or_else(down)?;
        let answer = tokio::time::timeout(patience, channel.oneshot(request)).await;
        match answer {
            // It counts until its body is dropped, wherever that ends: who does not read the answer has a call open. A
            // stream counts for its account instead.
            Ok(Ok(response)) => Ok(match stream {
                Some(stream) => response.map(|body| holding(stream, body)),
                None => response.map(|body| holding(call, body)),
            }),
            Ok(Err(error)) if timed_out(&error) => Err(Error::DeadlineExceeded),
            Ok(Err(error)) => {
                tracing::warn!(
                    service = name,
                    %error,
                    "a service cannot be reached"
                );
                Err(Error::DependencyUnavailable { dependency: name })
            }
            Err(_elapsed) => Err(Error::DeadlineExceeded),
        }
    }
}

impl Service<Request<axum::body::Body>> for Route {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<axum::body::Body>) -> Self::Future {
        let route = self.clone();
        let request = request.map(Body::new);
        Box::pin(async move {
            // The caller's time covers all of it. A little less: tonic's own timer would answer CANCELLED.
            let asked = request.headers().get("grpc-timeout").and_then(poa_chassis::layers::parse_timeout);
            let budget = asked.map(|asked| asked.saturating_sub(HEAD_START / 2));
            // Beyond what a clock counts is without a limit.
            let deadline = budget.and_then(|budget| Instant::now().checked_add(budget));
            let forwarded = match deadline {
                // Two timers of no time at all: tonic's might be read first.
                Some(_) if budget == Some(Duration::ZERO) => Err(Error::DeadlineExceeded),
                Some(deadline) => tokio::time::timeout_at(deadline, route.forward(request, Some(deadline)))
                    .await
                    .unwrap_or(Err(Error::DeadlineExceeded)),
                None => route.forward(request, None).await,
            };
            Ok(forwarded.unwrap_or_else(|error| status(error).into_http()))
        })
    }
}

/// Tells the service how much is left of the caller's time. A little less, so that the service's answer, which knows more,
/// comes first.
fn pass_on(request: &mut Request<Body>, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(HEAD_START / 2);
    let millis = left.as_millis().clamp(1, 99_999_999);
    if let Ok(value) = HeaderValue::from_str(&format!("{millis}m")) {
        request.headers_mut().insert("grpc-timeout", value);
    }
}

/// A body that holds something until it is dropped.
pub(crate) fn holding(held: impl Send + 'static, body: Body) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _held = &held;
        frame
    }))
}

/// Whether a call failed because the channel's own timer ran out: it honours the caller's deadline, too.
fn timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .any(|error| error.is::<tonic::TimeoutExpired>())
}

/// The request with its one message read whole: a caller who sends slowly waits here, not at a service.
async fn whole(request: Request<Body>, max_message: usize) -> Result<Request<Body>, Error> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, max_message + FRAME_HEAD).collect();
    let body = tokio::time::timeout(BODY_TIMEOUT, body).await.map_err(|_| Error::DeadlineExceeded)?;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Error::unreadable(&format!("it is larger than {max_message} bytes"))
        } else {
            Error::unreadable("it was not sent whole")
        }
    })?;
    Ok(Request::from_parts(head, Body::new(Full::new(body.to_bytes()))))
}

/// The caller's IP address, as the connection has it: no header is believed.
pub(crate) fn address<B>(request: &Request<B>) -> Option<IpAddr> {
    request.extensions().get::<TcpConnectInfo>()?.remote_addr().map(|address| address.ip())
}

fn bearer(request: &Request<Body>) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
