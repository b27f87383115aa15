#![doc = include_str!("../README.md")]

mod base;
mod clients;
mod cluster;
mod echo;
mod feeds;
mod growth;
mod lifecycle;
mod load;
mod log;
mod mesh;
mod monolith;
mod numbers;
mod page;
mod parties;
mod pgbench;
mod plain_http;
mod receipts;
mod report;
mod rounds;
mod serve;
mod slices;
mod system;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Anything that ends the benchmark: it is a tool at a terminal, and the reason is for a person.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The mesh against what its own statements, a plain monolith and a bare echo reach in the same run.
#[derive(Parser)]
#[command(name = "poa-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    plan: Plan,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the tables of docs/performance.md from a result.
    Page {
        /// A file of tests/bench/results.
        result: PathBuf,
    },
    /// D: the bare echo. Started by the benchmark.
    #[command(hide = true)]
    ServeEcho {
        /// Who is called before an answer.
        #[arg(long)]
        next: Option<String>,
    },
    /// C: the monolith. Started by the benchmark.
    #[command(hide = true)]
    ServeMonolith {
        /// Its database.
        #[arg(long)]
        database: String,
    },
}

/// How much is measured.
#[derive(Clone, Debug, clap::Args)]
struct Plan {
    /// Rounds, each of all slices.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each slice.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// One minute in all: too little for a figure to rely on, enough to see that all of it runs.
    #[arg(long)]
    quick: bool,
    /// Requesters, and as many agents.
    #[arg(long, default_value_t = 64)]
    parties: usize,
    /// Also measures the mesh in one process.
    #[arg(long)]
    single: bool,
    /// By hand, minutes: latency at 1,000 tasks against this many.
    #[arg(long, value_name = "TASKS")]
    growth: Option<u64>,
    /// By hand, minutes: appends to the log and proofs of it in a small log against one of this many leaves.
    #[arg(long, value_name = "LEAVES")]
    log: Option<u64>,
    /// By hand: so many open feeds, a tenth of them stalled.
    #[arg(long, value_name = "FEEDS")]
    feeds: Option<usize>,
    /// By hand: A alone for so many seconds, with the process ids for a profiler, and what each statement cost.
    #[arg(long, value_name = "SECONDS")]
    hold: Option<f64>,
    /// Callers of the closed loop of `--hold`.
    #[arg(long, default_value_t = 64)]
    callers: usize,
    /// A setting for every server of the mesh, such as `POA__SERVER__LOG__FILTER=warn`, or for one: `task:…`.
    #[arg(long, value_name = "VARIABLE=VALUE")]
    set: Vec<String>,
    /// Where results go [default: tests/bench/results].
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

fn main() -> ExitCode {
    match start(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("poa-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match arguments.command {
            Some(Command::Page { result }) => page::write(&report::Report::read(&result)?),
            Some(Command::ServeEcho { next }) => echo::serve(next).await,
            Some(Command::ServeMonolith { database }) => monolith::serve(&database).await,
            None => run(arguments.plan.quickened()).await,
        }
    })
}

async fn run(plan: Plan) -> Result<(), Failure> {
    if let Some(tasks) = plan.growth {
        return growth::run(&plan, tasks).await;
    }
    if let Some(leaves) = plan.log {
        return log::run(&plan, leaves).await;
    }
    if let Some(feeds) = plan.feeds {
        return feeds::run(&plan, feeds).await;
    }
    if let Some(seconds) = plan.hold {
        return slices::hold(&plan, seconds).await;
    }
    rounds::run(&plan).await
}

// === impl Plan ===

impl Plan {
    fn quickened(mut self) -> Self {
        if self.quick {
            self.rounds = self.rounds.min(2);
            self.seconds = self.seconds.min(1.5);
            self.parties = self.parties.min(16);
        }
        self
    }

    /// Where results go.
    fn results(&self) -> PathBuf {
        self.results.clone().unwrap_or_else(|| report::repository().join("tests/bench/results"))
    }
}
