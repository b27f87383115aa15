//! What a run measured: the JSON under tests/bench/results.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::base::Machine;
use crate::cluster::Written;
use crate::load::Latency;
use crate::receipts::Receipts;

/// A whole run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// When it began, RFC 3339.
    pub(crate) time: String,
    /// The commit, with `-dirty` where the tree had changes beside it.
    pub(crate) commit: String,
    /// The processor, its count, and the load average at the start.
    pub(crate) host: String,
    /// Seconds of a slice.
    pub(crate) seconds: f64,
    /// Requesters, and as many agents.
    pub(crate) parties: usize,
    /// Callers of A's closed loop: where more did not help.
    pub(crate) callers: Chosen,
    /// Clients of B1's pgbench: the best of those tried.
    pub(crate) clients: Chosen,
    /// Callers of C's closed loop.
    pub(crate) monolith_callers: Chosen,
    /// Callers of D's closed loop.
    pub(crate) echo_callers: Chosen,
    /// Lifecycles of a batch in B2: the mean batch of the writers at A's capacity.
    pub(crate) batch: u32,
    /// Clients of B2.
    pub(crate) batch_clients: u32,
    /// RPCs of D's lifecycle.
    pub(crate) echo_rpcs: u32,
    /// PostgreSQL's settings.
    pub(crate) settings: Vec<(String, String)>,
    /// The rounds.
    pub(crate) rounds: Vec<Round>,
}

/// A number of callers, and the rate at each that was tried, by the second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Chosen {
    /// The best.
    pub(crate) count: u32,
    /// All that were tried.
    pub(crate) tried: Vec<(u32, f64)>,
}

/// One round of all slices.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Round {
    /// What the machine gave.
    pub(crate) machine: Machine,
    /// What receipts and their log cost in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) receipts: Option<Receipts>,
    /// A: gRPC at capacity.
    pub(crate) mesh: Slice,
    /// A′: grpc-web at capacity.
    pub(crate) web: Slice,
    /// A1: the mesh in one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) single: Option<Slice>,
    /// A at half of its capacity, open loop.
    pub(crate) half: Steady,
    /// A at 80 % of its capacity, open loop.
    pub(crate) eighty: Steady,
    /// B1, lifecycles by the second.
    pub(crate) one_by_one: f64,
    /// B2, lifecycles by the second.
    pub(crate) batched: f64,
    /// C.
    pub(crate) monolith: Slice,
    /// D.
    pub(crate) echo: Slice,
}

/// A closed loop at capacity. Costs are by lifecycle.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Slice {
    /// Lifecycles by the second.
    pub(crate) rate: f64,
    /// Lifecycles in all.
    pub(crate) done: u64,
    /// Lifecycles that failed.
    pub(crate) failed: u64,
    /// Some of the reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<String>,
    /// Calls refused as too many, and made again, by lifecycle.
    pub(crate) busy: f64,
    /// Extra looks at a task that its call had not left where it should, by lifecycle.
    pub(crate) looks: f64,
    /// From the call to the held offer.
    pub(crate) create: Latency,
    /// The claim.
    pub(crate) claim: Latency,
    /// From the submission to the end.
    pub(crate) submit: Latency,
    /// Processor time of each server, in microseconds.
    pub(crate) cpu_micros: BTreeMap<String, f64>,
    /// Processor time of PostgreSQL, in microseconds.
    pub(crate) postgres_micros: f64,
    /// Processor time of the load generator, in microseconds.
    pub(crate) generator_micros: f64,
    /// The write-ahead log.
    pub(crate) written: Written,
    /// RPCs answered, by server: all hops.
    pub(crate) rpcs: BTreeMap<String, f64>,
    /// Transactions by database, reads included.
    pub(crate) transactions: BTreeMap<String, f64>,
    /// Batches of the writers, and commands in each on average.
    pub(crate) batches: BTreeMap<String, (f64, f64)>,
}

/// An open loop.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Steady {
    /// Arrivals by the second.
    pub(crate) asked: f64,
    /// Lifecycles by the second.
    pub(crate) rate: f64,
    /// Of a hundred arrivals, those that came to their end.
    pub(crate) done_percent: f64,
    /// From the moment at which the call was due to the held offer.
    pub(crate) create: Latency,
    /// The claim.
    pub(crate) claim: Latency,
    /// From the submission to the end.
    pub(crate) submit: Latency,
}

/// Latency as tables grow, measured by hand.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Growth {
    /// When it was measured, and at which commit.
    pub(crate) of: String,
    /// Arrivals by the second.
    pub(crate) asked: f64,
    /// Tasks that were there, and the latencies of create and claim.
    pub(crate) steps: Vec<(u64, Latency, Latency)>,
}

/// The log as it grows, measured by hand.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Log {
    /// When it was measured, and at which commit.
    pub(crate) of: String,
    /// Callers that append at once.
    pub(crate) writers: usize,
    /// A small log, and a large one.
    pub(crate) steps: Vec<LogStep>,
}

/// What a log of one size gives.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogStep {
    /// Leaves of the published tree at the end.
    pub(crate) leaves: u64,
    /// Leaves that the sequencer took into the tree by the second, where they only waited for it.
    pub(crate) grown_per_second: f64,
    /// Statements appended by the second, each signed and committed before its answer.
    pub(crate) appends_per_second: f64,
    /// From the call to that answer.
    pub(crate) append: Latency,
    /// A proof through the gateway, one caller.
    pub(crate) proof: Latency,
    /// Bytes of a proof.
    pub(crate) proof_bytes: usize,
    /// A tile of 256 hashes through the gateway, one caller.
    pub(crate) tile: Latency,
}

/// Open feeds, measured by hand.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Feeds {
    /// When it was measured, and at which commit.
    pub(crate) of: String,
    /// Streams that were open.
    pub(crate) open: u64,
    /// Of which never read.
    pub(crate) stalled: u64,
    /// Events that the others read in all.
    pub(crate) events: u64,
    /// Resident bytes before, by server.
    pub(crate) before: BTreeMap<String, u64>,
    /// Resident bytes with all of them open and tasks coming and going.
    pub(crate) after: BTreeMap<String, u64>,
}

// === impl Report ===

impl Report {
    /// Reads a result.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }

    /// Writes it beside the others, under its day and commit.
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf, Failure> {
        std::fs::create_dir_all(folder)?;
        let day: String = self.time.chars().take(10).collect();
        let path = folder.join(format!("{day}-{}.json", self.commit));
        std::fs::write(&path, serde_json::to_vec_pretty(self)?)?;
        Ok(path)
    }

    /// Writes what was measured by hand, in place of the last time.
    pub(crate) fn write_by_hand(
        folder: &Path,
        name: &str,
        measured: &impl Serialize,
    ) -> Result<PathBuf, Failure> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{name}.json"));
        std::fs::write(&path, serde_json::to_vec_pretty(measured)?)?;
        Ok(path)
    }

    /// One figure of every round.
    pub(crate) fn each(&self, figure: impl Fn(&Round) -> f64) -> Vec<f64> {
        self.rounds.iter().map(figure).collect()
    }
}

// === impl Slice ===

impl Slice {
    /// Processor time of all servers, in microseconds.
    pub(crate) fn all_cpu_micros(&self) -> f64 {
        self.cpu_micros.values().sum()
    }

    /// RPCs of all servers.
    pub(crate) fn all_rpcs(&self) -> f64 {
        self.rpcs.values().sum()
    }
}

/// What was measured by hand last, if it was.
pub(crate) fn by_hand<T: serde::de::DeserializeOwned>(name: &str) -> Option<T> {
    let path = repository().join("tests/bench/results").join(format!("{name}.json"));
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// The root of the repository that this program was built from.
pub(crate) fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// The commit that is checked out.
pub(crate) fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(repository()).args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=10", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    // Results and the page that is made of them are no change of what is measured.
    let servers =
        ["status", "--porcelain", "--", "Cargo.lock", "crates", "services", "gateway", "migrations"];
    match git(&servers) {
        Some(changes) if changes.is_empty() => commit,
        Some(_) | None => format!("{commit}-dirty"),
    }
}

/// Now, RFC 3339.
pub(crate) fn now() -> Result<String, Failure> {
    let now = poa_sdk::system_env().now();
    Ok(now.format(&time::format_description::well_known::Rfc3339)?)
}

/// The processor, how many, and how busy.
pub(crate) fn host() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{}, {cores} cores, load {}", model.trim_start_matches([' ', '\t', ':']), load.join(" "))
}
