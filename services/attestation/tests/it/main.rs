//! The attestation service over its own API: real PostgreSQL, the real layers, an auth of our own.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets the unexpected ends")]

mod agent_keys;
mod agents;
mod append;
mod auth;
mod bundle;
mod events;
mod fixture;
mod liabilities;
mod log;
mod public_log;
mod rate;
mod reads;
mod refusals;
mod server;
mod start;
mod tee_evidence;
mod witnesses;
