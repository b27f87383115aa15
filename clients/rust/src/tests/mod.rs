//! Tests of the SDK against a server on a socket that does as it is told.

mod fake;
mod sessions;
mod streams;
mod working;
