//! A mesh of several processes of each server, run by `poa-mesh processes`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use poa_testkit::{Process, ProcessSpec, binary, eventually};
use tempfile::TempDir;

use crate::deployment::data_folder;

/// The first start makes a database cluster and the tables of every service, on a machine that does other work, too.
const UP_WITHIN: Duration = Duration::from_secs(180);
/// How long a killed process may take to be missed.
const MISSED_WITHIN: Duration = Duration::from_secs(20);

/// A running mesh of replicas. All of it ends when it is dropped.
#[derive(Debug)]
pub struct Replicated {
    data: TempDir,
    runner: Process,
    replicas: Vec<Replica>,
}

/// One process, as the runner lists it.
#[derive(Clone, Debug)]
struct Replica {
    name: String,
    endpoint: String,
    admin: String,
    pid: String,
}

// === impl Replicated ===

impl Replicated {
    /// Starts so many processes of each server, on a private PostgreSQL cluster.
    ///
    /// # Panics
    /// Where they do not come up.
    pub async fn start(replicas: u16) -> Self {
        let data = data_folder();
        let mut runner = ProcessSpec::new(binary("poa-mesh"))
            .arg("processes")
            .arg("--any-port")
            .arg("--replicas")
            .arg(replicas.to_string())
            .arg("--data")
            .arg(data.path())
            .spawn();
        runner.wait_ready(UP_WITHIN, async |runner| runner.log().contains("Ctrl-C stops them")).await;
        let replicas = runner.log().lines().filter_map(Replica::parse).collect();
        Self { data, runner, replicas }
    }

    /// The names of all processes, such as `auth-1`.
    pub fn names(&self) -> Vec<&str> {
        self.replicas.iter().map(|replica| replica.name.as_str()).collect()
    }

    /// Where clients of a process connect to.
    ///
    /// # Panics
    /// Where there is no such process.
    pub fn endpoint(&self, name: &str) -> String {
        self.replica(name).endpoint.clone()
    }

    /// The admin port of a process.
    ///
    /// # Panics
    /// Where there is no such process.
    pub fn admin_endpoint(&self, name: &str) -> String {
        self.replica(name).admin.clone()
    }

    /// The folder with all data.
    pub fn data(&self) -> PathBuf {
        self.data.path().to_owned()
    }

    /// kill -9; returns when the runner has missed the process.
    ///
    /// # Panics
    /// Where there is no such process, or it is not missed.
    pub async fn kill(&self, name: &str) {
        let killed = Command::new("kill").args(["-KILL", &self.replica(name).pid]).status();
        assert!(killed.is_ok_and(|status| status.success()), "{name} cannot be killed");
        eventually(MISSED_WITHIN, "the runner misses who was killed", async || {
            self.runner.log().contains(&format!("{name} ended"))
        })
        .await;
    }

    /// kill -9 to the runner; answers with the process ids of the servers that it leaves.
    pub fn kill_runner(&mut self) -> Vec<u32> {
        self.runner.kill();
        self.replicas.iter().filter_map(|replica| replica.pid.parse().ok()).collect()
    }

    /// SIGTERM to the runner; answers with its exit code.
    ///
    /// # Panics
    /// Where it does not end.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.runner.terminate(Duration::from_secs(60)).await.code()
    }

    /// What all of them have written.
    pub fn log(&self) -> String {
        self.runner.log()
    }

    fn replica(&self, name: &str) -> &Replica {
        let found = self.replicas.iter().find(|replica| replica.name == name);
        found.unwrap_or_else(|| panic!("there is no {name} among {:?}", self.names()))
    }
}

// === impl Replica ===

impl Replica {
    /// Reads `  auth-1   http://127.0.0.1:1234  admin 127.0.0.1:5678  pid 90`.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [name, endpoint, "admin", admin, "pid", pid, ..] => Some(Self {
                name: (*name).to_owned(),
                endpoint: (*endpoint).to_owned(),
                admin: format!("http://{admin}"),
                pid: (*pid).to_owned(),
            }),
            _ => None,
        }
    }
}
