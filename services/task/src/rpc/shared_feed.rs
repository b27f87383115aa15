//! Serves WatchOpenTasks from bytes that are made once and shared by all its streams.
//!
//! The generated server would clone and encode each message for each stream: with ten thousand streams that is most of
//! the work there is. So this one method has a codec whose messages are encoded already. The path, the layers before it
//! and the bytes on the wire are those of the generated server.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::{BufMut as _, Bytes};
use poa_chassis::status;
use poa_proto::task::v1::WatchOpenTasksRequest;
use prost::Message as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc, ServerStreamingService};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::{admitted, watch_open_tasks};
use crate::service::Service as Tasks;

/// The path of the one method.
const PATH: &str = "/poa.task.v1.TaskService/WatchOpenTasks";

/// Puts the method in front of the generated one.
pub(crate) fn in_front_of(routes: Routes, service: Arc<Tasks>) -> Routes {
    let limits = &service.config.server.limits;
    let feed = Feed { decode_bytes: limits.decode_bytes, encode_bytes: limits.encode_bytes, service };
    Routes::from(routes.into_axum_router().route_service(PATH, feed))
}

/// The method as a service of its own.
#[derive(Clone)]
struct Feed {
    service: Arc<Tasks>,
    decode_bytes: usize,
    encode_bytes: usize,
}

/// Requests as Protobuf, responses as they are.
#[derive(Clone, Copy, Debug, Default)]
struct SharedBytes;

// === impl Feed ===

impl Service<axum::http::Request<Body>> for Feed {
    type Response = axum::http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: axum::http::Request<Body>) -> Self::Future {
        let feed = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(SharedBytes)
                .max_decoding_message_size(feed.decode_bytes)
                .max_encoding_message_size(feed.encode_bytes);
            Ok(grpc.server_streaming(feed, request).await)
        })
    }
}

impl ServerStreamingService<WatchOpenTasksRequest> for Feed {
    type Response = Bytes;
    type ResponseStream = ReceiverStream<Result<Bytes, Status>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<WatchOpenTasksRequest>) -> Self::Future {
        let service = Arc::clone(&self.service);
        Box::pin(async move {
            let (_principal, message) = admitted(request)?;
            watch_open_tasks::handle(&service, message).map(Response::new).map_err(status)
        })
    }
}

// === impl SharedBytes ===

impl Codec for SharedBytes {
    type Encode = Bytes;
    type Decode = WatchOpenTasksRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for SharedBytes {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for SharedBytes {
    type Item = WatchOpenTasksRequest;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<WatchOpenTasksRequest>, Status> {
        WatchOpenTasksRequest::decode(buffer)
            .map(Some)
            .map_err(|_malformed| Status::internal("the request is not a WatchOpenTasksRequest"))
    }
}
