//! Serves a router on a listener, with every limit of HTTP/2 set: tonic removes hyper's own.

use std::time::Duration;

use axum::Router;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;

use crate::accept::incoming;
use crate::config::ServerConfig;
use crate::transport::Listen;

/// Half-open streams that a peer may reset before it is cut off (CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Streams that we reset ourselves before a peer is cut off.
const LOCAL_RESETS: usize = 256;
/// How long an aged connection may finish what it does.
const AGE_GRACE: Duration = Duration::from_secs(60);
/// A silent connection is asked whether it lives this often.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Serves a router over HTTP/2 and HTTP/1.1 until `end`, then lets calls finish within the drain time.
pub async fn serve_grpc(
    listen: Listen,
    router: Router,
    config: &ServerConfig,
    end: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let limits = &config.limits;
    let mut server = Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(limits.streams_per_connection)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(LOCAL_RESETS))
        .http2_max_header_list_size(limits.header_bytes)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_connection_age(Duration::from_secs(limits.connection_age_seconds))
        .max_connection_age_grace(AGE_GRACE);
    let router = server.add_routes(Routes::from(router));
    let ended = end.clone();
    let patience = async move {
        ended.cancelled().await;
        tokio::time::sleep(Duration::from_secs(config.drain_seconds)).await;
    };
    let serving = async move {
        match listen {
            Listen::Tcp(listener) => {
                router.serve_with_incoming_shutdown(incoming(listener, limits), end.cancelled_owned()).await
            }
            Listen::InProcess(pipes) => {
                let pipes = ReceiverStream::new(pipes).map(Ok::<_, std::io::Error>);
                router.serve_with_incoming_shutdown(pipes, end.cancelled_owned()).await
            }
        }
    };
    tokio::select! {
        served = serving => served,
        () = patience => {
            tracing::warn!("calls were cut off at the end of the drain");
            Ok(())
        }
    }
}
