//! The search service: what every index is held to, and the service over its own API, between an auth, a task and an
//! attestation service of our own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod api;
mod conformance;
mod figures;
mod followers;
mod neighbours;
mod postgres;
mod world;
