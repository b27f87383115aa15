//! Whole lifecycles at a steady pace, an auditor who reads all the while, and the reckoning at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use poa_e2e::Deployment;
use poa_sdk::Admin;
use poa_sdk::api::task::task::State;
use poa_sdk::receipts::TrustRoot;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;
use crate::pair::{BUDGET_MSAT, FEE_MSAT, PRICE_MSAT, Pair};

/// Requesters, each with an agent.
const PAIRS: usize = 8;
/// The least time between two offers of one requester: a steady load that leaves the machine room, so that what is
/// measured is the recovery.
const PACE: Duration = Duration::from_millis(1_500);
/// How long one task may take, faults and all, before it counts as stuck: business deadlines are far beyond.
const LIFECYCLE_WITHIN: Duration = Duration::from_secs(120);
/// How often the ledger is audited.
const AUDIT_EVERY: Duration = Duration::from_millis(200);
/// How long the auditor waits for an answer.
const AUDIT_WITHIN: Duration = Duration::from_secs(20);

/// Everybody who is busy on one mesh.
pub(crate) struct Load {
    pub(crate) journal: Journal,
    pairs: Arc<Vec<Pair>>,
    working: JoinSet<Vec<String>>,
    looking: JoinSet<()>,
    /// Nobody begins another task.
    closing: CancellationToken,
    /// Nobody looks on any more.
    over: CancellationToken,
    audits: Arc<AtomicUsize>,
    balances: Arc<AtomicUsize>,
}

/// What a run has shown.
pub(crate) struct Reckoning {
    pub(crate) completed: usize,
    pub(crate) acknowledged: usize,
    pub(crate) audits: usize,
    pub(crate) balances: usize,
    pub(crate) receipts: usize,
    pub(crate) settled_within: Duration,
    pub(crate) errors: String,
}

// === impl Load ===

impl Load {
    /// Signs everybody up and begins.
    pub(crate) async fn start(mesh: &Deployment) -> Self {
        let journal = Journal::default();
        let endpoint = mesh.endpoint();
        let pairs = join_all((0..PAIRS).map(|number| Pair::new(&endpoint, number, &journal))).await;
        let pairs = Arc::new(pairs);
        let (closing, over) = (CancellationToken::new(), CancellationToken::new());
        let mut working = JoinSet::new();
        for number in 0..PAIRS {
            working.spawn(work(Arc::clone(&pairs), number, closing.clone()));
        }
        let (audits, balances) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let mut looking = JoinSet::new();
        looking.spawn(audit(operator(mesh), journal.clone(), over.clone(), Arc::clone(&audits)));
        looking.spawn(watch_balances(
            Arc::clone(&pairs),
            journal.clone(),
            over.clone(),
            Arc::clone(&balances),
        ));
        Self { journal, pairs, working, looking, closing, over, audits, balances }
    }

    /// Tasks completed a second, over a span that begins now.
    pub(crate) async fn throughput(&self, span: Duration) -> f64 {
        let begun = Instant::now();
        tokio::time::sleep(span).await;
        let count = u32::try_from(self.journal.completed_since(begun)).unwrap_or(u32::MAX);
        f64::from(count) / begun.elapsed().as_secs_f64()
    }

    /// How long it takes from now until a task is completed; `None` where none is within `limit`.
    pub(crate) async fn until_one_completes(&self, limit: Duration) -> Option<Duration> {
        let begun = Instant::now();
        while self.journal.completed_since(begun) == 0 {
            if begun.elapsed() > limit {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(begun.elapsed())
    }

    /// Lets everybody finish, then holds what they were told against what is there.
    pub(crate) async fn settle(mut self, mesh: &Deployment, logs: impl Fn() -> String) -> Reckoning {
        let begun = Instant::now();
        self.closing.cancel();
        let mut problems = Vec::new();
        while let Some(ended) = self.working.join_next().await {
            problems.extend(ended.expect("a pair does not panic"));
        }
        let settled_within = begun.elapsed();
        self.over.cancel();
        while let Some(ended) = self.looking.join_next().await {
            ended.expect("an observer does not panic");
        }
        let root = std::fs::read(mesh.trust_root_file()).expect("the trust root");
        let root = TrustRoot::from_json(&root).expect("a trust root");
        let tasks = self.check_tasks(&root, &mut problems).await;
        self.check_balances(&tasks, &mut problems).await;
        let clean = operator(mesh).audit_ledger().await.expect("an audit when all is over");
        problems.extend(clean.checks.iter().filter(|check| check.violations > 0).map(|c| format!("{c:?}")));
        problems.extend(self.journal.violations());
        let internal = self.journal.refused_with("Internal");
        if internal > 0 {
            problems.push(format!("{internal} calls were answered INTERNAL: {}", self.journal.errors()));
        }
        assert!(problems.is_empty(), "{}\n{}", problems.join("\n"), logs());
        Reckoning {
            completed: self.journal.tasks().len(),
            acknowledged: self.journal.acknowledgements(),
            audits: self.audits.load(Ordering::Relaxed),
            balances: self.balances.load(Ordering::Relaxed),
            receipts: tasks.iter().sum(),
            settled_within,
            errors: self.journal.errors(),
        }
    }

    /// Each acknowledged task is there, completed, with a receipt that proves its payment. Answers with the number of
    /// each pair's.
    async fn check_tasks(&self, root: &TrustRoot, problems: &mut Vec<String>) -> Vec<usize> {
        let known = self.journal.tasks();
        let mut counts = Vec::new();
        for (number, pair) in self.pairs.iter().enumerate() {
            let tasks = pair.tasks().await.expect("a list when all is over");
            for task in &tasks {
                // An offer whose answer was lost is repeated until it is answered, so each one is known.
                if !known.contains_key(&task.task_id) {
                    problems.push(format!("requester {number} has a task nobody knows: {}", task.task_id));
                }
                if task.state() != State::Completed {
                    problems.push(format!("{} is {:?}", task.task_id, task.state()));
                }
                problems.extend(pair.receipt_is_good(&task.task_id, root).await.err());
            }
            counts.push(tasks.len());
        }
        let there: usize = counts.iter().sum();
        if there != known.len() {
            problems.push(format!("{} tasks were acknowledged, {there} are there", known.len()));
        }
        counts
    }

    /// To the msat: each completed task was paid for once, and nothing else moved.
    async fn check_balances(&self, tasks: &[usize], problems: &mut Vec<String>) {
        for (number, (pair, tasks)) in self.pairs.iter().zip(tasks).enumerate() {
            let tasks = i64::try_from(*tasks).expect("a small number");
            let found = pair.balances().await.expect("balances when all is over");
            let expected = (BUDGET_MSAT - tasks * PRICE_MSAT, 0, tasks * (PRICE_MSAT - FEE_MSAT));
            if found != expected {
                problems.push(format!("pair {number} has {found:?}, expected {expected:?}"));
            }
        }
    }
}

/// The operator of a mesh.
pub(crate) fn operator(mesh: &Deployment) -> Admin {
    let token = std::fs::read_to_string(mesh.admin_token_file()).expect("the operator's token");
    Admin::connect(mesh.admin_endpoint(), &token).expect("the admin port")
}

/// One pair at work; answers with what went wrong.
async fn work(pairs: Arc<Vec<Pair>>, number: usize, closing: CancellationToken) -> Vec<String> {
    let mut problems = Vec::new();
    let mut turn = number;
    while !closing.is_cancelled() {
        let next = Instant::now() + PACE;
        let ended = pairs[number].lifecycle(turn, Instant::now() + LIFECYCLE_WITHIN).await;
        problems.extend(ended.err());
        turn += 1;
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = closing.cancelled() => {}
        }
    }
    problems
}

/// Audits the ledger until it is told to stop: clean whenever it answers.
async fn audit(operator: Admin, journal: Journal, over: CancellationToken, count: Arc<AtomicUsize>) {
    while !over.is_cancelled() {
        match tokio::time::timeout(AUDIT_WITHIN, operator.audit_ledger()).await {
            Ok(Ok(audit)) => {
                count.fetch_add(1, Ordering::Relaxed);
                if !audit.clean {
                    let broken: Vec<_> = audit.checks.iter().filter(|check| check.violations > 0).collect();
                    journal.violated(format!("the audit found {broken:?}"));
                }
            }
            Ok(Err(error)) => journal.failed(&error),
            Err(_no_answer) => {}
        }
        tokio::time::sleep(AUDIT_EVERY).await;
    }
}

/// Reads balances until it is told to stop: never negative, and never more than there was.
async fn watch_balances(
    pairs: Arc<Vec<Pair>>,
    journal: Journal,
    over: CancellationToken,
    count: Arc<AtomicUsize>,
) {
    while !over.is_cancelled() {
        for (number, pair) in pairs.iter().enumerate() {
            if let Ok((available, held, earned)) = pair.balances().await {
                count.fetch_add(1, Ordering::Relaxed);
                if available < 0 || held < 0 || earned < 0 || available + held > BUDGET_MSAT {
                    journal.violated(format!("pair {number} has {available} + {held}, and {earned}"));
                }
            }
        }
        tokio::time::sleep(AUDIT_EVERY).await;
    }
}
