//! The layers of a server, seen from outside: small services of the real contracts behind the real stack.
#![expect(clippy::expect_used, clippy::panic, reason = "what cannot go on ends the test")]

mod authorisation;
mod connections;
mod deadlines;
mod lifecycle;
mod replicas;
mod server;
