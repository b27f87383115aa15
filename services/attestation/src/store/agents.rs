//! Agents and their keys, as followed from auth.

use std::collections::HashMap;

use poa_common::{AccountId, AgentId, Timestamp, TypedId as _};
use poa_storage::{Error, Reader, Tx};
use proof_of_agent::{AgentKeyState, DidKey};
use sqlx::PgConnection;
use uuid::Uuid;

use super::digest;
use crate::domain::{Agent, AgentKey};

#[derive(sqlx::FromRow)]
struct Row {
    agent_id: Uuid,
    account_id: Uuid,
    retired: bool,
    key_sequence: i32,
    public_key: Vec<u8>,
    event_digest: Vec<u8>,
    state: i16,
}

/// The agents with these ids, as far as they are known, with all their keys.
pub(crate) async fn find(
    connection: &mut PgConnection,
    ids: &[AgentId],
) -> Result<HashMap<AgentId, Agent>, Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT a.agent_id, a.account_id, a.retired, a.key_sequence, k.public_key, k.event_digest, k.state
         FROM agents a JOIN agent_keys k ON k.agent_id = a.agent_id WHERE a.agent_id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let mut agents: HashMap<AgentId, Agent> = HashMap::new();
    for row in rows {
        let id = AgentId::from_uuid(row.agent_id);
        let agent = agents.entry(id).or_insert_with(|| Agent {
            agent_id: id,
            account_id: AccountId::from_uuid(row.account_id),
            retired: row.retired,
            key_sequence: u32::try_from(row.key_sequence).unwrap_or_default(),
            keys: Vec::new(),
        });
        agent.keys.push(AgentKey {
            key: DidKey::from_slice(&row.public_key).map_err(|error| Error::Corrupt(error.to_string()))?,
            event: digest(&row.event_digest)?,
            state: match row.state {
                1 => AgentKeyState::Active,
                2 => AgentKeyState::Superseded,
                3 => AgentKeyState::Compromised,
                _ => return Err(Error::Corrupt("a stored state of a key is unknown".to_owned())),
            },
        });
    }
    Ok(agents)
}

/// Whether an agent is known by now.
pub(crate) async fn is_known(reader: &Reader, id: AgentId) -> Result<bool, Error> {
    let found: Option<bool> = sqlx::query_scalar("SELECT true FROM agents WHERE agent_id = $1")
        .bind(id.uuid())
        .fetch_optional(reader)
        .await?;
    Ok(found.is_some())
}

/// Stores agents as they are after their events, and their keys. Under the lock of the log's head, where the events are logged
/// too: so all at once, for every append waits meanwhile.
pub(crate) async fn store(tx: &mut Tx, agents: &[&Agent], now: Timestamp) -> Result<(), Error> {
    let ids: Vec<Uuid> = agents.iter().map(|agent| agent.agent_id.uuid()).collect();
    let accounts: Vec<Uuid> = agents.iter().map(|agent| agent.account_id.uuid()).collect();
    let retired: Vec<bool> = agents.iter().map(|agent| agent.retired).collect();
    let sequences: Result<Vec<i32>, _> =
        agents.iter().map(|agent| i32::try_from(agent.key_sequence)).collect();
    sqlx::query(
        "INSERT INTO agents (agent_id, account_id, retired, key_sequence, changed_at)
         SELECT *, $5 FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::integer[])
         ON CONFLICT (agent_id) DO UPDATE
         SET account_id = excluded.account_id, retired = agents.retired OR excluded.retired,
             key_sequence = excluded.key_sequence, changed_at = excluded.changed_at",
    )
    .bind(ids)
    .bind(accounts)
    .bind(retired)
    .bind(sequences.map_err(Error::other)?)
    .bind(now)
    .execute(tx.conn())
    .await?;
    let keys: Vec<(Uuid, &AgentKey)> =
        agents.iter().flat_map(|agent| agent.keys.iter().map(|key| (agent.agent_id.uuid(), key))).collect();
    let owners: Vec<Uuid> = keys.iter().map(|(owner, _)| *owner).collect();
    let public: Vec<&[u8]> = keys.iter().map(|(_, key)| key.key.as_bytes().as_slice()).collect();
    let events: Vec<&[u8]> = keys.iter().map(|(_, key)| key.event.as_ref()).collect();
    let states: Vec<i16> = keys.iter().map(|(_, key)| number(key.state)).collect();
    sqlx::query(
        "INSERT INTO agent_keys (agent_id, public_key, event_digest, state)
         SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::smallint[])
         ON CONFLICT (agent_id, public_key) DO UPDATE SET state = excluded.state",
    )
    .bind(owners)
    .bind(public)
    .bind(events)
    .bind(states)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How a state of a key is stored.
const fn number(state: AgentKeyState) -> i16 {
    match state {
        AgentKeyState::Active => 1,
        AgentKeyState::Superseded => 2,
        AgentKeyState::Compromised => 3,
    }
}
