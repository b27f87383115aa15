//! The run: everything is started, capacities are found, then the slices are interleaved round by round, so that what
//! disturbs the machine for a while disturbs all of them.

use std::sync::Arc;
use std::time::Duration;

use crate::clients::Entry;
use crate::cluster::Cluster;
use crate::echo::{Chain, RPCS};
use crate::mesh::Mesh;
use crate::monolith::Monolith;
use crate::pgbench::{Script, Statements};
use crate::report::{Chosen, Report, Round};
use crate::slices::{self, Trading};
use crate::{Failure, Plan, base, page, receipts, report};

/// Callers that a closed loop tries, until more of them help no more.
const CALLERS: [u32; 6] = [8, 16, 32, 64, 128, 256];
/// Clients that pgbench tries, all of them.
const CLIENTS: [u32; 4] = [8, 16, 32, 64];
/// Clients that B2 tries: transactions of many rows want few.
const BATCH_CLIENTS: [u32; 3] = [1, 2, 4];
/// What more callers must bring to count as help.
const HELPS: f64 = 1.03;
/// The longest that one figure of the machine is measured in a round.
const BASE_SPAN: Duration = Duration::from_secs(1);

/// All that runs.
struct Bench {
    cluster: Cluster,
    trading: Trading,
    single: Option<(Trading, u32)>,
    web: Entry,
    chain: Chain,
    monolith: Monolith,
    statements: Statements,
    receipts: Arc<receipts::Bench>,
    span: Duration,
}

/// Runs it, writes the result and the page.
pub(crate) async fn run(plan: &Plan) -> Result<(), Failure> {
    let folder = slices::workplace()?;
    let (time, commit, host) = (report::now()?, report::commit(), report::host());
    println!("{commit} on {host}");
    let mut bench = Bench::start(plan, &folder).await?;
    let mut report = bench.calibrate(plan, time, commit, host).await?;
    for number in 1..=plan.rounds {
        let round = bench.round(&report).await?;
        println!(
            "round {number}: A {:.0}/s, A' {:.0}/s, B1 {:.0}/s, B2 {:.0}/s, C {:.0}/s, D {:.0}/s; create+hold p99 {:.1} ms at half load; one-row commits {:.0}/s",
            round.mesh.rate,
            round.web.rate,
            round.one_by_one,
            round.batched,
            round.monolith.rate,
            round.echo.rate,
            round.half.create.p99_ms,
            round.machine.commits_one
        );
        report.rounds.push(round);
    }
    let path = report.write(&plan.results())?;
    println!("{}", page::tables(&report));
    println!("written to {}", path.display());
    if !plan.quick && plan.results.is_none() {
        page::write(&report)?;
    }
    bench.stop().await
}

// === impl Bench ===

impl Bench {
    async fn start(plan: &Plan, folder: &tempfile::TempDir) -> Result<Self, Failure> {
        let span = Duration::from_secs_f64(plan.seconds);
        let cluster = Cluster::start(folder.path()).await?;
        println!("starting the mesh, signing up {} requesters and as many agents ...", plan.parties);
        let mesh = Mesh::separate(&cluster, folder.path(), &plan.set).await?;
        let trading = Trading::open(mesh, plan.parties).await?;
        let web = Entry::grpc_web(&trading.mesh.endpoint())?;
        let monolith = Monolith::start(&cluster, &trading.parties.env, plan.parties).await?;
        let chain = Chain::start().await?;
        // The pattern of B's rows is a task that the mesh completed.
        trading.capacity(&cluster, &trading.entry, 4, span.min(BASE_SPAN)).await?;
        let statements = Statements::prepare(&cluster).await?;
        let single = match plan.single {
            true => {
                let mesh = Mesh::single(folder.path()).await?;
                Some((Trading::open(mesh, plan.parties).await?, 64))
            }
            false => None,
        };
        let receipts = Arc::new(receipts::Bench::new(&trading.parties.env)?);
        Ok(Self { cluster, trading, single, web, chain, monolith, statements, receipts, span })
    }

    /// Finds the callers at which each slice is at its best.
    async fn calibrate(
        &mut self,
        plan: &Plan,
        time: String,
        commit: String,
        host: String,
    ) -> Result<Report, Failure> {
        let span = self.span.min(Duration::from_secs(3));
        let (cluster, trading) = (&self.cluster, &self.trading);
        let mut batch = 1.0_f64;
        let mut callers = Chosen { count: 0, tried: Vec::new() };
        for count in CALLERS {
            let slice = trading.capacity(cluster, &trading.entry, count, span).await?;
            let seen = slice.batches.values().map(|(_, size)| *size).fold(1.0, f64::max);
            if !callers.add(count, slice.rate) {
                break;
            }
            batch = seen;
        }
        println!("A: {} callers of {:?}", callers.count, callers.tried);
        let mut monolith_callers = Chosen { count: 0, tried: Vec::new() };
        for count in CALLERS {
            let rate = slices::monolith(cluster, &self.monolith, count, span).await?.rate;
            if !monolith_callers.add(count, rate) {
                break;
            }
        }
        let mut echo_callers = Chosen { count: 0, tried: Vec::new() };
        for count in CALLERS {
            let rate = slices::echo(cluster, &self.chain, count, span).await?.rate;
            if !echo_callers.add(count, rate) {
                break;
            }
        }
        let mut clients = Chosen { count: 0, tried: Vec::new() };
        for count in CLIENTS {
            let rate = self.statements.run(Script::OneByOne, count, span).await?;
            clients.add(count, rate);
        }
        println!("B1: {} clients of {:?}", clients.count, clients.tried);
        let batch = rounded(batch);
        let mut batch_clients = Chosen { count: 0, tried: Vec::new() };
        for count in BATCH_CLIENTS {
            let rate = self.statements.run(Script::Batched(batch), count, span).await?;
            batch_clients.add(count, rate);
        }
        Ok(Report {
            time,
            commit,
            host,
            seconds: plan.seconds,
            parties: plan.parties,
            callers,
            clients,
            monolith_callers,
            echo_callers,
            batch,
            batch_clients: batch_clients.count,
            echo_rpcs: RPCS,
            settings: self.cluster.settings().await?,
            rounds: Vec::with_capacity(plan.rounds),
        })
    }

    async fn round(&mut self, report: &Report) -> Result<Round, Failure> {
        let span = self.span;
        self.trading.parties.renew(&self.trading.entry).await?;
        self.cluster.checkpoint().await?;
        let (cluster, trading) = (&self.cluster, &self.trading);
        let base_span = BASE_SPAN.min(span);
        let machine = base::measure(cluster, &self.chain.calls(), &trading.parties.env, base_span).await?;
        let pure = Arc::clone(&self.receipts);
        let receipts = tokio::task::spawn_blocking(move || pure.measure(base_span / 4)).await??;
        let callers = report.callers.count;
        let mesh = trading.capacity(cluster, &trading.entry, callers, span).await?;
        let web = trading.capacity(cluster, &self.web, callers, span).await?;
        let one_by_one = self.statements.run(Script::OneByOne, report.clients.count, span).await?;
        let batched = self.statements.run(Script::Batched(report.batch), report.batch_clients, span).await?;
        let monolith = slices::monolith(cluster, &self.monolith, report.monolith_callers.count, span).await?;
        let echo = slices::echo(cluster, &self.chain, report.echo_callers.count, span).await?;
        let half = trading.steady(mesh.rate * 0.5, span).await?;
        let eighty = trading.steady(mesh.rate * 0.8, span).await?;
        let single = match &self.single {
            Some((single, callers)) => {
                single.parties.renew(&single.entry).await?;
                Some(single.capacity(cluster, &single.entry, *callers, span).await?)
            }
            None => None,
        };
        Ok(Round {
            machine,
            receipts: Some(receipts),
            mesh,
            web,
            single,
            half,
            eighty,
            one_by_one,
            batched,
            monolith,
            echo,
        })
    }

    async fn stop(self) -> Result<(), Failure> {
        self.trading.mesh.stop().await;
        if let Some((single, _)) = self.single {
            single.mesh.stop().await;
        }
        drop((self.chain, self.monolith));
        self.cluster.stop().await
    }
}

// === impl Chosen ===

impl Chosen {
    /// Notes a rate; answers whether more callers may still help.
    fn add(&mut self, count: u32, rate: f64) -> bool {
        let best = self.tried.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
        self.tried.push((count, rate));
        if rate > best || self.count == 0 {
            self.count = count;
        }
        rate > best * HELPS
    }
}

/// A mean batch as a count, at least 1.
fn rounded(mean: f64) -> u32 {
    (1..=500_u32)
        .min_by(|a, b| (f64::from(*a) - mean).abs().total_cmp(&(f64::from(*b) - mean).abs()))
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_callers_are_tried_until_they_help_no_more_and_the_best_is_taken() {
        let mut chosen = Chosen { count: 0, tried: Vec::new() };
        assert!(chosen.add(8, 100.0));
        assert!(chosen.add(16, 150.0));
        assert!(!chosen.add(32, 151.0));
        assert_eq!(chosen.count, 32);
        assert!(!chosen.add(64, 90.0));
        assert_eq!(chosen.count, 32);
    }

    #[test]
    fn a_mean_batch_becomes_a_count() {
        assert_eq!([0.2, 1.0, 7.4, 7.6, 9_000.0].map(rounded), [1, 1, 7, 8, 500]);
    }
}
