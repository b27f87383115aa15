//! The server: gRPC over TLS on a Unix socket, behind a proxy that has the port. A new server on the same socket is what a
//! restart is to a client; the node's knowledge is not the server's.

use std::path::Path;
use std::sync::Arc;

use poa_payment::lnd::contract::invoicesrpc::invoices_server::InvoicesServer;
use poa_payment::lnd::contract::lnrpc::lightning_server::LightningServer;
use poa_payment::lnd::contract::lnrpc::state_server::StateServer;
use poa_payment::lnd::contract::routerrpc::router_server::RouterServer;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use super::Shared;
use super::access::AccessLayer;
use super::certificate::Pem;
use super::services::Services;

/// Serves until the task is aborted; connections live on until they are cut.
pub(super) fn serve(shared: &Arc<Shared>, socket: &Path, pem: &Pem) -> JoinHandle<()> {
    if socket.exists() {
        std::fs::remove_file(socket).expect("the socket of the server before");
    }
    let listener = UnixListener::bind(socket).expect("a socket in a folder of our own");
    let services = Services(Arc::clone(shared));
    let identity = Identity::from_pem(&pem.certificate, &pem.key);
    let serving = Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity))
        .expect("a valid certificate")
        .layer(AccessLayer(Arc::clone(shared)))
        .add_service(StateServer::new(services.clone()))
        .add_service(LightningServer::new(services.clone()))
        .add_service(InvoicesServer::new(services.clone()))
        .add_service(RouterServer::new(services))
        .serve_with_incoming(UnixListenerStream::new(listener));
    tokio::spawn(async move { serving.await.expect("a server that serves") })
}
