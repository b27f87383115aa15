//! Artefacts for other people's verifiers, and theirs for ours: `make interop` runs it.
//!
//! `interop write <folder>` writes bundles, envelopes, a log with its checkpoints and proofs, and the keys, the same bytes in
//! every run. `interop read <folder>` reads what another implementation has signed.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod artefacts;
#[path = "../../tests/it/fixture.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod fixture;
mod foreign;
mod log;
mod receipts;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["write", folder] => artefacts::write(Path::new(folder)),
        ["read", folder] => foreign::read(Path::new(folder)),
        _ => {
            eprintln!("interop write|read <folder>");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
