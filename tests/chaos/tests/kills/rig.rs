//! A mesh of separate processes, people in it, an auditor who never stops, and the switch of the failpoints.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use poa_chassis::failpoint::{REPORT_VARIABLE, VARIABLE};
use poa_e2e::Deployment;
use poa_sdk::Admin;
use poa_testkit::{LnurlServer, eventually};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;

use crate::market::Market;
use crate::node;
use crate::payouts;
use crate::points::{self, Action, Strike};
use crate::stories::Story;

/// Meshes at a time: each is five processes, and a machine of two processors runs two of them at their usual speed.
static TURNS: Semaphore = Semaphore::const_new(2);

/// The processes that have failpoints.
const SERVICES: [&str; 3] = ["task", "escrow", "attestation"];
/// The signal that a kill is.
const SIGKILL: i32 = 9;
/// How long an armed failpoint may take to be reached.
const STRIKES_WITHIN: Duration = Duration::from_secs(60);
/// How long a story may take, with everything that strikes on its way.
const TOLD_WITHIN: Duration = Duration::from_secs(400);
/// Between two audits: they read the whole ledger.
const AUDIT_PAUSE: Duration = Duration::from_millis(200);
/// Every bound of the services on a wait, short enough to be waited for, and leases that outlive the clock's leaps.
const SETTINGS: [(&str, &str, &str); 17] = [
    ("task", "POA__CLAIMS__LEASE_SECONDS", "86400"),
    ("task", "POA__DATABASE__STATEMENT_TIMEOUT_MS", "2000"),
    ("task", "POA__WORKER__CALL_TIMEOUT_MS", "1500"),
    ("task", "POA__WORKER__DRIVE_TIMEOUT_MS", "6000"),
    ("attestation", "POA__DATABASE__STATEMENT_TIMEOUT_MS", "2000"),
    ("escrow", "POA__DATABASE__STATEMENT_TIMEOUT_MS", "2000"),
    ("escrow", "POA__DEPOSITS__LOOK_TIMEOUT_MS", "6000"),
    ("escrow", "POA__WITHDRAWALS__LOOK_TIMEOUT_MS", "6000"),
    ("escrow", "POA__WITHDRAWALS__CALL_TIMEOUT_MS", "1500"),
    ("escrow", "POA__WITHDRAWALS__PAYMENT_SECONDS", "3"),
    ("escrow", "POA__WITHDRAWALS__LOST_MARGIN_SECONDS", "2"),
    ("escrow", "POA__PAYOUTS__AUTOMATIC_POLL_MS", "100"),
    ("escrow", "POA__PAYOUTS__AUTOMATIC_RETRY_SECONDS", "1"),
    ("escrow", "POA__HOLDS__CALL_TIMEOUT_MS", "1500"),
    ("escrow", "POA__HOLDS__LOOK_TIMEOUT_MS", "10000"),
    // A statement of what is owed follows the other.
    ("escrow", "POA__LIABILITIES__EVERY_SECONDS", "1"),
    ("escrow", "POA__LIABILITIES__STEP_TIMEOUT_MS", "6000"),
];

/// How fast what nobody waits for passes: what strikes on the way to it must leave a story the time for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// One failpoint strikes at a time, and the next one waits for the end of its story.
    Quick,
    /// All failpoints strike at once.
    Slow,
}

pub(crate) struct Rig {
    mesh: Deployment,
    market: Arc<Market>,
    auditing: JoinHandle<()>,
    audits: Arc<Audits>,
    /// Where the failpoints report to.
    report: PathBuf,
    /// The host of Lightning addresses.
    _outside: LnurlServer,
    _folder: TempDir,
    _turn: SemaphorePermit<'static>,
}

/// What the auditor has seen.
#[derive(Default)]
struct Audits {
    clean: AtomicUsize,
    broken: Mutex<Vec<String>>,
}

// === impl Pace ===

impl Pace {
    /// How fast the chain grows, in milliseconds a block. Of the 80 blocks that sats are locked for, 44 pass before the
    /// platform decides, and 18 more until the node gives them back.
    const fn block_ms(self) -> &'static str {
        match self {
            Self::Quick => "900",
            Self::Slow => "2500",
        }
    }

    /// How long the invoice of a deposit can be paid, in seconds.
    const fn expiry_seconds(self) -> &'static str {
        match self {
            Self::Quick => "15",
            Self::Slow => "120",
        }
    }
}

// === impl Rig ===

impl Rig {
    pub(crate) async fn start(pace: Pace) -> Self {
        let turn = TURNS.acquire().await.expect("never closed");
        let folder = tempfile::tempdir().expect("a folder for the report");
        let report = folder.path().join("failpoints");
        let path = report.to_string_lossy().into_owned();
        let reports = SERVICES.map(|service| (service, REPORT_VARIABLE, path.as_str()));
        let outside = payouts::addresses(folder.path()).await;
        let server = outside.https().address().to_string();
        let roots = folder.path().join("roots.pem");
        std::fs::write(&roots, outside.https().roots()).expect("a file");
        let roots = roots.to_string_lossy().into_owned();
        let addresses = [
            ("escrow", "POA__EGRESS__SIMULATED_SERVER", server.as_str()),
            ("escrow", "POA__EGRESS__SIMULATED_ROOTS", roots.as_str()),
            ("escrow", "POA__LIGHTNING__BLOCK_MS", pace.block_ms()),
            ("escrow", "POA__DEPOSITS__EXPIRY_SECONDS", pace.expiry_seconds()),
        ];
        let settings: Vec<_> = SETTINGS.into_iter().chain(reports).chain(addresses).collect();
        let mesh = Deployment::separate_with(&settings).await;
        let token = std::fs::read_to_string(mesh.admin_token_file()).expect("the operator's token");
        let admin = Admin::connect(mesh.admin_endpoint().as_str(), &token).expect("an admin endpoint");
        let operator = Admin::connect(mesh.admin_endpoint().as_str(), &token).expect("an admin endpoint");
        let market = Arc::new(Market::open(&mesh, operator).await);
        let audits = Arc::new(Audits::default());
        let auditing = tokio::spawn(audit(admin, Arc::clone(&audits)));
        Self { mesh, market, auditing, audits, report, _outside: outside, _folder: folder, _turn: turn }
    }

    /// Arms one failpoint alone, tells the story that leads to it, restarts what was killed, and waits for rest.
    /// Answers how long that took from the restart on, where something was killed.
    pub(crate) async fn strike(&mut self, strike: Strike) -> Option<Duration> {
        let before = self.reported(strike);
        self.arm(&[strike]).await;
        let (market, story) = (Arc::clone(&self.market), points::story_of(strike.point));
        let what = strike.armed();
        let (told, restarted) = tokio::join!(told(&market, story), self.restart_what_dies(strike));
        self.settled(&what, told);
        eventually(STRIKES_WITHIN, &what, async || self.reported(strike) > before).await;
        self.rest().await;
        let took = restarted.map(|since| since.elapsed());
        eprintln!("{what}: {story:?}, at rest {took:.2?} after the restart");
        took
    }

    /// Waits for the end of what is to be killed, and starts it again. Answers when it was ready.
    async fn restart_what_dies(&mut self, strike: Strike) -> Option<Instant> {
        if strike.action != Action::Kill {
            return None;
        }
        let (what, process) = (strike.armed(), points::process(strike.point));
        eventually(STRIKES_WITHIN, &what, async || self.mesh.exited(process).is_some()).await;
        let signal = self.mesh.exited(process).and_then(|status| status.signal());
        assert_eq!(signal, Some(SIGKILL), "{what}: {process} ended otherwise\n{}", self.mesh.logs());
        self.mesh.start(process).await;
        self.mesh.wait_ready().await;
        Some(Instant::now())
    }

    /// Restarts each process that has one of these failpoints with all of its own armed, until its next start. It is not
    /// waited for until they are ready: what works at its own pace may come to a failpoint before, and die of it.
    pub(crate) async fn arm(&mut self, strikes: &[Strike]) {
        for service in SERVICES {
            let own = strikes.iter().filter(|strike| points::process(strike.point) == service);
            let armed: Vec<String> = own.map(Strike::armed).collect();
            if !armed.is_empty() {
                self.mesh.set_variable(service, VARIABLE, Some(&armed.join(",")));
                self.mesh.kill_and_restart(service).await;
                self.mesh.set_variable(service, VARIABLE, None);
            }
        }
    }

    /// Tells stories, all at the same time.
    pub(crate) async fn tell(&self, stories: &[Story]) {
        let telling = stories.iter().map(|story| told(&self.market, *story));
        for (story, told) in stories.iter().zip(join_all(telling).await) {
            self.settled(&format!("{story:?}"), told);
        }
    }

    /// A story must have come to its end.
    fn settled(&self, what: &str, told: Result<(), String>) {
        if let Err(why) = told {
            panic!("{what}: {why}\n{}", self.mesh.logs());
        }
    }

    /// Waits until every sat is where it belongs, and the audit that comes then is clean.
    pub(crate) async fn rest(&self) {
        if let Err(why) = self.market.rest().await {
            panic!("no rest: {why}\n{}", self.mesh.logs());
        }
        let before = self.audits();
        eventually(STRIKES_WITHIN, "an audit", async || self.audits() > before || self.broken().is_some())
            .await;
        assert_eq!(self.broken(), None, "the audit is not clean\n{}", self.mesh.logs());
    }

    /// What has not struck yet.
    pub(crate) fn missing(&self, wanted: &[Strike]) -> Vec<&'static str> {
        wanted.iter().filter(|strike| self.reported(**strike) == 0).map(|strike| strike.point).collect()
    }

    /// The last word: everything has struck, every task has ended, the node has paid what the withdrawals say and no
    /// payment twice, every audit was clean.
    pub(crate) async fn close(&mut self, wanted: &[Strike]) {
        let missing = self.missing(wanted);
        assert!(missing.is_empty(), "never struck: {missing:?}\n{}", self.mesh.logs());
        self.market.every_task_has_ended().await;
        let journal = self.mesh.keys_folder().with_file_name("lightning").join("node.journal");
        let mut paid: Vec<i64> = node::payments(&journal).into_values().collect();
        let mut wanted = self.market.books().paid_out;
        paid.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(paid, wanted, "what the node has paid, and what it was to pay, in msat");
        self.auditing.abort();
        assert!(self.audits() > 0 && self.broken().is_none(), "{:?}", self.broken());
    }

    /// How many audits were clean.
    pub(crate) fn audits(&self) -> usize {
        self.audits.clean.load(Ordering::SeqCst)
    }

    /// How many stories came to their end.
    pub(crate) fn stories(&self) -> usize {
        self.market.books().stories
    }

    fn broken(&self) -> Option<String> {
        self.audits.broken.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }

    /// How often a failpoint has struck so.
    fn reported(&self, strike: Strike) -> usize {
        let report = std::fs::read_to_string(&self.report).unwrap_or_default();
        report.lines().filter(|line| *line == strike.reported()).count()
    }
}

async fn told(market: &Market, story: Story) -> Result<(), String> {
    let telling = tokio::time::timeout(TOLD_WITHIN, story.tell(market));
    let effect = telling.await.map_err(|_| format!("{story:?} has no end within {TOLD_WITHIN:?}"))?;
    market.book(&effect.map_err(|why| format!("{story:?}: {why}"))?);
    Ok(())
}

/// Audits the live ledger without end. Where escrow is away there is nothing to read.
async fn audit(admin: Admin, audits: Arc<Audits>) {
    loop {
        if let Ok(audit) = admin.audit_ledger().await {
            if audit.clean {
                audits.clean.fetch_add(1, Ordering::SeqCst);
            } else {
                audits.broken.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{audit:#?}"));
            }
        }
        tokio::time::sleep(AUDIT_PAUSE).await;
    }
}
