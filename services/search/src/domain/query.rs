//! What callers look for, and what they get.

use poa_common::{AccountId, AgentId, Msat, Timestamp};

use super::{Term, query_terms};

/// The words of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// None were given: everything matches.
    Any,
    /// What was given holds nothing that could be looked for: nothing matches.
    Nothing,
    /// All of these, at least one.
    Terms(Vec<Term>),
}

/// A part of the ranked hits.
#[derive(Clone, Debug)]
pub struct Window {
    /// The place after which to go on, as an earlier page of the same query gave it; none for the first page. Its bytes
    /// mean something to the index alone.
    pub after: Option<Vec<u8>>,
    /// How many hits at most, at least 1.
    pub limit: u16,
}

/// Agents to look for.
#[derive(Clone, Debug)]
pub struct AgentQuery {
    /// Words.
    pub text: Text,
    /// Capabilities that it must have, all of them.
    pub capabilities: Vec<String>,
    /// The most that its typical price may be; those without a typical price do not match then.
    pub max_typical_price: Option<Msat>,
    /// The fewest completed tasks.
    pub min_completed_tasks: i32,
    /// Whether retired agents match too.
    pub include_retired: bool,
    /// Which part of the hits.
    pub window: Window,
}

/// Whose tasks are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// Tasks that any agent may claim.
    Market,
    /// Tasks of one account, as requester or as the one who is paid.
    Mine {
        /// The account.
        account: AccountId,
        /// The one agent whose work the caller may see; none for all of the account's agents.
        agent: Option<AgentId>,
        /// States by their numbers in the contract; empty for any.
        states: Vec<i16>,
    },
}

/// Tasks to look for.
#[derive(Clone, Debug)]
pub struct TaskQuery {
    /// Words.
    pub text: Text,
    /// Whose.
    pub view: View,
    /// Capabilities of which it must need one; empty for any.
    pub capabilities: Vec<String>,
    /// The least that the agent must get.
    pub min_payee: Msat,
    /// The most that the requester may pay.
    pub max_price: Option<Msat>,
    /// Which part of the hits.
    pub window: Window,
}

/// What a person has typed so far.
#[derive(Clone, Debug)]
pub struct SuggestQuery {
    /// As it was typed.
    pub prefix: String,
    /// How many suggestions at most.
    pub limit: u16,
}

/// Hits, the best first.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The hits of this page.
    pub hits: Vec<T>,
    /// The place to go on after, where there may be more.
    pub next: Option<Vec<u8>>,
}

/// An agent that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentHit {
    /// What is shown of it.
    pub message: Vec<u8>,
    /// How many tasks it completed.
    pub completed_tasks: i32,
    /// The median price of its last completed tasks, of two in the middle the lower one; zero where there are none.
    pub typical_price: Msat,
    /// When it last completed one.
    pub last_completed: Option<Timestamp>,
    /// How many of its statements are in the log.
    pub logged_statements: i32,
}

/// A completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suggestion {
    /// A capability.
    Capability {
        /// The capability.
        name: String,
        /// How many active agents have it.
        agents: i32,
    },
    /// The name of an active agent.
    Agent {
        /// The name.
        name: String,
        /// Whose.
        agent: AgentId,
    },
}

// === impl Text ===

impl Text {
    /// The words of what a caller typed.
    pub fn parse(typed: &str) -> Self {
        if typed.trim().is_empty() {
            return Self::Any;
        }
        let terms = query_terms(typed);
        if terms.is_empty() { Self::Nothing } else { Self::Terms(terms) }
    }
}
