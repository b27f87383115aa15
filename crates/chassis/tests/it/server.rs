//! A server with one public, one internal, one streaming and one admin service, whose answers the request chooses.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use poa_chassis::client::{PeerChannel, Peers};
use poa_chassis::config::ServerConfig;
use poa_chassis::keyring::{self, Keyring};
use poa_chassis::token::{AccessClaims, sign_access};
use poa_chassis::{
    App, Context, Deps, Error, Lifecycle, Readiness, Target, bind, run_app, status, system_env, user,
    validate,
};
use poa_common::{AccountId, Env};
use poa_proto::attestation::v1::attestation_internal_service_server::{
    AttestationInternalService, AttestationInternalServiceServer,
};
use poa_proto::attestation::v1::{
    AppendLiabilitiesRequest, AppendLiabilitiesResponse, AppendStatementRequest, AppendStatementResponse,
    WatchAttestationEventsRequest, WatchAttestationEventsResponse,
};
use poa_proto::auth::v1::auth_internal_service_server::{AuthInternalService, AuthInternalServiceServer};
use poa_proto::auth::v1::{
    ExchangeApiKeyRequest, ExchangeApiKeyResponse, WatchAgentEventsRequest, WatchAgentEventsResponse,
};
use poa_proto::escrow::v1::faucet_service_client::FaucetServiceClient;
use poa_proto::escrow::v1::faucet_service_server::{FaucetService, FaucetServiceServer};
use poa_proto::escrow::v1::{
    CreateOutsideInvoiceRequest, CreateOutsideInvoiceResponse, PayInvoiceRequest, PayInvoiceResponse,
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// An invoice that makes the handler wait for ever.
pub(crate) const HANG: &str = "hang";
/// An invoice that makes the handler panic.
pub(crate) const PANIC: &str = "panic";
/// An invoice that makes the handler answer with the caller's remaining milliseconds.
pub(crate) const REMAINING: &str = "remaining";

pub(crate) struct TestServer {
    pub(crate) deps: Deps,
    pub(crate) env: Env,
    pub(crate) serving: tokio::task::JoinHandle<()>,
    keys: TempDir,
    address: SocketAddr,
}

struct Services;

impl TestServer {
    pub(crate) async fn start(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let env = system_env();
        let keys = tempfile::tempdir().expect("a folder");
        keyring::provision(keys.path(), &["auth", "task", "attestation", "gateway"], &env).expect("keys");
        let mut config = ServerConfig { keys_dir: keys.path().to_owned(), ..ServerConfig::default() };
        change(&mut config);
        let keyring =
            Arc::new(Keyring::open(keys.path(), "auth", &config.audience, &env).expect("a keyring"));
        let deps = Deps {
            env: env.clone(),
            peers: Peers::new(BTreeMap::new(), Arc::clone(&keyring)),
            keyring,
            lifecycle: Lifecycle::default(),
            readiness: Readiness::default(),
        };
        let (listen, address) = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        let routes = Routes::new(FaucetServiceServer::new(Services))
            .add_service(AttestationInternalServiceServer::new(Services))
            .add_service(AuthInternalServiceServer::new(Services));
        let app = App { name: "test", services: &["poa.escrow.v1.FaucetService"], routes, admin: None };
        let serving = tokio::spawn({
            let deps = deps.clone();
            async move { run_app(app, &config, &deps, listen).await.expect("the server runs") }
        });
        Self { deps, env, serving, keys, address }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A channel of somebody outside the mesh.
    pub(crate) fn channel(&self) -> Channel {
        self.peers("task").channel("server").expect("a channel")
    }

    /// A channel of another service.
    pub(crate) fn as_service(&self, name: &'static str) -> PeerChannel {
        // The server under test is named auth: that is whom the token is for.
        self.peers(name).identified("auth").expect("a channel")
    }

    pub(crate) fn faucet(&self) -> FaucetServiceClient<Channel> {
        FaucetServiceClient::new(self.channel())
    }

    /// An access token with these scopes that ends after `lifetime`.
    pub(crate) fn token(&self, scope: &str, lifetime: Duration) -> String {
        let key = keyring::signing_key(&self.keys.path().join("jwt.key"), &self.env).expect("the key");
        let now = self.env.now().unix_timestamp();
        let claims = AccessClaims {
            iss: "auth".to_owned(),
            aud: "proof-of-agent".to_owned(),
            sub: self.env.new_id::<AccountId>(),
            scope: scope.to_owned(),
            agent: None,
            sid: None,
            iat: now,
            exp: now + i64::try_from(lifetime.as_secs()).expect("a short life"),
        };
        sign_access(&key, &keyring::key_id(&key.verifying_key()), &claims).expect("a token")
    }

    fn peers(&self, name: &'static str) -> Peers {
        let target = Target::Address(format!("http://{}", self.address));
        let keyring = Keyring::open(self.keys.path(), name, "proof-of-agent", &self.env).expect("a keyring");
        let targets = BTreeMap::from([("server".to_owned(), target.clone()), ("auth".to_owned(), target)]);
        Peers::new(targets, Arc::new(keyring))
    }
}

/// A call with a token.
pub(crate) fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    request
}

pub(crate) fn pay(invoice: &str) -> PayInvoiceRequest {
    PayInvoiceRequest { invoice: invoice.to_owned() }
}

pub(crate) fn reason(status: &Status) -> String {
    poa_chassis::failure(status).reason
}

#[tonic::async_trait]
impl FaucetService for Services {
    async fn pay_invoice(
        &self,
        request: Request<PayInvoiceRequest>,
    ) -> Result<Response<PayInvoiceResponse>, Status> {
        user(&request).map_err(status)?;
        validate(request.get_ref()).map_err(status)?;
        match request.get_ref().invoice.as_str() {
            HANG => std::future::pending().await,
            PANIC => panic!("a bug"),
            REMAINING => {
                let left = Context::current().and_then(|context| context.remaining()).unwrap_or_default();
                let amount_msat = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
                Ok(Response::new(PayInvoiceResponse { amount_msat }))
            }
            _ => Ok(Response::new(PayInvoiceResponse { amount_msat: 1 })),
        }
    }

    async fn create_outside_invoice(
        &self,
        _: Request<CreateOutsideInvoiceRequest>,
    ) -> Result<Response<CreateOutsideInvoiceResponse>, Status> {
        Err(status(Error::Overloaded))
    }
}

#[tonic::async_trait]
impl AttestationInternalService for Services {
    type WatchAttestationEventsStream = ReceiverStream<Result<WatchAttestationEventsResponse, Status>>;

    async fn watch_attestation_events(
        &self,
        _: Request<WatchAttestationEventsRequest>,
    ) -> Result<Response<Self::WatchAttestationEventsStream>, Status> {
        Err(status(Error::Overloaded))
    }

    async fn append_liabilities(
        &self,
        _: Request<AppendLiabilitiesRequest>,
    ) -> Result<Response<AppendLiabilitiesResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn append_statement(
        &self,
        _: Request<AppendStatementRequest>,
    ) -> Result<Response<AppendStatementResponse>, Status> {
        Ok(Response::new(AppendStatementResponse::default()))
    }
}

#[tonic::async_trait]
impl AuthInternalService for Services {
    type WatchAgentEventsStream = ReceiverStream<Result<WatchAgentEventsResponse, Status>>;

    async fn exchange_api_key(
        &self,
        _: Request<ExchangeApiKeyRequest>,
    ) -> Result<Response<ExchangeApiKeyResponse>, Status> {
        Ok(Response::new(ExchangeApiKeyResponse::default()))
    }

    /// One message, then silence.
    async fn watch_agent_events(
        &self,
        _: Request<WatchAgentEventsRequest>,
    ) -> Result<Response<Self::WatchAgentEventsStream>, Status> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let first =
                sender.send(Ok(WatchAgentEventsResponse { cursor: "1".to_owned(), update: None })).await;
            if first.is_ok() {
                sender.closed().await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
