//! `AuthService.Login`.

use poa_common::TypedId as _;
use poa_proto::auth::v1::{LoginRequest, LoginResponse};
use poa_storage::Tx;
use poa_storage::idempotency::Key;
use tonic::Request;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::convert;
use super::mutation::{Mutation, request_id};
use super::register::recall;
use crate::domain::{Account, Session, Username};
use crate::error::{Error, fields_invalid};
use crate::hashing::Verdict;
use crate::metrics;
use crate::state::State;
use crate::store::{accounts, sessions};

const METHOD: &str = "poa.auth.v1.AuthService/Login";

/// What the transaction writes.
struct Plan {
    mutation: Mutation,
    account: Account,
    /// The password's hash with today's parameters, where the stored one is older.
    new_hash: Option<String>,
    session: Session,
    token_hash: [u8; 32],
}

pub(super) async fn handle(state: &State, request: Request<LoginRequest>) -> Result<LoginResponse, Error> {
    let message = request.into_inner();
    let fingerprint = state.secrets.fingerprint(&message);
    let mut violations = convert::bounds(&message);
    let id = request_id(&message.request_id, &mut violations);
    let password = Zeroizing::new(message.password);
    let (Some(request_id), true) = (id, violations.is_empty()) else {
        return Err(fields_invalid(violations));
    };

    let (account, new_hash) = check(state, &message.username, password).await?;
    let now = state.env.now();
    let session = Session::begin(state.env.new_id(), account.id, now);
    let plan = Plan {
        mutation: Mutation {
            key: Key { principal: Uuid::nil(), method: METHOD, request_id },
            fingerprint,
            now,
        },
        token_hash: state.secrets.refresh_token(session.id, session.generation).hash(),
        account,
        new_hash,
        session,
    };
    let (account, session) = state.db.transact_idempotent(plan, |plan, tx| Box::pin(apply(plan, tx))).await?;
    Ok(LoginResponse {
        account: Some(convert::account(&account)),
        tokens: Some(state.tokens(&session, 0, session.create_time)?),
    })
}

/// The account that the password is of, and the password's new hash where the stored one is outdated. A name that
/// nobody has, or that nobody can have, costs as much time as a wrong password, gets the same answer, and has as many
/// tries.
async fn check(
    state: &State,
    username: &str,
    password: Zeroizing<String>,
) -> Result<(Account, Option<String>), Error> {
    let found = match username.parse::<Username>() {
        Ok(username) => accounts::by_username(&state.db, &username).await?,
        Err(_) => None,
    };
    let stored = found.as_ref().map(|(_, hash)| hash.as_str());
    // Between the try and the refusal of a full queue nothing is awaited: a flood does not use the tries up.
    state.guesses.take(username, state.env.now()).inspect_err(|_| metrics::sign_in_limited())?;
    let verdict = state.hasher.verify(password.clone(), stored).await;
    if !matches!(verdict, Ok(Verdict { matches: false, .. })) {
        state.guesses.give_back(username);
    }
    let verdict = verdict?;
    metrics::signed_in(verdict.matches);
    let Some((account, _)) = found.filter(|_| verdict.matches) else {
        return Err(Error::SignInFailed);
    };
    // A full queue must not turn a good password away: the next sign-in tries again.
    let new_hash =
        if verdict.outdated { state.hasher.hash(password, state.env.random()).await.ok() } else { None };
    Ok((account, new_hash))
}

async fn apply(plan: &Plan, tx: &mut Tx) -> Result<(Account, Session), Error> {
    if let Some(recorded) = plan.mutation.begin(tx).await? {
        return recall(tx, &recorded).await;
    }
    if let Some(hash) = &plan.new_hash {
        accounts::replace_hash(tx, plan.account.id, hash).await?;
    }
    sessions::insert(tx, &plan.session, plan.token_hash).await?;
    plan.mutation.record(tx, plan.session.id.uuid().as_bytes()).await?;
    Ok((plan.account.clone(), plan.session.clone()))
}
