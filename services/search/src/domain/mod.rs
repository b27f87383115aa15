//! What is indexed and what is looked for; pure.

mod docs;
mod query;
mod text;

pub use docs::{Agent, Batch, Change, Source, Statement, Task, is_capability};
pub use query::{AgentHit, AgentQuery, Page, SuggestQuery, Suggestion, TaskQuery, Text, View, Window};
pub use text::{Term, Weight, index_terms, letters, query_terms};

/// Which of the builds of an index. Another one begins each time that the index is emptied.
pub type Generation = uuid::Uuid;

/// The most hits that a query has, over all of its pages: ranking more would serve nobody.
pub const MAX_HITS: u16 = 1_000;
/// How many of an agent's completed tasks its typical price is the median of.
pub const TYPICAL_OF: u16 = 20;
