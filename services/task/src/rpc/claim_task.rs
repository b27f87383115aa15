//! ClaimTask.

use poa_chassis::Principal;
use poa_common::{AccountId, TaskId};
use poa_proto::task::v1::{ClaimTaskRequest, ClaimTaskResponse};
use poa_storage::Tx;
use poa_storage::idempotency::Keep;
use proof_of_agent::{Digest, EnvelopeError, Statement};

use super::{Recorded, convert, parse, recorded};
use crate::domain::{
    Acceptance, DomainError, Moment, Paper, Saga, SignedAcceptance, State, chain_of, parse_envelope,
};
use crate::error::Error;
use crate::failpoint::{Failpoint, before_commit, committed};
use crate::methods::CLAIM_TASK;
use crate::service::{Service, change};
use crate::store::{self, Bodies};

pub(super) async fn handle(
    service: &std::sync::Arc<Service>,
    principal: Principal,
    request: ClaimTaskRequest,
) -> Result<ClaimTaskResponse, Error> {
    let recorded = recorded(service, &principal, CLAIM_TASK, &request.request_id, &request)?;
    let task: TaskId = parse::id("task", &request.task_id)?;
    let agent = parse::id("agent", &request.agent_id)?;
    if !principal.may_act_as(agent) {
        return Err(Error::NotFound { resource: "agent" });
    }
    let statement = signed("acceptance", &request.acceptance)?;
    let digest = statement.digest();
    let acceptance = Acceptance {
        agent,
        account: principal.account_id,
        request: recorded.key.request_id,
        signed: SignedAcceptance { statement, envelope: request.acceptance },
    };
    let at = service.now();
    let own = std::sync::Arc::clone(service);
    let written = service
        .db
        .transact_idempotent((own, acceptance), move |(service, acceptance), tx| {
            Box::pin(claim(service, tx, task, acceptance, recorded, at))
        })
        .await?;
    committed(Failpoint::ClaimCommitted).await?;
    if let Some(refusal) = service.drive(task, written).await {
        return Err(refusal.into_error());
    }
    answer(service, task, principal.account_id, digest).await
}

async fn claim(
    service: &Service,
    tx: &mut Tx,
    task: TaskId,
    acceptance: &Acceptance,
    recorded: Recorded,
    at: Moment,
) -> Result<Option<Saga>, Error> {
    if recorded.begin_for_task(tx, task, Keep::SevenDays).await?.is_some() {
        return Ok(None);
    }
    let saga = store::load(tx, task).await?.ok_or(Error::NotFound { resource: "task" })?;
    let account = acceptance.account;
    let taken = saga.status.claim.as_ref();
    let again = taken.is_some_and(|claim| claim.acceptance == acceptance.signed.statement.digest());
    let knows = matches!(saga.status.state, State::Open | State::Claimed)
        || saga.offer.requester == account
        || taken.is_some_and(|claim| claim.account == account);
    if !knows {
        return Err(Error::NotFound { resource: "task" });
    }
    let mut written = None;
    if !again {
        let terms = Paper::Payload(store::terms_of(tx.conn(), task).await?);
        let chain = chain_of([&terms], service.trust.receipt_keys())?;
        let reserved = store::reservation(tx, task, at.mesh).await?;
        let verb = |saga: &mut Saga| saga.claim_for(acceptance, &chain, reserved, at);
        written = Some(change(service, tx, &saga, at, verb).await?);
    }
    before_commit(Failpoint::ClaimBeforeCommit).await?;
    Ok(written)
}

/// The task with its input, for the one who claimed it. The claim counts once the acceptance is in the log.
async fn answer(
    service: &Service,
    task: TaskId,
    account: AccountId,
    digest: Digest,
) -> Result<ClaimTaskResponse, Error> {
    let view = store::view(service.db.read(), task, Bodies::Input).await?;
    let view = view.ok_or(Error::NotFound { resource: "task" })?;
    let status = &view.status;
    let held =
        status.claim.as_ref().is_some_and(|claim| claim.account == account && claim.acceptance == digest);
    if !held {
        return Err(Error::ClaimNotHeld { state: status.state });
    }
    if view.pending && status.state == State::Claimed {
        return Err(DomainError::Pending.into());
    }
    Ok(ClaimTaskResponse { task: Some(convert::task(&view, service.now(), true, account)?) })
}

/// What an agent signed, its signature verified.
pub(super) fn signed(field: &str, envelope: &[u8]) -> Result<Statement, Error> {
    parse_envelope(envelope).map_err(|error| match error {
        EnvelopeError::SignerMissing(_) | EnvelopeError::BadSignature(_) | EnvelopeError::WrongKey(_) => {
            Error::SignatureInvalid { problem: "signature".to_owned() }
        }
        error @ (EnvelopeError::TooLarge
        | EnvelopeError::Malformed(_)
        | EnvelopeError::Signatures
        | EnvelopeError::PayloadType
        | EnvelopeError::Statement(_)) => Error::field(field, error.to_string()),
    })
}
