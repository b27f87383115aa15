//! The service over its own transport, with a real PostgreSQL: a module per group of methods.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agents;
mod api_keys;
mod events;
mod exchange;
mod info;
mod keys;
mod limits;
mod login;
mod process;
mod refresh;
mod register;
mod support;
mod tokens;
