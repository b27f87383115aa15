//! Tests of the SDK against a server on a socket that does as it is told.

mod agent_keys;
mod fake;
mod sessions;
mod streams;
mod working;
