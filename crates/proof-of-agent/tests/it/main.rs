//! Tests of the receipt protocol as its callers use it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails as the test does")]

mod archive;
mod archive_hostile;
mod archive_vectors;
mod bundle;
mod chain;
mod checkpoint;
mod did;
mod envelope;
mod fixture;
mod liabilities;
mod log;
mod plan;
mod receipts;
mod release;
mod spellings;
mod statement;
mod tiles;
mod trust;
mod vectors;
mod verify;
