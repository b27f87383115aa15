//! What the machine gives in the minute of the run: every figure of the report is a ratio to something measured here or
//! in a slice beside it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer as _, SigningKey};
use poa_sdk::Env;
use serde::{Deserialize, Serialize};
use sqlx::Connection as _;

use crate::Failure;
use crate::cluster::Cluster;
use crate::echo::Calls;
use crate::numbers::per_second;

/// Bytes of one write before a sync: a page of PostgreSQL.
const PAGE_BYTES: usize = 8_192;
/// Pages of the file that is written round and round, as PostgreSQL reuses its log.
const PAGES: u64 = 256;
/// Connections of the second measure of commits.
const MANY: usize = 16;
/// Where rows are inserted.
const DATABASE: &str = "baseline";
/// Bytes that a signature is verified over: a statement of a receipt.
const SIGNED_BYTES: usize = 1_024;

/// The machine in this round.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Pages written and synced by the second, one after the other.
    pub(crate) syncs_per_second: f64,
    /// One-row inserts committed by the second over one connection.
    pub(crate) commits_one: f64,
    /// The same over sixteen connections.
    pub(crate) commits_sixteen: f64,
    /// Ed25519 signatures verified strictly by the second on one core.
    pub(crate) verifies: f64,
    /// One bare RPC there and back, one after the other, in microseconds.
    pub(crate) round_trip_micros: f64,
}

/// Measures all of it, for `span` each.
pub(crate) async fn measure(
    cluster: &Cluster,
    echo: &Calls,
    env: &Env,
    span: Duration,
) -> Result<Machine, Failure> {
    let file = cluster.data_dir().join("bench.sync");
    let syncs_per_second = tokio::task::spawn_blocking(move || syncs(&file, span)).await??;
    let commits_one = commits(cluster, 1, span).await?;
    let commits_sixteen = commits(cluster, MANY, span).await?;
    let key = SigningKey::from_bytes(&env.random());
    let verifies = tokio::task::spawn_blocking(move || verifies(&key, span)).await??;
    let round_trip_micros = 1e6 / round_trips(echo, span).await?;
    Ok(Machine { syncs_per_second, commits_one, commits_sixteen, verifies, round_trip_micros })
}

fn syncs(path: &Path, span: Duration) -> Result<f64, Failure> {
    let mut file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path)?;
    let page = vec![0x5a_u8; PAGE_BYTES];
    for _ in 0..PAGES {
        file.write_all(&page)?;
    }
    file.sync_all()?;
    let begun = Instant::now();
    let mut count = 0_u64;
    while begun.elapsed() < span {
        let place = (count % PAGES) * u64::try_from(PAGE_BYTES)?;
        file.write_all_at(&page, place)?;
        file.sync_data()?;
        count += 1;
    }
    let rate = per_second(count, begun.elapsed());
    std::fs::remove_file(path)?;
    Ok(rate)
}

async fn commits(cluster: &Cluster, connections: usize, span: Duration) -> Result<f64, Failure> {
    cluster.database(DATABASE).await?;
    let mut first = cluster.connect(DATABASE).await?;
    let table = "CREATE TABLE IF NOT EXISTS one_row (id bigserial PRIMARY KEY, body bytea NOT NULL)";
    sqlx::raw_sql(table).execute(&mut first).await?;
    first.close().await?;
    let mut loops = tokio::task::JoinSet::new();
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        opened.push(cluster.connect(DATABASE).await?);
    }
    let begun = Instant::now();
    for mut connection in opened {
        loops.spawn(async move {
            let mut count = 0_u64;
            while begun.elapsed() < span {
                sqlx::query("INSERT INTO one_row (body) VALUES ($1)")
                    .bind([7_u8; 100].as_slice())
                    .execute(&mut connection)
                    .await?;
                count += 1;
            }
            connection.close().await?;
            Ok::<_, sqlx::Error>(count)
        });
    }
    let mut count = 0;
    while let Some(counted) = loops.join_next().await {
        count += counted??;
    }
    Ok(per_second(count, begun.elapsed()))
}

fn verifies(key: &SigningKey, span: Duration) -> Result<f64, Failure> {
    let message = vec![7_u8; SIGNED_BYTES];
    let signature = key.sign(&message);
    let begun = Instant::now();
    let mut count = 0_u64;
    while begun.elapsed() < span {
        key.verifying_key().verify_strict(&message, &signature)?;
        count += 1;
    }
    Ok(per_second(count, begun.elapsed()))
}

async fn round_trips(echo: &Calls, span: Duration) -> Result<f64, Failure> {
    let begun = Instant::now();
    let mut count = 0_u64;
    while begun.elapsed() < span {
        echo.round_trip().await?;
        count += 1;
    }
    Ok(per_second(count, begun.elapsed()))
}
