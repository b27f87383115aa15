//! What is owed is stated in the log once a day, and each account proves its own part of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use futures_util::stream::BoxStream;
use poa_chassis::config::ServerConfig;
use poa_chassis::{App, InProcess, run_app};
use poa_common::{Msat, Network, Timestamp};
use poa_proto::attestation::v1::attestation_internal_service_server::{
    AttestationInternalService, AttestationInternalServiceServer,
};
use poa_proto::attestation::v1::{
    AppendLiabilitiesRequest, AppendLiabilitiesResponse, AppendStatementRequest, AppendStatementResponse,
    WatchAttestationEventsRequest, WatchAttestationEventsResponse,
};
use poa_proto::escrow::v1::{BalanceProof as Answered, GetBalanceProofRequest};
use poa_testkit::eventually;
use proof_of_agent::liabilities::{Liabilities, LiabilitiesStatement};
use proof_of_agent::tlog::{self, LogEntry};
use proof_of_agent::{
    BalanceProof, Checkpoint, DidKey, Digest, Nonce, TrustRoot, VerifiedBalance, verify_balance,
};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};

use crate::chain;
use crate::world::{SOON, User, World, refusal, with, world};

/// A log of liabilities alone, by the keys of the tests' trust root.
#[derive(Clone, Debug, Default)]
struct FakeLog(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The snapshots in the log, each with its envelope and leaf.
    stated: Vec<(Liabilities, Vec<u8>, Digest)>,
    asked: usize,
    /// No checkpoint covers what is stated.
    is_behind: bool,
    /// Signs another sum than it is asked to.
    lies: bool,
}

impl FakeLog {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).asked
    }

    fn stated(&self) -> Vec<Liabilities> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.stated.iter().map(|(liabilities, _, _)| *liabilities).collect()
    }

    fn append(&self, asked: &AppendLiabilitiesRequest) -> AppendLiabilitiesResponse {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked += 1;
        let snapshot = asked.snapshot_id.parse().unwrap();
        if !state.stated.iter().any(|(known, _, _)| known.snapshot == snapshot) {
            let time = asked.snapshot_time.unwrap();
            let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
            let liabilities = Liabilities {
                snapshot,
                root: Digest::try_from(asked.root.as_slice()).unwrap(),
                liabilities: Msat::new(asked.liabilities_msat - i64::from(state.lies)),
                leaf_count: u64::try_from(asked.leaf_count).unwrap(),
                snapshot_time: Timestamp::from_unix_timestamp_nanos(nanos).unwrap(),
            };
            let (key, origin) = (chain::platform(), trust_root().origin().to_owned());
            let nonce = Nonce::new([1; 16]);
            let signed =
                LiabilitiesStatement::new(Network::Simulated, origin, DidKey::of(&key), nonce, &liabilities);
            let envelope = signed.unwrap().sign(&key).unwrap();
            let leaf = LogEntry::of_notice::<Liabilities>(&envelope).unwrap().leaf_hash();
            state.stated.push((liabilities, envelope.to_json(), leaf));
        }
        answer(&state, snapshot)
    }
}

/// The place of a snapshot, and its proof.
fn answer(state: &State, snapshot: poa_common::LiabilitiesId) -> AppendLiabilitiesResponse {
    let leaves: Vec<Digest> = state.stated.iter().map(|(_, _, leaf)| *leaf).collect();
    let place = state.stated.iter().position(|(known, _, _)| known.snapshot == snapshot).unwrap();
    let mut answer = AppendLiabilitiesResponse {
        envelope: state.stated[place].1.clone(),
        log_index: i64::try_from(place).unwrap(),
        ..Default::default()
    };
    if !state.is_behind {
        let nodes = tlog::new_nodes_for_append(0, &leaves, &std::collections::HashMap::new()).unwrap();
        let nodes = nodes.into_iter().collect::<std::collections::HashMap<_, _>>();
        let (index, size) = (u64::try_from(place).unwrap(), u64::try_from(leaves.len()).unwrap());
        let proof = tlog::inclusion_proof(index, size, &nodes).unwrap();
        answer.inclusion_proof = proof.iter().map(|hash| hash.to_vec()).collect();
        let root = tlog::root(size, &nodes).unwrap();
        let checkpoint = Checkpoint { origin: trust_root().origin().to_owned(), size, root };
        answer.checkpoint = checkpoint.sign(&SigningKey::from_bytes(&[4; 32])).unwrap();
    }
    answer
}

#[tonic::async_trait]
impl AttestationInternalService for FakeLog {
    async fn append_statement(
        &self,
        _request: Request<AppendStatementRequest>,
    ) -> Result<Response<AppendStatementResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn append_liabilities(
        &self,
        request: Request<AppendLiabilitiesRequest>,
    ) -> Result<Response<AppendLiabilitiesResponse>, Status> {
        Ok(Response::new(self.append(request.get_ref())))
    }

    type WatchAttestationEventsStream = BoxStream<'static, Result<WatchAttestationEventsResponse, Status>>;

    async fn watch_attestation_events(
        &self,
        _request: Request<WatchAttestationEventsRequest>,
    ) -> Result<Response<Self::WatchAttestationEventsStream>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

fn trust_root() -> TrustRoot {
    chain::trust_root()
}

/// Lets the service of a world state what is owed every day in this log.
async fn state_daily(world: &mut World, log: &FakeLog) {
    let (pipe, listen) = InProcess::pair();
    let deps = world.deps_of("attestation");
    let routes = Routes::new(AttestationInternalServiceServer::new(log.clone()));
    let app = App { name: "attestation", services: &[], routes, admin: None };
    tokio::spawn(async move {
        let config = ServerConfig { reflection: false, ..ServerConfig::default() };
        run_app(app, &config, &deps, listen).await.unwrap();
    });
    world.stop().await;
    world.calls("attestation", pipe);
    world.change(|config| config.liabilities.every_seconds = 86_400);
    world.start().await;
}

/// Whether something is due is looked at once a minute, and at a start.
async fn a_day_later(world: &mut World) {
    world.clock.advance(Duration::from_secs(86_400));
    world.stop().await;
    world.start().await;
}

async fn proof(world: &World, user: &User) -> Result<Answered, Status> {
    let user = world.again(user);
    let answer = world.escrow().get_balance_proof(with(&user.token, GetBalanceProofRequest {})).await?;
    Ok(answer.into_inner().proof.unwrap())
}

/// Waits until a user has a proof, and verifies it.
async fn proved(world: &World, user: &User) -> VerifiedBalance {
    eventually(SOON, "there is a proof", async || proof(world, user).await.is_ok()).await;
    verified(&proof(world, user).await.unwrap())
}

fn verified(answered: &Answered) -> VerifiedBalance {
    let read = BalanceProof::from_json(&answered.document).unwrap();
    let verified = verify_balance(&read, &trust_root(), 0, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(verified.balance.get(), answered.balance_msat);
    assert_eq!(verified.liabilities.get(), answered.liabilities_msat);
    assert_eq!(verified.snapshot_time.unix_timestamp(), answered.snapshot_time.unwrap().seconds);
    verified
}

const PUBLISHED: &str = "SELECT count(*) FROM liabilities_snapshots WHERE checkpoint IS NOT NULL";

#[tokio::test]
async fn every_account_proves_offline_that_what_it_is_owed_counts_in_the_sum() {
    let mut world = world().await;
    let users = [world.rich(1_000_000).await, world.rich(5_000).await, world.rich(70_000).await];
    let poor = world.user();
    chain::held(&world, &users[0], 100_000).await;
    let log = FakeLog::default();
    state_daily(&mut world, &log).await;
    for (user, balance) in users.iter().zip([1_000_000, 5_000, 70_000]) {
        let verified = proved(&world, user).await;
        assert_eq!((verified.account, verified.balance.get()), (user.account, balance));
        assert_eq!((verified.liabilities.get(), verified.leaf_count), (1_075_000, 3));
    }
    // Who is owed nothing has nothing to prove.
    let nothing = (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned());
    assert_eq!(refusal(proof(&world, &poor).await), nothing);
    assert_eq!(log.stated().len(), 1);
    world.assert_sound().await;

    // A day later the balances are others, and so is the statement.
    world.fund(&world.again(&poor), 1_000).await;
    assert_eq!(refusal(proof(&world, &poor).await), nothing, "it was owed nothing then");
    a_day_later(&mut world).await;
    eventually(SOON, "a second statement", async || world.count(PUBLISHED).await == 2).await;
    let (first, later) = (log.stated()[0], proved(&world, &poor).await);
    assert_eq!((later.balance.get(), later.liabilities.get(), later.leaf_count), (1_000, 1_076_000, 4));
    assert!(later.snapshot != first.snapshot && log.stated()[1].root != first.root);
    // Salts are new: nobody follows an account from one tree to the next by its leaf.
    let same = "SELECT count(*) FROM (SELECT salt FROM liabilities_leaves GROUP BY salt HAVING count(*) > 1) AS twice";
    assert_eq!(world.count(same).await, 0);
}

#[tokio::test]
async fn a_tree_of_many_parts_proves_its_first_its_last_and_those_between() {
    let mut world = world().await;
    let user = world.rich(1_000).await;
    // More accounts than a part has leaves, and not a whole number of parts.
    world
        .sql_run("INSERT INTO accounts SELECT gen_random_uuid(), 'user', n, n * 3, 0 FROM generate_series(1, 2500) n")
        .await;
    let log = FakeLog::default();
    state_daily(&mut world, &log).await;
    let mine = proved(&world, &user).await;
    assert_eq!((mine.leaf_count, mine.balance.get()), (2_501, 1_000));
    assert_eq!(mine.liabilities.get(), 1_000 + 4 * 2_500 * 2_501 / 2);
    for place in [0, 1, 1_023, 1_024, 2_047, 2_048, 2_500] {
        let account: uuid::Uuid =
            sqlx::query_scalar("SELECT account_id FROM liabilities_leaves WHERE leaf_index = $1")
                .bind(place)
                .fetch_one(&mut world.sql().await)
                .await
                .unwrap();
        let account = poa_common::TypedId::from_uuid(account);
        let other = User { account, token: String::new() };
        let document = proof(&world, &other).await.unwrap();
        let read = BalanceProof::from_json(&document.document).unwrap();
        assert_eq!(read.leaf_index, u64::try_from(place).unwrap());
        assert_eq!(verified(&document).account, account);
    }
}

#[tokio::test]
async fn a_statement_that_no_checkpoint_covers_yet_is_published_once_one_does() {
    let mut world = world().await;
    let user = world.rich(1_000).await;
    let log = FakeLog::default();
    log.set(|state| state.is_behind = true);
    state_daily(&mut world, &log).await;
    eventually(SOON, "it is asked for again", async || log.asked() >= 3).await;
    assert_eq!(refusal(proof(&world, &user).await).1, "RESOURCE_NOT_FOUND");
    log.set(|state| state.is_behind = false);
    proved(&world, &user).await;
    assert_eq!(log.stated().len(), 1);
}

#[tokio::test]
async fn what_was_begun_before_a_restart_is_stated_once_after_it() {
    let mut world = world().await;
    let user = world.rich(1_000).await;
    let log = FakeLog::default();
    log.set(|state| state.is_behind = true);
    state_daily(&mut world, &log).await;
    eventually(SOON, "it is stated", async || log.asked() >= 1).await;
    for _ in 0..3 {
        world.crash();
        world.start().await;
    }
    log.set(|state| state.is_behind = false);
    proved(&world, &user).await;
    assert_eq!((log.stated().len(), world.count(PUBLISHED).await), (1, 1));
}

#[tokio::test]
async fn a_statement_of_something_else_is_not_taken() {
    let mut world = world().await;
    let user = world.rich(1_000).await;
    let log = FakeLog::default();
    log.set(|state| state.lies = true);
    state_daily(&mut world, &log).await;
    eventually(SOON, "it was asked", async || log.asked() >= 1).await;
    assert_eq!(refusal(proof(&world, &user).await).1, "RESOURCE_NOT_FOUND");
    assert_eq!(world.count("SELECT count(*) FROM liabilities_snapshots WHERE envelope IS NOT NULL").await, 0);
}

#[tokio::test]
async fn leaves_are_kept_for_their_days_and_the_last_statement_for_ever() {
    let mut world = world().await;
    let user = world.rich(1_000).await;
    let log = FakeLog::default();
    world.change(|config| config.liabilities.keep_days = 2);
    state_daily(&mut world, &log).await;
    proved(&world, &user).await;
    for day in 2..=4 {
        a_day_later(&mut world).await;
        eventually(SOON, "the next statement", async || log.stated().len() == day).await;
    }
    let kept = "SELECT count(DISTINCT snapshot_id) FROM liabilities_leaves";
    eventually(SOON, "the first is forgotten", async || world.count(kept).await == 3).await;
    // With nothing stated for long, the last one stays.
    world.stop().await;
    world.change(|config| config.liabilities.every_seconds = 0);
    world.clock.advance(Duration::from_secs(30 * 86_400));
    world.start().await;
    assert_eq!(verified(&proof(&world, &user).await.unwrap()).balance.get(), 1_000);
}

#[tokio::test]
async fn where_nobody_is_owed_anything_nothing_is_stated() {
    let mut world = world().await;
    let log = FakeLog::default();
    state_daily(&mut world, &log).await;
    let user = world.user();
    assert_eq!(refusal(proof(&world, &user).await).1, "RESOURCE_NOT_FOUND");
    assert_eq!((log.asked(), world.count("SELECT count(*) FROM liabilities_snapshots").await), (0, 0));
}
