//! Whether payouts go on: one row, which whoever reserves or sends reads and locks in its own transaction.

use poa_common::Timestamp;
use poa_storage::{Database, Error, Tx};

use crate::failpoint::{Failpoint, before_commit, committed};

/// The switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Switch {
    pub(crate) paused: bool,
    /// Why, for people.
    pub(crate) reason: String,
    /// Since when it is so; none as long as nobody has touched it.
    pub(crate) change_time: Option<Timestamp>,
}

type Row = (bool, String, Option<Timestamp>);

/// As it is.
pub(crate) async fn read(db: &Database) -> Result<Switch, Error> {
    let row: Row =
        sqlx::query_as("SELECT paused, reason, changed_at FROM payout_switch").fetch_one(db.read()).await?;
    Ok(switch(row))
}

/// Whether payouts are paused, for as long as the transaction lasts: whoever pauses them waits for its end.
pub(crate) async fn lock(tx: &mut Tx) -> Result<bool, Error> {
    Ok(sqlx::query_scalar("SELECT paused FROM payout_switch FOR SHARE").fetch_one(tx.conn()).await?)
}

/// Pauses payouts, unless they are paused: then the first reason stands. Whatever alarms calls this. Once it is answered no
/// new payment is begun; one whose intent was committed before may still go out.
pub(crate) async fn pause(db: &Database, reason: &str, now: Timestamp) -> Result<Switch, Error> {
    change(db, Change { paused: true, reason: reason.to_owned(), now, overwrite: false }).await
}

/// Pauses payouts, or lets them go on. The same again changes nothing.
pub(crate) async fn set(db: &Database, paused: bool, reason: &str, now: Timestamp) -> Result<Switch, Error> {
    change(db, Change { paused, reason: reason.to_owned(), now, overwrite: true }).await
}

struct Change {
    paused: bool,
    reason: String,
    now: Timestamp,
    /// Whether another reason for the same takes the place of the first.
    overwrite: bool,
}

async fn change(db: &Database, change: Change) -> Result<Switch, Error> {
    let switched = db
        .transact_idempotent(change, |change, tx| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE payout_switch SET paused = $1, reason = $2, changed_at = $3
                     WHERE paused <> $1 OR ($4 AND reason <> $2)",
                )
                .bind(change.paused)
                .bind(&change.reason)
                .bind(change.now)
                .bind(change.overwrite)
                .execute(tx.conn())
                .await?;
                let row: Row = sqlx::query_as("SELECT paused, reason, changed_at FROM payout_switch")
                    .fetch_one(tx.conn())
                    .await?;
                before_commit(Failpoint::SwitchBeforeCommit).await?;
                Ok::<_, Error>(switch(row))
            })
        })
        .await?;
    committed(Failpoint::SwitchCommitted).await?;
    Ok(switched)
}

fn switch((paused, reason, change_time): Row) -> Switch {
    Switch { paused, reason, change_time }
}
