//! Clients of other services: channels that carry the request's id, its remaining time and our own identity.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};

use crate::context::{Context, REQUEST_ID};
use crate::error::{Error, status};
use crate::keyring::Keyring;
use crate::transport::{InProcess, Target};

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a call may take where nobody says otherwise: a worker's call, for one.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// A silent connection is asked whether it lives this often.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// How often a call is tried in all while the answer is UNAVAILABLE.
const ATTEMPTS: u32 = 4;
/// The wait before the second attempt; it doubles, with jitter.
const FIRST_WAIT: Duration = Duration::from_millis(20);

/// A channel to another service that says who we are.
pub type PeerChannel = InterceptedService<Channel, Identity>;

/// The other services, by name.
#[derive(Clone, Debug)]
pub struct Peers {
    targets: BTreeMap<String, Target>,
    keyring: Arc<Keyring>,
}

/// Puts our identity, the request's id and its remaining time on every outgoing call.
#[derive(Clone, Debug)]
pub struct Identity {
    keyring: Arc<Keyring>,
    callee: &'static str,
}

/// Calls until the answer is something else than UNAVAILABLE, a few times, with growing waits. For idempotent calls
/// only, which all of ours are.
pub async fn retry<T, F, Fut>(mut call: F) -> Result<T, Status>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Status>>,
{
    let mut wait = FIRST_WAIT;
    for _ in 1..ATTEMPTS {
        match call().await {
            Err(status) if status.code() == Code::Unavailable && in_time(wait) => {
                tokio::time::sleep(jittered(wait)).await;
                wait *= 2;
            }
            answer => return answer,
        }
    }
    call().await
}

fn in_time(wait: Duration) -> bool {
    Context::current().and_then(|context| context.remaining()).is_none_or(|left| left > wait * 2)
}

/// Between half of a wait and the whole of it.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness the wait is the shortest one.
    let _randomness = getrandom::fill(&mut byte);
    wait / 2 + wait * u32::from(byte[0]) / 512
}

// === impl Peers ===

impl Peers {
    /// The peers of a service, by the names that the architecture page uses.
    pub fn new(targets: BTreeMap<String, Target>, keyring: Arc<Keyring>) -> Self {
        Self { targets, keyring }
    }

    /// A channel that says who we are. Connects when it is first used, and again whenever it must.
    pub fn identified(&self, name: &'static str) -> io::Result<PeerChannel> {
        let identity = Identity { keyring: Arc::clone(&self.keyring), callee: name };
        Ok(InterceptedService::new(self.channel(name)?, identity))
    }

    /// A bare channel, for an edge that forwards what callers send.
    pub fn channel(&self, name: &str) -> io::Result<Channel> {
        let target = self.targets.get(name).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("no address for the service {name}: set peers.{name}"),
            )
        })?;
        match target {
            Target::Address(address) => {
                let endpoint = Endpoint::from_shared(address.clone()).map_err(|error| {
                    io::Error::new(io::ErrorKind::InvalidInput, format!("peers.{name}: {error}"))
                })?;
                Ok(tuned(endpoint).connect_lazy())
            }
            Target::InProcess(pipe) => Ok(in_process(pipe.clone())),
        }
    }
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
}

fn in_process(pipe: InProcess) -> Channel {
    let connector = tower::service_fn(move |_: Uri| {
        let pipe = pipe.clone();
        async move { pipe.connect().await.map(TokioIo::new) }
    });
    tuned(Endpoint::from_static("http://in-process")).connect_with_connector_lazy(connector)
}

// === impl Identity ===

impl Interceptor for Identity {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let token = self.keyring.service_token(self.callee).map_err(status)?;
        let bearer = format!("Bearer {token}").parse().map_err(|_| status(unwritable()))?;
        request.metadata_mut().insert("authorization", bearer);
        let context = Context::current();
        let timeout = context.as_ref().and_then(Context::remaining).unwrap_or(DEFAULT_TIMEOUT);
        request.set_timeout(timeout);
        if let Some(id) = context.and_then(|context| context.request_id.parse().ok()) {
            request.metadata_mut().insert(REQUEST_ID, id);
        }
        Ok(request)
    }
}

fn unwritable() -> Error {
    Error::Internal("a service token does not fit a header".into())
}
