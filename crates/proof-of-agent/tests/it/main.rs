//! Tests of the receipt protocol as its callers use it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails as the test does")]

mod archive;
mod archive_hostile;
mod archive_vectors;
mod audit;
mod audit_log;
mod audit_receipts;
mod bundle;
mod chain;
mod chain_parts;
mod chain_random;
mod checkpoint;
mod did;
mod envelope;
mod example;
mod fixture;
mod flips;
mod liabilities;
mod log;
mod mutations;
mod notes;
mod notices;
mod plan;
mod random;
mod receipts;
mod release;
mod reputation;
mod spellings;
mod statement;
#[cfg(feature = "tee")]
mod tee;
mod tiles;
mod trust;
mod trust_more;
mod vectors;
mod verify;
mod verify_agent;
mod witness;
