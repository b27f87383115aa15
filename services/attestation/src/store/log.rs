//! The log: the index of the next statement, the leaves, and the tree over them.

use std::collections::{HashMap, HashSet};

use poa_common::{AgentId, Timestamp, TypedId as _};
use poa_storage::{Error, Reader, Tx};
use proof_of_agent::Digest;
use proof_of_agent::tlog::Node;
use sqlx::PgExecutor;

use super::{digest, signed, unsigned};

/// How far the tree has grown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tree {
    /// Leaves in it.
    pub(crate) size: u64,
    /// When its checkpoint was made.
    pub(crate) checkpointed_at: Timestamp,
}

/// Locks the log for an append until the transaction ends; answers with the index of the next statement.
pub(crate) async fn lock_head(tx: &mut Tx) -> Result<u64, Error> {
    let next: i64 =
        sqlx::query_scalar("SELECT next_index FROM log_head FOR UPDATE").fetch_one(tx.conn()).await?;
    unsigned(next)
}

/// Stores the index of the next statement.
pub(crate) async fn set_head(tx: &mut Tx, next_index: u64) -> Result<(), Error> {
    let done = sqlx::query("UPDATE log_head SET next_index = $1")
        .bind(signed(next_index)?)
        .execute(tx.conn())
        .await?;
    one_row(done.rows_affected(), "log_head")
}

/// Locks the tree for growing it until the transaction ends.
pub(crate) async fn lock_tree(tx: &mut Tx) -> Result<Tree, Error> {
    let (size, checkpointed_at): (i64, Timestamp) =
        sqlx::query_as("SELECT size, checkpointed_at FROM log_tree FOR UPDATE").fetch_one(tx.conn()).await?;
    Ok(Tree { size: unsigned(size)?, checkpointed_at })
}

/// Stores how far the tree has grown.
pub(crate) async fn set_tree(tx: &mut Tx, tree: Tree) -> Result<(), Error> {
    let done = sqlx::query("UPDATE log_tree SET size = $1, checkpointed_at = $2")
        .bind(signed(tree.size)?)
        .bind(tree.checkpointed_at)
        .execute(tx.conn())
        .await?;
    one_row(done.rows_affected(), "log_tree")
}

/// Whether statements wait for the tree to reach them.
pub(crate) async fn is_behind(reader: &Reader) -> Result<bool, Error> {
    Ok(sqlx::query_scalar("SELECT next_index > size FROM log_head, log_tree").fetch_one(reader).await?)
}

/// Stores entries. Their places are the caller's to give, under the lock of the log's head.
pub(crate) async fn insert_entries(tx: &mut Tx, entries: &[(u64, Vec<u8>)]) -> Result<(), Error> {
    let indices = entries.iter().map(|(index, _)| signed(*index)).collect::<Result<Vec<i64>, _>>()?;
    let bytes: Vec<&[u8]> = entries.iter().map(|(_, entry)| entry.as_slice()).collect();
    sqlx::query("INSERT INTO log_entries (log_index, entry) SELECT * FROM unnest($1::bigint[], $2::bytea[])")
        .bind(indices)
        .bind(bytes)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The entries from an index on, at most `limit`.
///
/// # Errors
/// `Corrupt` where an index is missing: a tree that skips one would be a lie.
pub(crate) async fn entries(
    executor: impl PgExecutor<'_>,
    from: u64,
    limit: usize,
) -> Result<Vec<Vec<u8>>, Error> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT log_index, entry FROM log_entries WHERE log_index >= $1 ORDER BY log_index LIMIT $2",
    )
    .bind(signed(from)?)
    .bind(signed(limit)?)
    .fetch_all(executor)
    .await?;
    rows.into_iter()
        .zip(from..)
        .map(|((index, entry), expected)| {
            if unsigned(index)? == expected {
                Ok(entry)
            } else {
                Err(Error::Corrupt(format!("the log has no entry {expected}, but one at {index}")))
            }
        })
        .collect()
}

/// The entries at these places, as far as they are there.
pub(crate) async fn entries_at(reader: &Reader, indices: &[u64]) -> Result<HashMap<u64, Vec<u8>>, Error> {
    let indices = indices.iter().map(|index| signed(*index)).collect::<Result<Vec<i64>, _>>()?;
    let rows: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT log_index, entry FROM log_entries WHERE log_index = ANY($1)")
            .bind(indices)
            .fetch_all(reader)
            .await?;
    rows.into_iter().map(|(index, entry)| Ok((unsigned(index)?, entry))).collect()
}

/// The entries with an agent's records in the tree of `tree_size` leaves, in the log's order.
pub(crate) async fn records(reader: &Reader, agent: AgentId, tree_size: u64) -> Result<Vec<Vec<u8>>, Error> {
    Ok(sqlx::query_scalar(
        "SELECT entry FROM log_entries
         WHERE octet_length(entry) = 142 AND substring(entry FROM 102 FOR 16) = $1 AND log_index < $2
         ORDER BY log_index",
    )
    .bind(agent.uuid().as_bytes().as_slice())
    .bind(signed(tree_size)?)
    .fetch_all(reader)
    .await?)
}

/// Stores nodes of the tree.
pub(crate) async fn insert_nodes(tx: &mut Tx, nodes: &[(Node, Digest)]) -> Result<(), Error> {
    let levels: Vec<i16> = nodes.iter().map(|(node, _)| i16::from(node.level)).collect();
    let indices = nodes.iter().map(|(node, _)| signed(node.index)).collect::<Result<Vec<i64>, _>>()?;
    let hashes: Vec<&[u8]> = nodes.iter().map(|(_, hash)| hash.as_ref()).collect();
    sqlx::query(
        "INSERT INTO log_nodes (level, node_index, hash)
         SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])",
    )
    .bind(levels)
    .bind(indices)
    .bind(hashes)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The nodes at these places, as far as they are there.
pub(crate) async fn nodes(
    executor: impl PgExecutor<'_>,
    wanted: impl IntoIterator<Item = Node>,
) -> Result<HashMap<Node, Digest>, Error> {
    let wanted: HashSet<Node> = wanted.into_iter().collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let levels: Vec<i16> = wanted.iter().map(|node| i16::from(node.level)).collect();
    let indices = wanted.iter().map(|node| signed(node.index)).collect::<Result<Vec<i64>, _>>()?;
    let rows: Vec<(i16, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT n.level, n.node_index, n.hash
         FROM unnest($1::smallint[], $2::bigint[]) AS wanted (level, node_index)
         JOIN log_nodes n ON n.level = wanted.level AND n.node_index = wanted.node_index",
    )
    .bind(levels)
    .bind(indices)
    .fetch_all(executor)
    .await?;
    rows.iter()
        .map(|(level, index, hash)| {
            let level = u8::try_from(*level).map_err(Error::other)?;
            Ok((Node { level, index: unsigned(*index)? }, digest(hash)?))
        })
        .collect()
}

fn one_row(affected: u64, table: &str) -> Result<(), Error> {
    if affected == 1 { Ok(()) } else { Err(Error::Corrupt(format!("{table} has not exactly one row"))) }
}
