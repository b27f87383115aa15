//! Brings escrows that hold invoices fund to where their sats are in the ledger, or back with the payer.
//!
//! Hints are fast, a poll is the truth, and everything is in the rows: what was meant before a restart is carried out after
//! it. Each escrow is looked at in a task of its own, with a bounded wait. What the node's word means is decided in
//! [`hold_invoice::next`](crate::domain::hold_invoice::next), and nowhere else.

mod hints;
mod look;
mod node;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use poa_common::EscrowId;
use poa_payment::Info;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::hints::Hints;
pub(crate) use self::node::prepare;
use super::LOOKUP_PATIENCE;
use super::tracks::Tracks;
use crate::domain::escrow::{Escrow, State};
use crate::error::Error;
use crate::metrics;
use crate::service::Service;
use crate::store::escrows;

/// Tasks at a time.
const MAX_TASKS: usize = 32;
/// Rows that one pass reads beside those that the limits allow: those may have been set lower since.
const PASS: u32 = 200;
/// Passes are at least so far apart: many ends at once are one pass.
const BETWEEN_PASSES: Duration = Duration::from_millis(20);
/// The wait after a pass that failed.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
/// What a pass counts by state.
const OPEN: [State; 4] = [State::Awaiting, State::Accepted, State::Settling, State::Canceling];

/// What a look has come to.
#[derive(Clone, Copy, Debug)]
struct Looked {
    id: EscrowId,
    /// Whether the row has changed.
    moved: bool,
}

/// The looks, and when which is due.
struct Holds {
    service: Arc<Service>,
    tracks: Tracks<EscrowId>,
    looks: JoinSet<Looked>,
    hints: Hints,
    /// The node and its height as of a moment.
    chain: Option<(Info, Instant)>,
}

/// Runs until the process stops. Looks that are under way then are finished: each is bounded.
pub(super) async fn run(service: Arc<Service>, stopping: CancellationToken) {
    if service.provider.hold_invoices().is_none() {
        return;
    }
    let poll = Duration::from_millis(service.config.holds.poll_ms);
    let mut changes = service.hold_changes.subscribe();
    let mut holds = Holds {
        service,
        tracks: Tracks::new(Instant::now()),
        looks: JoinSet::new(),
        hints: Hints::default(),
        chain: None,
    };
    while !stopping.is_cancelled() {
        let passed = Instant::now();
        let mut wake = passed + poll;
        match holds.pass(poll).await {
            // With every task taken, the next end wakes us.
            Ok(()) if holds.looks.len() < MAX_TASKS => {
                wake = holds.tracks.next_due().map_or(wake, |due| due.min(wake));
            }
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "hold invoices cannot go on");
                wake = passed + FAILED_PAUSE;
            }
        }
        tokio::select! {
            () = stopping.cancelled() => break,
            changed = changes.recv() => match changed {
                Ok(id) => holds.tracks.wake(id, Instant::now()),
                // It may have been among those that were missed.
                Err(RecvError::Lagged(_) | RecvError::Closed) => holds.tracks.wake_all(Instant::now()),
            },
            id = holds.hints.next() => holds.tracks.wake(id, Instant::now()),
            Some(ended) = holds.looks.join_next() => holds.settle(ended),
            () = tokio::time::sleep_until(wake) => {}
        }
        tokio::time::sleep_until(passed + BETWEEN_PASSES).await;
        while let Some(ended) = holds.looks.try_join_next() {
            holds.settle(ended);
        }
    }
    while holds.looks.join_next().await.is_some() {}
}

// === impl Holds ===

impl Holds {
    /// Starts a look at everything that is due.
    async fn pass(&mut self, poll: Duration) -> Result<(), Error> {
        let config = &self.service.config.holds;
        let limit = i64::from(config.max_parts_total.saturating_add(PASS));
        let open = escrows::open_hold_invoices(&self.service.db, limit).await?;
        count(&open);
        self.tracks.keep(&open.iter().map(|escrow| escrow.id).collect::<HashSet<_>>());
        self.hints.keep(self.service.provider.as_ref(), &open, Instant::now());
        if open.is_empty() {
            return Ok(());
        }
        let chain = self.chain(poll).await;
        // The longest due first, and before them what was never looked at: where there is more than can be looked at in time,
        // each has its turn.
        let mut open = open;
        open.sort_by_key(|escrow| self.tracks.due(escrow.id));
        for escrow in open {
            if self.looks.len() >= MAX_TASKS {
                break;
            }
            if self.tracks.take(escrow.id, Instant::now()).is_none() {
                continue;
            }
            let (service, chain) = (Arc::clone(&self.service), chain.clone());
            self.looks.spawn(async move { bounded(&service, escrow, &chain).await });
        }
        Ok(())
    }

    /// The node and its height. What is as old as a poll is asked anew: blocks take minutes. A node that does not tell keeps
    /// nothing waiting: to settle and to give back takes no height, and a lower one than the chain's only decides later.
    async fn chain(&mut self, poll: Duration) -> Info {
        if let Some((info, at)) = &self.chain
            && at.elapsed() < poll
        {
            return info.clone();
        }
        let asked = tokio::time::timeout(LOOKUP_PATIENCE, self.service.provider.info()).await;
        let info = asked.ok().and_then(Result::ok).unwrap_or_else(|| {
            metrics::node_failed("info");
            self.chain.as_ref().map_or_else(|| self.service.node.clone(), |(last, _)| last.clone())
        });
        self.chain = Some((info.clone(), Instant::now()));
        info
    }

    fn settle(&mut self, ended: Result<Looked, JoinError>) {
        match ended {
            Ok(Looked { id, moved }) => self.tracks.put_back(id, Instant::now(), false, moved),
            // The escrow stays taken until a restart: whatever panics must not run in a circle.
            Err(error) => {
                metrics::alarm("hold_invoice_panicked");
                tracing::error!(%error, "a look at a hold invoice panicked");
            }
        }
    }
}

fn count(open: &[Escrow]) {
    for state in OPEN {
        let count = open.iter().filter(|escrow| escrow.state == state).count();
        metrics::hold_invoices_open(state.as_str(), count);
    }
    let parts = open.iter().filter_map(|escrow| {
        let invoice = escrow.hold_invoice.as_ref()?;
        Some(invoice.load(escrow.amount).parts)
    });
    metrics::hold_invoice_parts(parts.fold(0, u32::saturating_add));
}

/// A look, for as long as one may take. What it has begun to write or to tell goes on without it, and the next look finds
/// out what became of it. Whatever fails is tried again then.
async fn bounded(service: &Service, escrow: Escrow, chain: &Info) -> Looked {
    let id = escrow.id;
    let limit = Duration::from_millis(service.config.holds.look_timeout_ms);
    let moved = match tokio::time::timeout(limit, look::look(service, escrow, chain)).await {
        Ok(Ok(moved)) => moved,
        Ok(Err(error)) => {
            tracing::warn!(escrow_id = %id, %error, "hold invoice cannot be brought forward");
            false
        }
        Err(_elapsed) => {
            metrics::alarm("hold_invoice_stalled");
            tracing::error!(escrow_id = %id, "a look at a hold invoice did not end and is given up");
            false
        }
    };
    Looked { id, moved }
}
