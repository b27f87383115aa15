//! Journeys over real processes. See the README.
#![expect(clippy::expect_used, clippy::panic, reason = "what cannot go on ends the test")]

mod doctor;
mod grpc_web;
mod guide;
mod journey;
mod kills;
mod lightning;
mod receipts;
mod replicas;
mod search;
