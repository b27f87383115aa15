//! What it takes to rotate or revoke an agent's key: who may ask, what is signed, what is written.

use poa_common::{AccountId, AgentId, EventId, Timestamp, TypedId as _, Violations};
use poa_proto::auth::v1::{KeyReason as ProtoReason, agent_event};
use poa_storage::idempotency::Key;
use poa_storage::{Tx, events};
use proof_of_agent::notice::{Authority, KeyEventKind, KeyProof, KeyReason};
use proof_of_agent::{DidKey, KeyEvent};
use tonic::Request;
use uuid::Uuid;

use super::callers;
use super::convert;
use super::mutation::Mutation;
use super::watch_agent_events::{Happened, new_event};
use crate::domain::{Agent, MAX_KEY_EVENTS};
use crate::error::{Error, fields_invalid};
use crate::state::State;
use crate::store::{agents, key_events};

/// What was asked for, in the domain's types.
pub(super) struct Asked {
    pub(super) request_id: Uuid,
    pub(super) agent: AgentId,
    pub(super) sequence: u32,
    /// The key that is to sign from now on, and its signature; none for a revocation.
    pub(super) successor: Option<(DidKey, KeyProof)>,
    pub(super) reason: KeyReason,
    pub(super) compromised_since: Option<Timestamp>,
    pub(super) authorisation: Option<KeyProof>,
}

/// The fields that both requests have.
pub(super) struct Fields<'a> {
    pub(super) request_id: &'a str,
    pub(super) agent_id: &'a str,
    pub(super) sequence: i32,
    pub(super) reason: ProtoReason,
    pub(super) compromised_since: Option<&'a prost_types::Timestamp>,
    pub(super) authorisation: &'a [u8],
}

/// What is to be done in one transaction.
pub(super) struct Plan {
    pub(super) mutation: Mutation,
    account_id: AccountId,
    asked: Asked,
    event_id: EventId,
}

/// Reads the fields that both requests have, and names all that are wrong.
pub(super) fn parse(
    fields: &Fields<'_>,
    successor: Option<(DidKey, KeyProof)>,
    now: Timestamp,
    mut violations: Violations,
) -> Result<Asked, Error> {
    let request_id: Option<Uuid> = violations.parse("request_id", fields.request_id);
    let agent: Option<AgentId> = violations.parse("agent_id", fields.agent_id);
    let since = fields.compromised_since;
    let since = since.and_then(|time| convert::parse_timestamp("compromised_since", time, &mut violations));
    let reason = match fields.reason {
        ProtoReason::Unspecified => {
            violations.add("reason", "is required");
            None
        }
        ProtoReason::Superseded => Some(KeyReason::Superseded),
        ProtoReason::Compromised => Some(KeyReason::Compromised),
    };
    if since.is_some_and(|since| since > now) {
        violations.add("compromised_since", "must not be in the future");
    }
    match (reason, fields.compromised_since) {
        (Some(KeyReason::Compromised), None) => {
            violations.add("compromised_since", "is required of a compromised key");
        }
        (Some(KeyReason::Superseded), Some(_)) => {
            violations.add("compromised_since", "must be absent unless the key is compromised");
        }
        (_, _) => {}
    }
    let authorisation = match fields.authorisation {
        [] => None,
        bytes => <[u8; 64]>::try_from(bytes).map(KeyProof::new).map(Some).unwrap_or_else(|_| {
            violations.add("authorisation", "must be empty or have 64 bytes");
            None
        }),
    };
    let sequence = u32::try_from(fields.sequence).ok();
    match (request_id, agent, reason, sequence, violations.is_empty()) {
        (Some(request_id), Some(agent), Some(reason), Some(sequence), true) => Ok(Asked {
            request_id,
            agent,
            sequence,
            successor,
            reason,
            compromised_since: since,
            authorisation,
        }),
        (_, _, _, _, _) => Err(fields_invalid(violations)),
    }
}

/// Who may ask: the agent's own key, which signs; without its signature the owner alone, because an API key that is bound to
/// an agent lies beside that agent's key.
pub(super) fn plan<T: prost::Message>(
    state: &State,
    request: &Request<T>,
    method: &'static str,
    asked: Asked,
) -> Result<Plan, Error> {
    let caller = match &asked.authorisation {
        Some(_) => poa_chassis::user(request)?,
        None => callers::unbound(request)?,
    };
    if !caller.may_act_as(asked.agent) {
        return Err(Error::NotFound { resource: "agent" });
    }
    let key = Key { principal: caller.account_id.uuid(), method, request_id: asked.request_id };
    let fingerprint = super::mutation::fingerprint(request.get_ref());
    Ok(Plan {
        mutation: Mutation { key, fingerprint, now: state.env.now() },
        account_id: caller.account_id,
        asked,
        event_id: state.env.new_id(),
    })
}

/// Writes the event, and the agent as it is after it.
pub(super) async fn apply(plan: &Plan, tx: &mut Tx) -> Result<(Agent, KeyEvent), Error> {
    let Plan { mutation, account_id, asked, event_id } = plan;
    let agent = agents::lock(tx, *account_id, asked.agent).await?;
    let agent = agent.ok_or(Error::NotFound { resource: "agent" })?;
    if asked.sequence != agent.key_sequence.saturating_add(1) {
        return Err(Error::Stale { current: agent.key_sequence });
    }
    if asked.sequence > MAX_KEY_EVENTS {
        return Err(Error::QuotaExceeded { what: "events of an agent's keys", limit: MAX_KEY_EVENTS.into() });
    }
    // A key that was revoked has nothing more to say.
    if asked.authorisation.is_some() && agent.key_revoked {
        return Err(Error::SignatureInvalid);
    }
    let event = event(asked, &agent, mutation.now);
    event.check().map_err(|_| Error::SignatureInvalid)?;
    key_events::insert(tx, &event).await?;
    let revoked = event.kind == KeyEventKind::Revoked;
    let agent = Agent { public_key: event.key, key_sequence: event.sequence, key_revoked: revoked, ..agent };
    agents::set_key(tx, &agent, mutation.now).await?;
    let kind = if revoked { agent_event::Kind::KeyRevoked } else { agent_event::Kind::KeyRotated };
    let told = new_event(kind, &agent, Happened::Key(&event), *event_id, mutation.now);
    events::append(tx, told).await?;
    Ok((agent, event))
}

fn event(asked: &Asked, agent: &Agent, now: Timestamp) -> KeyEvent {
    let (kind, key, previous_key, key_proof) = match &asked.successor {
        Some((key, proof)) => (KeyEventKind::Rotated, *key, Some(agent.public_key), Some(proof.clone())),
        None => (KeyEventKind::Revoked, agent.public_key, None, None),
    };
    KeyEvent {
        agent: agent.id,
        account: agent.account_id,
        sequence: asked.sequence,
        kind,
        key,
        previous_key,
        reason: Some(asked.reason),
        compromised_since: asked.compromised_since,
        authority: if asked.authorisation.is_some() { Authority::Key } else { Authority::Owner },
        authorisation: asked.authorisation.clone(),
        key_proof,
        event_time: now,
    }
}
