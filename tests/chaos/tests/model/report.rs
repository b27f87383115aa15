//! What a run has to tell: its history, its figures, and how to replay it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::plan::What;

/// How many steps of the history a failure shows.
const SHOWN_STEPS: usize = 30;

/// What happened, step by step. Clones share it, so that it survives a panic of the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(Arc<Mutex<Vec<Vec<String>>>>);

/// What a run did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) seeds: usize,
    pub(crate) steps: usize,
    pub(crate) crashes: usize,
    pub(crate) replicas: usize,
    /// How often business time passed.
    pub(crate) jumps: usize,
    /// Between services.
    pub(crate) calls: usize,
    pub(crate) delayed: usize,
    pub(crate) dropped_requests: usize,
    pub(crate) dropped_answers: usize,
    pub(crate) duplicates: usize,
    /// Requests of clients by what became of them.
    pub(crate) client_fates: BTreeMap<&'static str, usize>,
    /// Operations by kind: sent, done, refused, and of unknown outcome.
    pub(crate) operations: BTreeMap<&'static str, [usize; 4]>,
    /// Tasks by the state in which they ended.
    pub(crate) ends: BTreeMap<&'static str, usize>,
    /// Reads that narrowed the model.
    pub(crate) narrowed: usize,
    pub(crate) receipts: usize,
    pub(crate) log_entries: u64,
    pub(crate) moved_msat: i64,
    pub(crate) took: Duration,
    /// Of that, until the first step, and after the last one.
    pub(crate) opening: Duration,
    pub(crate) end: Duration,
}

// === impl History ===

impl History {
    /// Begins a step.
    pub(crate) fn step(&self, text: String) {
        self.lock().push(vec![text]);
    }

    /// Notes something in the current step.
    pub(crate) fn note(&self, text: String) {
        let mut steps = self.lock();
        if steps.is_empty() {
            steps.push(Vec::new());
        }
        if let Some(step) = steps.last_mut() {
            step.push(text);
        }
    }

    /// The last steps, oldest first.
    fn last(&self) -> String {
        let steps = self.lock();
        let mut text = String::new();
        for step in steps.iter().skip(steps.len().saturating_sub(SHOWN_STEPS)) {
            for (place, line) in step.iter().enumerate() {
                let indent = if place == 0 { "" } else { "    " };
                let _never_fails = writeln!(text, "{indent}{line}");
            }
        }
        text
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a failure says.
pub(crate) fn failure(seed: u64, steps: usize, step: usize, what: &str, history: &History) -> String {
    format!(
        "seed {seed}, step {step} of {steps}: {what}\n\nreplay:  POA_MODEL_SEED={seed} POA_MODEL_STEPS={steps} \
         cargo test -p poa-chaos --test model the_saga -- --nocapture\nshorter: the same with \
         POA_MODEL_STEPS={}\n\nthe last steps:\n{}",
        step.max(1),
        history.last()
    )
}

// === impl What ===

impl What {
    /// The kind of operation, for counts.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Claim { .. } => "claim",
            Self::ClaimNext { .. } => "claim_next",
            Self::Renew { .. } => "renew",
            Self::Release { .. } => "release_claim",
            Self::Submit { good: true, .. } => "submit_good",
            Self::Submit { good: false, .. } => "submit_bad",
            Self::Accept { .. } => "accept",
            Self::Reject { .. } => "reject",
            Self::Cancel { .. } => "cancel",
            Self::Deposit { .. } => "deposit",
            Self::Withdraw { .. } => "withdraw",
            Self::Register { .. } => "register_agent",
            Self::Replay { .. } => "replay",
            Self::Alter { .. } => "same_id_other_payload",
        }
    }
}

// === impl Figures ===

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.crashes += other.crashes;
        self.replicas += other.replicas;
        self.jumps += other.jumps;
        self.calls += other.calls;
        self.delayed += other.delayed;
        self.dropped_requests += other.dropped_requests;
        self.dropped_answers += other.dropped_answers;
        self.duplicates += other.duplicates;
        self.narrowed += other.narrowed;
        self.receipts += other.receipts;
        self.log_entries += other.log_entries;
        self.moved_msat += other.moved_msat;
        self.took += other.took;
        for (kind, counts) in &other.operations {
            let sum = self.operations.entry(kind).or_default();
            for (place, count) in counts.iter().enumerate() {
                sum[place] += count;
            }
        }
        for (fate, count) in &other.client_fates {
            *self.client_fates.entry(fate).or_default() += count;
        }
        for (end, count) in &other.ends {
            *self.ends.entry(end).or_default() += count;
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{} seeds, {} steps in {:.1} s: {} crashes, {} replicas, {} jumps of business time\n\
             between services: {} calls, {} delayed, {} requests dropped, {} answers dropped, {} duplicated\n\
             from clients: {:?}\n\
             {} reads narrowed the model; tasks ended {:?}; {} receipts verified; {} log entries under the \
             checkpoint; {} msat paid to agents\n",
            self.seeds,
            self.steps,
            self.took.as_secs_f64(),
            self.crashes,
            self.replicas,
            self.jumps,
            self.calls,
            self.delayed,
            self.dropped_requests,
            self.dropped_answers,
            self.duplicates,
            self.client_fates,
            self.narrowed,
            self.ends,
            self.receipts,
            self.log_entries,
            self.moved_msat,
        );
        for (kind, [sent, done, refused, unknown]) in &self.operations {
            let _never_fails = writeln!(
                text,
                "  {kind:<22} {sent:>5} sent: {done:>5} done, {refused:>5} refused, {unknown:>5} unknown"
            );
        }
        text
    }
}
