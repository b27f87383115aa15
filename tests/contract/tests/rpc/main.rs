//! Every method over the wire, driven by the descriptors, against a mesh of real processes: a new RPC is covered by being
//! declared. What a method needs to be called well stands in one table, `support/examples.rs`.
//!
//! Each answer of each test is also held against the rules that every status keeps: see `support/status.rs`.
#![expect(clippy::expect_used, clippy::panic, reason = "what cannot go on ends the test")]

mod access;
mod foreign_ids;
mod limits;
mod mutations;
mod paging;
mod reasons;
mod statuses;
mod support;
