//! Between the domain and the contract.

use poa_common::{FieldViolation, Timestamp, Violations};
use poa_proto::auth::v1 as proto;
use prost_types::Timestamp as ProtoTimestamp;

use proof_of_agent::notice::{Authority, KeyEventKind, KeyProof, KeyReason};
use proof_of_agent::{KeyEvent, TrustLevel};

use crate::domain::{Account, Agent, AgentState, ApiKey};
use crate::store::versions::Published;

pub(crate) fn timestamp(time: Timestamp) -> ProtoTimestamp {
    // Below 10^9 by definition.
    let nanos = i32::try_from(time.nanosecond()).unwrap_or_default();
    ProtoTimestamp { seconds: time.unix_timestamp(), nanos }
}

/// A time of a request, cut to the microseconds that the database keeps.
pub(super) fn parse_timestamp(
    field: &str,
    time: &ProtoTimestamp,
    violations: &mut Violations,
) -> Option<Timestamp> {
    let parsed = Timestamp::from_unix_timestamp(time.seconds).ok().and_then(|whole| {
        let nanos = u32::try_from(time.nanos).ok()?;
        whole.replace_nanosecond(nanos / 1_000 * 1_000).ok()
    });
    if parsed.is_none() {
        violations.add(field, "is not a time");
    }
    parsed
}

/// What the contract's bounds say of a request, to which the parser adds its own.
pub(super) fn bounds(message: &impl poa_proto::Check) -> Violations {
    let found = message.violations().into_iter();
    Violations::from(
        found.map(|(field, description)| FieldViolation { field, description }).collect::<Vec<_>>(),
    )
}

pub(super) fn account(account: &Account) -> proto::Account {
    proto::Account {
        account_id: account.id.to_string(),
        username: account.username.clone(),
        display_name: account.display_name.clone(),
        create_time: Some(timestamp(account.create_time)),
    }
}

pub(super) fn api_key(key: &ApiKey) -> proto::ApiKey {
    proto::ApiKey {
        api_key_id: key.id.to_string(),
        name: key.name.clone(),
        scopes: key.scopes.clone(),
        agent_id: key.agent_id.map(|id| id.to_string()).unwrap_or_default(),
        create_time: Some(timestamp(key.create_time)),
        expire_time: Some(timestamp(key.expire_time)),
        revoke_time: key.revoke_time.map(timestamp),
    }
}

pub(super) fn agent(agent: &Agent) -> proto::Agent {
    let state = match agent.state {
        AgentState::Active => proto::agent::State::Active,
        AgentState::Retired => proto::agent::State::Retired,
    };
    proto::Agent {
        agent_id: agent.id.to_string(),
        account_id: agent.account_id.to_string(),
        name: agent.name.clone(),
        description: agent.description.clone(),
        capabilities: agent.capabilities.clone(),
        public_key: agent.public_key.as_bytes().to_vec(),
        state: state.into(),
        create_time: Some(timestamp(agent.create_time)),
        key_state: match agent.key_revoked {
            true => proto::agent::KeyState::Revoked,
            false => proto::agent::KeyState::Active,
        }
        .into(),
        key_sequence: i32::try_from(agent.key_sequence).unwrap_or(i32::MAX),
        trust_level: match agent.version_has_source {
            true => TrustLevel::Published,
            false => TrustLevel::Key,
        }
        .to_string(),
        version: agent.version.clone().unwrap_or_default(),
    }
}

pub(super) fn key_event(event: &KeyEvent) -> proto::KeyEvent {
    let kind = match event.kind {
        KeyEventKind::Registered => proto::key_event::Kind::Registered,
        KeyEventKind::Rotated => proto::key_event::Kind::Rotated,
        KeyEventKind::Revoked => proto::key_event::Kind::Revoked,
    };
    let reason = match event.reason {
        None => proto::KeyReason::Unspecified,
        Some(KeyReason::Superseded) => proto::KeyReason::Superseded,
        Some(KeyReason::Compromised) => proto::KeyReason::Compromised,
    };
    let proof =
        |proof: &Option<KeyProof>| proof.as_ref().map(|it| it.as_bytes().to_vec()).unwrap_or_default();
    proto::KeyEvent {
        agent_id: event.agent.to_string(),
        account_id: event.account.to_string(),
        sequence: i32::try_from(event.sequence).unwrap_or(i32::MAX),
        kind: kind.into(),
        public_key: event.key.as_bytes().to_vec(),
        previous_key: event.previous_key.map(|key| key.as_bytes().to_vec()).unwrap_or_default(),
        reason: reason.into(),
        compromised_since: event.compromised_since.map(timestamp),
        by_owner: event.authority == Authority::Owner,
        authorisation: proof(&event.authorisation),
        key_proof: proof(&event.key_proof),
        event_time: Some(timestamp(event.event_time)),
    }
}

pub(super) fn version(version: &Published) -> proto::AgentVersion {
    proto::AgentVersion {
        agent_id: version.agent_id.to_string(),
        version: version.version.clone(),
        build_digest: version.build_digest.to_vec(),
        build_size: version.build_size,
        source_ref: version.source_ref.clone().unwrap_or_default(),
        envelope: version.envelope.clone(),
        create_time: Some(timestamp(version.create_time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_back_to_the_microsecond_and_no_time_is_refused() {
        let mut violations = Violations::default();
        let mut read = |seconds, nanos| {
            parse_timestamp("expire_time", &ProtoTimestamp { seconds, nanos }, &mut violations)
        };
        let time = read(1_800_000_000, 123_456_789).unwrap();
        assert_eq!(timestamp(time), ProtoTimestamp { seconds: 1_800_000_000, nanos: 123_456_000 });
        assert!(read(i64::MAX, 0).is_none());
        assert!(read(0, -1).is_none());
        assert!(read(0, 1_000_000_000).is_none());
        assert_eq!(violations.into_vec().len(), 3);
    }
}
