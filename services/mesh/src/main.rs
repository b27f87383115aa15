#![doc = include_str!("../README.md")]

mod config;
mod databases;
mod processes;
mod provision;
mod run;
mod say;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use poa_chassis::BuildError;

use config::Config;

/// Every service of Proof of Agent and the gateway, in one process.
#[derive(Parser)]
#[command(name = "poa-mesh", version)]
struct Arguments {
    /// A TOML file; the environment (POA__SECTION__FIELD) wins over it.
    #[arg(long, value_name = "FILE", env = "POA_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// The folder with all data: database, keys, simulated node.
    #[arg(long, value_name = "DIR", env = "POA_DATA_DIR", global = true)]
    data: Option<PathBuf>,
    /// Prints the configuration as it is understood, and ends.
    #[arg(long)]
    print_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Makes the keys and the trust root of a deployment, and ends. What is there stays.
    Init,
    /// Runs every server as a process of its own, beside this program, so many of each.
    Processes(processes::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("poa-mesh: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> Result<(), BuildError> {
    let mut config = poa_chassis::config::load(&Config::default(), arguments.config.as_deref())?;
    if let Some(data) = &arguments.data {
        config.data_dir.clone_from(data);
    }
    if arguments.print_config {
        println!("{}", poa_chassis::config::print(&config)?);
        return Ok(());
    }
    // PostgreSQL runs with this as its working directory's parent, as another user: a relative path would be another's.
    config.data_dir = std::path::absolute(&config.data_dir)?;
    match arguments.command {
        Some(Command::Init) => {
            provision::deployment(&config, &poa_chassis::system_env())?;
            println!("keys and trust root are in {}", config.keys_dir().display());
            Ok(())
        }
        Some(Command::Processes(options)) => {
            poa_chassis::init_telemetry(&config.log);
            tokio::runtime::Runtime::new()?.block_on(processes::run(config, options))
        }
        None => {
            poa_chassis::init_telemetry(&config.log);
            tokio::runtime::Runtime::new()?.block_on(run::mesh(config))
        }
    }
}

/// An error and its causes on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
