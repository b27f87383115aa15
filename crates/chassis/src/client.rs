//! Clients of other services: channels that carry the request's id, its remaining time and our own identity.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};

use crate::context::{Context, REQUEST_ID};
use crate::error::{Error, status};
use crate::keyring::Keyring;
use crate::replicas::Replicas;
use crate::transport::{InProcess, Target};

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a call may take where nobody says otherwise: a worker's call, for one.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// A silent connection is asked whether it lives this often.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// How long it may take to say so. With the above, calls go to a dead host for so long: a machine under load answers, too.
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(5);
/// What one stream may have on its way to us, in bytes. Enough for most answers at once.
const STREAM_WINDOW: u32 = 64 * 1_024;
/// What all streams of a connection may have on their way: the sum over the most streams that a server allows. With less,
/// an edge's callers who ask and do not read would stall the calls of everybody else on their connection. What an edge may
/// have to hold over all connections is bounded by how many answers it lets be open in all.
const CONNECTION_WINDOW: u32 = 4_096 * STREAM_WINDOW;
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
    /// Which of a service's replicas its next connection goes to.
    turns: BTreeMap<String, Arc<AtomicUsize>>,
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
        let turns = targets.keys().map(|name| (name.clone(), first_turn())).collect();
        Self { targets, keyring, turns }
    }

    /// A channel that says who we are. Connects when it is first used, and again whenever it must.
    pub fn identified(&self, name: &'static str) -> io::Result<PeerChannel> {
        let identity = Identity { keyring: Arc::clone(&self.keyring), callee: name };
        Ok(InterceptedService::new(self.channel(name)?, identity))
    }

    /// A bare channel, for an edge that forwards what callers send.
    pub fn channel(&self, name: &str) -> io::Result<Channel> {
        let (Some(target), Some(turn)) = (self.targets.get(name), self.turns.get(name)) else {
            let missing = format!("no address for the service {name}: set peers.{name}");
            return Err(io::Error::new(io::ErrorKind::NotFound, missing));
        };
        match target {
            Target::Address(addresses) => {
                let malformed =
                    |problem| io::Error::new(io::ErrorKind::InvalidInput, format!("peers.{name}: {problem}"));
                let replicas =
                    Replicas::parse(addresses, Arc::clone(turn), CONNECT_TIMEOUT).map_err(malformed)?;
                // All replicas go by the name of the service.
                let endpoint = Endpoint::from_shared(format!("http://{name}"))
                    .map_err(|error| malformed(error.to_string()))?;
                // Without calls, too: the first one after a host's death should not be the one to find out.
                Ok(replicas.channel(&tuned(endpoint).keep_alive_while_idle(true)))
            }
            Target::InProcess(pipe) => Ok(in_process(pipe.clone())),
        }
    }
}

/// Not the same one for every process, or all would begin with the first replica.
fn first_turn() -> Arc<AtomicUsize> {
    let mut first = [0];
    let _without_randomness_it_is_the_first_one = getrandom::fill(&mut first);
    Arc::new(AtomicUsize::new(usize::from(first[0])))
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_ANSWER)
}

fn in_process(pipe: InProcess) -> Channel {
    let connector = tower::service_fn(move |_: Uri| {
        let pipe = pipe.clone();
        async move { pipe.connect().await.map(TokioIo::new) }
    });
    tuned(Endpoint::from_static("http://in-process"))
        .connect_timeout(CONNECT_TIMEOUT)
        .connect_with_connector_lazy(connector)
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
