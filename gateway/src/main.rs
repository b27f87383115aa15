//! The gateway as a process of its own.

use std::process::ExitCode;

use poa_gateway::Config;

fn main() -> ExitCode {
    poa_chassis::main("gateway", &Config::default(), |config| &config.server, poa_gateway::build)
}
