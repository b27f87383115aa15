//! Holds the ledger against the node, every minute and when an operator asks.
//!
//! One task makes all rounds, one after another: whoever asks waits for one that began after the question. Nothing of it
//! moves sats. What it finds pauses payouts, and is told until it is gone.

mod lists;
mod round;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use round::Trouble;

use crate::domain::reconciliation::Report;
use crate::metrics;
use crate::service::Service;
use round::round;

/// Questions that may wait for a round. They share it, so that more is a flood.
const MOST_WAITING: usize = 16;
/// The pause after a round that failed.
const FAILED_PAUSE: Duration = Duration::from_secs(5);
/// How soon everything is read again after a difference was found: it may be gone, and only that shows it.
const FULL_AFTER_DRIFT: Duration = Duration::from_secs(600);
/// How long a round may take. What it has read is kept, and the next one reads on.
const ROUND_LIMIT: Duration = Duration::from_secs(50);
/// Differences that are logged in a round.
const LOGGED: usize = 10;

/// Asks for rounds. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Reconciler {
    questions: mpsc::Sender<Question>,
    first: watch::Receiver<bool>,
}

/// What makes the rounds.
#[derive(Debug)]
pub(crate) struct Rounds {
    questions: mpsc::Receiver<Question>,
    first: watch::Sender<bool>,
}

#[derive(Debug)]
struct Question {
    full: bool,
    answer: oneshot::Sender<Result<Arc<Report>, Trouble>>,
}

/// A way to ask, and what answers.
pub(crate) fn channel() -> (Reconciler, Rounds) {
    let (questions, asked) = mpsc::channel(MOST_WAITING);
    let (seen, first) = watch::channel(false);
    (Reconciler { questions, first }, Rounds { questions: asked, first: seen })
}

// === impl Reconciler ===

impl Reconciler {
    /// Makes a round now; none where too many wait already, or the server stops.
    pub(crate) async fn ask(&self, full: bool) -> Option<Result<Arc<Report>, Trouble>> {
        let (answer, answered) = oneshot::channel();
        self.questions.try_send(Question { full, answer }).ok()?;
        answered.await.ok()
    }

    /// Whether the node was held against the ledger since the start. Before that a database that was restored from a backup
    /// has not been noticed, and nothing may be sent.
    pub(crate) fn has_looked(&self) -> bool {
        *self.first.borrow()
    }
}

// === impl Rounds ===

impl Rounds {
    /// Makes rounds until the process stops. The first one begins at once.
    pub(crate) async fn run(mut self, service: Arc<Service>, stopping: CancellationToken) {
        let mut clock = Pace::new(&service);
        loop {
            let mut asked = Vec::new();
            tokio::select! {
                () = stopping.cancelled() => return,
                Some(question) = self.questions.recv() => asked.push(question),
                () = tokio::time::sleep_until(clock.due) => {}
            }
            while let Ok(question) = self.questions.try_recv() {
                asked.push(question);
            }
            let full = clock.full_is_due(Instant::now()) || asked.iter().any(|question| question.full);
            let made = tokio::select! {
                () = stopping.cancelled() => return,
                made = tokio::time::timeout(ROUND_LIMIT, round(&service, full)) => made,
            };
            let made = made.unwrap_or(Err(Trouble::TooLong)).map(Arc::new);
            clock.after(made.as_deref());
            if let Ok(report) = &made {
                tell(&service, report).await;
                if report.caught_up || report.drift_count > 0 {
                    // Not before payouts are paused, where they are to be.
                    self.first.send_replace(true);
                }
            }
            for question in asked {
                // Whoever asked may have gone.
                let _gone = question.answer.send(made.clone());
            }
        }
    }
}

/// When the next round is due, and what kind.
struct Pace {
    every: Duration,
    full_every: Duration,
    stale_after: Duration,
    due: Instant,
    full_due: Instant,
    /// When all was last looked at.
    looked: Instant,
}

// === impl Pace ===

impl Pace {
    fn new(service: &Service) -> Self {
        let config = &service.config.reconciliation;
        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
        let (now, full_every) = (Instant::now(), seconds(config.full_every_seconds));
        Self {
            every: seconds(config.every_seconds),
            full_every,
            stale_after: seconds(config.stale_seconds),
            due: now,
            full_due: now + full_every,
            looked: now,
        }
    }

    fn full_is_due(&self, now: Instant) -> bool {
        self.full_due <= now
    }

    /// After a round.
    fn after(&mut self, made: Result<&Report, &Trouble>) {
        let now = Instant::now();
        match made {
            Ok(report) => {
                let result = if report.drift_count > 0 {
                    "differs"
                } else if report.caught_up {
                    "clean"
                } else {
                    "unfinished"
                };
                metrics::reconciled(result);
                if report.full {
                    self.full_due = now + self.full_every;
                }
                if report.drift_count > 0 {
                    self.full_due = self.full_due.min(now + FULL_AFTER_DRIFT);
                }
                if report.caught_up {
                    self.looked = now;
                }
                // What was not read to its end is read on at once.
                self.due = if report.caught_up || report.drift_count > 0 { now + self.every } else { now };
            }
            Err(trouble) => {
                metrics::reconciled("failed");
                tracing::warn!(error = %trouble, "the ledger could not be held against the node");
                self.due = now + self.every.min(FAILED_PAUSE);
            }
        }
        if now.duration_since(self.looked) > self.stale_after {
            metrics::alarm("reconciliation_stale");
            tracing::error!(
                seconds = now.duration_since(self.looked).as_secs(),
                "the ledger has not been held against the node for long"
            );
        }
    }
}

/// Tells what a round has found: payouts stop, operators hear of it.
async fn tell(service: &Service, report: &Report) {
    metrics::reconciliation(report);
    let Some(reason) = report.reason() else { return };
    metrics::alarm("reconciliation_drift");
    for drift in report.drifts.iter().take(LOGGED) {
        tracing::error!(
            kind = drift.kind.as_str(),
            payment_hash = drift.hash.map(|hash| hash.to_hex()).unwrap_or_default(),
            subject = drift.subject,
            node_msat = drift.node.get(),
            ledger_msat = drift.ledger.get(),
            "node and ledger differ"
        );
    }
    service.pause_payouts(&reason).await;
}
