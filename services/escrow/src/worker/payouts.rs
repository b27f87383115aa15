//! Brings withdrawals to their end: sends what is reserved, and finds out what became of what was sent.
//!
//! Each withdrawal is looked at in a task of its own, with a bounded wait: a payee that holds for days, or a node that
//! hangs, keeps nobody else waiting. What an answer means is decided in
//! [`withdrawal::next`](crate::domain::withdrawal::next), and nowhere else.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use poa_common::{Timestamp, WithdrawalId};
use poa_payment::{Doubt, NodeId, Outcome};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::dispatch::{Dispatcher, Terms};
use super::tracks::Tracks;
use super::{LOOKUP_PATIENCE, internal};
use crate::domain::command::{Command, ReturnWithdrawal, SettleWithdrawal};
use crate::domain::withdrawal::{Circumstances, Seen, State, Step, Withdrawal, next};
use crate::error::Error;
use crate::failpoint::{self, Failpoint};
use crate::metrics;
use crate::service::Service;
use crate::store::payout_switch;
use crate::store::withdrawals::{self, Room, Sighting};

/// Withdrawals that one pass reads beside those that may be in flight, so that there is always something to send.
const PASS: u32 = 100;
/// Tasks at a time.
const MAX_TASKS: usize = 64;
/// Passes are at least so far apart: many ends at once are one pass.
const BETWEEN_PASSES: Duration = Duration::from_millis(20);
/// The wait after a pass that failed.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// What a look has come to.
#[derive(Clone, Copy, Debug)]
struct Looked {
    id: WithdrawalId,
    /// Whether something may have been sent.
    sent: bool,
    /// Whether the row has changed.
    moved: bool,
}

/// What every look needs.
pub(super) struct Payouts {
    service: Arc<Service>,
    dispatcher: Dispatcher,
    /// Whether nothing new is begun, as the last pass has seen it.
    waits: AtomicBool,
}

/// Runs until the process stops. Looks that are under way then are finished: each is bounded.
pub(super) async fn run(service: Arc<Service>, dispatcher: Dispatcher, stopping: CancellationToken) {
    let poll = Duration::from_millis(service.config.withdrawals.poll_ms);
    let payouts = Arc::new(Payouts { service, dispatcher, waits: AtomicBool::new(true) });
    let mut tracks = Tracks::new(Instant::now());
    let mut looks = JoinSet::new();
    while !stopping.is_cancelled() {
        let passed = Instant::now();
        let mut wake = passed + poll;
        match payouts.pass(&mut tracks, &mut looks).await {
            // With every task taken, the next end wakes us.
            Ok(()) if looks.len() < MAX_TASKS => wake = tracks.next_due().map_or(wake, |due| due.min(wake)),
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "payouts cannot go on");
                wake = passed + FAILED_PAUSE;
            }
        }
        tokio::select! {
            () = stopping.cancelled() => break,
            () = payouts.service.reserved.notified() => {}
            Some(ended) = looks.join_next() => settle(&mut tracks, ended),
            () = tokio::time::sleep_until(wake) => {}
        }
        tokio::time::sleep_until(passed + BETWEEN_PASSES).await;
        while let Some(ended) = looks.try_join_next() {
            settle(&mut tracks, ended);
        }
    }
    while looks.join_next().await.is_some() {}
}

/// Whether the node may have it: what the ledger pays takes no room there.
fn is_in_flight(row: &Withdrawal) -> bool {
    row.state == State::Dispatched && row.deposit.is_none()
}

/// How many payments may be in flight before an account that has one waits: the last quarter of the room is for those that
/// have none, however long others hold theirs.
fn for_all(max_in_flight: u32) -> i64 {
    i64::from(max_in_flight - max_in_flight / 4)
}

/// What cannot be: a person must look, and nothing moves.
pub(super) fn alarm(row: &Withdrawal, what: &'static str) {
    metrics::alarm("payout");
    tracing::error!(withdrawal_id = %row.id, what, "a withdrawal needs an operator");
}

fn settle(tracks: &mut Tracks, ended: Result<Looked, tokio::task::JoinError>) {
    match ended {
        Ok(Looked { id, sent, moved }) => tracks.put_back(id, Instant::now(), sent, moved),
        // The withdrawal stays taken until a restart: whatever panics must not run in a circle.
        Err(error) => {
            metrics::alarm("payout_panicked");
            tracing::error!(%error, "a look at a withdrawal panicked");
        }
    }
}

// === impl Payouts ===

impl Payouts {
    /// Starts a look at everything that is due.
    async fn pass(self: &Arc<Self>, tracks: &mut Tracks, looks: &mut JoinSet<Looked>) -> Result<(), Error> {
        let config = &self.service.config.withdrawals;
        let max_in_flight = config.max_in_flight;
        let per_payee = match config.max_in_flight_per_payee {
            0 => i64::MAX,
            payments => i64::from(payments),
        };
        let busy = withdrawals::in_flight(&self.service.db).await?;
        let room = Room {
            in_flight: i64::from(u32::MAX),
            waiting: i64::from(PASS),
            per_payee,
            for_all: for_all(max_in_flight).saturating_sub(busy),
        };
        let live = withdrawals::live(&self.service.db, room).await?;
        let paused = payout_switch::read(&self.service.db).await?.paused;
        metrics::payouts_paused(paused);
        // A database that was restored from a backup does not know what it has sent since: the first round of the
        // reconciliation after a start sees that, and nothing new begins before it.
        let waits = paused || !self.service.reconciler.has_looked();
        self.waits.store(waits, Ordering::Relaxed);
        let now = self.service.env.now();
        let expired = withdrawals::unsent_expired(&self.service.db, now, i64::from(PASS)).await?;
        let in_flight = live.iter().filter(|row| is_in_flight(row)).count();
        metrics::withdrawals_live(State::Dispatched.as_str(), in_flight);
        metrics::withdrawals_live(State::Reserved.as_str(), live.len().saturating_sub(in_flight));
        tracks.keep(&live.iter().chain(&expired).map(|row| row.id).collect::<HashSet<_>>());
        // Neither room nor a node is needed to give back what was never sent.
        for withdrawal in expired {
            if looks.len() < MAX_TASKS && tracks.take(withdrawal.id, Instant::now()).is_some() {
                let payouts = Arc::clone(self);
                looks.spawn(async move { payouts.bounded(withdrawal.id, payouts.give_up(withdrawal)).await });
            }
        }
        if live.is_empty() {
            return Ok(());
        }
        let node = self.node().await?;
        let mut room = usize::try_from(max_in_flight).unwrap_or(usize::MAX).saturating_sub(in_flight);
        for withdrawal in live {
            if looks.len() >= MAX_TASKS {
                break;
            }
            let is_new = withdrawal.state == State::Reserved;
            // What the ledger pays takes no room at the node.
            let takes_room = is_new && withdrawal.deposit.is_none();
            if (is_new && waits) || (takes_room && room == 0) {
                continue;
            }
            let Some(since_sent) = tracks.take(withdrawal.id, Instant::now()) else { continue };
            if takes_room {
                room = room.saturating_sub(1);
            }
            let payouts = Arc::clone(self);
            looks.spawn(async move {
                payouts.bounded(withdrawal.id, payouts.look(withdrawal, node, since_sent)).await
            });
        }
        Ok(())
    }

    /// The node that answers now: it may have been replaced since the start.
    async fn node(&self) -> Result<NodeId, Error> {
        let info = tokio::time::timeout(LOOKUP_PATIENCE, self.service.provider.info()).await;
        info.ok().and_then(Result::ok).map(|info| info.node).ok_or_else(|| {
            metrics::node_failed("info");
            Error::no_node()
        })
    }

    /// A look, for as long as one may take. What it has begun to write or to send goes on without it, and the next look
    /// finds out what became of it.
    async fn bounded(&self, id: WithdrawalId, look: impl Future<Output = Looked>) -> Looked {
        let limit = Duration::from_millis(self.service.config.withdrawals.look_timeout_ms);
        tokio::time::timeout(limit, look).await.unwrap_or_else(|_elapsed| {
            metrics::alarm("payout_stalled");
            tracing::error!(withdrawal_id = %id, "a look at a withdrawal did not end and is given up");
            Looked { id, sent: true, moved: false }
        })
    }

    /// Brings one withdrawal forward. Whatever fails is tried again at the next look.
    async fn look(&self, withdrawal: Withdrawal, node: NodeId, since_sent: Duration) -> Looked {
        let id = withdrawal.id;
        let was_reserved = withdrawal.state == State::Reserved;
        let mut sent = false;
        let done = match (was_reserved, withdrawal.deposit) {
            // Never begun: that nothing was sent is certain, so long as it is still reserved.
            (true, _) if withdrawal.invoice_expire_time <= self.service.env.now() => {
                self.give_back(&withdrawal, "expired").await
            }
            (_, Some(_)) => internal::advance(self, withdrawal, node).await,
            (true, None) => self.send(withdrawal, node, &mut sent).await,
            (false, None) => self.find_out(withdrawal, node, since_sent, &mut sent).await,
        };
        let moved = done.unwrap_or_else(|error| {
            tracing::warn!(withdrawal_id = %id, %error, "withdrawal cannot be brought forward");
            false
        });
        Looked { id, sent, moved: moved || was_reserved }
    }

    /// Gives back what was never sent and can no longer be paid. Where a dispatch came in between, the ledger refuses.
    async fn give_up(&self, withdrawal: Withdrawal) -> Looked {
        let id = withdrawal.id;
        let moved = self.give_back(&withdrawal, "expired").await.unwrap_or_else(|error| {
            tracing::warn!(withdrawal_id = %id, %error, "expired withdrawal cannot be given back");
            false
        });
        Looked { id, sent: false, moved }
    }

    async fn find_out(
        &self,
        row: Withdrawal,
        node: NodeId,
        since_sent: Duration,
        sent: &mut bool,
    ) -> Result<bool, Error> {
        let unknown = Outcome::Unknown(Doubt::NoAnswer);
        let lookup = self.service.provider.lookup_payment(row.hash);
        let lookup = failpoint::call(Failpoint::PAYOUT_LOOKUP, unknown.clone(), lookup);
        let outcome = tokio::time::timeout(LOOKUP_PATIENCE, lookup).await.unwrap_or(unknown);
        metrics::looked_up(&outcome);
        match next(&row, Seen::Lookup(outcome), self.circumstances(&row, node, since_sent)) {
            Step::SendAgain => self.send(row, node, sent).await,
            step @ (Step::Settle { .. }
            | Step::Return(_)
            | Step::NoteFailure
            | Step::NoteInFlight
            | Step::Wait
            | Step::Alarm(_)) => self.carry_out(&row, step).await,
        }
    }

    /// Sends, and does what the answer means.
    async fn send(&self, mut row: Withdrawal, node: NodeId, sent: &mut bool) -> Result<bool, Error> {
        *sent = true;
        let terms = self.terms(&row, node);
        row.deadline = row.deadline.max(Some(terms.deadline));
        let Some((dispatches, seen)) = self.dispatcher.dispatch(&self.service.db, &row, terms).await? else {
            return Ok(false);
        };
        (row.state, row.node, row.dispatches) = (State::Dispatched, Some(node), dispatches);
        let step = next(&row, seen, self.circumstances(&row, node, Duration::ZERO));
        self.carry_out(&row, step).await
    }

    fn terms(&self, row: &Withdrawal, node: NodeId) -> Terms {
        let config = &self.service.config.withdrawals;
        let latest = self.service.env.now() + Duration::from_secs(u64::from(config.payment_seconds));
        Terms {
            node,
            deadline: latest.min(row.invoice_expire_time),
            patience: Duration::from_millis(config.call_timeout_ms),
        }
    }

    fn circumstances(&self, row: &Withdrawal, node: NodeId, since_sent: Duration) -> Circumstances {
        let now: Timestamp = self.service.env.now();
        let margin = Duration::from_secs(u64::from(self.service.config.withdrawals.lost_margin_seconds));
        Circumstances {
            same_node: row.node == Some(node),
            payable: now < row.invoice_expire_time,
            // The wall clock may jump; our own running time does not. Paused, a node that has forgotten proves nothing: it
            // may be one that was restored.
            long_expired: !self.waits.load(Ordering::Relaxed)
                && now >= row.invoice_expire_time + margin
                && since_sent >= margin,
            all_arrived: row.deadline.is_some_and(|deadline| now >= deadline + margin)
                && since_sent >= margin,
            absence_is_final: self.service.provider.capabilities().absence_is_final,
        }
    }

    /// Does what an observation means; whether the row has changed.
    async fn carry_out(&self, row: &Withdrawal, step: Step) -> Result<bool, Error> {
        match step {
            Step::Settle { preimage, fee } => {
                if fee > row.fee_limit {
                    metrics::alarm("fee_above_limit");
                    tracing::error!(
                        withdrawal_id = %row.id, fee_msat = fee.get(), fee_limit_msat = row.fee_limit.get(),
                        "the node took more than the fee limit: the platform bears the difference"
                    );
                }
                let command = SettleWithdrawal {
                    withdrawal: row.id,
                    preimage,
                    fee,
                    transfer: self.service.env.new_id(),
                    return_transfer: self.service.env.new_id(),
                    time: self.service.env.now(),
                };
                self.service.ledger.withdrawal(Command::SettleWithdrawal(command)).await?;
                metrics::withdrawal_ended(State::Succeeded.as_str());
                tracing::info!(withdrawal_id = %row.id, fee_msat = fee.get(), "withdrawal succeeded");
                Ok(true)
            }
            Step::Return(failure) => self.give_back(row, failure).await,
            Step::NoteFailure => {
                let seen = row.failures_seen.saturating_add(1);
                withdrawals::note(&self.service.db, row.id, Sighting::Failed(seen)).await?;
                Ok(true)
            }
            Step::NoteInFlight => {
                withdrawals::note(&self.service.db, row.id, Sighting::InFlight).await?;
                Ok(true)
            }
            // A second dispatch in one look would be one too many: the next look decides.
            Step::SendAgain | Step::Wait => Ok(false),
            Step::Alarm(what) => {
                alarm(row, what);
                Ok(false)
            }
        }
    }

    pub(super) fn service(&self) -> &Service {
        &self.service
    }

    pub(super) async fn give_back(&self, row: &Withdrawal, failure: &'static str) -> Result<bool, Error> {
        let command = ReturnWithdrawal {
            withdrawal: row.id,
            dispatches: row.dispatches,
            failure,
            transfer: self.service.env.new_id(),
            time: self.service.env.now(),
        };
        self.service.ledger.withdrawal(Command::ReturnWithdrawal(command)).await?;
        metrics::withdrawal_ended(State::Failed.as_str());
        tracing::info!(withdrawal_id = %row.id, failure, "withdrawal failed, the sats are back");
        Ok(true)
    }
}
