//! `AgentService.PublishAgentVersion`.

use poa_common::{AccountId, EventId, TypedId as _};
use poa_proto::auth::v1::{PublishAgentVersionRequest, PublishAgentVersionResponse, agent_event};
use poa_storage::idempotency::Key;
use poa_storage::{Tx, events};
use proof_of_agent::{AgentVersion, DidKey, Envelope, NoticeStatement};
use prost::Message as _;
use tonic::Request;

use super::convert;
use super::mutation::{Mutation, fingerprint, recorded, request_id};
use super::watch_agent_events::{Happened, new_event};
use crate::domain::{Agent, MAX_VERSIONS};
use crate::error::{Error, field_invalid, fields_invalid};
use crate::state::State;
use crate::store::agents;
use crate::store::versions::{self, Published};

const METHOD: &str = "poa.auth.v1.AgentService/PublishAgentVersion";

struct Plan {
    mutation: Mutation,
    account_id: AccountId,
    version: Published,
    signer: DidKey,
    event_id: EventId,
}

pub(super) async fn handle(
    state: &State,
    request: Request<PublishAgentVersionRequest>,
) -> Result<PublishAgentVersionResponse, Error> {
    let caller = poa_chassis::user(&request)?;
    let message = request.into_inner();
    let mut violations = convert::bounds(&message);
    let request_id = request_id(&message.request_id, &mut violations);
    let (Some(request_id), true) = (request_id, violations.is_empty()) else {
        return Err(fields_invalid(violations));
    };
    let (statement, envelope) = open(state, &message.envelope)?;
    let version = statement.notice();
    if !caller.may_act_as(version.agent) {
        return Err(Error::NotFound { resource: "agent" });
    }
    let now = state.env.now();
    let key = Key { principal: caller.account_id.uuid(), method: METHOD, request_id };
    let plan = Plan {
        mutation: Mutation { key, fingerprint: fingerprint(&message), now },
        account_id: caller.account_id,
        signer: statement.signer(),
        version: Published {
            id: state.env.new_id::<EventId>().uuid(),
            agent_id: version.agent,
            version: version.version.clone(),
            build_digest: version.build_digest,
            build_size: i64::try_from(version.build_size).map_err(crate::error::internal)?,
            source_ref: version.source_ref.clone(),
            envelope,
            digest: statement.digest(),
            create_time: now,
        },
        event_id: state.env.new_id(),
    };
    state.db.transact_idempotent(plan, |plan, tx| Box::pin(apply(plan, tx))).await
}

/// The statement, signed as it says and for this log, and the envelope with the one signature that counts.
fn open(state: &State, envelope: &[u8]) -> Result<(NoticeStatement<AgentVersion>, Vec<u8>), Error> {
    let invalid = |error: proof_of_agent::EnvelopeError| field_invalid("envelope", error.to_string());
    let envelope = Envelope::from_json(envelope).map_err(invalid)?;
    let (statement, envelope) =
        NoticeStatement::<AgentVersion>::open_normalised(&envelope).map_err(|error| match error {
            proof_of_agent::EnvelopeError::BadSignature(_)
            | proof_of_agent::EnvelopeError::SignerMissing(_) => Error::SignatureInvalid,
            other => invalid(other),
        })?;
    let (network, origin) = state.info.log();
    if statement.network() != network || statement.origin() != origin {
        return Err(field_invalid(
            "envelope",
            format!("the statement is not for the log {origin} on {network}"),
        ));
    }
    Ok((statement, envelope.to_json()))
}

async fn apply(plan: &Plan, tx: &mut Tx) -> Result<PublishAgentVersionResponse, Error> {
    if let Some(answer) = plan.mutation.begin(tx).await? {
        return recorded(&answer);
    }
    let version = &plan.version;
    let agent = agents::lock(tx, plan.account_id, version.agent_id).await?;
    let agent = agent.ok_or(Error::NotFound { resource: "agent" })?;
    let before = versions::find(tx.conn(), version.agent_id, &version.version).await?;
    let published = match before {
        // The same statement again, after a lost answer.
        Some(before) if before.digest == version.digest => before,
        Some(before) => return Err(Error::VersionTaken { version: before.version }),
        None => {
            if plan.signer != agent.public_key || agent.key_revoked {
                return Err(Error::SignatureInvalid);
            }
            add(plan, &agent, tx).await?;
            version.clone()
        }
    };
    let answer = PublishAgentVersionResponse { version: Some(convert::version(&published)) };
    plan.mutation.record(tx, &answer.encode_to_vec()).await?;
    Ok(answer)
}

async fn add(plan: &Plan, agent: &Agent, tx: &mut Tx) -> Result<(), Error> {
    if versions::count(tx, agent.id).await? >= MAX_VERSIONS {
        return Err(Error::QuotaExceeded { what: "versions of an agent", limit: MAX_VERSIONS });
    }
    versions::insert(tx, &plan.version).await?;
    let agent = Agent {
        version: Some(plan.version.version.clone()),
        version_has_source: plan.version.source_ref.is_some(),
        ..agent.clone()
    };
    agents::set_version(tx, &agent).await?;
    let happened = Happened::Version(&plan.version.envelope);
    let kind = agent_event::Kind::VersionPublished;
    events::append(tx, new_event(kind, &agent, happened, plan.event_id, plan.mutation.now)).await?;
    Ok(())
}
