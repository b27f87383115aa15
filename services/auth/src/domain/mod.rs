//! What the service decides, without a database, a network or a clock.

mod account;
mod agent;
mod api_key;
mod refresh_token;
pub(crate) mod scope;
mod session;
mod text;

pub(crate) use account::{Account, Username};
pub(crate) use agent::{
    Agent, AgentState, MAX_ACTIVE_AGENTS, MAX_AGENTS, MAX_KEY_EVENTS, MAX_VERSIONS, capabilities, proves_key,
};
pub(crate) use api_key::{ApiKey, ApiKeySecret, MAX_API_KEYS, expiry};
pub(crate) use refresh_token::RefreshToken;
pub(crate) use session::{MAX_SESSIONS, Presented, RETRY_WINDOW, Refresh, Session, decide};
pub(crate) use text::{Label, Prose};
