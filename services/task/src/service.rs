//! The service's state, and what every handler is made of: one transaction, then a bounded wait for the saga.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use poa_chassis::{BuildError, Context, Deps, Latch};
use poa_common::{Env, TaskId};
use poa_storage::events::{Events, EventsOptions};
use poa_storage::page::Sealer;
use poa_storage::secret::SealKey;
use poa_storage::{Database, Tx, secret};
use proof_of_agent::{DidKey, TrustRoot};
use tokio::sync::{Notify, Semaphore};

use crate::config::Config;
use crate::domain::{DomainError, Moment, Pen, Saga};
use crate::error::Error;
use crate::store;
use crate::worker::{Driver, Follower, Hub, MeshClock, Peers, Quotes, Refusal, run};

/// Sagas that requests drive at once. More are left to the worker.
const INLINE_DRIVES: usize = 256;
/// What is left of a caller's time to answer in.
const ANSWER_MARGIN: Duration = Duration::from_millis(200);
/// How long a caller without a deadline waits for the saga.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);
/// Results that are checked at once: each may take a processor for a while.
const CHECKS: usize = 2;

/// The state of the service.
pub(crate) struct Service {
    pub(crate) config: Config,
    pub(crate) env: Env,
    pub(crate) db: Database,
    pub(crate) clock: MeshClock,
    pub(crate) trust: TrustRoot,
    pub(crate) pen: Pen,
    pub(crate) sealer: Sealer,
    pub(crate) tokens: SealKey,
    pub(crate) hub: Hub,
    pub(crate) events: Events,
    pub(crate) checks: Arc<Semaphore>,
    pub(crate) peers: Peers,
    pub(crate) quotes: Quotes,
    driver: Arc<Driver>,
    drives: Arc<Semaphore>,
    /// Wakes the worker.
    wake: Arc<Notify>,
    _database: Latch,
}

// === impl Service ===

impl Service {
    /// Connects and migrates the database, reads the trust root, starts the workers.
    pub(crate) async fn start(config: Config, deps: &Deps) -> Result<Self, BuildError> {
        let trust = read_trust_root(deps)?;
        let pen = Pen { signer: current_receipt_key(&trust)?, env: deps.env.clone() };
        let peers = Peers::new(&deps.peers, Duration::from_millis(config.worker.call_timeout_ms))?;
        let latch = deps.readiness.latch("task database");
        let db = Database::connect(&config.database, &crate::MIGRATIONS).await?;
        let stopping = deps.lifecycle.stopping();
        let (events, relay) = Events::spawn(&db, EventsOptions::default(), stopping.clone());
        deps.lifecycle.spawn("task event relay", async move {
            if let Err(error) = relay.await {
                tracing::error!(%error, "the event relay panicked");
            }
        });
        let tick = Duration::from_millis(config.worker.tick_ms);
        let clock = MeshClock::start(&db, tick, &deps.lifecycle).await?;
        let tokens = SealKey::new(&secret::derive(&deps.keyring.secret(), "payer-token", uuid::Uuid::nil()));
        let driver = Arc::new(Driver {
            env: deps.env.clone(),
            db: db.clone(),
            clock: clock.clone(),
            pen: pen.clone(),
            tokens: tokens.clone(),
            peers: peers.clone(),
            limit: Duration::from_millis(config.worker.drive_timeout_ms),
            active: Mutex::default(),
        });
        let wake = Arc::new(Notify::new());
        let poll = Duration::from_millis(config.worker.poll_ms);
        let concurrency = config.worker.concurrency;
        deps.lifecycle.spawn(
            "task sagas",
            run(Arc::clone(&driver), Arc::clone(&wake), poll, concurrency, stopping.clone()),
        );
        let follower = Follower::new(Arc::clone(&driver), Arc::clone(&wake));
        deps.lifecycle.spawn("task escrow events", follower.run(stopping.clone()));
        deps.lifecycle.spawn("task sweep", crate::worker::sweep(db.clone(), deps.env.clone(), stopping));
        let hub = Hub::start(&db, events.clone(), clock.clone(), deps.env.clone(), &deps.lifecycle).await?;
        latch.ready();
        Ok(Self {
            env: deps.env.clone(),
            clock,
            trust,
            pen,
            sealer: Sealer::new(&secret::derive(&deps.keyring.secret(), "page-tokens", uuid::Uuid::nil())),
            tokens,
            hub,
            events,
            checks: Arc::new(Semaphore::new(CHECKS)),
            peers,
            quotes: Quotes::default(),
            driver,
            drives: Arc::new(Semaphore::new(INLINE_DRIVES)),
            wake,
            db,
            config,
            _database: latch,
        })
    }

    /// Now, on both clocks.
    pub(crate) fn now(&self) -> Moment {
        Moment { mesh: self.clock.now(), wall: self.env.now() }
    }

    /// Drives a saga for as long as its caller waits, on a task of its own: a caller that goes away stops nothing.
    /// Answers with what was refused on the way. Without an answer in time the worker goes on. `written` is the task as
    /// the caller has just committed it, which saves reading it again.
    pub(crate) async fn drive(&self, task: TaskId, written: Option<Saga>) -> Option<Refusal> {
        let Ok(permit) = Arc::clone(&self.drives).try_acquire_owned() else {
            self.wake.notify_one();
            return None;
        };
        let context = Context::current();
        let wait = context
            .as_ref()
            .and_then(Context::remaining)
            .map_or(DEFAULT_WAIT, |left| left.saturating_sub(ANSWER_MARGIN));
        let driver = Arc::clone(&self.driver);
        let driving = async move {
            let outcome = driver.drive(task, written).await;
            drop(permit);
            outcome
        };
        // The request's id travels on, its deadline does not: what is begun is finished.
        let driving = match context {
            Some(context) => tokio::spawn(Context { deadline: None, ..context }.scope(driving)),
            None => tokio::spawn(driving),
        };
        match tokio::time::timeout(wait, driving).await {
            Ok(Ok(Ok(refusal))) => refusal,
            // Logged where it happened; the worker tries again.
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => None,
        }
    }
}

/// Lets a verb change a task that was loaded under its lock, and writes what changed. Answers with the task as it is then.
pub(crate) async fn change<T>(
    service: &Service,
    tx: &mut Tx,
    before: &Saga,
    at: Moment,
    verb: impl FnOnce(&mut Saga) -> Result<T, DomainError>,
) -> Result<Saga, Error> {
    let mut saga = before.clone();
    // A verb that says that it was carried out before has changed nothing.
    let _answer = verb(&mut saga)?;
    if saga.status.version != before.status.version {
        store::save(tx, before, &saga, at, &service.env).await?;
    }
    Ok(saga)
}

fn read_trust_root(deps: &Deps) -> Result<TrustRoot, BuildError> {
    let path = deps.keyring.dir().join("trust-root.json");
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(TrustRoot::from_json(&bytes).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// The key that the attestation service signs with: rotations add at the end.
fn current_receipt_key(trust: &TrustRoot) -> Result<DidKey, BuildError> {
    trust.receipt_keys().last().copied().ok_or_else(|| "the trust root names no receipt key".into())
}
