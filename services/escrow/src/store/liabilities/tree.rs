//! The leaves of a snapshot, and the tree over them: built in parts, so that neither building it nor a proof reads more than one
//! part and the roots of all.

use poa_common::{AccountId, LiabilitiesId, Msat, TypedId as _};
use poa_storage::{Database, Error};
use proof_of_agent::Digest;
use proof_of_agent::liabilities::{SALT_BYTES, SumNode, leaf, root};
use uuid::Uuid;

use super::Snapshot;
use crate::failpoint::{Failpoint, before_commit, committed};
use crate::store::corrupt;

/// Leaves of a part. A power of two, as the tree is parted.
pub(crate) const PART: u64 = 1_024;

/// One account's leaf.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaf {
    pub(crate) index: u64,
    pub(crate) account: AccountId,
    pub(crate) balance: Msat,
    pub(crate) salt: [u8; SALT_BYTES],
}

/// Index, account, balance, salt, hash.
type Row = (i64, Uuid, i64, Vec<u8>, Vec<u8>);

/// Builds the tree of a snapshot and stores its root and those of its parts. Idempotent.
pub(crate) async fn build(db: &Database, snapshot: &Snapshot) -> Result<(), Error> {
    let mut parts = Vec::new();
    let mut first = 0;
    while first < snapshot.leaf_count {
        parts.push(top(&nodes(db, snapshot.id, first).await?)?);
        first = first.saturating_add(PART);
    }
    let whole = top(&parts)?;
    if whole.sum != snapshot.liabilities {
        return Err(corrupt("the sum of a snapshot"));
    }
    db.transact_idempotent((snapshot.id, parts, whole), |(id, parts, whole), tx| {
        Box::pin(async move {
            sqlx::query(
                "INSERT INTO liabilities_parts (snapshot_id, part_index, hash, sum_msat)
                 SELECT $1, place - 1, hash, msat
                 FROM unnest($2::bytea[], $3::bigint[]) WITH ORDINALITY AS given (hash, msat, place)
                 ON CONFLICT ON CONSTRAINT liabilities_parts_pkey DO NOTHING",
            )
            .bind(id.uuid())
            .bind(parts.iter().map(|part| part.hash.to_vec()).collect::<Vec<_>>())
            .bind(parts.iter().map(|part| part.sum.get()).collect::<Vec<_>>())
            .execute(tx.conn())
            .await?;
            sqlx::query("UPDATE liabilities_snapshots SET root = $2 WHERE id = $1 AND root IS NULL")
                .bind(id.uuid())
                .bind(whole.hash.to_vec())
                .execute(tx.conn())
                .await?;
            before_commit(Failpoint::LiabilitiesTreeBeforeCommit).await?;
            Ok::<_, Error>(())
        })
    })
    .await?;
    committed(Failpoint::LiabilitiesTreeBuilt).await
}

/// An account's leaf in a snapshot; none where it was owed nothing.
pub(crate) async fn leaf_of(
    db: &Database,
    snapshot: LiabilitiesId,
    account: AccountId,
) -> Result<Option<Leaf>, Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT leaf_index, account_id, balance_msat, salt, hash FROM liabilities_leaves
         WHERE snapshot_id = $1 AND account_id = $2",
    )
    .bind(snapshot.uuid())
    .bind(account.uuid())
    .fetch_optional(db.read())
    .await?;
    row.map(|row| read(row).map(|(leaf, _)| leaf)).transpose()
}

/// What a leaf's path is made of: the leaves of its part, and the roots of all parts.
pub(crate) async fn neighbours(
    db: &Database,
    snapshot: LiabilitiesId,
    index: u64,
) -> Result<(Vec<SumNode>, Vec<SumNode>), Error> {
    let part = nodes(db, snapshot, index - index % PART).await?;
    let rows: Vec<(Vec<u8>, i64)> = sqlx::query_as(
        "SELECT hash, sum_msat FROM liabilities_parts WHERE snapshot_id = $1 ORDER BY part_index",
    )
    .bind(snapshot.uuid())
    .fetch_all(db.read())
    .await?;
    let parts = rows.iter().map(|(hash, sum)| {
        let hash = Digest::try_from(hash.as_slice()).map_err(|_| corrupt("the root of a part"))?;
        Ok(SumNode { hash, sum: Msat::new(*sum) })
    });
    Ok((part, parts.collect::<Result<_, Error>>()?))
}

/// The leaves of the part that begins at an index. Each is hashed anew, and held against its row.
async fn nodes(db: &Database, snapshot: LiabilitiesId, first: u64) -> Result<Vec<SumNode>, Error> {
    let index = |number: u64| i64::try_from(number).map_err(Error::other);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT leaf_index, account_id, balance_msat, salt, hash FROM liabilities_leaves
         WHERE snapshot_id = $1 AND leaf_index >= $2 AND leaf_index < $3 ORDER BY leaf_index",
    )
    .bind(snapshot.uuid())
    .bind(index(first)?)
    .bind(index(first.saturating_add(PART))?)
    .fetch_all(db.read())
    .await?;
    rows.into_iter()
        .zip(first..)
        .map(|(row, expected)| {
            let (leaf, node) = read(row)?;
            if leaf.index == expected { Ok(node) } else { Err(corrupt("the order of a snapshot's leaves")) }
        })
        .collect()
}

fn read((index, account, balance, salt, hash): Row) -> Result<(Leaf, SumNode), Error> {
    let found = Leaf {
        index: u64::try_from(index).map_err(|_| corrupt("the place of a leaf"))?,
        account: AccountId::from_uuid(account),
        balance: Msat::new(balance),
        salt: salt.try_into().map_err(|_| corrupt("the salt of a leaf"))?,
    };
    let node =
        leaf(found.account, &found.salt, found.balance).map_err(|_| corrupt("the balance of a leaf"))?;
    if node.hash.as_bytes().as_slice() == hash {
        Ok((found, node))
    } else {
        Err(corrupt("the hash of a leaf"))
    }
}

fn top(nodes: &[SumNode]) -> Result<SumNode, Error> {
    root(nodes).map_err(|_| corrupt("a tree of liabilities"))
}
