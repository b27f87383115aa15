//! What may be appended to a chain, and by whom: pure decisions.

mod agent;
mod cache;
mod chain;
mod refusal;
mod submission;

pub(crate) use agent::{Agent, AgentKey, admit};
pub(crate) use cache::ChainCache;
pub(crate) use chain::{ChainEnd, Place, TaskChain};
pub(crate) use refusal::Refusal;
pub(crate) use submission::{AgentSigner, Signed, Submission};
