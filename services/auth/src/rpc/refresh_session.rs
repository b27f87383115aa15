//! `AuthService.RefreshSession`.

use poa_common::Timestamp;
use poa_proto::auth::v1::{RefreshSessionRequest, RefreshSessionResponse};
use poa_storage::Tx;
use tonic::Request;

use crate::domain::{Presented, Refresh, RefreshToken, Session, decide};
use crate::error::Error;
use crate::metrics;
use crate::secrets::Secrets;
use crate::state::State;
use crate::store::sessions;

/// A token that came in, with what can be computed of it.
pub(super) struct Claim {
    token: RefreshToken,
    hash: [u8; 32],
    /// Whether the service's secret gives this very token.
    derived: bool,
}

/// What the transaction works with.
struct Plan {
    claim: Claim,
    successor: i32,
    successor_hash: [u8; 32],
    now: Timestamp,
}

/// What the transaction came to.
enum Outcome {
    /// The successor, issued at this time.
    Issued(Session, Timestamp),
    /// A spent token: the session was revoked.
    Revoked(Session),
    Refused,
}

pub(super) async fn handle(
    state: &State,
    request: Request<RefreshSessionRequest>,
) -> Result<RefreshSessionResponse, Error> {
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    let claim = Claim::read(&message.refresh_token, &state.secrets).ok_or(Error::SessionRevoked)?;
    // No session is refreshed so often: the number is a guess.
    let successor = claim.token.generation.checked_add(1).ok_or(Error::SessionRevoked)?;
    let plan = Plan {
        successor,
        successor_hash: state.secrets.refresh_token(claim.token.session_id, successor).hash(),
        claim,
        now: state.env.now(),
    };
    // A second run finds the token spent a moment ago, and gives the same successor.
    match state.db.transact_idempotent(plan, |plan, tx| Box::pin(apply(plan, tx))).await? {
        Outcome::Issued(session, issue_time) => {
            Ok(RefreshSessionResponse { tokens: Some(state.tokens(&session, successor, issue_time)?) })
        }
        Outcome::Revoked(session) => {
            metrics::refresh_reused();
            tracing::warn!(session_id = %session.id, account_id = %session.account_id, "a spent refresh token came back");
            Err(Error::SessionRevoked)
        }
        Outcome::Refused => Err(Error::SessionRevoked),
    }
}

async fn apply(plan: &Plan, tx: &mut Tx) -> Result<Outcome, Error> {
    let Some(session) = sessions::lock(tx, plan.claim.token.session_id).await? else {
        return Ok(Outcome::Refused);
    };
    let presented = plan.claim.judge(&session, tx).await?;
    match decide(&session, presented, plan.now) {
        Refresh::Successor => {
            sessions::rotate(tx, &session, plan.successor, plan.successor_hash, plan.now).await?;
            Ok(Outcome::Issued(session, plan.now))
        }
        Refresh::SameSuccessor(issue_time) => Ok(Outcome::Issued(session, issue_time)),
        Refresh::Revoke => {
            sessions::revoke(tx, session.id, plan.now).await?;
            Ok(Outcome::Revoked(session))
        }
        Refresh::Refuse => Ok(Outcome::Refused),
    }
}

// === impl Claim ===

impl Claim {
    /// Reads a token; `None` where its text is none of ours.
    pub(super) fn read(text: &str, secrets: &Secrets) -> Option<Self> {
        let token = RefreshToken::parse(text)?;
        let hash = token.hash();
        let derived = secrets.refresh_token(token.session_id, token.generation).hash() == hash;
        Some(Self { token, hash, derived })
    }

    pub(super) fn session_id(&self) -> poa_common::SessionId {
        self.token.session_id
    }

    /// What the token is to a locked session.
    pub(super) async fn judge(&self, session: &Session, tx: &mut Tx) -> Result<Presented, Error> {
        let stored = sessions::token(tx, session.id, self.token.generation).await?;
        Ok(match stored {
            Some(stored) if stored.hash == self.hash => match stored.use_time {
                None => Presented::Newest,
                Some(at) => Presented::Spent(at),
            },
            Some(_) => Presented::Foreign,
            None if self.derived && self.token.generation < session.generation => Presented::LongSpent,
            None => Presented::Foreign,
        })
    }
}
