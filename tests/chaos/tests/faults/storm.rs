//! Faults of the network and of the database, in an order that a seed decides, under a steady load.

use std::fmt::Write as _;
use std::time::Duration;

use poa_e2e::Deployment;
use poa_testkit::{Direction, FaultProxy, OwnPostgres, SeededEntropy, Stop, eventually};
use tokio::time::Instant;

use crate::load::Load;

/// How long bytes are held back.
const PAUSE: Duration = Duration::from_secs(3);
/// How long nobody is let in.
const REFUSAL: Duration = Duration::from_secs(1);
/// How long the database stays away between an end and a start.
const AWAY: Duration = Duration::from_secs(1);
/// How long throughput is measured, before the faults and after each one of the database.
const MEASURED: Duration = Duration::from_secs(6);
/// Tasks must be completed again within this time once a fault is over. The figure that is promised is ten seconds; a
/// machine that runs other tests beside is given more.
const RECOVERED_WITHIN: Duration = Duration::from_secs(30);
/// What a cut in the middle lets pass: less than a message of HTTP/2 or PostgreSQL, and no multiple of its parts.
const PART_OF_A_FRAME: usize = 7;
/// The services with a database.
const SERVICES: [&str; 4] = ["auth", "task", "escrow", "attestation"];
/// The connections between servers that faults strike.
const LINKS: [(&str, &str); 5] = [
    ("task", "escrow"),
    ("task", "attestation"),
    ("gateway", "task"),
    ("gateway", "escrow"),
    ("attestation", "auth"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Terminate,
    Stop(Stop),
    PauseDatabase,
    CutDatabase,
    CutDatabaseInFrame,
    NoConnectionsLeft,
    PauseLink(usize, Direction),
    CutLink(usize),
    CutLinkInFrame(usize),
    RefuseLink(usize),
}

/// A mesh of separate processes with a proxy on each way that faults take.
struct Stormy {
    mesh: Deployment,
    postgres: OwnPostgres,
    databases: Vec<FaultProxy>,
    chance: SeededEntropy,
}

/// How one fault was survived.
struct Survived {
    fault: Fault,
    /// From the end of the fault until a task was completed.
    recovered: Duration,
    /// Of the throughput before all faults.
    percent: Option<f64>,
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_completed_again_after_each_fault_of_network_and_database_and_nothing_is_lost() {
    let seed = crate::seed();
    println!("replay with POA_CHAOS_SEED={seed}");
    let mut stormy = Stormy::new(seed).await;
    let load = Load::start(&stormy.mesh).await;
    let first = load.until_one_completes(RECOVERED_WITHIN).await;
    assert!(first.is_some(), "nothing works before the first fault: {}", load.journal.errors());
    let before = load.throughput(MEASURED).await;
    assert!(before > 0.0, "no task is completed within {MEASURED:?} before the first fault");

    let end = Instant::now() + crate::wanted_seconds();
    let mut survived = Vec::new();
    loop {
        for fault in stormy.plan() {
            survived.push(stormy.survive(fault, &load, before).await);
        }
        if Instant::now() >= end {
            break;
        }
    }

    let reckoning = load.settle(&stormy.mesh, || format!("seed {seed}\n{}", stormy.mesh.logs())).await;
    eventually(RECOVERED_WITHIN, "no transaction is left open", async || {
        stormy.postgres.idle_in_transaction().await == 0
    })
    .await;
    let mut block = format!("\n== faults of network and database, seed {seed} ==\n");
    for Survived { fault, recovered, percent } in &survived {
        let percent = percent.map(|percent| format!(", then {percent:.0} % of the throughput before"));
        let _infallible = writeln!(
            block,
            "{fault:?}: a task completed {} ms after it{}",
            recovered.as_millis(),
            percent.unwrap_or_default()
        );
    }
    let slowest = survived.iter().map(|one| one.recovered).max().unwrap_or_default();
    let _infallible = writeln!(
        block,
        "faults {}, survived all; slowest recovery {} ms; throughput before {before:.1} tasks/s\n\
         tasks completed {}, receipts verified {}, acknowledged writes lost 0 of {}\n\
         clean audits {}, balances read {}, idle in transaction 0, settled within {} ms\n\
         clients heard meanwhile: {}",
        survived.len(),
        slowest.as_millis(),
        reckoning.completed,
        reckoning.receipts,
        reckoning.acknowledged,
        reckoning.audits,
        reckoning.balances,
        reckoning.settled_within.as_millis(),
        reckoning.errors,
    );
    println!("{block}");
}

// === impl Stormy ===

impl Stormy {
    async fn new(seed: u64) -> Self {
        let postgres = OwnPostgres::start().await;
        let mut databases = Vec::new();
        let mut urls = Vec::new();
        for service in SERVICES {
            let proxy = postgres.proxy().await;
            let _socket = postgres.database(service).await;
            urls.push(postgres.url_through(&proxy, service));
            databases.push(proxy);
        }
        let settings: Vec<(&str, &str, &str)> = SERVICES
            .iter()
            .zip(&urls)
            .map(|(service, url)| (*service, "POA__DATABASE__URL", url.as_str()))
            .collect();
        let mesh = Deployment::separate_through(&settings, &LINKS).await;
        Self { mesh, postgres, databases, chance: SeededEntropy::new(seed) }
    }

    /// Each fault once, in a random order.
    fn plan(&self) -> Vec<Fault> {
        let mut plan = vec![
            Fault::Terminate,
            Fault::Stop(Stop::Fast),
            Fault::Stop(Stop::Immediate),
            Fault::Stop(Stop::Kill),
            Fault::PauseDatabase,
            Fault::CutDatabase,
            Fault::CutDatabaseInFrame,
            Fault::NoConnectionsLeft,
        ];
        for link in 0..LINKS.len() {
            let direction = [Direction::Both, Direction::ToServer, Direction::ToClient][self.below(3)];
            plan.extend([
                Fault::PauseLink(link, direction),
                Fault::CutLink(link),
                Fault::CutLinkInFrame(link),
                Fault::RefuseLink(link),
            ]);
        }
        for place in (1..plan.len()).rev() {
            plan.swap(place, self.below(place + 1));
        }
        plan
    }

    /// Strikes, and waits until business goes on.
    async fn survive(&mut self, fault: Fault, load: &Load, before: f64) -> Survived {
        self.strike(fault).await;
        let recovered = load.until_one_completes(RECOVERED_WITHIN).await;
        let Some(recovered) = recovered else {
            panic!(
                "nothing is completed within {RECOVERED_WITHIN:?} after {fault:?}: {}\n{}",
                load.journal.errors(),
                self.mesh.logs()
            );
        };
        let percent = if fault.is_of_database() {
            Some(100.0 * load.throughput(MEASURED).await / before)
        } else {
            None
        };
        Survived { fault, recovered, percent }
    }

    /// From the beginning of a fault to its end.
    async fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Terminate => {
                for _ in 0..3 {
                    self.postgres.terminate_backends(70, &self.chance).await;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            Fault::Stop(how) => {
                self.postgres.stop(how).await;
                tokio::time::sleep(AWAY).await;
                self.postgres.start_again().await;
            }
            Fault::PauseDatabase => {
                self.databases.iter().for_each(|proxy| proxy.pause(Direction::Both));
                tokio::time::sleep(PAUSE).await;
                self.databases.iter().for_each(FaultProxy::resume);
            }
            Fault::CutDatabase => self.databases.iter().for_each(FaultProxy::cut),
            Fault::CutDatabaseInFrame => {
                for (place, proxy) in self.databases.iter().enumerate() {
                    let direction = [Direction::ToServer, Direction::ToClient][place % 2];
                    proxy.cut_after(direction, PART_OF_A_FRAME + self.below(500));
                }
                self.until_cut(&self.databases.iter().collect::<Vec<_>>()).await;
            }
            Fault::NoConnectionsLeft => {
                let greedy = self.postgres.greedy().await;
                self.databases.iter().for_each(FaultProxy::cut);
                tokio::time::sleep(REFUSAL).await;
                drop(greedy);
            }
            Fault::PauseLink(link, direction) => {
                self.link(link).pause(direction);
                tokio::time::sleep(PAUSE).await;
                self.link(link).resume();
            }
            Fault::CutLink(link) => self.link(link).cut(),
            Fault::CutLinkInFrame(link) => {
                let bytes = PART_OF_A_FRAME + self.below(500);
                self.link(link).cut_after([Direction::ToServer, Direction::ToClient][self.below(2)], bytes);
                self.until_cut(&[self.link(link)]).await;
            }
            Fault::RefuseLink(link) => {
                self.link(link).refuse(true);
                self.link(link).cut();
                tokio::time::sleep(REFUSAL).await;
                self.link(link).refuse(false);
            }
        }
    }

    /// Waits until each proxy has cut in the middle, or has had the time: a quiet connection carries little.
    async fn until_cut(&self, proxies: &[&FaultProxy]) {
        let armed: Vec<u64> = proxies.iter().map(|proxy| proxy.counts().cut).collect();
        let end = Instant::now() + PAUSE;
        let struck = || proxies.iter().zip(&armed).all(|(proxy, before)| proxy.counts().cut > *before);
        while !struck() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        proxies.iter().for_each(|proxy| proxy.heal());
    }

    fn link(&self, number: usize) -> &FaultProxy {
        let (caller, callee) = LINKS[number];
        self.mesh.link(caller, callee)
    }

    /// A random number below a limit.
    fn below(&self, limit: usize) -> usize {
        usize::try_from(self.chance.next_u64() >> 33).unwrap_or(0) % limit
    }
}

// === impl Fault ===

impl Fault {
    fn is_of_database(self) -> bool {
        match self {
            Self::Terminate
            | Self::Stop(_)
            | Self::PauseDatabase
            | Self::CutDatabase
            | Self::CutDatabaseInFrame
            | Self::NoConnectionsLeft => true,
            Self::PauseLink(..) | Self::CutLink(_) | Self::CutLinkInFrame(_) | Self::RefuseLink(_) => false,
        }
    }
}
