//! The users of the monolith.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use http_body_util::Full;
use poa_sdk::Env;
use poa_testkit::{Process, ProcessSpec};
use uuid::Uuid;

use super::{NewClaim, NewResult, NewTask, Shown, signed_bytes};
use crate::cluster::Cluster;
use crate::lifecycle::Took;
use crate::plain_http::{self, Pool};
use crate::{Failure, system};

/// How long the server may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(20);
/// What each requester has to spend, in msat.
const FUNDS_MSAT: i64 = 1_000_000_000_000;
/// What each task pays, in msat.
const PRICE_MSAT: i64 = 100_000;
/// The database.
const DATABASE: &str = "monolith";

/// The server and its users.
pub(crate) struct Monolith {
    process: Process,
    users: Arc<Users>,
}

/// Everybody who trades.
pub(crate) struct Users {
    address: String,
    pool: Pool<Full<Bytes>>,
    requesters: Vec<String>,
    agents: Vec<Agent>,
    next: AtomicUsize,
    input: String,
    result: String,
}

struct Agent {
    id: Uuid,
    token: String,
    key: SigningKey,
}

// === impl Monolith ===

impl Monolith {
    /// Starts the server and makes its users.
    pub(crate) async fn start(cluster: &Cluster, env: &Env, count: usize) -> Result<Self, Failure> {
        let url = cluster.database(DATABASE).await?;
        let spec =
            ProcessSpec::new(std::env::current_exe()?).arg("serve-monolith").arg("--database").arg(url);
        let (process, address) = crate::serve::start(&spec, LISTENS_WITHIN).await?;
        let users = Users {
            address: format!("http://{address}"),
            pool: plain_http::pool(),
            requesters: requesters(cluster, env, count).await?,
            agents: agents(cluster, env, count).await?,
            next: AtomicUsize::new(0),
            input: "Please do what is asked for here. ".repeat(30),
            result: format!("done: {}", ".".repeat(250)),
        };
        Ok(Self { process, users: Arc::new(users) })
    }

    /// Who trades.
    pub(crate) fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users)
    }

    /// Processor time of the server, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        system::cpu_seconds(self.process.id())
    }
}

// === impl Users ===

impl Users {
    /// One whole lifecycle, of the next requester and the next agent.
    pub(crate) async fn lifecycle(&self, due: Instant) -> Result<Took, Failure> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let requester = &self.requesters[number % self.requesters.len()];
        let agent = &self.agents[(number / self.requesters.len() + number * 7) % self.agents.len()];
        let offer = NewTask {
            title: "Repeat what I say".to_owned(),
            input: self.input.clone(),
            pattern: "^done".to_owned(),
            price_msat: PRICE_MSAT,
        };
        let task = self.post("", requester, &offer).await?;
        let create = due.elapsed();
        let begun = Instant::now();
        let claim = NewClaim { agent_id: agent.id };
        self.post(&format!("/{}/claim", task.id), &agent.token, &claim).await?;
        let claim = begun.elapsed();
        let begun = Instant::now();
        let signature = agent.key.sign(&signed_bytes(task.id, &self.result));
        let result = NewResult { result: self.result.clone(), signature: hex::encode(signature.to_bytes()) };
        self.post(&format!("/{}/result", task.id), &agent.token, &result).await?;
        self.post(&format!("/{}/release", task.id), requester, &()).await?;
        Ok(Took { create, claim, submit: begun.elapsed() })
    }

    async fn post(&self, path: &str, token: &str, body: &impl serde::Serialize) -> Result<Shown, Failure> {
        plain_http::post(&self.pool, format!("{}/tasks{path}", self.address), token, body).await
    }
}

async fn requesters(cluster: &Cluster, env: &Env, count: usize) -> Result<Vec<String>, Failure> {
    let mut tokens = Vec::with_capacity(count);
    for _ in 0..count {
        let (_, token) = account(cluster, env, FUNDS_MSAT).await?;
        tokens.push(token);
    }
    Ok(tokens)
}

async fn agents(cluster: &Cluster, env: &Env, count: usize) -> Result<Vec<Agent>, Failure> {
    let mut connection = cluster.connect(DATABASE).await?;
    let mut agents = Vec::with_capacity(count);
    for _ in 0..count {
        let (owner, token) = account(cluster, env, 0).await?;
        let id = uuid(env);
        let key = SigningKey::from_bytes(&env.random());
        sqlx::query("INSERT INTO agents (id, account_id, public_key) VALUES ($1, $2, $3)")
            .bind(id)
            .bind(owner)
            .bind(key.verifying_key().as_bytes().as_slice())
            .execute(&mut connection)
            .await?;
        agents.push(Agent { id, token, key });
    }
    Ok(agents)
}

async fn account(cluster: &Cluster, env: &Env, funds_msat: i64) -> Result<(Uuid, String), Failure> {
    let mut connection = cluster.connect(DATABASE).await?;
    let (id, token) = (uuid(env), hex::encode(env.random::<32>()));
    sqlx::query("INSERT INTO accounts (id, available_msat, held_msat) VALUES ($1, $2, 0)")
        .bind(id)
        .bind(funds_msat)
        .execute(&mut connection)
        .await?;
    sqlx::query("INSERT INTO sessions (token, account_id) VALUES ($1, $2)")
        .bind(&token)
        .bind(id)
        .execute(&mut connection)
        .await?;
    Ok((id, token))
}

fn uuid(env: &Env) -> Uuid {
    uuid::Builder::from_random_bytes(env.random()).into_uuid()
}
