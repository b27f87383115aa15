//! `--growth`: what create and claim cost as tables grow. By hand, minutes.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use crate::cluster::Cluster;
use crate::mesh::Mesh;
use crate::report::{Growth, Report, commit, now};
use crate::slices::{self, Trading};
use crate::{Failure, Plan};

/// Tasks at the first step.
const FEW: u64 = 1_000;
/// How long each step is measured.
const SPAN: Duration = Duration::from_secs(20);
/// Arrivals by the second, far below capacity: the latency of the work, not of a queue.
const ASKED: f64 = 15.0;
/// Copies of finished tasks with ids of their own. An id keeps its time in front, a year in the past, so that what is made
/// now still goes to the end of each index.
const COPIES: [(&str, &str); 3] = [
    ("poa_task", include_str!("../pgbench/grow_task.sql")),
    ("poa_escrow", include_str!("../pgbench/grow_escrow.sql")),
    ("poa_attestation", include_str!("../pgbench/grow_attestation.sql")),
];

/// Measures at few tasks, makes many, and measures again.
pub(crate) async fn run(plan: &Plan, tasks: u64) -> Result<(), Failure> {
    let folder = slices::workplace()?;
    let cluster = Cluster::start(folder.path()).await?;
    let mesh = Mesh::separate(&cluster, folder.path(), &plan.set).await?;
    let trading = Trading::open(mesh, plan.parties).await?;
    let mut steps = Vec::new();
    let mut there = 0;
    // What a server keeps in memory is warm before the first step counts.
    trading.capacity(&cluster, &trading.entry, 16, Duration::from_secs(3)).await?;
    for wanted in [FEW, tasks] {
        grow(&cluster, wanted.saturating_sub(there)).await?;
        there = there.max(wanted);
        trading.parties.renew(&trading.entry).await?;
        trading.steady(ASKED, Duration::from_secs(3)).await?;
        let steady = trading.steady(ASKED, SPAN).await?;
        println!(
            "{wanted} tasks: create {:?}, claim {:?}, done {} %",
            steady.create, steady.claim, steady.done_percent
        );
        steps.push((wanted, steady.create, steady.claim));
    }
    let growth = Growth { of: format!("{} at {}", now()?, commit()), asked: ASKED, steps };
    let path = Report::write_by_hand(&plan.results(), "growth", &growth)?;
    println!("written to {}", path.display());
    trading.mesh.stop().await;
    cluster.stop().await
}

async fn grow(cluster: &Cluster, by: u64) -> Result<(), Failure> {
    for (database, copy) in COPIES {
        let mut connection = cluster.connect(database).await?;
        // The count is a number, and the script a file of this crate.
        let script = copy.replace(":count", &by.to_string());
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await?;
        sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await?;
    }
    cluster.checkpoint().await
}
