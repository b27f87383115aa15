//! The search server.

use std::process::ExitCode;

use poa_search::Config;

fn main() -> ExitCode {
    poa_chassis::main("search", &Config::default(), |config| &config.server, poa_search::build)
}
