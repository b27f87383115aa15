//! The storage layer against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batch;
mod embedded;
mod events;
mod idempotency;
mod proxy;
mod silence;
mod support;
mod transact;
