//! Watching deposits: hints are fast, polling is the truth.
//!
//! Both do the same: look the invoice up, and do what the node says. A deposit is credited by the ledger once, however
//! often it is seen to be paid.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use poa_common::{Msat, Timestamp, TypedId as _};
use poa_payment::{Cursor, InvoiceState, PaymentHash};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::LOOKUP_PATIENCE;
use crate::domain::command::{Command, CreditDeposit};
use crate::domain::deposit::Deposit;
use crate::error::Error;
use crate::failpoint::{self, Failpoint};
use crate::metrics;
use crate::service::Service;
use crate::store::deposits;

/// Lookups at a time, of the hints and of the poll each: a node that hangs keeps so many, no more.
const LOOKUPS: usize = 16;
/// Deposits that the poll reads at a time.
const PAGE: i64 = 200;
/// Before the stream of hints is opened again after its end.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);
/// How long after its end an invoice that the node does not know is given up. Only the row ends by it: should the sats
/// arrive all the same, they are credited.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// Looks at what hints name, as they come.
pub(super) async fn follow(service: Arc<Service>, stopping: CancellationToken) {
    let lookups = Lookups::new(&service);
    let mut cursor = Cursor::start();
    while !stopping.is_cancelled() {
        let mut hints = service.provider.watch_invoices(cursor.clone());
        loop {
            let hint = tokio::select! {
                () = stopping.cancelled() => break,
                hint = hints.next() => hint,
            };
            let Some(hint) = hint else { break };
            cursor = hint.cursor;
            let service = Arc::clone(&service);
            lookups.run(async move { look_by_hash(&service, hint.hash).await }).await;
        }
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(REOPEN_PAUSE) => {}
        }
    }
    lookups.finish().await;
}

/// Looks at everything that waits, again and again.
pub(super) async fn poll(service: Arc<Service>, stopping: CancellationToken) {
    let lookups = Lookups::new(&service);
    let pause = Duration::from_millis(service.config.deposits.poll_ms);
    while !stopping.is_cancelled() {
        if let Err(error) = poll_once(&service, &lookups, &stopping).await {
            tracing::warn!(%error, "open deposits cannot be read");
        }
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    lookups.finish().await;
}

async fn poll_once(
    service: &Arc<Service>,
    lookups: &Lookups,
    stopping: &CancellationToken,
) -> Result<(), poa_storage::Error> {
    let mut after = Uuid::nil();
    let mut open: u32 = 0;
    loop {
        let page = deposits::open_after(&service.db, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id.uuid();
        for deposit in page {
            if stopping.is_cancelled() {
                return Ok(());
            }
            open = open.saturating_add(1);
            let service = Arc::clone(service);
            lookups.run(async move { look(&service, &deposit).await }).await;
        }
    }
    metrics::deposits_open(open);
    Ok(())
}

async fn look_by_hash(service: &Service, hash: PaymentHash) {
    match deposits::find_unsettled(&service.db, hash).await {
        Ok(Some(deposit)) => look(service, &deposit).await,
        // Of no deposit, or credited.
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "a hint cannot be followed"),
    }
}

/// Looks one invoice up, and does what the node says. Whatever fails is seen again by the poll.
async fn look(service: &Service, deposit: &Deposit) {
    let lookup = service.provider.lookup_invoice(deposit.hash);
    let lookup = failpoint::call(Failpoint::DEPOSIT_LOOKUP, Err(poa_payment::Error::NoAnswer(None)), lookup);
    let looked = tokio::time::timeout(LOOKUP_PATIENCE, lookup).await;
    let done = match looked {
        // What making room for it cost has taken all of it: there is nothing to credit, and never will be.
        Ok(Ok(Some(InvoiceState::Settled { paid, .. }))) if paid <= Msat::ZERO => {
            metrics::alarm("deposit_consumed");
            tracing::error!(deposit_id = %deposit.id, "a deposit was paid, and the node's fee took all of it");
            expire(service, deposit).await
        }
        Ok(Ok(Some(InvoiceState::Settled { paid, .. }))) => {
            let transfer = service.env.new_id();
            let time = service.env.now();
            let credit = CreditDeposit { deposit: deposit.id, paid, transfer, time };
            service.ledger.deposit(Command::CreditDeposit(credit)).await.map(|_| Some("settled"))
        }
        Ok(Ok(Some(InvoiceState::Canceled))) => expire(service, deposit).await,
        Ok(Ok(None)) if is_long_over(deposit, service.env.now()) => expire(service, deposit).await,
        // Not known is not unpaid.
        Ok(Ok(None | Some(InvoiceState::Open | InvoiceState::Accepted { .. }))) => Ok(None),
        Ok(Err(_)) | Err(_) => {
            metrics::node_failed("lookup_invoice");
            Ok(None)
        }
    };
    match done {
        Ok(Some(state)) => {
            metrics::deposit_ended(state);
            service.changed(deposit.id);
            tracing::info!(deposit_id = %deposit.id, state, "deposit ended");
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(deposit_id = %deposit.id, %error, "deposit cannot be brought forward"),
    }
}

async fn expire(service: &Service, deposit: &Deposit) -> Result<Option<&'static str>, Error> {
    Ok(deposits::expire(&service.db, deposit.id).await?.then_some("expired"))
}

fn is_long_over(deposit: &Deposit, now: Timestamp) -> bool {
    now - deposit.expire_time > GIVE_UP_AFTER
}

/// A bounded number of tasks.
struct Lookups {
    room: Arc<Semaphore>,
    tasks: TaskTracker,
    /// How long one may take.
    limit: Duration,
}

// === impl Lookups ===

impl Lookups {
    fn new(service: &Service) -> Self {
        let limit = Duration::from_millis(service.config.deposits.look_timeout_ms);
        Self { room: Arc::new(Semaphore::new(LOOKUPS)), tasks: TaskTracker::new(), limit }
    }

    /// Runs a task, for as long as one may take; waits for room first. What it has begun to write goes on without it, and
    /// the poll looks again.
    async fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        // The semaphore is never closed; without a permit there is nothing to run.
        let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else { return };
        let limit = self.limit;
        self.tasks.spawn(async move {
            if tokio::time::timeout(limit, task).await.is_err() {
                metrics::alarm("deposit_stalled");
                tracing::error!("a look at a deposit did not end and is given up");
            }
            drop(permit);
        });
    }

    async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
