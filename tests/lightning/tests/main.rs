//! What only real nodes show. `make test-lightning` runs these; they are ignored elsewhere.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod conformance;
mod connection;
mod fixture;
mod holds;
mod journeys;
mod outages;
mod payouts;
mod privilege;
mod support;
