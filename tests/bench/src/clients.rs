//! Clients of the mesh: gRPC over HTTP/2 connections that are shared, grpc-web over HTTP/1.1 connections that are kept.

use std::io;

use http::{Request, Response, Uri};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic_web::{GrpcWebCall, GrpcWebClientService};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::{Failure, plain_http};

/// Connections of the load generator: a market has many callers, and one HTTP/2 connection is one lock.
const CONNECTIONS: usize = 8;

/// How a call reaches the gateway: what a generated client is made of.
pub(crate) type Wire = BoxCloneSyncService<Request<Body>, Response<Body>, io::Error>;

/// A way into the mesh: its address and the connections to it.
#[derive(Clone)]
pub(crate) struct Entry {
    wires: Vec<Wire>,
    origin: Uri,
}

// === impl Entry ===

impl Entry {
    /// gRPC.
    pub(crate) fn grpc(endpoint: &str) -> Result<Self, Failure> {
        let mut wires = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            wires.push(BoxCloneSyncService::new(channel(endpoint)?.map_err(io::Error::other)));
        }
        Ok(Self { wires, origin: endpoint.parse()? })
    }

    /// grpc-web, as a browser sends it: a connection for each call under way.
    pub(crate) fn grpc_web(endpoint: &str) -> Result<Self, Failure> {
        let service = GrpcWebClientService::new(plain_http::pool::<GrpcWebCall<Body>>());
        let service =
            service.map_response(|answer: Response<_>| answer.map(Body::new)).map_err(io::Error::other);
        Ok(Self { wires: vec![BoxCloneSyncService::new(service)], origin: endpoint.parse()? })
    }

    /// The connection of the caller with this number, and the address to call.
    pub(crate) fn wire(&self, caller: usize) -> (Wire, Uri) {
        let place = caller % self.wires.len().max(1);
        (self.wires[place].clone(), self.origin.clone())
    }
}

/// One HTTP/2 connection, made when first used.
pub(crate) fn channel(endpoint: &str) -> Result<Channel, Failure> {
    Ok(Endpoint::from_shared(endpoint.to_owned())?.tcp_nodelay(true).connect_lazy())
}
