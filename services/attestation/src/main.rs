//! The attestation server.

use std::process::ExitCode;

use poa_attestation::Config;

fn main() -> ExitCode {
    poa_chassis::main("attestation", &Config::default(), |config| &config.server, poa_attestation::build)
}
