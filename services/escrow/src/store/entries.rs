//! An account's journal, for its owner to read.

use poa_common::{AccountId, Msat, Timestamp, TransferId, TypedId as _};
use poa_storage::{Database, Error};
use uuid::Uuid;

use super::corrupt;
use crate::domain::postings::Kind;

/// One movement of a balance.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its place in the account's journal: the key of the next page.
    pub(crate) sequence: i64,
    pub(crate) transfer: TransferId,
    pub(crate) kind: Kind,
    pub(crate) subject: Uuid,
    pub(crate) available: Msat,
    pub(crate) held: Msat,
    pub(crate) time: Timestamp,
}

type Row = (i64, Uuid, i64, i64, String, Uuid, Timestamp);

/// The account's movements before a place, newest first.
pub(crate) async fn before(
    db: &Database,
    account: AccountId,
    sequence: i64,
    limit: i64,
) -> Result<Vec<Entry>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT p.sequence, p.transfer_id, p.available_msat, p.held_msat, t.kind, t.subject, t.created_at
         FROM postings p JOIN transfers t ON t.id = p.transfer_id
         WHERE p.account_id = $1 AND p.sequence < $2
         ORDER BY p.sequence DESC LIMIT $3",
    )
    .bind(account.uuid())
    .bind(sequence)
    .bind(limit)
    .fetch_all(db.read())
    .await?;
    rows.into_iter().map(entry).collect()
}

fn entry((sequence, transfer, available, held, kind, subject, time): Row) -> Result<Entry, Error> {
    Ok(Entry {
        sequence,
        transfer: TransferId::from_uuid(transfer),
        kind: Kind::parse(&kind).ok_or_else(|| corrupt("the kind of a transfer"))?,
        subject,
        available: Msat::new(available),
        held: Msat::new(held),
        time,
    })
}
