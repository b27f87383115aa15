//! The auth server.

use std::process::ExitCode;

use poa_auth::Config;

fn main() -> ExitCode {
    poa_chassis::main("auth", &Config::default(), |config| &config.server, poa_auth::build)
}
