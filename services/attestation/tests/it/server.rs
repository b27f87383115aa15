//! The service under test: keys in a folder, a database of its own, calls through the real layers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use poa_attestation::Config;
use poa_chassis::client::{PeerChannel, Peers};
use poa_chassis::config::ServerConfig;
use poa_chassis::keyring::{self, Keyring};
use poa_chassis::token::{AccessClaims, sign_access};
use poa_chassis::{App, BuildError, Deps, InProcess, Lifecycle, Readiness, Target, run_app};
use poa_common::{AccountId, Env, Network};
use poa_proto::attestation::v1::attestation_internal_service_client::AttestationInternalServiceClient;
use poa_proto::attestation::v1::attestation_service_client::AttestationServiceClient;
use poa_storage::DatabaseConfig;
use proof_of_agent::{TrustRoot, Trusted};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::Request;
use tonic::transport::Channel;

use crate::auth::FakeAuth;

/// Long enough for a loaded machine, short enough to hear of a hang.
pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const ORIGIN: &str = "simulated.poa/tests";
const AUDIENCE: &str = "proof-of-agent";

/// A deployment: keys, a database and an auth.
pub(crate) struct Deployment {
    pub(crate) env: Env,
    pub(crate) keys: TempDir,
    pub(crate) database_url: String,
    pub(crate) trust_root: TrustRoot,
    pub(crate) auth: FakeAuth,
    auth_pipe: InProcess,
}

/// A running replica of the service.
pub(crate) struct Replica {
    pipe: InProcess,
    pub(crate) lifecycle: Lifecycle,
    serving: JoinHandle<()>,
}

/// A replica with threads of its own, which can be killed at any point of what it does.
pub(crate) struct Mortal {
    pipe: InProcess,
    runtime: tokio::runtime::Runtime,
}

impl Deployment {
    pub(crate) async fn new() -> Self {
        let env = poa_chassis::system_env();
        let keys = tempfile::tempdir().unwrap();
        keyring::provision(keys.path(), &["auth", "task", "attestation", "search", "escrow"], &env).unwrap();
        let trust_root = poa_attestation::provision(keys.path(), Network::Simulated, ORIGIN, &env).unwrap();
        let auth = FakeAuth::new(env.clone());
        let auth_pipe = serve_auth(&auth, keys.path(), &env);
        let database_url = poa_testkit::fresh_database("attestation").await;
        Self { env, keys, database_url, trust_root, auth, auth_pipe }
    }

    pub(crate) fn config(&self) -> Config {
        Config { database: DatabaseConfig::new(self.database_url.clone()), ..Config::default() }
    }

    pub(crate) async fn replica(&self) -> Replica {
        self.replica_with(self.config()).await
    }

    pub(crate) async fn replica_with(&self, config: Config) -> Replica {
        let deps = self.deps();
        let app = poa_attestation::build(config.clone(), deps.clone()).await.unwrap();
        assert!(deps.readiness.missing().is_empty());
        let (pipe, listen) = InProcess::pair();
        let lifecycle = deps.lifecycle.clone();
        let serving = tokio::spawn(async move {
            run_app(app, &config.server, &deps, listen).await.unwrap();
        });
        Replica { pipe, lifecycle, serving }
    }

    /// A replica with these settings that [`Mortal::kill`] ends without a goodbye.
    pub(crate) fn mortal(&self, config: Config) -> Mortal {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (pipe, listen) = InProcess::pair();
        let deps = self.deps();
        runtime.spawn(async move {
            let app = poa_attestation::build(config.clone(), deps.clone()).await.unwrap();
            run_app(app, &config.server, &deps, listen).await.unwrap();
        });
        Mortal { pipe, runtime }
    }

    /// What building says, without serving.
    pub(crate) async fn try_build(&self) -> Result<App, BuildError> {
        self.try_build_with(self.config()).await
    }

    pub(crate) async fn try_build_with(&self, config: Config) -> Result<App, BuildError> {
        poa_attestation::build(config, self.deps()).await
    }

    fn deps(&self) -> Deps {
        let keyring = Keyring::open(self.keys.path(), "attestation", AUDIENCE, &self.env).unwrap();
        let keyring = Arc::new(keyring);
        let targets = BTreeMap::from([("auth".to_owned(), Target::InProcess(self.auth_pipe.clone()))]);
        Deps {
            env: self.env.clone(),
            peers: Peers::new(targets, Arc::clone(&keyring)),
            keyring,
            lifecycle: Lifecycle::default(),
            readiness: Readiness::default(),
        }
    }

    /// The task service's client of a replica.
    pub(crate) fn as_task(&self, pipe: &InProcess) -> AttestationInternalServiceClient<PeerChannel> {
        self.as_service("task", pipe)
    }

    /// Another service's client of a replica.
    pub(crate) fn as_service(
        &self,
        name: &'static str,
        pipe: &InProcess,
    ) -> AttestationInternalServiceClient<PeerChannel> {
        let keyring = Keyring::open(self.keys.path(), name, AUDIENCE, &self.env).unwrap();
        let targets = BTreeMap::from([("attestation".to_owned(), Target::InProcess(pipe.clone()))]);
        let peers = Peers::new(targets, Arc::new(keyring));
        AttestationInternalServiceClient::new(peers.identified("attestation").unwrap())
    }

    /// Anybody's client of a replica.
    pub(crate) fn as_anyone(&self, pipe: &InProcess) -> AttestationServiceClient<Channel> {
        let keyring = Keyring::open(self.keys.path(), "task", AUDIENCE, &self.env).unwrap();
        let targets = BTreeMap::from([("attestation".to_owned(), Target::InProcess(pipe.clone()))]);
        let channel = Peers::new(targets, Arc::new(keyring)).channel("attestation").unwrap();
        AttestationServiceClient::new(channel).max_decoding_message_size(16 * 1_024 * 1_024)
    }

    /// Another trust root takes the place of the one that was made with the keys.
    pub(crate) fn trust(&mut self, trusted: Trusted) {
        self.trust_root = TrustRoot::of(trusted).unwrap();
        std::fs::write(self.keys.path().join("trust-root.json"), self.trust_root.to_json().unwrap()).unwrap();
    }

    /// A request in the name of an account, to read its tasks.
    pub(crate) fn signed_in<T>(&self, account: AccountId, message: T) -> Request<T> {
        self.signed_in_for(account, "tasks.read", message)
    }

    /// A request in the name of an account, with a scope.
    pub(crate) fn signed_in_for<T>(&self, account: AccountId, scope: &str, message: T) -> Request<T> {
        let key = keyring::signing_key(&self.keys.path().join("jwt.key"), &self.env).unwrap();
        let now = self.env.now().unix_timestamp();
        let claims = AccessClaims {
            iss: "auth".to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: account,
            scope: scope.to_owned(),
            agent: None,
            sid: None,
            iat: now,
            exp: now + 600,
        };
        let token = sign_access(&key, &keyring::key_id(&key.verifying_key()), &claims).unwrap();
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    /// The database, to look at what was stored.
    pub(crate) async fn database(&self) -> PgPool {
        PgPool::connect(&self.database_url).await.unwrap()
    }
}

impl Replica {
    pub(crate) fn pipe(&self) -> &InProcess {
        &self.pipe
    }

    /// An orderly end.
    pub(crate) async fn stop(self) {
        self.lifecycle.begin_drain();
        self.serving.await.unwrap();
        self.lifecycle.stop(SOON).await;
    }
}

impl Mortal {
    pub(crate) fn pipe(&self) -> &InProcess {
        &self.pipe
    }

    /// Ends it wherever it stands.
    pub(crate) fn kill(self) {
        self.runtime.shutdown_background();
    }
}

fn serve_auth(auth: &FakeAuth, keys: &Path, env: &Env) -> InProcess {
    let keyring = Arc::new(Keyring::open(keys, "auth", AUDIENCE, env).unwrap());
    let deps = Deps {
        env: env.clone(),
        peers: Peers::new(BTreeMap::new(), Arc::clone(&keyring)),
        keyring,
        lifecycle: Lifecycle::default(),
        readiness: Readiness::default(),
    };
    let (pipe, listen) = InProcess::pair();
    let app = App { name: "auth", services: &[], routes: auth.routes(), admin: None };
    tokio::spawn(async move {
        let config = ServerConfig { reflection: false, ..ServerConfig::default() };
        run_app(app, &config, &deps, listen).await.unwrap();
    });
    pipe
}
