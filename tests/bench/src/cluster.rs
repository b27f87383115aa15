//! The PostgreSQL of the run: durable, as production has it, and what its write-ahead log says of a slice.

use std::path::{Path, PathBuf};
use std::process::Command;

use poa_storage::embedded::{EmbeddedPostgres, Options, Running};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::{Failure, system};

/// Settings that a figure may depend on; all stand in the report.
const REPORTED: [&str; 12] = [
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_compression",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "max_connections",
    "commit_delay",
    "autovacuum",
    "wal_sync_method",
];
/// Set for the run. A checkpoint in the middle of a slice would be noise in that slice alone; full page images are
/// written still, after the one checkpoint at the start of each round.
const SET: [(&str, &str); 3] =
    [("max_wal_size", "8GB"), ("checkpoint_timeout", "1h"), ("track_wal_io_timing", "on")];

/// Statements that are shown.
const STATEMENTS: i64 = 60;

/// Stands for a database's name in a URL.
const ANY_DATABASE: &str = "any_database";

/// The running cluster.
pub(crate) struct Cluster {
    /// None once it was stopped.
    running: Option<Running>,
    url: String,
    data: PathBuf,
    postmaster: u32,
}

/// A place in the write-ahead log.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    lsn: String,
    syncs: i64,
}

/// What a statement cost since the start.
pub(crate) struct Statement {
    pub(crate) database: String,
    pub(crate) calls: f64,
    pub(crate) plan_micros: f64,
    pub(crate) run_micros: f64,
    pub(crate) text: String,
}

/// What was written between two places.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Written {
    /// Bytes of write-ahead log.
    pub(crate) bytes: f64,
    /// Of which full images of pages: the first change of a page after a checkpoint.
    pub(crate) page_image_bytes: f64,
    /// Commit records: transactions that wrote something, all databases together. Exact.
    pub(crate) commits: f64,
    /// Syncs of the log: several commits at the same time share one.
    pub(crate) syncs: f64,
}

// === impl Cluster ===

impl Cluster {
    /// Makes and starts a cluster in a folder.
    pub(crate) async fn start(folder: &Path) -> Result<Self, Failure> {
        let data = folder.join("postgres");
        let options = Options { data_dir: data.clone(), durable: true, bin_dir: None };
        let running = EmbeddedPostgres::start(options).await?;
        let pid = std::fs::read_to_string(data.join("cluster/postmaster.pid"))?;
        let postmaster = pid.lines().next().unwrap_or_default().trim().parse()?;
        let url = running.url_for(ANY_DATABASE);
        let cluster = Self { running: Some(running), url, data, postmaster };
        let mut connection = cluster.connect("postgres").await?;
        for (name, value) in SET {
            // Both are constants of this file.
            let statement = format!("ALTER SYSTEM SET {name} = '{value}'");
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        sqlx::raw_sql("SELECT pg_reload_conf()").execute(&mut connection).await?;
        Ok(cluster)
    }

    /// Starts anew with PostgreSQL's own statistics of statements, times of planning included.
    pub(crate) async fn observed(self, folder: &Path) -> Result<Self, Failure> {
        let load = "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'";
        sqlx::raw_sql(load).execute(&mut self.connect("postgres").await?).await?;
        self.stop().await?;
        let cluster = Self::start(folder).await?;
        // Its settings are known only once it is loaded.
        for statement in [
            "CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
            "ALTER SYSTEM SET pg_stat_statements.track_planning = on",
            "SELECT pg_reload_conf()",
        ] {
            sqlx::raw_sql(statement).execute(&mut cluster.connect("postgres").await?).await?;
        }
        Ok(cluster)
    }

    /// The statements that took the longest since the start: database, calls, microseconds of planning and of
    /// execution a call, and the text.
    pub(crate) async fn statements(&self) -> Result<Vec<Statement>, Failure> {
        let rows = sqlx::query(
            "SELECT d.datname::text AS database, s.calls::float8 AS calls,
                    s.total_plan_time * 1000 / s.calls AS plan_micros,
                    s.total_exec_time * 1000 / s.calls AS run_micros, s.query
             FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
             WHERE d.datname LIKE 'poa%' ORDER BY s.total_plan_time + s.total_exec_time DESC LIMIT $1",
        )
        .bind(STATEMENTS)
        .fetch_all(&mut self.connect("postgres").await?)
        .await?;
        let read = rows.iter().map(|row| {
            Ok(Statement {
                database: row.try_get("database")?,
                calls: row.try_get("calls")?,
                plan_micros: row.try_get("plan_micros")?,
                run_micros: row.try_get("run_micros")?,
                text: row.try_get::<String, _>("query")?.split_whitespace().collect::<Vec<_>>().join(" "),
            })
        });
        read.collect()
    }

    /// The URL of a new database.
    pub(crate) async fn database(&self, name: &str) -> Result<String, Failure> {
        self.running.as_ref().ok_or("the cluster runs")?.ensure_database(name).await?;
        Ok(self.url(name))
    }

    /// A connection of one's own.
    pub(crate) async fn connect(&self, database: &str) -> Result<PgConnection, Failure> {
        Ok(PgConnection::connect(&self.url(database)).await?)
    }

    fn url(&self, database: &str) -> String {
        self.url.replacen(ANY_DATABASE, database, 1)
    }

    /// The folder of the socket, for PostgreSQL's own programs.
    pub(crate) fn socket_dir(&self) -> PathBuf {
        self.data.join("run")
    }

    /// The folder of the cluster, on the disk that commits go to.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data
    }

    /// Processor time of all of PostgreSQL, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        system::family_cpu_seconds(self.postmaster)
    }

    /// The settings that figures may depend on.
    pub(crate) async fn settings(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut connection = self.connect("postgres").await?;
        let mut settings = Vec::with_capacity(REPORTED.len());
        for name in REPORTED {
            let value: String = sqlx::query_scalar("SELECT current_setting($1)")
                .bind(name)
                .fetch_one(&mut connection)
                .await?;
            settings.push((name.to_owned(), value));
        }
        Ok(settings)
    }

    /// Writes a checkpoint, so that each round pays for its full page images alike.
    pub(crate) async fn checkpoint(&self) -> Result<(), Failure> {
        sqlx::raw_sql("CHECKPOINT").execute(&mut self.connect("postgres").await?).await?;
        Ok(())
    }

    /// Where the log stands now.
    pub(crate) async fn mark(&self) -> Result<Mark, Failure> {
        let row = sqlx::query("SELECT pg_current_wal_flush_lsn()::text AS lsn, wal_sync FROM pg_stat_wal")
            .fetch_one(&mut self.connect("postgres").await?)
            .await?;
        Ok(Mark { lsn: row.try_get("lsn")?, syncs: row.try_get("wal_sync")? })
    }

    /// What was written since a mark. The count of syncs may lag by a second; the rest is exact.
    pub(crate) async fn since(&self, mark: &Mark) -> Result<Written, Failure> {
        let now = self.mark().await?;
        let bytes: f64 = sqlx::query_scalar("SELECT pg_wal_lsn_diff($1::pg_lsn, $2::pg_lsn)::float8")
            .bind(&now.lsn)
            .bind(&mark.lsn)
            .fetch_one(&mut self.connect("postgres").await?)
            .await?;
        if bytes <= 0.0 {
            return Ok(Written::default());
        }
        let (commits, page_image_bytes) = self.dump(&mark.lsn, &now.lsn)?;
        let syncs = i32::try_from(now.syncs - mark.syncs).unwrap_or(i32::MAX);
        Ok(Written { bytes, page_image_bytes, commits, syncs: f64::from(syncs) })
    }

    /// Commit records and bytes of page images, by PostgreSQL's own reader of the log.
    fn dump(&self, from: &str, to: &str) -> Result<(f64, f64), Failure> {
        let output = Command::new(self.program("pg_waldump")?)
            .arg("--path")
            .arg(self.data.join("cluster/pg_wal"))
            .args(["--stats=record", "--start", from, "--end", to])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !text.contains("Transaction") {
            return Err(format!("pg_waldump: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok((commits(&text), image_bytes(&text)))
    }

    /// A program of this PostgreSQL.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf, Failure> {
        let options = std::fs::read_to_string(self.data.join("cluster/postmaster.opts"))?;
        let server = options.split_whitespace().next().unwrap_or_default();
        let folder = Path::new(server).parent().ok_or("postmaster.opts names no program")?;
        Ok(folder.join(name))
    }

    /// Stops the server.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        match self.running.take() {
            Some(running) => Ok(running.stop().await?),
            None => Ok(()),
        }
    }
}

impl Drop for Cluster {
    /// A run that failed leaves no server behind: a durable one would outlive it.
    fn drop(&mut self) {
        if self.running.is_some() {
            let _has_ended = Command::new("kill").args(["-INT", &self.postmaster.to_string()]).status();
        }
    }
}

/// The count of commit records in the table of `pg_waldump --stats=record`.
fn commits(table: &str) -> f64 {
    let rows = table.lines().filter(|line| line.starts_with("Transaction/COMMIT"));
    rows.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).sum()
}

/// Bytes of page images, from the last row: `Total N bytes [x%] bytes [y%] bytes [z%]`.
fn image_bytes(table: &str) -> f64 {
    let total = table.lines().find(|line| line.starts_with("Total")).unwrap_or_default();
    total.split_whitespace().filter_map(|word| word.parse::<f64>().ok()).nth(2).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_log_is_read() {
        let table = "\
Type                                           N      (%)          Record size      (%)             FPI size      (%)        Combined size      (%)
----                                           -      ---          -----------      ---             --------      ---        -------------      ---
Heap/INSERT                                   12 ( 30.00)                 1200 ( 30.00)                 8000 ( 50.00)                 9200 ( 40.00)
Transaction/COMMIT                             7 ( 17.50)                  322 (  8.00)                    0 (  0.00)                  322 (  2.00)
                                        --------                      --------                      --------                      --------
Total                                         40                          4000 [20.00%]                16000 [80.00%]                20000 [100%]
";
        assert_eq!(commits(table), 7.0);
        assert_eq!(image_bytes(table), 16_000.0);
    }
}
