//! The LND provider against the stand-in: the suite that every provider passes, and what a real node does on a bad day only.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod conformance;
mod holding;
mod paying;
mod receiving;
mod startup;
mod support;
