//! `AuthService.Register`.

use poa_common::{SessionId, TypedId as _};
use poa_proto::auth::v1::{RegisterRequest, RegisterResponse};
use poa_storage::Tx;
use poa_storage::idempotency::Key;
use tonic::Request;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::convert;
use super::mutation::{Mutation, request_id};
use crate::domain::{Account, Label, Session, Username};
use crate::error::{Error, account_unknown, fields_invalid};
use crate::state::State;
use crate::store::{accounts, corrupt, sessions};

const METHOD: &str = "poa.auth.v1.AuthService/Register";

/// What the transaction writes.
struct Plan {
    mutation: Mutation,
    account: Account,
    password_hash: String,
    session: Session,
    token_hash: [u8; 32],
}

pub(super) async fn handle(
    state: &State,
    request: Request<RegisterRequest>,
) -> Result<RegisterResponse, Error> {
    let message = request.into_inner();
    let fingerprint = state.secrets.fingerprint(&message);
    let mut violations = convert::bounds(&message);
    let id = request_id(&message.request_id, &mut violations);
    let username: Option<Username> = violations.parse("username", &message.username);
    let display_name = match message.display_name.as_str() {
        "" => Some(message.username),
        shown => violations.parse("display_name", shown).map(Label::into_string),
    };
    let password = Zeroizing::new(message.password);
    let (Some(request_id), Some(username), Some(display_name), true) =
        (id, username, display_name, violations.is_empty())
    else {
        return Err(fields_invalid(violations));
    };

    let password_hash = state.hasher.hash(password, state.env.random()).await?;
    let now = state.env.now();
    let account = Account {
        id: state.env.new_id(),
        username: username.as_str().to_owned(),
        display_name,
        create_time: now,
    };
    let session = Session::begin(state.env.new_id(), account.id, now);
    let plan = Plan {
        mutation: Mutation {
            key: Key { principal: Uuid::nil(), method: METHOD, request_id },
            fingerprint,
            now,
        },
        token_hash: state.secrets.refresh_token(session.id, session.generation).hash(),
        account,
        password_hash,
        session,
    };
    let (account, session) = state.db.transact_idempotent(plan, |plan, tx| Box::pin(apply(plan, tx))).await?;
    Ok(RegisterResponse {
        account: Some(convert::account(&account)),
        tokens: Some(state.tokens(&session, 0, session.create_time)?),
    })
}

async fn apply(plan: &Plan, tx: &mut Tx) -> Result<(Account, Session), Error> {
    if let Some(recorded) = plan.mutation.begin(tx).await? {
        return recall(tx, &recorded).await;
    }
    accounts::insert(tx, &plan.account, &plan.password_hash).await?;
    sessions::insert(tx, &plan.session, plan.token_hash).await?;
    plan.mutation.record(tx, plan.session.id.uuid().as_bytes()).await?;
    Ok((plan.account.clone(), plan.session.clone()))
}

/// The account and the session that a sign-in was answered with: the session's id is all that is recorded, because
/// the tokens can be computed from it.
pub(super) async fn recall(tx: &mut Tx, recorded: &[u8]) -> Result<(Account, Session), Error> {
    let id = Uuid::from_slice(recorded).map_err(|error| corrupt(format!("a recorded session: {error}")))?;
    let session = sessions::find(tx.conn(), SessionId::from_uuid(id)).await?.ok_or(Error::SessionRevoked)?;
    let account = accounts::find(tx.conn(), session.account_id).await?.ok_or_else(account_unknown)?;
    Ok((account, session))
}
