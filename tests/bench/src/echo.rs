//! D: bare tonic with the message sizes and the hops of a lifecycle, and nothing else. Three processes, each calling
//! the next, as gateway, task, and escrow or attestation do.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::uri::PathAndQuery;
use poa_testkit::{Process, ProcessSpec};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::{Channel, Server, server::TcpIncoming};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::clients::channel;
use crate::lifecycle::Took;
use crate::{Failure, system};

/// The one method.
const PATH: &str = "/bench.Echo/Call";
/// Connections from each process to the next, as many as the gateway keeps.
const CONNECTIONS: usize = 2;
/// Connections of the load generator, as many as it has to the mesh.
const OWN_CONNECTIONS: usize = 8;
/// How long a process may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(20);
/// The calls of a lifecycle: bytes of request and answer of each public call, and of those that it leads to. Measured
/// on a lifecycle of this benchmark; each public call passes two servers before it leads to others.
const LIFECYCLE: [(u32, u32, &[Sizes]); 3] = [
    // CreateTask: HoldFunds with the terms and the payer's token, AppendStatement(TermsOffered).
    (1_150, 1_900, &[(2_200, 120), (1_450, 2_300)]),
    // ClaimTask: AppendStatement(TermsAccepted). It answers with the input.
    (1_400, 3_000, &[(1_500, 1_700)]),
    // SubmitResult: AppendStatement three times, CaptureEscrow with the chain.
    (2_000, 2_000, &[(1_700, 3_300), (800, 1_300), (9_000, 60), (1_000, 1_600)]),
];
/// Bytes of a request and of its answer.
type Sizes = (u32, u32);
/// RPCs of a lifecycle over all hops.
pub(crate) const RPCS: u32 = 13;

/// A call: its own bytes, the size of the answer, and what the callee calls before it answers.
#[derive(Clone, PartialEq, prost::Message)]
struct Call {
    #[prost(bytes = "bytes", tag = "1")]
    body: Bytes,
    #[prost(uint32, tag = "2")]
    answer_bytes: u32,
    #[prost(message, repeated, tag = "3")]
    legs: Vec<Leg>,
}

/// A call to be made.
#[derive(Clone, PartialEq, prost::Message)]
struct Leg {
    #[prost(uint32, tag = "1")]
    request_bytes: u32,
    #[prost(uint32, tag = "2")]
    answer_bytes: u32,
    #[prost(message, repeated, tag = "3")]
    legs: Vec<Leg>,
}

/// An answer.
#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(bytes = "bytes", tag = "1")]
    body: Bytes,
}

/// The server.
#[derive(Clone)]
struct Echo {
    next: Arc<Calls>,
}

/// Connections to a server, used in turn.
pub(crate) struct Calls {
    channels: Vec<Channel>,
    turn: AtomicUsize,
}

/// The three processes and the way in.
pub(crate) struct Chain {
    processes: Vec<Process>,
    calls: Arc<Calls>,
}

// === impl Chain ===

impl Chain {
    /// Starts the processes, the last one first.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let mut processes = Vec::new();
        let mut next = String::new();
        for _ in 0..3 {
            let mut spec = ProcessSpec::new(std::env::current_exe()?).arg("serve-echo");
            if !next.is_empty() {
                spec = spec.arg("--next").arg(&next);
            }
            let (process, address) = crate::serve::start(&spec, LISTENS_WITHIN).await?;
            next = format!("http://{address}");
            processes.push(process);
        }
        Ok(Self { processes, calls: Arc::new(Calls::to(&next, OWN_CONNECTIONS)?) })
    }

    /// Processor time of the three, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.processes.iter().map(|process| system::cpu_seconds(process.id())).sum()
    }

    /// The calls of a lifecycle.
    pub(crate) fn calls(&self) -> Arc<Calls> {
        Arc::clone(&self.calls)
    }
}

// === impl Calls ===

impl Calls {
    fn to(address: &str, connections: usize) -> Result<Self, Failure> {
        let channels = (0..connections).map(|_| channel(address)).collect::<Result<_, _>>()?;
        Ok(Self { channels, turn: AtomicUsize::new(0) })
    }

    /// The RPCs of one lifecycle.
    pub(crate) async fn lifecycle(&self, due: Instant) -> Result<Took, Failure> {
        let mut took = [Duration::ZERO; 3];
        let mut begun = due;
        for (took, (request_bytes, answer_bytes, legs)) in took.iter_mut().zip(LIFECYCLE) {
            let legs = legs.iter().map(|(request_bytes, answer_bytes)| Leg {
                request_bytes: *request_bytes,
                answer_bytes: *answer_bytes,
                legs: Vec::new(),
            });
            // The gateway's part: the same message once more.
            let forwarded = Leg { request_bytes, answer_bytes, legs: legs.collect() };
            self.call(Leg { request_bytes, answer_bytes, legs: vec![forwarded] }).await?;
            *took = begun.elapsed();
            begun = Instant::now();
        }
        let [create, claim, submit] = took;
        Ok(Took { create, claim, submit })
    }

    /// One RPC over one hop: the loopback round trip.
    pub(crate) async fn round_trip(&self) -> Result<(), Failure> {
        self.call(Leg { request_bytes: 64, answer_bytes: 64, legs: Vec::new() }).await.map_err(Into::into)
    }

    async fn call(&self, leg: Leg) -> Result<(), Status> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.channels.len().max(1);
        let channel = self.channels.get(turn).cloned();
        let channel = channel.ok_or_else(|| Status::internal("nobody to call"))?;
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let call = Call { body: filled(leg.request_bytes), answer_bytes: leg.answer_bytes, legs: leg.legs };
        let codec = ProstCodec::<Call, Answer>::default();
        grpc.unary(Request::new(call), PathAndQuery::from_static(PATH), codec).await?;
        Ok(())
    }
}

fn filled(bytes: u32) -> Bytes {
    Bytes::from(vec![b'.'; usize::try_from(bytes).unwrap_or(0)])
}

// === impl Echo ===

/// Serves until the process is killed. `next` is who is called before an answer.
pub(crate) async fn serve(next: Option<String>) -> Result<(), Failure> {
    let calls = match next {
        Some(next) => Calls::to(&next, CONNECTIONS)?,
        None => Calls { channels: Vec::new(), turn: AtomicUsize::new(0) },
    };
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.with_nodelay(Some(true));
    crate::serve::announce(incoming.local_addr()?);
    let server = Server::builder().add_service(Echo { next: Arc::new(calls) });
    Ok(server.serve_with_incoming(incoming).await?)
}

impl NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}

impl UnaryService<Call> for Echo {
    type Response = Answer;
    type Future = BoxFuture<'static, Result<Response<Answer>, Status>>;

    fn call(&mut self, request: Request<Call>) -> Self::Future {
        let next = Arc::clone(&self.next);
        Box::pin(async move {
            let call = request.into_inner();
            for leg in call.legs {
                next.call(leg).await?;
            }
            Ok(Response::new(Answer { body: filled(call.answer_bytes) }))
        })
    }
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(
            async move { Ok(Grpc::new(ProstCodec::<Answer, Call>::default()).unary(service, request).await) },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lifecycle_has_as_many_rpcs_as_is_said() {
        let public = 2 * LIFECYCLE.len();
        let internal: usize = LIFECYCLE.iter().map(|(_, _, legs)| legs.len()).sum();
        assert_eq!(u32::try_from(public + internal), Ok(RPCS));
    }
}
