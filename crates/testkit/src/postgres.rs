//! One throw-away PostgreSQL per test process.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use poa_storage::embedded::{EmbeddedPostgres, Options, Running};
use tokio::sync::OnceCell;

/// Shared by all tests of this process; its server dies with the process.
static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// The PostgreSQL of this test process.
#[derive(Debug)]
pub struct Cluster {
    running: Running,
    databases: AtomicU32,
}

/// The PostgreSQL of this test process, started by the first test that asks.
///
/// # Panics
/// Where PostgreSQL is not installed or does not start, with the reason.
pub async fn postgres() -> &'static Cluster {
    CLUSTER
        .get_or_init(|| async {
            let clusters = std::env::temp_dir().join(format!("poa-testkit-{}", our_uid()));
            remove_abandoned(&clusters);
            let options = Options {
                data_dir: clusters.join(std::process::id().to_string()),
                durable: false,
                bin_dir: None,
            };
            match EmbeddedPostgres::start(options).await {
                Ok(running) => Cluster { running, databases: AtomicU32::new(0) },
                Err(error) => panic!("tests need PostgreSQL: {error}"),
            }
        })
        .await
}

/// The URL of a new, empty database. `prefix` is a lower-case word that tells whose it is.
///
/// # Panics
/// As [`postgres`], and for a prefix that is no database name.
pub async fn fresh_database(prefix: &str) -> String {
    postgres().await.fresh_database(prefix).await
}

// === impl Cluster ===

impl Cluster {
    /// The URL of a new, empty database.
    ///
    /// # Panics
    /// For a prefix that is no database name.
    pub async fn fresh_database(&self, prefix: &str) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}_{number}");
        self.running.ensure_database(&name).await.expect("a database in the private cluster");
        self.running.url_for(&name)
    }

    /// The socket of its server, for a [`crate::FaultProxy`].
    pub fn socket(&self) -> PathBuf {
        self.running.socket_dir().join(".s.PGSQL.5432")
    }

    /// The URL of a database of this cluster, such as `postgres` to look at the others from.
    pub fn url_for(&self, database: &str) -> String {
        self.running.url_for(database)
    }
}

/// A folder per user: another's could not be written to.
pub(crate) fn our_uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(0, |process| process.uid())
}

/// Removes the clusters of test processes that are gone. Their servers got a signal when those ended; one
/// that did not ends by itself when its files are gone.
fn remove_abandoned(clusters: &Path) {
    let processes = Path::new("/proc");
    if !processes.join("self").exists() {
        return;
    }
    for entry in std::fs::read_dir(clusters).into_iter().flatten().flatten() {
        if !processes.join(entry.file_name()).exists() {
            let _another_may_be_removing_it = std::fs::remove_dir_all(entry.path());
        }
    }
}
