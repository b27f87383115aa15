//! A server in this process, with a clock in the test's hand.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use poa_auth::{Config, HashingConfig};
use poa_chassis::client::{PeerChannel, Peers};
use poa_chassis::keyring::{self, Keyring};
use poa_chassis::token::{AccessClaims, sign_access};
use poa_chassis::{Deps, InProcess, Lifecycle, Readiness, Target, run_app};
use poa_common::{Env, Network, TypedId};
use poa_proto::auth::v1::agent_service_client::AgentServiceClient;
use poa_proto::auth::v1::auth_internal_service_client::AuthInternalServiceClient;
use poa_proto::auth::v1::auth_service_client::AuthServiceClient;
use poa_proto::auth::v1::{
    Account, LoginRequest, RefreshSessionRequest, RegisterAgentRequest, RegisterRequest, Tokens,
};
use poa_storage::DatabaseConfig;
use poa_testkit::TestClock;
use proof_of_agent::{DidKey, LogKey, TrustRoot};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

pub(crate) const PASSWORD: &str = "correct horse battery";
const AUDIENCE: &str = "proof-of-agent";
const SERVICES: [&str; 4] = ["auth", "gateway", "attestation", "search"];

/// A running server.
pub(crate) struct Server {
    pub(crate) clock: TestClock,
    pub(crate) env: Env,
    pub(crate) readiness: Readiness,
    keys: Arc<TempDir>,
    url: String,
    pipe: InProcess,
    lifecycle: Lifecycle,
}

/// Somebody with an account.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) account: Account,
    pub(crate) tokens: Tokens,
}

/// Wakes no other test: each server has a database and keys of its own.
pub(crate) async fn server() -> Server {
    server_with(|_| {}).await
}

pub(crate) async fn server_with(change: impl FnOnce(&mut Config)) -> Server {
    let (env, clock) = poa_testkit::env(7);
    let keys = keys(&env);
    let url = poa_testkit::fresh_database("auth").await;
    serve(env, clock, Arc::new(keys), url, change).await
}

/// The keys of a deployment, in a folder of their own.
pub(crate) fn keys(env: &Env) -> TempDir {
    let keys = tempfile::tempdir().unwrap();
    keyring::provision(keys.path(), &SERVICES, env).unwrap();
    write_trust_root(keys.path());
    keys
}

async fn serve(
    env: Env,
    clock: TestClock,
    keys: Arc<TempDir>,
    url: String,
    change: impl FnOnce(&mut Config),
) -> Server {
    let mut config = Config {
        database: DatabaseConfig::new(url.clone()),
        hashing: HashingConfig { memory_kib: 64, passes: 1, ..HashingConfig::default() },
        ..Config::default()
    };
    config.server.keys_dir = keys.path().to_owned();
    change(&mut config);

    let keyring = Arc::new(Keyring::open(keys.path(), "auth", AUDIENCE, &env).unwrap());
    let deps = Deps {
        env: env.clone(),
        peers: Peers::new(BTreeMap::new(), Arc::clone(&keyring)),
        keyring,
        lifecycle: Lifecycle::default(),
        readiness: Readiness::default(),
    };
    let (pipe, listen) = InProcess::pair();
    let (lifecycle, readiness) = (deps.lifecycle.clone(), deps.readiness.clone());
    let app = poa_auth::build(config.clone(), deps.clone()).await.unwrap();
    tokio::spawn(async move { run_app(app, &config.server, &deps, listen).await.unwrap() });
    Server { clock, env, readiness, keys, url, pipe, lifecycle }
}

fn write_trust_root(keys: &Path) {
    let key = |seed| DidKey::of(&SigningKey::from_bytes(&[seed; 32]));
    let log_key = LogKey::new("log.example", key(1)).unwrap();
    let root = TrustRoot::new(Network::Simulated, "log.example", vec![log_key], vec![key(2)], None).unwrap();
    std::fs::write(keys.join("trust-root.json"), root.to_json().unwrap()).unwrap();
}

/// A request with an access token.
pub(crate) fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// The code and the reason of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(outcome: Result<T, Status>) -> (Code, String) {
    let status = outcome.unwrap_err();
    (status.code(), poa_chassis::failure(&status).reason)
}

/// The fields that a refusal names.
pub(crate) fn bad_fields<T: std::fmt::Debug>(outcome: Result<T, Status>) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let status = outcome.unwrap_err();
    assert_eq!(poa_chassis::failure(&status).reason, "FIELDS_INVALID", "{status:?}");
    let details = status.get_details_bad_request().unwrap();
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

// === impl Server ===

impl Server {
    /// A second server on the same database and keys.
    pub(crate) async fn another(&self) -> Self {
        serve(self.env.clone(), self.clock.clone(), Arc::clone(&self.keys), self.url.clone(), |_| {}).await
    }

    fn channel(&self) -> Channel {
        self.peers("auth").channel("auth").unwrap()
    }

    fn peers(&self, caller: &'static str) -> Peers {
        let keyring = Keyring::open(self.keys.path(), caller, AUDIENCE, &self.env).unwrap();
        let target = Target::InProcess(self.pipe.clone());
        Peers::new(BTreeMap::from([("auth".to_owned(), target)]), Arc::new(keyring))
    }

    pub(crate) fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel())
    }

    pub(crate) fn agents(&self) -> AgentServiceClient<Channel> {
        AgentServiceClient::new(self.channel())
    }

    /// The internal methods, for another service.
    pub(crate) fn internal(&self, caller: &'static str) -> AuthInternalServiceClient<PeerChannel> {
        AuthInternalServiceClient::new(self.peers(caller).identified("auth").unwrap())
    }

    /// The internal methods, for whoever brings a token of their own.
    pub(crate) fn internal_bare(&self) -> AuthInternalServiceClient<Channel> {
        AuthInternalServiceClient::new(self.channel())
    }

    pub(crate) async fn sql(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.sql().await).await.unwrap()
    }

    pub(crate) fn request_id(&self) -> String {
        uuid::Uuid::from_bytes(self.env.random()).to_string()
    }

    pub(crate) fn register_request(&self, username: &str) -> RegisterRequest {
        RegisterRequest {
            request_id: self.request_id(),
            username: username.to_owned(),
            password: PASSWORD.to_owned(),
            display_name: String::new(),
        }
    }

    pub(crate) fn login_request(&self, username: &str) -> LoginRequest {
        LoginRequest {
            request_id: self.request_id(),
            username: username.to_owned(),
            password: PASSWORD.to_owned(),
        }
    }

    pub(crate) async fn sign_up(&self, username: &str) -> User {
        let answer = self.auth().register(self.register_request(username)).await.unwrap().into_inner();
        User { account: answer.account.unwrap(), tokens: answer.tokens.unwrap() }
    }

    pub(crate) async fn refresh(&self, token: &str) -> Result<Tokens, Status> {
        let request = RefreshSessionRequest { refresh_token: token.to_owned() };
        self.auth().refresh_session(request).await.map(|answer| answer.into_inner().tokens.unwrap())
    }

    /// A token that auth's own key signs, whatever it says.
    pub(crate) fn token(&self, change: impl FnOnce(&mut AccessClaims)) -> String {
        let key = self.jwt_key();
        let now = self.env.now().unix_timestamp();
        let mut claims = AccessClaims {
            iss: "auth".to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: self.env.new_id(),
            scope: "account.read account.write agents.read agents.write".to_owned(),
            agent: None,
            sid: None,
            iat: now,
            exp: now + 600,
        };
        change(&mut claims);
        sign_access(&key, &keyring::key_id(&key.verifying_key()), &claims).unwrap()
    }

    /// A token of a user's session, with some scopes only.
    pub(crate) fn token_of(&self, user: &User, scope: &str) -> String {
        self.token(|claims| {
            claims.sub = user.account.account_id.parse().unwrap();
            claims.sid = Some(user.tokens.session_id.parse().unwrap());
            claims.scope = scope.to_owned();
        })
    }

    pub(crate) fn jwt_key(&self) -> SigningKey {
        keyring::signing_key(&self.keys.path().join("jwt.key"), &self.env).unwrap()
    }

    /// A registration of a new agent, with the proof that the contract asks for.
    pub(crate) fn agent_request(&self, user: &User, name: &str) -> RegisterAgentRequest {
        let key = SigningKey::from_bytes(&self.env.random());
        let public_key = key.verifying_key().to_bytes().to_vec();
        let digits: String = public_key.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("poa.auth.v1.RegisterAgent\n{}\n{digits}", user.account.account_id);
        RegisterAgentRequest {
            request_id: self.request_id(),
            name: name.to_owned(),
            description: "Summarises texts.\nAll of them.".to_owned(),
            capabilities: vec!["text.summarize".to_owned()],
            public_key,
            key_proof: key.sign(text.as_bytes()).to_bytes().to_vec(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.lifecycle.begin_drain();
        self.lifecycle.stopping().cancel();
    }
}

/// An id that nobody has.
pub(crate) fn nobody<T: TypedId>(server: &Server) -> String {
    server.env.new_id::<T>().to_string()
}
