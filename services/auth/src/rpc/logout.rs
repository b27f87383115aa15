//! `AuthService.Logout`.

use poa_common::Timestamp;
use poa_proto::auth::v1::{LogoutRequest, LogoutResponse};
use poa_storage::Tx;
use tonic::Request;

use super::refresh_session::Claim;
use crate::domain::Presented;
use crate::error::Error;
use crate::state::State;
use crate::store::sessions;

/// Ends the session of any of its tokens. A token that is none of ours ends nothing and is no error, as with
/// RFC 7009: what the caller wants, that it opens nothing, holds already.
pub(super) async fn handle(state: &State, request: Request<LogoutRequest>) -> Result<LogoutResponse, Error> {
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    if let Some(claim) = Claim::read(&message.refresh_token, &state.secrets) {
        let plan = (claim, state.env.now());
        state.db.transact_idempotent(plan, |(claim, now), tx| Box::pin(apply(claim, *now, tx))).await?;
    }
    Ok(LogoutResponse {})
}

async fn apply(claim: &Claim, now: Timestamp, tx: &mut Tx) -> Result<(), Error> {
    let Some(session) = sessions::lock(tx, claim.session_id()).await? else {
        return Ok(());
    };
    match claim.judge(&session, tx).await? {
        Presented::Newest | Presented::Spent(_) | Presented::LongSpent => {
            sessions::revoke(tx, session.id, now).await
        }
        Presented::Foreign => Ok(()),
    }
}
