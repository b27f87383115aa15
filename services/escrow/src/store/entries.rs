//! An account's journal, for its owner to read.

use poa_common::{AccountId, DepositId, Msat, Timestamp, TransferId, TypedId as _};
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
    /// The deposit of this account's that a transfer within the ledger has paid.
    pub(crate) paid_deposit: Option<DepositId>,
    pub(crate) available: Msat,
    pub(crate) held: Msat,
    pub(crate) time: Timestamp,
}

type Row = (i64, Uuid, i64, i64, String, Uuid, Timestamp, Option<Uuid>);

/// The account's movements before a place, newest first.
pub(crate) async fn before(
    db: &Database,
    account: AccountId,
    sequence: i64,
    limit: i64,
) -> Result<Vec<Entry>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT p.sequence, p.transfer_id, p.available_msat, p.held_msat, t.kind, t.subject, t.created_at,
                CASE WHEN t.kind = 'transfer' AND p.available_msat > 0 THEN
                    (SELECT d.id FROM deposits d WHERE d.paid_by = t.subject) END
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

fn entry((sequence, transfer, available, held, kind, subject, time, paid): Row) -> Result<Entry, Error> {
    Ok(Entry {
        sequence,
        transfer: TransferId::from_uuid(transfer),
        kind: Kind::parse(&kind).ok_or_else(|| corrupt("the kind of a transfer"))?,
        subject,
        paid_deposit: paid.map(DepositId::from_uuid),
        available: Msat::new(available),
        held: Msat::new(held),
        time,
    })
}
