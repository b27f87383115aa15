//! Who calls.

use poa_common::{AccountId, AgentId, SessionId, Timestamp};

/// A signed-in account, as its access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The account.
    pub account_id: AccountId,
    /// What the token may do.
    pub scopes: Vec<String>,
    /// The one agent that the token may act as; none for all of the account's.
    pub agent_id: Option<AgentId>,
    /// The session that the token belongs to; none for a token that an API key was exchanged for.
    pub session_id: Option<SessionId>,
    /// When the token ends.
    pub expire_time: Timestamp,
}

/// Who calls a method, put into the request's extensions by the authorisation layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody in particular: the method allows it.
    Anonymous,
    /// An account.
    User(Principal),
    /// Another service of the mesh, by name.
    Service(String),
    /// An operator.
    Admin,
}

// === impl Principal ===

impl Principal {
    /// Whether the token holds a scope.
    pub fn may(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| held == scope)
    }

    /// Whether the token may act as an agent.
    pub fn may_act_as(&self, agent: AgentId) -> bool {
        self.agent_id.is_none_or(|own| own == agent)
    }
}
