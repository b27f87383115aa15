//! The table `agent_key_events`.

use poa_common::{AccountId, AgentId, Timestamp, TypedId as _};
use poa_storage::{Error as StorageError, Tx};
use proof_of_agent::notice::{Authority, KeyEventKind, KeyProof, KeyReason};
use proof_of_agent::{DidKey, KeyEvent};
use sqlx::PgExecutor;

use super::corrupt;
use crate::error::Error;

#[derive(sqlx::FromRow)]
struct Row {
    sequence: i32,
    kind: i16,
    public_key: Vec<u8>,
    previous_key: Option<Vec<u8>>,
    reason: Option<i16>,
    compromised_since: Option<Timestamp>,
    by_owner: bool,
    authorisation: Option<Vec<u8>>,
    key_proof: Option<Vec<u8>>,
    occurred_at: Timestamp,
}

/// Adds an event, under the lock of the agent's row.
///
/// # Errors
/// `AgentKeyTaken`, and those of the database.
pub(crate) async fn insert(tx: &mut Tx, event: &KeyEvent) -> Result<(), Error> {
    let kind: i16 = match event.kind {
        KeyEventKind::Registered => 1,
        KeyEventKind::Rotated => 2,
        KeyEventKind::Revoked => 3,
    };
    let reason: Option<i16> = event.reason.map(|reason| match reason {
        KeyReason::Superseded => 1,
        KeyReason::Compromised => 2,
    });
    sqlx::query(
        "INSERT INTO agent_key_events
             (agent_id, sequence, kind, public_key, previous_key, reason, compromised_since, by_owner,
              authorisation, key_proof, occurred_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(event.agent.uuid())
    .bind(i32::try_from(event.sequence).map_err(|error| corrupt(error.to_string()))?)
    .bind(kind)
    .bind(event.key.as_bytes().as_slice())
    .bind(event.previous_key.map(|key| key.as_bytes().to_vec()))
    .bind(reason)
    .bind(event.compromised_since)
    .bind(event.authority == Authority::Owner)
    .bind(event.authorisation.as_ref().map(|proof| proof.as_bytes().to_vec()))
    .bind(event.key_proof.as_ref().map(|proof| proof.as_bytes().to_vec()))
    .bind(event.event_time)
    .execute(tx.conn())
    .await
    .map_err(|error| match StorageError::from(error) {
        error if error.constraint() == Some("agent_key_events_key_unique") => Error::AgentKeyTaken,
        error => error.into(),
    })?;
    Ok(())
}

/// All events of an agent's keys, oldest first.
pub(crate) async fn list(
    executor: impl PgExecutor<'_>,
    agent: AgentId,
    account: AccountId,
) -> Result<Vec<KeyEvent>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT sequence, kind, public_key, previous_key, reason, compromised_since, by_owner, authorisation,
                key_proof, occurred_at
         FROM agent_key_events WHERE agent_id = $1 ORDER BY sequence",
    )
    .bind(agent.uuid())
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(|row| row.event(agent, account)).collect()
}

// === impl Row ===

impl Row {
    fn event(self, agent: AgentId, account: AccountId) -> Result<KeyEvent, Error> {
        let broken = |what: &str| corrupt(format!("a key event of {agent}: {what}"));
        let key = |bytes: &[u8]| DidKey::from_slice(bytes).map_err(|error| broken(&error.to_string()));
        let proof = |bytes: Option<Vec<u8>>| -> Result<Option<KeyProof>, Error> {
            let bytes = bytes.map(|bytes| <[u8; 64]>::try_from(bytes).map_err(|_| broken("a signature")));
            Ok(bytes.transpose()?.map(KeyProof::new))
        };
        Ok(KeyEvent {
            agent,
            account,
            sequence: u32::try_from(self.sequence).map_err(|_| broken("its number"))?,
            kind: match self.kind {
                1 => KeyEventKind::Registered,
                2 => KeyEventKind::Rotated,
                3 => KeyEventKind::Revoked,
                _ => return Err(broken("its kind")),
            },
            key: key(&self.public_key)?,
            previous_key: self.previous_key.as_deref().map(key).transpose()?,
            reason: match self.reason {
                None => None,
                Some(1) => Some(KeyReason::Superseded),
                Some(2) => Some(KeyReason::Compromised),
                Some(_) => return Err(broken("its reason")),
            },
            compromised_since: self.compromised_since,
            authority: if self.by_owner { Authority::Owner } else { Authority::Key },
            authorisation: proof(self.authorisation)?,
            key_proof: proof(self.key_proof)?,
            event_time: self.occurred_at,
        })
    }
}
