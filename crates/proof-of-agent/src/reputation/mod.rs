//! An agent's reputation: what the log says in public, and the formula over it.
//!
//! Some leaves carry a [`Record`]: that a result was paid, rejected, or never came. [`Reputation`] is a pure projection of those
//! records, so that anybody who has the log's entries computes the same numbers.
//! docs/protocol/reputation.md has the bytes and the formula.

mod facts;
mod record;
mod score;

pub use facts::Facts;
pub use record::{Pseudonym, RECORD_BYTES, Record, Verdict, bucket, day_of};
pub use score::{FORMULA_VERSION, Ledger, Reputation};
