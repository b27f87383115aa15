#![doc = include_str!("../README.md")]

mod app;
mod archive;
mod audit;
mod cli;
mod commands;
mod describe;
mod describe_hold;
mod failure;
mod ignore_file;
mod key_swap;
mod output;
mod paging;
mod profile;
mod prompt;
mod runner;
mod trust;
mod units;
mod witness;

use std::process::ExitCode;

use clap::Parser as _;

use crate::app::App;
use crate::cli::Cli;
use crate::failure::{Exit, Failure};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.globals.json;
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Other, format!("the runtime cannot start: {error}")))
        .and_then(|runtime| runtime.block_on(run(cli)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(json);
            failure.exit().into()
        }
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let app = App::new(cli.globals)?;
    commands::run(&app, cli.command).await
}
