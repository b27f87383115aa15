//! A PostgreSQL of one test's own, durable as in production, that is stopped, killed and robbed of its connections.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use poa_storage::embedded::{EmbeddedPostgres, Options, Running};
use sqlx::{Connection as _, PgConnection};

use crate::postgres::our_uid;
use crate::{FaultProxy, SeededEntropy, eventually};

/// How long a server may take to end. A fast stop writes a checkpoint.
const STOP_WITHIN: Duration = Duration::from_secs(60);
/// The most connections that a greedy client asks for: more than any server of ours grants.
const GREED: usize = 1_000;

/// Numbers the clusters of this process.
static CLUSTERS: AtomicU32 = AtomicU32::new(0);

/// A cluster of its own: fsync on, WAL on disk, nothing shared with other tests. Gone when dropped.
#[derive(Debug)]
pub struct OwnPostgres {
    folder: PathBuf,
    running: Running,
}

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGINT: connections are cut, a checkpoint is written.
    Fast,
    /// SIGQUIT: everything ends at once; the next start recovers from the log.
    Immediate,
    /// SIGKILL to the postmaster alone: its children find out by themselves.
    Kill,
}

/// Every connection that a server grants, taken by one client. Dropping it frees them.
#[derive(Debug)]
pub struct Greedy {
    taken: Vec<PgConnection>,
}

// === impl OwnPostgres ===

impl OwnPostgres {
    /// A new cluster, started.
    ///
    /// # Panics
    /// Where PostgreSQL is not installed or does not start, with the reason.
    pub async fn start() -> Self {
        let clusters = std::env::temp_dir().join(format!("poa-testkit-own-{}", our_uid()));
        remove_abandoned(&clusters);
        let number = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        let folder = clusters.join(format!("{}-{number}", std::process::id()));
        let running = launch(&folder).await;
        Self { folder, running }
    }

    /// The URL of a new, empty database.
    ///
    /// # Panics
    /// For a name that is none, or while the server is stopped.
    pub async fn database(&self, name: &str) -> String {
        self.running.ensure_database(name).await.expect("a database in the test's own cluster");
        self.url_for(name)
    }

    /// The URL of a database, over the Unix socket.
    pub fn url_for(&self, database: &str) -> String {
        self.running.url_for(database)
    }

    /// A TCP proxy in front of the server.
    pub async fn proxy(&self) -> FaultProxy {
        FaultProxy::to_unix(self.running.socket_dir().join(".s.PGSQL.5432")).await
    }

    /// The URL of a database, through a proxy.
    pub fn url_through(&self, proxy: &FaultProxy, database: &str) -> String {
        format!("postgres://poa@{}/{database}?sslmode=disable", proxy.address())
    }

    /// Ends the server and waits until it is gone.
    ///
    /// # Panics
    /// Where it does not run, or does not end.
    pub async fn stop(&self, how: Stop) {
        let pid = self.pid().expect("a running server");
        signal(pid, how.signal());
        let gone = || !Path::new("/proc").join(pid.to_string()).exists();
        eventually(STOP_WITHIN, "PostgreSQL ends", async || gone()).await;
    }

    /// Starts the server again, with recovery where it needs some, and waits until it takes connections.
    ///
    /// # Panics
    /// Where it does not start, with its log.
    pub async fn start_again(&mut self) {
        self.running = launch(&self.folder).await;
    }

    /// Terminates sessions of clients, each with this chance in percent; answers with their number.
    ///
    /// # Panics
    /// Where the server does not answer.
    pub async fn terminate_backends(&self, percent: u64, chance: &SeededEntropy) -> usize {
        let mut connection = self.connect().await;
        let clients: Vec<i32> = sqlx::query_scalar(
            "SELECT pid FROM pg_stat_activity
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY pid",
        )
        .fetch_all(&mut connection)
        .await
        .expect("the sessions");
        let victims: Vec<i32> = clients.into_iter().filter(|_| chance.next_u64() % 100 < percent).collect();
        sqlx::query("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid")
            .bind(&victims)
            .execute(&mut connection)
            .await
            .expect("the victims are told");
        victims.len()
    }

    /// How many sessions sit in an open transaction and do nothing.
    ///
    /// # Panics
    /// Where the server does not answer.
    pub async fn idle_in_transaction(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'")
            .fetch_one(&mut self.connect().await)
            .await
            .expect("the sessions")
    }

    /// Takes every connection that is left.
    pub async fn greedy(&self) -> Greedy {
        let mut taken = Vec::new();
        while taken.len() < GREED {
            match PgConnection::connect(&self.url_for("postgres")).await {
                Ok(connection) => taken.push(connection),
                Err(_none_is_left) => break,
            }
        }
        Greedy { taken }
    }

    /// A connection beside those of the services, to look on.
    ///
    /// # Panics
    /// Where the server does not answer.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url_for("postgres"))
            .await
            .expect("a connection to the test's own cluster")
    }

    /// The postmaster's process, from its lock file.
    fn pid(&self) -> Option<u32> {
        pid_of(&self.folder)
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

// === impl Greedy ===

impl Greedy {
    /// How many it got.
    pub fn taken(&self) -> usize {
        self.taken.len()
    }
}

// === impl Stop ===

impl Stop {
    fn signal(self) -> &'static str {
        match self {
            Self::Fast => "-INT",
            Self::Immediate => "-QUIT",
            Self::Kill => "-KILL",
        }
    }
}

async fn launch(folder: &Path) -> Running {
    let options = Options { data_dir: folder.to_owned(), durable: true, bin_dir: None };
    match EmbeddedPostgres::start(options).await {
        Ok(running) => running,
        Err(error) => panic!("tests need PostgreSQL: {error}"),
    }
}

fn pid_of(folder: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(folder.join("cluster/postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok()
}

fn signal(pid: u32, signal: &str) {
    let _has_ended = Command::new("kill").args([signal, &pid.to_string()]).status();
}

/// Ends a server at once and removes its files.
fn remove(folder: &Path) {
    if let Some(pid) = pid_of(folder).filter(|pid| is_postgres(*pid)) {
        signal(pid, "-QUIT");
    }
    // A child may be writing its last file: what is left goes with the next test run.
    let _left = std::fs::remove_dir_all(folder);
}

/// A lock file of a killed server may name what is another program by now.
fn is_postgres(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "postgres")
}

/// Ends and removes the clusters of test processes that are gone: a durable server outlives its starter.
fn remove_abandoned(clusters: &Path) {
    let processes = Path::new("/proc");
    if !processes.join("self").exists() {
        return;
    }
    for entry in std::fs::read_dir(clusters).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.split('-').next().unwrap_or_default();
        if !processes.join(owner).exists() {
            remove(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn count(url: &str) -> Result<i64, sqlx::Error> {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&mut connection).await
    }

    #[tokio::test]
    async fn what_was_committed_survives_every_way_to_end() {
        let mut postgres = OwnPostgres::start().await;
        let url = postgres.database("own").await;
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("CREATE TABLE notes (id bigint)").execute(&mut connection).await.unwrap();
        for (number, how) in [Stop::Fast, Stop::Immediate, Stop::Kill].into_iter().enumerate() {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            sqlx::raw_sql("INSERT INTO notes VALUES (1)").execute(&mut connection).await.unwrap();
            postgres.stop(how).await;
            assert!(count(&url).await.is_err(), "{how:?}: it is gone");
            postgres.start_again().await;
            let expected = i64::try_from(number).unwrap() + 1;
            assert_eq!(count(&url).await.unwrap(), expected, "{how:?}");
        }
    }

    #[tokio::test]
    async fn a_greedy_client_leaves_nothing_and_terminated_sessions_end() {
        let postgres = OwnPostgres::start().await;
        let proxy = postgres.proxy().await;
        let url = postgres.url_through(&proxy, "postgres");
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let greedy = postgres.greedy().await;
        assert!(greedy.taken() > 10);
        let refused = PgConnection::connect(&url).await.unwrap_err();
        let refused = refused.as_database_error().and_then(|error| error.code()).unwrap().into_owned();
        assert_eq!(refused, "53300");
        drop(greedy);
        eventually(STOP_WITHIN, "there is room again", async || PgConnection::connect(&url).await.is_ok())
            .await;
        assert!(postgres.terminate_backends(100, &SeededEntropy::new(1)).await >= 1);
        assert!(sqlx::raw_sql("SELECT 1").execute(&mut connection).await.is_err());
        assert_eq!(postgres.idle_in_transaction().await, 0);
    }
}
