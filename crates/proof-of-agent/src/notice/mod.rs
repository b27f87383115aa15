//! Statements that belong to no task: key events, agent versions, and what the platform owes.
//!
//! They stand in the same log as receipts, in the same envelopes and under the same JSON rules, but they have no predecessor and
//! no task, and their contents are public. One frame carries all of them; a [`Notice`] says what is particular to its kind.

mod agent_version;
mod frame;
mod key_event;

pub use agent_version::{AgentVersion, MAX_MEASUREMENTS, MAX_VERSION_BYTES, TeeMeasurement};
pub use frame::{Notice, NoticeStatement};
pub use key_event::{
    Authority, KeyChange, KeyEvent, KeyEventKind, KeyProof, KeyReason, REGISTER_TAG, registration_text,
};
