//! Who trades: requesters with sats from the faucet, and agents with keys of their own, each with an account.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use poa_proto::auth::v1::agent_service_client::AgentServiceClient;
use poa_proto::auth::v1::auth_service_client::AuthServiceClient;
use poa_proto::auth::v1::{RefreshSessionRequest, RegisterAgentRequest, RegisterRequest, Tokens};
use poa_proto::escrow::v1::escrow_service_client::EscrowServiceClient;
use poa_proto::escrow::v1::faucet_service_client::FaucetServiceClient;
use poa_proto::escrow::v1::{CreateDepositRequest, GetBalanceRequest, PayInvoiceRequest};
use poa_sdk::{AccountId, AgentId, AgentKey, Env};
use tokio::sync::RwLock;
use tonic::Request;
use tonic::metadata::AsciiMetadataValue;

use crate::Failure;
use crate::clients::Entry;

/// Sign-ups at once: each costs a password hash.
const AT_ONCE: usize = 4;
/// What each requester has to spend, in msat: ten thousand tasks and more.
const FUNDS_MSAT: i64 = 10_000_000_000;
/// How long a deposit may take to be credited.
const CREDITED_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at a balance.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What the tasks of the run ask for.
pub(crate) const CAPABILITY: &str = "bench.echo";

/// Everybody.
pub(crate) struct Parties {
    /// Who offers tasks.
    pub(crate) requesters: Vec<Party>,
    /// Who works.
    pub(crate) workers: Vec<Worker>,
    /// The clock and the randomness of this machine.
    pub(crate) env: Env,
}

/// Somebody with an account and a session.
pub(crate) struct Party {
    account: String,
    tokens: RwLock<Shown>,
}

/// What a session shows and what it is renewed with.
struct Shown {
    bearer: AsciiMetadataValue,
    refresh: String,
}

/// An agent and its owner.
pub(crate) struct Worker {
    /// Its owner.
    pub(crate) owner: Party,
    /// The owner's account, which is paid.
    pub(crate) account: AccountId,
    /// The agent.
    pub(crate) agent: AgentId,
    /// The agent's key.
    pub(crate) key: AgentKey,
}

// === impl Parties ===

impl Parties {
    /// Signs everybody up and fills the requesters' accounts.
    pub(crate) async fn sign_up(entry: &Entry, count: usize) -> Result<Arc<Self>, Failure> {
        let env = poa_sdk::system_env();
        let (own, given) = (&env, entry);
        let requesters = futures_util::stream::iter(0..count)
            .map(|_| async move {
                let party = Party::register(given, own).await?;
                party.fill(given, own).await?;
                Ok::<_, Failure>(party)
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let workers = futures_util::stream::iter(0..count)
            .map(|_| Worker::register(given, own))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(Arc::new(Self { requesters, workers, env }))
    }

    /// Renews every session: access tokens live for ten minutes.
    pub(crate) async fn renew(&self, entry: &Entry) -> Result<(), Failure> {
        let all = self.requesters.iter().chain(self.workers.iter().map(|worker| &worker.owner));
        futures_util::stream::iter(all)
            .map(|party| party.renew(entry))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }
}

// === impl Party ===

impl Party {
    async fn register(entry: &Entry, env: &Env) -> Result<Self, Failure> {
        let request = RegisterRequest {
            request_id: request_id(env),
            username: format!("b-{}", hex::encode(env.random::<8>())),
            password: hex::encode(env.random::<16>()),
            display_name: String::new(),
        };
        let (wire, origin) = entry.wire(0);
        let answer = AuthServiceClient::with_origin(wire, origin).register(request).await?.into_inner();
        let account = answer.account.ok_or("an account")?.account_id;
        Ok(Self { account, tokens: RwLock::new(Shown::of(answer.tokens)?) })
    }

    /// A message with the caller's token.
    pub(crate) async fn signed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.tokens.read().await.bearer.clone());
        request
    }

    async fn renew(&self, entry: &Entry) -> Result<(), Failure> {
        let mut tokens = self.tokens.write().await;
        let request = RefreshSessionRequest { refresh_token: tokens.refresh.clone() };
        let (wire, origin) = entry.wire(0);
        let answer = AuthServiceClient::with_origin(wire, origin).refresh_session(request).await?;
        *tokens = Shown::of(answer.into_inner().tokens)?;
        Ok(())
    }

    /// Deposits by the faucet, and waits for the credit.
    async fn fill(&self, entry: &Entry, env: &Env) -> Result<(), Failure> {
        let (wire, origin) = entry.wire(0);
        let mut escrow = EscrowServiceClient::with_origin(wire.clone(), origin.clone());
        let request = CreateDepositRequest { request_id: request_id(env), amount_msat: FUNDS_MSAT };
        let answer = escrow.create_deposit(self.signed(request).await).await?.into_inner();
        let invoice = answer.deposit.ok_or("a deposit")?.invoice;
        let paying = self.signed(PayInvoiceRequest { invoice }).await;
        FaucetServiceClient::with_origin(wire, origin).pay_invoice(paying).await?;
        let credited = async {
            loop {
                let answer = escrow.get_balance(self.signed(GetBalanceRequest {}).await).await?.into_inner();
                if answer.balance.is_some_and(|balance| balance.available_msat >= FUNDS_MSAT) {
                    return Ok::<_, Failure>(());
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(CREDITED_WITHIN, credited).await?
    }
}

// === impl Worker ===

impl Worker {
    async fn register(entry: &Entry, env: &Env) -> Result<Self, Failure> {
        let owner = Party::register(entry, env).await?;
        let key = AgentKey::generate(env);
        let request = RegisterAgentRequest {
            request_id: request_id(env),
            name: "bench".to_owned(),
            description: String::new(),
            capabilities: vec![CAPABILITY.to_owned()],
            public_key: key.public_key().to_vec(),
            key_proof: key.registration_proof(&owner.account.parse()?).to_vec(),
        };
        let (wire, origin) = entry.wire(0);
        let answer =
            AgentServiceClient::with_origin(wire, origin).register_agent(owner.signed(request).await).await?;
        let agent = answer.into_inner().agent.ok_or("an agent")?.agent_id.parse()?;
        Ok(Self { account: owner.account.parse()?, owner, agent, key })
    }
}

// === impl Shown ===

impl Shown {
    fn of(tokens: Option<Tokens>) -> Result<Self, Failure> {
        let tokens = tokens.ok_or("tokens")?;
        let bearer = format!("Bearer {}", tokens.access_token).parse()?;
        Ok(Self { bearer, refresh: tokens.refresh_token })
    }
}

/// A new request id.
pub(crate) fn request_id(env: &Env) -> String {
    uuid::Builder::from_random_bytes(env.random()).into_uuid().hyphenated().to_string()
}
