//! What every handler works with.

use std::path::PathBuf;
use std::time::Duration;

use poa_chassis::Latch;
use poa_common::{Env, Timestamp};
use poa_proto::auth::v1::Tokens;
use poa_storage::Database;
use poa_storage::events::Events;
use poa_storage::page::Sealer;

use crate::domain::Session;
use crate::error::Error;
use crate::guesses::Guesses;
use crate::hashing::Hasher;
use crate::info::ServerInfo;
use crate::issuer::Issuer;
use crate::rpc::convert;
use crate::secrets::Secrets;

/// The service's parts, shared by all handlers.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) env: Env,
    pub(crate) db: Database,
    pub(crate) events: Events,
    pub(crate) hasher: Hasher,
    pub(crate) guesses: Guesses,
    pub(crate) issuer: Issuer,
    pub(crate) secrets: Secrets,
    pub(crate) pages: Sealer,
    pub(crate) info: ServerInfo,
    /// The published token keys.
    pub(crate) jwks: PathBuf,
    /// The silence after which a stream says that it lives.
    pub(crate) heartbeat: Duration,
    /// Held, so that the service is ready for as long as it is served.
    pub(crate) _database_up: Latch,
}

// === impl State ===

impl State {
    /// The pair of tokens of a session's generation, which was issued at `issue_time`. The same arguments give the
    /// same pair: that is what a replayed request is answered with.
    pub(crate) fn tokens(
        &self,
        session: &Session,
        generation: i32,
        issue_time: Timestamp,
    ) -> Result<Tokens, Error> {
        let access = self.issuer.for_session(session, issue_time)?;
        Ok(Tokens {
            access_token: access.text,
            access_expire_time: Some(convert::timestamp(access.expire_time)),
            refresh_token: self.secrets.refresh_token(session.id, generation).text(),
            refresh_expire_time: Some(convert::timestamp(session.expire_time)),
            session_id: session.id.to_string(),
        })
    }
}
