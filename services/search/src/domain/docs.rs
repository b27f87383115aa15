//! What the other services tell, as an index takes it.

use poa_common::{AccountId, AgentId, Msat, TaskId, Timestamp};

use super::Generation;

/// Whether a text is a capability: nothing else is kept or looked for as one.
pub fn is_capability(text: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    !text.is_empty() && text.bytes().all(sound)
}

/// A service whose events are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Agents.
    Auth,
    /// Tasks.
    Task,
    /// Statements in the transparency log.
    Attestation,
}

/// An agent as auth last told of it.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// When it became so: of two messages with the same state the later one counts.
    pub changed: Timestamp,
    /// Whether it may claim tasks. A retired one never becomes active again, whatever the times say.
    pub active: bool,
    /// Its name.
    pub name: String,
    /// What it does, for people.
    pub description: String,
    /// What it can do: words of a-z, 0-9, `.`, `-` and `_`.
    pub capabilities: Vec<String>,
    /// What is shown of it, which the index does not look into.
    pub message: Vec<u8>,
}

/// A task as the task service last told of it.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Of two messages the one with the higher version counts.
    pub version: i64,
    /// The state's number in the contract.
    pub state: i16,
    /// Whether any agent may claim it now.
    pub market: bool,
    /// Whether its agent was paid, which never changes back.
    pub completed: bool,
    /// Who offered it.
    pub requester: AccountId,
    /// The agent that holds it or did it, and the account that is paid.
    pub worker: Option<(AgentId, AccountId)>,
    /// What is asked for.
    pub title: String,
    /// The capability that it needs.
    pub capability: String,
    /// What the requester pays.
    pub price: Msat,
    /// What the agent gets.
    pub payee: Msat,
    /// When it last changed.
    pub updated: Timestamp,
    /// What is shown of it, which the index does not look into.
    pub message: Vec<u8>,
}

/// A statement of an agent's in the log.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// Its place in the log: what is told twice is counted once.
    pub log_index: i64,
    /// Who signed it.
    pub agent: AgentId,
}

/// One thing that was told.
#[derive(Clone, Debug)]
pub enum Change {
    /// An agent as it is now.
    Agent(Box<Agent>),
    /// A task as it is now.
    Task(Box<Task>),
    /// A statement was logged.
    Statement(Statement),
}

/// A stretch of one service's events, in their order. Its effect and its cursor become durable together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The build of the index that the events were followed for: they go into no other.
    pub generation: Generation,
    /// Whose events.
    pub source: Source,
    /// What happened; may be empty, where events were passed over.
    pub changes: Vec<Change>,
    /// Where to go on after them.
    pub cursor: String,
    /// Now.
    pub now: Timestamp,
}

// === impl Source ===

impl Source {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auth, Self::Task, Self::Attestation];

    /// The service's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Task => "task",
            Self::Attestation => "attestation",
        }
    }
}
