//! The task service as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    poa_chassis::main("task", &poa_task::Config::default(), |config| &config.server, poa_task::build)
}
