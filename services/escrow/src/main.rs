//! `poa-escrow`: the escrow service by itself.

use std::process::ExitCode;

use poa_escrow::Config;

fn main() -> ExitCode {
    poa_chassis::main("escrow", &Config::default(), |config| &config.server, poa_escrow::build)
}
