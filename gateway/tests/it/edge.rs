//! A gateway with an escrow that shows the headers it got, and an auth that knows one API key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use poa_chassis::client::Peers;
use poa_chassis::config::ServerConfig;
use poa_chassis::keyring::{self, Keyring};
use poa_chassis::token::{AccessClaims, sign_access};
use poa_chassis::{
    App, Deps, Error, InProcess, Lifecycle, Readiness, Served as _, Target, bind, run_app, status, system_env,
};
use poa_common::{AccountId, Env, TypedId as _};
use poa_gateway::Config;
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
use tokio_stream::Empty;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// The feed.
const WATCH: &str = "/poa.task.v1.TaskService/WatchOpenTasks";
/// The one API key that auth knows.
pub(crate) const API_KEY: &str = "poak_0123456789";

pub(crate) struct Edge {
    keys: TempDir,
    env: Env,
    public: SocketAddr,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) exchanges: Arc<AtomicUsize>,
}

struct Escrow;

struct Auth {
    token: String,
    exchanges: Arc<AtomicUsize>,
}

impl Edge {
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let env = system_env();
        let keys = tempfile::tempdir().expect("a folder");
        keyring::provision(keys.path(), &["auth", "escrow", "gateway", "task"], &env).expect("keys");
        let exchanges = Arc::new(AtomicUsize::new(0));
        let token = access_token(keys.path(), &env);
        let auth = Auth { token, exchanges: Arc::clone(&exchanges) };
        let auth = serve(keys.path(), &env, "auth", Routes::new(AuthInternalServiceServer::new(auth)));
        let escrow = serve(keys.path(), &env, "escrow", Routes::new(FaucetServiceServer::new(Escrow)));
        let feed = axum::Router::new().route(WATCH, axum::routing::post(endless_feed));
        let task = serve(keys.path(), &env, "task", Routes::from(feed));
        // Nobody accepts on the pipes of attestation and search: they are down.
        let (attestation, _) = InProcess::pair();
        let (search, _) = InProcess::pair();
        let targets = [
            ("auth", auth),
            ("escrow", escrow),
            ("task", task),
            ("attestation", attestation),
            ("search", search),
        ];
        let targets = targets.map(|(name, pipe)| (name.to_owned(), Target::InProcess(pipe)));

        let mut config = Config::default();
        config.server.keys_dir = keys.path().to_owned();
        change(&mut config);
        let deps = deps(keys.path(), &env, "gateway", targets.into());
        let (listen, public) = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        let lifecycle = deps.lifecycle.clone();
        let edge = poa_gateway::build(config.clone(), deps.clone()).await.expect("a gateway");
        tokio::spawn(
            async move { edge.serve(&config.server, &deps, listen).await.expect("the gateway runs") },
        );
        Self { keys, env, public, lifecycle, exchanges }
    }

    pub(crate) fn channel(&self) -> Channel {
        let targets =
            BTreeMap::from([("gateway".to_owned(), Target::Address(format!("http://{}", self.public)))]);
        deps(self.keys.path(), &self.env, "task", targets).peers.channel("gateway").expect("a channel")
    }

    /// Where the gateway listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.public
    }

    pub(crate) fn faucet(&self) -> FaucetServiceClient<Channel> {
        FaucetServiceClient::new(self.channel())
    }

    pub(crate) fn token(&self) -> String {
        access_token(self.keys.path(), &self.env)
    }
}

/// One empty message, then silence.
async fn endless_feed() -> axum::response::Response {
    let first = http_body_util::StreamBody::new(futures_util::StreamExt::chain(
        futures_util::stream::iter([Ok::<_, std::convert::Infallible>(http_body::Frame::data(
            vec![0; 5].into(),
        ))]),
        futures_util::stream::pending(),
    ));
    let response = axum::response::Response::builder().header("content-type", "application/grpc");
    response.body(axum::body::Body::new(first)).expect("a response")
}

fn deps(keys: &Path, env: &Env, name: &'static str, targets: BTreeMap<String, Target>) -> Deps {
    let keyring = Arc::new(Keyring::open(keys, name, "proof-of-agent", env).expect("a keyring"));
    Deps {
        env: env.clone(),
        peers: Peers::new(targets, Arc::clone(&keyring)),
        keyring,
        lifecycle: Lifecycle::default(),
        readiness: Readiness::default(),
    }
}

fn serve(keys: &Path, env: &Env, name: &'static str, routes: Routes) -> InProcess {
    let (pipe, listen) = InProcess::pair();
    let deps = deps(keys, env, name, BTreeMap::new());
    let config = ServerConfig { keys_dir: keys.to_owned(), ..ServerConfig::default() };
    let app = App { name, services: &[], routes, admin: None };
    tokio::spawn(async move { run_app(app, &config, &deps, listen).await.expect("the server runs") });
    pipe
}

fn access_token(keys: &Path, env: &Env) -> String {
    let key = keyring::signing_key(&keys.join("jwt.key"), env).expect("the key");
    let now = env.now().unix_timestamp();
    let claims = AccessClaims {
        iss: "auth".to_owned(),
        aud: "proof-of-agent".to_owned(),
        sub: AccountId::from_uuid(env.new_id::<AccountId>().uuid()),
        scope: "money.deposit tasks.read".to_owned(),
        agent: None,
        sid: None,
        iat: now,
        exp: now + 600,
    };
    sign_access(&key, &keyring::key_id(&key.verifying_key()), &claims).expect("a token")
}

pub(crate) fn pay(invoice: &str, token: &str) -> Request<PayInvoiceRequest> {
    let mut request = Request::new(PayInvoiceRequest { invoice: invoice.to_owned() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    request
}

#[tonic::async_trait]
impl FaucetService for Escrow {
    /// Refuses with the names of the headers that arrived, or with the time that is left; hangs where that is asked for.
    async fn pay_invoice(
        &self,
        request: Request<PayInvoiceRequest>,
    ) -> Result<Response<PayInvoiceResponse>, Status> {
        match request.get_ref().invoice.as_str() {
            "hang" => std::future::pending().await,
            "left" => {
                let left = poa_chassis::Context::current().and_then(|context| context.remaining());
                Err(Status::already_exists(format!("{} ms", left.unwrap_or_default().as_millis())))
            }
            "headers" => {
                let names: Vec<String> = request.metadata().keys().map(|key| format!("{key:?}")).collect();
                Err(Status::already_exists(names.join(" ")))
            }
            _ => Ok(Response::new(PayInvoiceResponse { amount_msat: 1 })),
        }
    }

    async fn create_outside_invoice(
        &self,
        _: Request<CreateOutsideInvoiceRequest>,
    ) -> Result<Response<CreateOutsideInvoiceResponse>, Status> {
        tokio::time::sleep(Duration::ZERO).await;
        Err(status(Error::Overloaded))
    }
}

#[tonic::async_trait]
impl AuthInternalService for Auth {
    type WatchAgentEventsStream = Empty<Result<WatchAgentEventsResponse, Status>>;

    async fn exchange_api_key(
        &self,
        request: Request<ExchangeApiKeyRequest>,
    ) -> Result<Response<ExchangeApiKeyResponse>, Status> {
        self.exchanges.fetch_add(1, Ordering::SeqCst);
        if request.get_ref().secret == API_KEY {
            let access_token = self.token.clone();
            Ok(Response::new(ExchangeApiKeyResponse { access_token, expire_time: None }))
        } else {
            Err(status(Error::CredentialsInvalid { problem: "unknown" }))
        }
    }

    async fn watch_agent_events(
        &self,
        _: Request<WatchAgentEventsRequest>,
    ) -> Result<Response<Self::WatchAgentEventsStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }
}
