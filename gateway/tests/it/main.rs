//! The gateway in front of small servers of the real contracts.
#![expect(clippy::expect_used, reason = "what cannot go on ends the test")]

mod edge;
mod forwarding;
mod process;
