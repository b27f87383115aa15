//! Agents and their keys, as followed from auth.

use std::collections::HashMap;

use poa_common::{AccountId, AgentId, Timestamp, TypedId as _};
use poa_storage::{Error, Reader, Tx};
use proof_of_agent::DidKey;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::domain::Agent;

#[derive(sqlx::FromRow)]
struct Row {
    agent_id: Uuid,
    account_id: Uuid,
    public_key: Vec<u8>,
    retired: bool,
    changed_at: Timestamp,
}

/// The agents with these ids, as far as they are known.
pub(crate) async fn find(
    executor: impl PgExecutor<'_>,
    ids: &[AgentId],
) -> Result<HashMap<AgentId, Agent>, Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT agent_id, account_id, public_key, retired, changed_at FROM agents WHERE agent_id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(|row| row.agent().map(|agent| (agent.agent_id, agent))).collect()
}

/// Whether an agent is known by now.
pub(crate) async fn is_known(reader: &Reader, id: AgentId) -> Result<bool, Error> {
    Ok(find(reader, &[id]).await?.contains_key(&id))
}

/// Stores agents as they are now, each id once. What is older than what is stored changes nothing: another
/// replica may follow the same events, and be ahead. To retire is final, whatever auth's clock said then.
pub(crate) async fn store(tx: &mut Tx, agents: &[Agent]) -> Result<(), Error> {
    let ids: Vec<Uuid> = agents.iter().map(|agent| agent.agent_id.uuid()).collect();
    let accounts: Vec<Uuid> = agents.iter().map(|agent| agent.account_id.uuid()).collect();
    let keys: Vec<&[u8]> = agents.iter().map(|agent| agent.key.as_bytes().as_slice()).collect();
    let retired: Vec<bool> = agents.iter().map(|agent| agent.retired).collect();
    let changed: Vec<Timestamp> = agents.iter().map(|agent| agent.changed_at).collect();
    // Ordered, so that two replicas that store the same agents cannot deadlock.
    sqlx::query(
        "INSERT INTO agents (agent_id, account_id, public_key, retired, changed_at)
         SELECT agent_id, account_id, public_key, retired, changed_at
         FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::boolean[], $5::timestamptz[])
              AS given (agent_id, account_id, public_key, retired, changed_at)
         ORDER BY agent_id
         ON CONFLICT (agent_id) DO UPDATE
         SET account_id = excluded.account_id, public_key = excluded.public_key,
             retired = agents.retired OR excluded.retired, changed_at = excluded.changed_at
         WHERE agents.changed_at <= excluded.changed_at OR (excluded.retired AND NOT agents.retired)",
    )
    .bind(ids)
    .bind(accounts)
    .bind(keys)
    .bind(retired)
    .bind(changed)
    .execute(tx.conn())
    .await?;
    Ok(())
}

// === impl Row ===

impl Row {
    fn agent(self) -> Result<Agent, Error> {
        let key = DidKey::from_slice(&self.public_key).map_err(|error| Error::Corrupt(error.to_string()))?;
        Ok(Agent {
            agent_id: AgentId::from_uuid(self.agent_id),
            account_id: AccountId::from_uuid(self.account_id),
            key,
            retired: self.retired,
            changed_at: self.changed_at,
        })
    }
}
