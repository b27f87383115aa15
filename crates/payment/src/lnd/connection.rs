//! One connection to the node, and a line over it per macaroon. It is made when the first call needs it, and anew when it
//! was lost; every call has a limit on its wait.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Response, Status, Streaming};

use super::contract::invoicesrpc::invoices_client::InvoicesClient;
use super::contract::lnrpc::lightning_client::LightningClient;
use super::contract::lnrpc::state_client::StateClient;
use super::contract::routerrpc::router_client::RouterClient;
use super::macaroon::Macaroon;
use super::tls::Pin;
use super::trouble::Trouble;
use super::{OpenError, Options};

/// Between two signs of life while calls wait. LND hangs up on who sends them more often than every 5 s.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(6);
/// How long a sign of life is waited for. With the interval less than a call's wait, so that a dead connection is found by
/// the call that it hangs, and the next one gets a new connection.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(4);
/// The largest answer that is read: a page of invoices with many parts.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What carries a macaroon with each call.
pub(super) type Carrier = InterceptedService<Channel, Macaroon>;

/// The node as one macaroon sees it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    carrier: Carrier,
    /// How long a call may take.
    wait: Duration,
}

/// The connection, without opening it.
pub(super) fn channel(options: &Options) -> Result<Channel, OpenError> {
    let refused = |why: &'static str| OpenError::Endpoint { endpoint: options.endpoint.clone(), why };
    let endpoint = Endpoint::from_shared(options.endpoint.clone())
        .map_err(|_| refused("it is not a URL such as https://127.0.0.1:10009"))?;
    // Anything else would send macaroons in the clear.
    if endpoint.uri().scheme_str() != Some("https") {
        return Err(refused("it does not begin with https://"));
    }
    let pin = Pin::new(&options.tls_cert)
        .map_err(|source| OpenError::File { path: options.tls_cert.clone(), source })?;
    let endpoint = endpoint
        .connect_timeout(options.timeouts.connect)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(false)
        .tls_config_with_verifier(ClientTlsConfig::new().timeout(options.timeouts.connect), Arc::new(pin))
        .map_err(|_| refused("its host is no name that TLS can ask for"))?;
    Ok(endpoint.connect_lazy())
}

/// Asks for something without a macaroon.
pub(super) fn state(channel: &Channel) -> StateClient<Channel> {
    StateClient::new(channel.clone())
}

/// Waits for an answer, but not for ever.
pub(super) async fn bounded<T>(
    wait: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Refused> {
    match tokio::time::timeout(wait, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(Refused::Status(Box::new(status))),
        Err(_) => Err(Refused::Late(wait)),
    }
}

/// Why there is no answer to a call.
#[derive(Debug)]
pub(super) enum Refused {
    /// The node, or what is on the way to it, gave an error.
    Status(Box<Status>),
    /// Nothing came in time.
    Late(Duration),
}

// === impl Line ===

impl Line {
    pub(super) fn new(channel: &Channel, macaroon: Macaroon, wait: Duration) -> Self {
        Self { carrier: InterceptedService::new(channel.clone(), macaroon), wait }
    }

    pub(super) fn lightning(&self) -> LightningClient<Carrier> {
        LightningClient::new(self.carrier.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    pub(super) fn invoices(&self) -> InvoicesClient<Carrier> {
        InvoicesClient::new(self.carrier.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    pub(super) fn router(&self) -> RouterClient<Carrier> {
        RouterClient::new(self.carrier.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// Waits for an answer, as long as a call may take.
    pub(super) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Refused> {
        bounded(self.wait, call).await
    }

    /// The first message of a stream, as long as a call may take. The stream is left then.
    pub(super) async fn first<T>(
        &self,
        call: impl Future<Output = Result<Response<Streaming<T>>, Status>>,
    ) -> Result<Option<T>, Refused> {
        let first = async { Ok(Response::new(call.await?.into_inner().message().await?)) };
        bounded(self.wait, first).await
    }
}

// === impl Refused ===

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Status(status) => Self::of(*status),
            Refused::Late(wait) => Self::Late(wait),
        }
    }
}
