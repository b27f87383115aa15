//! Faults of the network, the database, callers and clocks.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "the harness of tests: what cannot go on ends the test"
)]

mod cancels;
mod clocks;
mod journal;
mod load;
mod pair;
mod storm;

use std::time::Duration;

/// How long to look whether transactions are left open: shorter than the 30 s after which the database itself ends a
/// session that idles in one, or it would tidy up behind the service and the look would find nothing.
const LEFT_OPEN_LOOK: Duration = Duration::from_secs(10);

/// The seed of this run: `POA_CHAOS_SEED`, or one of the moment.
fn seed() -> u64 {
    let given = variable("POA_CHAOS_SEED").and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| u64::from_le_bytes(poa_sdk::system_env().random()))
}

/// A number that the caller of this run gives.
fn number(name: &str) -> Option<usize> {
    variable(name).and_then(|number| number.parse().ok())
}

/// For how long faults strike: `POA_CHAOS_SECONDS`, half an hour with `POA_CHAOS=full`, else each once.
fn wanted_seconds() -> Duration {
    let given = variable("POA_CHAOS_SECONDS").and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(given.unwrap_or(if is_full() { 1_800 } else { 0 }))
}

/// Whether the long way was asked for.
fn is_full() -> bool {
    variable("POA_CHAOS").is_some_and(|wanted| wanted == "full")
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a test runs is for the caller to say, beside any service"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
