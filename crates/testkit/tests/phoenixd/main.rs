//! The phoenixd provider against a stand-in that is true to phoenixd's habits: the suite that every provider passes, and a
//! test for each of its traps.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod conformance;
mod doubts;
mod hostile;
mod listing;
mod receiving;
mod sending;
mod support;
mod tls;
mod webhooks;
