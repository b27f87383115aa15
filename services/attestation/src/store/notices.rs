//! Statements that belong to no task: liabilities, key events, versions of agents.

use std::collections::HashSet;

use poa_common::{AgentId, Timestamp, TypedId as _};
use poa_storage::{Error, Reader, Tx};
use proof_of_agent::Digest;
use proof_of_agent::tlog::{EntryKind, LogEntry, Slot};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{digest, log, signed, unsigned};

/// A notice as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stated {
    /// Its place in the log, from 0.
    pub(crate) log_index: u64,
    /// The DSSE envelope as JSON.
    pub(crate) envelope: Vec<u8>,
}

/// What a notice is stored with.
#[derive(Clone, Debug)]
pub(crate) struct New {
    /// Its entry in the log.
    pub(crate) entry: LogEntry,
    /// The agent that it is about; none of liabilities.
    pub(crate) agent: Option<AgentId>,
    /// The digest of its subject.
    pub(crate) subject: Digest,
    pub(crate) envelope: Vec<u8>,
    pub(crate) now: Timestamp,
}

/// The notice that takes a slot, if there is one.
pub(crate) async fn find(executor: impl PgExecutor<'_>, slot: Slot) -> Result<Option<Stated>, Error> {
    let row: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT log_index, envelope FROM notices WHERE slot = $1")
            .bind(slot.digest().as_bytes().as_slice())
            .fetch_optional(executor)
            .await?;
    row.map(stated).transpose()
}

/// Which of these slots are taken.
pub(crate) async fn taken(tx: &mut Tx, slots: &[Slot]) -> Result<HashSet<Slot>, Error> {
    let slots: Vec<&[u8]> = slots.iter().map(|slot| slot.digest().as_bytes().as_slice()).collect();
    let rows: Vec<Vec<u8>> = sqlx::query_scalar("SELECT slot FROM notices WHERE slot = ANY($1)")
        .bind(slots)
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(|slot| digest(slot).map(Slot::from_digest)).collect()
}

/// Stores notices and their entries, from a place of the log on. It is the caller's to give, under the lock of the log's head.
pub(crate) async fn insert(tx: &mut Tx, first: u64, new: &[New]) -> Result<(), Error> {
    let entries: Vec<(u64, Vec<u8>)> =
        (first..).zip(new).map(|(log_index, new)| (log_index, new.entry.encode())).collect();
    let places: Result<Vec<i64>, _> = entries.iter().map(|(log_index, _)| signed(*log_index)).collect();
    let kinds: Vec<i16> = new.iter().map(|new| i16::from(new.entry.kind.number())).collect();
    let slots: Vec<&[u8]> = new.iter().map(|new| new.entry.slot.digest().as_bytes().as_slice()).collect();
    let agents: Vec<Option<Uuid>> = new.iter().map(|new| new.agent.map(|agent| agent.uuid())).collect();
    let subjects: Vec<&[u8]> = new.iter().map(|new| new.subject.as_bytes().as_slice()).collect();
    let digests: Vec<&[u8]> = new.iter().map(|new| new.entry.statement.as_bytes().as_slice()).collect();
    let envelopes: Vec<&[u8]> = new.iter().map(|new| new.envelope.as_slice()).collect();
    let times: Vec<Timestamp> = new.iter().map(|new| new.now).collect();
    sqlx::query(
        "INSERT INTO notices (log_index, kind, slot, agent_id, subject, digest, envelope, created_at)
         SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bytea[], $4::uuid[], $5::bytea[], $6::bytea[],
                              $7::bytea[], $8::timestamptz[])",
    )
    .bind(places?)
    .bind(kinds)
    .bind(slots)
    .bind(agents)
    .bind(subjects)
    .bind(digests)
    .bind(envelopes)
    .bind(times)
    .execute(tx.conn())
    .await?;
    log::insert_entries(tx, &entries).await
}

/// The notices of a stretch of the log, in its order.
pub(crate) async fn in_log(reader: &Reader, first: u64, end: u64) -> Result<Vec<Stated>, Error> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT log_index, envelope FROM notices WHERE log_index >= $1 AND log_index < $2 ORDER BY log_index",
    )
    .bind(signed(first)?)
    .bind(signed(end)?)
    .fetch_all(reader)
    .await?;
    rows.into_iter().map(stated).collect()
}

/// An agent's key events in the published tree, in order.
pub(crate) async fn key_events(
    reader: &Reader,
    agent: AgentId,
    tree_size: u64,
) -> Result<Vec<Stated>, Error> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT log_index, envelope FROM notices
         WHERE agent_id = $1 AND kind = $2 AND log_index < $3 ORDER BY log_index",
    )
    .bind(agent.uuid())
    .bind(i16::from(EntryKind::KeyEvent.number()))
    .bind(signed(tree_size)?)
    .fetch_all(reader)
    .await?;
    rows.into_iter().map(stated).collect()
}

/// The first version of an agent with this build in the published tree.
pub(crate) async fn version_of_build(
    reader: &Reader,
    agent: AgentId,
    build: Digest,
    tree_size: u64,
) -> Result<Option<Stated>, Error> {
    let row: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT log_index, envelope FROM notices
         WHERE agent_id = $1 AND kind = $2 AND subject = $3 AND log_index < $4 ORDER BY log_index LIMIT 1",
    )
    .bind(agent.uuid())
    .bind(i16::from(EntryKind::AgentVersion.number()))
    .bind(build.as_bytes().as_slice())
    .bind(signed(tree_size)?)
    .fetch_optional(reader)
    .await?;
    row.map(stated).transpose()
}

fn stated((index, envelope): (i64, Vec<u8>)) -> Result<Stated, Error> {
    Ok(Stated { log_index: unsigned(index)?, envelope })
}
