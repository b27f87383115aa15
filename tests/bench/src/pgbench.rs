//! B1 and B2: PostgreSQL's own load generator with the statements of all services in one database.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::Failure;
use crate::cluster::Cluster;
use crate::report::repository;

/// The database.
const DATABASE: &str = "statements";
/// The services whose tables a lifecycle touches, each a schema here.
const SCHEMAS: [&str; 3] = ["task", "escrow", "attestation"];
/// Lifecycles of B1 for each run of the relay and the sequencer: what the mesh does at some hundred a second.
const LIFECYCLES_PER_RELAY: u32 = 25;
/// Where ids begin, in lifecycles of the future: each run has its own.
const IDS_PER_RUN: i64 = 1 << 40;

/// The prepared database.
pub(crate) struct Statements {
    program: PathBuf,
    socket: PathBuf,
    scripts: PathBuf,
    /// Bodies with the bytes of a real task, as `-D name=value`.
    bodies: Vec<String>,
    runs: i64,
}

/// Which script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Script {
    /// B1: one command a transaction.
    OneByOne,
    /// B2: so many lifecycles a transaction.
    Batched(u32),
}

// === impl Statements ===

impl Statements {
    /// Makes the database with the services' own migrations, and takes a finished task of the mesh as the pattern of
    /// what is written.
    pub(crate) async fn prepare(cluster: &Cluster) -> Result<Self, Failure> {
        cluster.database(DATABASE).await?;
        let mut connection = cluster.connect(DATABASE).await?;
        let storage = repository().join("crates/storage/migrations");
        for schema in SCHEMAS {
            let opened = format!("CREATE SCHEMA {schema}; SET search_path = {schema}");
            sqlx::raw_sql(AssertSqlSafe(opened)).execute(&mut connection).await?;
            apply(&mut connection, &storage).await?;
            apply(&mut connection, &repository().join("migrations").join(schema)).await?;
        }
        sqlx::raw_sql("SET search_path = public").execute(&mut connection).await?;
        sqlx::raw_sql(include_str!("../pgbench/setup.sql")).execute(&mut connection).await?;
        connection.close().await?;
        Ok(Self {
            program: cluster.program("pgbench")?,
            socket: cluster.socket_dir(),
            scripts: repository().join("tests/bench/pgbench"),
            bodies: bodies(cluster).await?,
            runs: 0,
        })
    }

    /// Lifecycles by the second.
    pub(crate) async fn run(&mut self, script: Script, clients: u32, span: Duration) -> Result<f64, Failure> {
        self.runs += 1;
        let mut command = Command::new(&self.program);
        command
            .arg("--host")
            .arg(&self.socket)
            .args(["--port", "5432", "--username", "poa", "--no-vacuum", "--protocol", "prepared"])
            .args(["--client", &clients.to_string(), "--jobs", "2"])
            .args(["--time", &span.as_secs().max(1).to_string()])
            .args(["--define", "n=0", "--define", &format!("base={}", self.runs * IDS_PER_RUN)]);
        for body in &self.bodies {
            command.args(["--define", body]);
        }
        let (file, lifecycles) = match script {
            Script::OneByOne => (self.file("lifecycle.sql", LIFECYCLES_PER_RELAY), 1),
            Script::Batched(size) => {
                command.args(["--define", &format!("k={size}")]);
                (self.file("batched.sql", LIFECYCLES_PER_RELAY.div_ceil(size)), size)
            }
        };
        command.args(["--file", &file, "--file", &self.file("relay.sql", 1), DATABASE]);
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = rate_of_first(&text).filter(|_| output.status.success());
        let rate =
            rate.ok_or_else(|| format!("pgbench: {}{text}", String::from_utf8_lossy(&output.stderr)))?;
        Ok(rate * f64::from(lifecycles))
    }

    /// A script and how often it runs among the others.
    fn file(&self, name: &str, weight: u32) -> String {
        format!("{}@{weight}", self.scripts.join(name).display())
    }
}

/// Applies the migrations of a folder to the schema that the search path names.
async fn apply(connection: &mut PgConnection, folder: &Path) -> Result<(), Failure> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    for file in files {
        sqlx::raw_sql(AssertSqlSafe(std::fs::read_to_string(file)?)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The bodies of the last task that the mesh completed, as variables of the scripts.
async fn bodies(cluster: &Cluster) -> Result<Vec<String>, Failure> {
    let mut connection = cluster.connect("poa_task").await?;
    let task = sqlx::query(
        "SELECT t.task_id, '\\x' || encode(t.terms, 'hex') AS terms, '\\x' || encode(t.input_body, 'hex') AS input,
                '\\x' || encode(r.body, 'hex') AS result
         FROM tasks t JOIN task_status s USING (task_id) JOIN results r USING (task_id)
         WHERE s.state = 7 ORDER BY t.task_id DESC LIMIT 1",
    )
    .fetch_one(&mut connection)
    .await?;
    let mut bodies = Vec::new();
    for name in ["terms", "input", "result"] {
        bodies.push(format!("{name}={}", task.try_get::<String, _>(name)?));
    }
    let envelopes: Vec<String> = sqlx::query_scalar(
        "SELECT '\\x' || encode(envelope, 'hex') FROM statements WHERE task_id = $1 ORDER BY seq",
    )
    .bind(task.try_get::<uuid::Uuid, _>("task_id")?)
    .fetch_all(&mut connection)
    .await?;
    let names = ["offered", "accepted", "submitted", "received", "decision", "settlement"];
    if envelopes.len() != names.len() {
        return Err(format!("a completed task has {} statements", envelopes.len()).into());
    }
    bodies.extend(names.iter().zip(envelopes).map(|(name, envelope)| format!("{name}={envelope}")));
    // A sealed access token and the notice of a change are long gone; these have their sizes.
    bodies.push(format!("token=\\x{}", "9f3a".repeat(290)));
    bodies.push(format!("change=\\x{}", "7b22".repeat(45)));
    Ok(bodies)
}

/// Transactions of the first script by the second, from the part of pgbench's report that is its own.
fn rate_of_first(report: &str) -> Option<f64> {
    let (_, part) = report.split_once("SQL script 1:")?;
    let (_, rest) = part.split_once("tps = ")?;
    rest.split(|letter: char| letter != '.' && !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_first_script() {
        let report = "\
tps = 130.000000 (without initial connection time)
SQL script 1: lifecycle.sql
 - weight: 25 (targets 96.2% of total)
 - 625 transactions (96.2% of total, tps = 125.009)
SQL script 2: relay.sql
 - 25 transactions (3.8% of total, tps = 5.0)
";
        assert_eq!(rate_of_first(report), Some(125.009));
        assert_eq!(rate_of_first("pgbench: error"), None);
    }
}
