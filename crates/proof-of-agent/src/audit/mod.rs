//! Following a log and trusting nobody but the trust root: what an auditor checks, without I/O.
//!
//! Whoever uses it fetches checkpoints, entries, proofs and tiles, and feeds them to an [`Auditor`], in the order that its methods ask
//! for. It keeps a [`State`], which is all that it must remember between two runs, and answers with [`Finding`]s: two signed things that
//! do not agree, or something promised that is not there. docs/protocol/log.md, section 6, lists the checks.
//!
//! Bounds: the right edge of the tree has at most 255 hashes for each of seven levels; a slot takes 24 bytes and [`MAX_SLOTS`] are kept;
//! an agent has at most 64 key events; [`MAX_PROMISES`] pending statements and [`MAX_FINDINGS`] findings are remembered.

mod agents;
mod auditor;
mod finding;
mod notices;
mod receipts;
mod records;
mod slots;
mod state;
mod tree;

pub use auditor::{Auditor, Checked, MERGE_DELAY, Next, Shown};
pub use finding::{Evidence, Finding, FindingKind, MAX_FINDINGS};
pub use receipts::{Leaf, MAX_PROMISES, Settled};
pub use slots::MAX_SLOTS;
pub use state::{State, StateError};
pub use tree::Tree;
