//! The slices: what each runs, and what it costs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::Row as _;
use tempfile::TempDir;

use crate::clients::Entry;
use crate::cluster::{Cluster, Mark};
use crate::echo::Chain;
use crate::lifecycle::Market;
use crate::load::{self, Load};
use crate::mesh::{Counters, Mesh, grown};
use crate::monolith::Monolith;
use crate::numbers::{float, ratio};
use crate::parties::Parties;
use crate::report::{Slice, Steady};
use crate::{Failure, Plan, system};

/// Microseconds of a second.
const MICROS: f64 = 1e6;
/// The writers that gather commands into batches, by their server.
const WRITERS: [&str; 3] = ["escrow", "attestation", "task"];

/// A mesh with those who trade in it.
pub(crate) struct Trading {
    /// The servers.
    pub(crate) mesh: Mesh,
    /// The way in by gRPC.
    pub(crate) entry: Entry,
    /// Who trades.
    pub(crate) parties: Arc<Parties>,
}

/// What is running while a slice is measured.
struct Before {
    mark: Mark,
    postgres: f64,
    own: f64,
    transactions: BTreeMap<String, f64>,
}

// === impl Trading ===

impl Trading {
    /// Signs everybody up.
    pub(crate) async fn open(mesh: Mesh, count: usize) -> Result<Self, Failure> {
        let entry = Entry::grpc(&mesh.endpoint())?;
        let parties = Parties::sign_up(&entry, count).await?;
        Ok(Self { mesh, entry, parties })
    }

    /// A or A′: the closed loop over one way in.
    pub(crate) async fn capacity(
        &self,
        cluster: &Cluster,
        entry: &Entry,
        callers: u32,
        span: Duration,
    ) -> Result<Slice, Failure> {
        let market = Market::new(&self.parties, entry);
        let before = Before::look(cluster).await?;
        let (cpu, counters) = (self.mesh.cpu_seconds(), self.mesh.counters().await?);
        let load = closed(&market, callers, span).await?;
        let mut slice = before.slice(cluster, &load).await?;
        let each = MICROS / float(load.done.max(1));
        for (server, seconds) in self.mesh.cpu_seconds() {
            let used = seconds - cpu.get(server).copied().unwrap_or(0.0);
            slice.cpu_micros.insert(server.to_owned(), used * each);
        }
        let after = self.mesh.counters().await?;
        counted(&mut slice, &counters, &after, load.done);
        slice.busy = by(market.trouble.busy.load(Ordering::Relaxed), load.done);
        slice.looks = by(market.trouble.looks.load(Ordering::Relaxed), load.done);
        Ok(slice)
    }

    /// A at a constant rate of arrivals.
    pub(crate) async fn steady(&self, asked: f64, span: Duration) -> Result<Steady, Failure> {
        let market = Market::new(&self.parties, &self.entry);
        let work = move |due| {
            let market = Arc::clone(&market);
            async move { market.lifecycle(due).await }
        };
        let load = load::open(asked, span, work).await?;
        Ok(Steady {
            asked,
            rate: load.rate,
            done_percent: load.done_percent(),
            create: load.create(),
            claim: load.claim(),
            submit: load.submit(),
        })
    }
}

/// C at capacity.
pub(crate) async fn monolith(
    cluster: &Cluster,
    monolith: &Monolith,
    callers: u32,
    span: Duration,
) -> Result<Slice, Failure> {
    let before = Before::look(cluster).await?;
    let cpu = monolith.cpu_seconds();
    let users = monolith.users();
    let work = move |due| {
        let users = Arc::clone(&users);
        async move { users.lifecycle(due).await }
    };
    let load = load::closed(usize::try_from(callers)?, span, work).await?;
    let mut slice = before.slice(cluster, &load).await?;
    let used = (monolith.cpu_seconds() - cpu) * MICROS / float(load.done.max(1));
    slice.cpu_micros.insert("monolith".to_owned(), used);
    Ok(slice)
}

/// D at capacity.
pub(crate) async fn echo(
    cluster: &Cluster,
    chain: &Chain,
    callers: u32,
    span: Duration,
) -> Result<Slice, Failure> {
    let before = Before::look(cluster).await?;
    let cpu = chain.cpu_seconds();
    let calls = chain.calls();
    let work = move |due| {
        let calls = Arc::clone(&calls);
        async move { calls.lifecycle(due).await }
    };
    let load = load::closed(usize::try_from(callers)?, span, work).await?;
    let mut slice = before.slice(cluster, &load).await?;
    let used = (chain.cpu_seconds() - cpu) * MICROS / float(load.done.max(1));
    slice.cpu_micros.insert("echo".to_owned(), used);
    Ok(slice)
}

/// `--hold`: A alone, for a profiler, and what each statement cost.
pub(crate) async fn hold(plan: &Plan, seconds: f64) -> Result<(), Failure> {
    let folder = workplace()?;
    let cluster = Cluster::start(folder.path()).await?.observed(folder.path()).await?;
    let mesh = Mesh::separate(&cluster, folder.path(), &plan.set).await?;
    let trading = Trading::open(mesh, plan.parties).await?;
    for (server, pid) in trading.mesh.pids() {
        println!("{server} {pid}");
    }
    println!("postgres {}", cluster.socket_dir().display());
    let callers = u32::try_from(plan.callers)?;
    let entry = trading.entry.clone();
    let slice = trading.capacity(&cluster, &entry, callers, Duration::from_secs_f64(seconds)).await?;
    println!("{}", serde_json::to_string_pretty(&slice)?);
    let lifecycles = float(slice.done.max(1));
    println!("database | calls a lifecycle | plan us | run us | us a lifecycle | statement");
    for statement in cluster.statements().await? {
        let calls = statement.calls / lifecycles;
        println!(
            "{} | {calls:.2} | {:.0} | {:.0} | {:.0} | {:.150}",
            statement.database,
            statement.plan_micros,
            statement.run_micros,
            calls * (statement.plan_micros + statement.run_micros),
            statement.text
        );
    }
    trading.mesh.stop().await;
    cluster.stop().await
}

/// A folder for the run that the user of PostgreSQL may enter.
pub(crate) fn workplace() -> Result<TempDir, Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::Builder::new().prefix("poa-bench-").tempdir()?;
    std::fs::set_permissions(Path::new(folder.path()), std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

async fn closed(market: &Arc<Market>, callers: u32, span: Duration) -> Result<Load, Failure> {
    let market = Arc::clone(market);
    let work = move |due| {
        let market = Arc::clone(&market);
        async move { market.lifecycle(due).await }
    };
    load::closed(usize::try_from(callers)?, span, work).await
}

fn by(count: u64, lifecycles: u64) -> f64 {
    ratio(float(count), float(lifecycles))
}

/// RPCs and batches from the servers' own counters.
fn counted(slice: &mut Slice, before: &Counters, after: &Counters, lifecycles: u64) {
    let each = 1.0 / float(lifecycles.max(1));
    for server in ["gateway", "auth", "task", "escrow", "attestation", "mesh"] {
        let rpcs = grown(before, after, Some(server), "poa_requests_total");
        if rpcs > 0.0 {
            slice.rpcs.insert(server.to_owned(), rpcs * each);
        }
    }
    for server in WRITERS {
        let batches = grown(before, after, Some(server), "poa_storage_batch_commands_count");
        let commands = grown(before, after, Some(server), "poa_storage_batch_commands_sum");
        if batches > 0.0 {
            slice.batches.insert(server.to_owned(), (batches * each, commands / batches));
        }
    }
}

// === impl Before ===

impl Before {
    async fn look(cluster: &Cluster) -> Result<Self, Failure> {
        Ok(Self {
            mark: cluster.mark().await?,
            postgres: cluster.cpu_seconds(),
            own: system::cpu_seconds(std::process::id()),
            transactions: transactions(cluster).await?,
        })
    }

    /// What a load cost since then.
    async fn slice(self, cluster: &Cluster, load: &Load) -> Result<Slice, Failure> {
        let postgres = cluster.cpu_seconds() - self.postgres;
        let own = system::cpu_seconds(std::process::id()) - self.own;
        let mut written = cluster.since(&self.mark).await?;
        let each = 1.0 / float(load.done.max(1));
        written.bytes *= each;
        written.page_image_bytes *= each;
        written.commits *= each;
        written.syncs *= each;
        let after = transactions(cluster).await?;
        let transactions = after.into_iter().filter_map(|(database, count)| {
            let grown = (count - self.transactions.get(&database).copied().unwrap_or(0.0)) * each;
            (grown > 0.05).then_some((database, grown))
        });
        Ok(Slice {
            rate: load.rate,
            done: load.done,
            failed: load.failed,
            errors: load.errors.clone(),
            busy: 0.0,
            looks: 0.0,
            create: load.create(),
            claim: load.claim(),
            submit: load.submit(),
            cpu_micros: BTreeMap::new(),
            postgres_micros: postgres * MICROS * each,
            generator_micros: own * MICROS * each,
            written,
            rpcs: BTreeMap::new(),
            transactions: transactions.collect(),
            batches: BTreeMap::new(),
        })
    }
}

/// Transactions so far, by database; reads count, and the count lags by up to a second.
async fn transactions(cluster: &Cluster) -> Result<BTreeMap<String, f64>, Failure> {
    let mut connection = cluster.connect("postgres").await?;
    let rows = sqlx::query(
        "SELECT datname::text AS name, xact_commit::float8 AS count FROM pg_stat_database
         WHERE datname IS NOT NULL AND datname <> 'postgres'",
    )
    .fetch_all(&mut connection)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("count")?))).collect()
}
