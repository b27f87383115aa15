//! The mesh that all tests share, and who acts in it: Alice offers tasks, Bob's agent does them, Mallory has nothing to do
//! with any of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use poa_chassis::token::{AccessClaims, sign_access, sign_service};
use poa_common::{Env, TypedId};
use poa_e2e::{Deployment, PROCESSES};
use poa_proto::{METHODS, Method};
use poa_testkit::NitroEnclave;
use tokio::sync::Mutex;

use super::evidence;
use super::story::{Cast, Props, Story};
use super::wire::{Credentials, Wire, server_of};

/// Tokens of an account are good for this deployment.
const AUDIENCE: &str = "proof-of-agent";
/// The life of a token that a test makes, in seconds.
const LIFETIME: i64 = 600;
/// What differs from a deployment of people's: the tests call often, from one address, take their time with a claim, and do not
/// wait a day until what is owed is stated.
const SETTINGS: [(&str, &str, &str); 10] = [
    ("auth", "POA__HASHING__MEMORY_KIB", "64"),
    ("auth", "POA__HASHING__PASSES", "1"),
    ("task", "POA__CLAIMS__LEASE_SECONDS", "3600"),
    ("task", "POA__CLAIMS__RESERVATION_SECONDS", "3"),
    ("escrow", "POA__LIABILITIES__EVERY_SECONDS", "3"),
    ("gateway", "POA__RATES__PER_IP", "1000000"),
    ("gateway", "POA__RATES__IP_BURST", "1000000"),
    ("gateway", "POA__RATES__PER_ACCOUNT", "1000000"),
    ("gateway", "POA__RATES__ACCOUNT_BURST", "1000000"),
    ("gateway", "POA__OPEN__CALLS_PER_IP", "4096"),
];

/// A running mesh, with a story that has happened in it.
pub(crate) struct World {
    deployment: Deployment,
    /// Where each server listens: for calls, and for operators.
    pub(crate) servers: BTreeMap<&'static str, (String, String)>,
    pub(crate) env: Env,
    /// A trusted execution environment that this mesh believes, in which Bob's agent may work.
    pub(crate) enclave: NitroEnclave,
    pub(crate) cast: Cast,
    pub(crate) props: Props,
}

/// The mesh, with connections of one test's own.
pub(crate) struct Scene {
    pub(crate) world: Arc<World>,
    pub(crate) wire: Wire,
}

/// What a token says that no server gave out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Forgery {
    /// It ended a second ago.
    Expired,
    /// It is for another deployment.
    Elsewhere,
    /// It is signed by a service's key.
    OtherKey,
}

/// Every method of the servers that run, for which there is a caller.
pub(crate) fn methods() -> impl Iterator<Item = &'static Method> {
    let runs = |server: &str| PROCESSES.iter().any(|(name, _)| *name == server);
    let called =
        move |method: &Method| method.callers.is_empty() || method.callers.iter().any(|caller| runs(caller));
    METHODS.iter().filter(move |method| runs(server_of(method)) && called(method))
}

// === impl Scene ===

impl Scene {
    /// The mesh that is running, or a new one. It ends with the last test that holds it.
    pub(crate) async fn enter() -> Self {
        static SHARED: Mutex<Weak<World>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        let world = match shared.upgrade() {
            Some(world) => world,
            None => {
                let world = Arc::new(Box::pin(World::start()).await);
                *shared = Arc::downgrade(&world);
                world
            }
        };
        Self { wire: Wire::new(&world.servers), world }
    }

    /// What can happen.
    pub(crate) fn story(&self) -> Story<'_> {
        Story { wire: &self.wire, env: &self.world.env, cast: &self.world.cast }
    }
}

// === impl World ===

impl World {
    async fn start() -> Self {
        let env = poa_sdk::system_env();
        let enclave = NitroEnclave::new(env.now());
        let deployment =
            Deployment::separate_prepared(&SETTINGS, |keys| evidence::trust_enclave(keys, &enclave, &env))
                .await;
        let servers: BTreeMap<_, _> =
            PROCESSES.iter().filter_map(|(name, _)| Some((*name, deployment.endpoints_of(name)?))).collect();
        let wire = Wire::new(&servers);
        let cast = Cast::assemble(&wire, &env).await;
        let props = Story { wire: &wire, env: &env, cast: &cast }.tell().await;
        let world = Self { deployment, servers, env, enclave, cast, props };
        let story = Story { wire: &wire, env: &world.env, cast: &world.cast };
        story.fees(&world.operator()).await;
        story.published(&world).await;
        story.measured(&world).await;
        world
    }

    pub(crate) fn key(&self, file: &str) -> PathBuf {
        self.deployment.keys_folder().join(file)
    }

    /// An access token of an account with scopes of one's own choice.
    pub(crate) fn token(&self, account: &str, scopes: &[&str]) -> Credentials {
        self.signed(account, scopes, None)
    }

    /// An access token that does not hold.
    pub(crate) fn forged(&self, account: &str, scopes: &[&str], forgery: Forgery) -> Credentials {
        self.signed(account, scopes, Some(forgery))
    }

    fn signed(&self, account: &str, scopes: &[&str], forgery: Option<Forgery>) -> Credentials {
        let file = if matches!(forgery, Some(Forgery::OtherKey)) { "service-task.key" } else { "jwt.key" };
        let key = poa_chassis::keyring::signing_key(&self.key(file), &self.env).expect("a key");
        let genuine =
            poa_chassis::keyring::signing_key(&self.key("jwt.key"), &self.env).expect("the key of tokens");
        let now = self.env.now().unix_timestamp();
        let expired = matches!(forgery, Some(Forgery::Expired));
        let claims = AccessClaims {
            iss: "auth".to_owned(),
            aud: if matches!(forgery, Some(Forgery::Elsewhere)) { "elsewhere" } else { AUDIENCE }.to_owned(),
            sub: account.parse().expect("an account's id"),
            scope: scopes.join(" "),
            agent: None,
            sid: Some(self.env.new_id()),
            iat: now - if expired { LIFETIME } else { 0 },
            exp: now + if expired { -1 } else { LIFETIME },
        };
        let kid = poa_chassis::keyring::key_id(&genuine.verifying_key());
        Credentials::Bearer(sign_access(&key, &kid, &claims).expect("a token"))
    }

    /// A token of a service for calls to another.
    pub(crate) fn service(&self, caller: &str, callee: &str) -> Credentials {
        let file = self.key(&format!("service-{caller}.key"));
        assert!(file.exists(), "there is no key of {caller}: a deployment must make one");
        let key = poa_chassis::keyring::signing_key(&file, &self.env).expect("a service's key");
        Credentials::Bearer(sign_service(&key, caller, callee, self.env.now()).expect("a token"))
    }

    /// The operator's token.
    pub(crate) fn operator(&self) -> Credentials {
        let token =
            std::fs::read_to_string(self.deployment.admin_token_file()).expect("the operator's token");
        Credentials::Bearer(token.trim().to_owned())
    }

    /// A new id of a kind that nothing has.
    pub(crate) fn unused_id<T: TypedId>(&self) -> String {
        self.env.new_id::<T>().to_string()
    }
}
