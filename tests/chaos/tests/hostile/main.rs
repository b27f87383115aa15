//! Hostile input at the gateway and at each server, against real processes.
//!
//! Each test ends the same way: every process is ready, honest work is done and paid, no log speaks of a panic or was
//! written to by a stranger, and the ledger adds up.
#![expect(clippy::expect_used, clippy::panic, reason = "what cannot go on ends the test")]

mod criteria;
mod floods;
mod headers;
mod http1;
mod messages;
mod paths;
mod statements;
mod support;
mod utf8;
