//! The mesh clock's one row.

use poa_storage::{Database, Error};

use super::corrupt;
use crate::domain::MeshTime;

/// The mesh clock, as the database has it.
pub(crate) async fn read(db: &Database) -> Result<MeshTime, Error> {
    let micros = sqlx::query_scalar("SELECT now_us FROM mesh_clock").fetch_one(db.read()).await?;
    Ok(MeshTime::from_micros(micros))
}

/// Moves the clock from `seen` to `next`. Where another replica moved it meanwhile, its time counts and ours is dropped:
/// however many replicas tick, the clock is never faster than time. Answers with the time after.
pub(crate) async fn advance(db: &Database, seen: MeshTime, next: MeshTime) -> Result<MeshTime, Error> {
    db.transact(move |tx| {
        Box::pin(async move {
            let moved = sqlx::query("UPDATE mesh_clock SET now_us = $2 WHERE now_us = $1 AND $2 >= now_us")
                .bind(seen.micros())
                .bind(next.micros())
                .execute(tx.conn())
                .await?
                .rows_affected();
            if moved == 1 {
                return Ok(next);
            }
            let found: Option<i64> =
                sqlx::query_scalar("SELECT now_us FROM mesh_clock").fetch_optional(tx.conn()).await?;
            found.map(MeshTime::from_micros).ok_or_else(|| corrupt("the mesh clock has no row"))
        })
    })
    .await
}
