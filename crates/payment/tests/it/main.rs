//! The simulated node against the conformance suite, restarts, faults and races.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod faults;
mod node;
mod races;
mod restart;
mod support;
