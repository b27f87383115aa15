//! Fee schedules.

use poa_common::{AccountId, Timestamp, TypedId as _};
use poa_storage::{Database, Error};
use uuid::Uuid;

use super::corrupt;
use crate::domain::fee::BasisPoints;
use crate::domain::fee_schedule::Schedule;

/// Schedules of one account that are read at most, and as many of everybody's: those that may decide terms of now, and all
/// that are to come.
const MOST: i64 = 1_000;
/// What everybody's schedules are stored under: an id that no account has.
const EVERYBODY: Uuid = Uuid::nil();

/// What became of a schedule that was to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is set, or was before.
    Set(Schedule),
    /// Another fee began then.
    Started,
    /// It would begin in the past.
    Past,
}

/// A place in the list of schedules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    account: Uuid,
    start: Timestamp,
}

type Row = (Uuid, Timestamp, Option<i32>);

/// What may decide an account's fee at any moment from `since` on: everybody's schedules and its own.
pub(crate) async fn of_account(
    db: &Database,
    account: AccountId,
    since: Timestamp,
) -> Result<Vec<Schedule>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT f.account_id, f.starts_at, f.basis_points
         FROM unnest($1::uuid[]) AS whose (id) CROSS JOIN LATERAL (
             SELECT account_id, starts_at, basis_points FROM fee_schedules
             WHERE account_id = whose.id AND starts_at >= coalesce(
                 (SELECT max(starts_at) FROM fee_schedules WHERE account_id = whose.id AND starts_at <= $2), $2)
             ORDER BY starts_at LIMIT $3) f",
    )
    .bind([EVERYBODY, account.uuid()].as_slice())
    .bind(since)
    .bind(MOST)
    .fetch_all(db.read())
    .await?;
    rows.into_iter().map(schedule).collect()
}

/// Sets a fee from `start` on; from now on where there is none. The same again changes nothing. Idempotent.
pub(crate) async fn set(
    db: &Database,
    account: Option<AccountId>,
    fee: Option<BasisPoints>,
    start: Option<Timestamp>,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let id = account.map_or(EVERYBODY, |account| account.uuid());
    let points = fee.map(|fee| i32::try_from(fee.get())).transpose().map_err(Error::other)?;
    db.transact_idempotent((id, points, start), move |(id, points, start), tx| {
        Box::pin(async move {
            if start.is_none() {
                // Set twice from now on: the first one has begun meanwhile.
                let current: Option<Row> = sqlx::query_as(
                    "SELECT account_id, starts_at, basis_points FROM fee_schedules
                     WHERE account_id = $1 AND starts_at <= $2 ORDER BY starts_at DESC LIMIT 1",
                )
                .bind(*id)
                .bind(now)
                .fetch_optional(tx.conn())
                .await?;
                if let Some(same) = current.filter(|(_, _, current)| current == points) {
                    return Ok(Outcome::Set(schedule(same)?));
                }
            }
            let start = start.unwrap_or(now);
            // What has begun is never touched; what has not is replaced.
            let written = if start < now {
                None
            } else {
                sqlx::query_as(
                    "INSERT INTO fee_schedules (account_id, starts_at, basis_points, set_at) VALUES ($1, $2, $3, $4)
                     ON CONFLICT ON CONSTRAINT fee_schedules_pkey
                     DO UPDATE SET basis_points = excluded.basis_points, set_at = excluded.set_at
                     WHERE fee_schedules.starts_at > $4
                     RETURNING account_id, starts_at, basis_points",
                )
                .bind(*id)
                .bind(start)
                .bind(*points)
                .bind(now)
                .fetch_optional(tx.conn())
                .await?
            };
            if let Some(row) = written {
                return Ok(Outcome::Set(schedule(row)?));
            }
            let begun: Option<Row> = sqlx::query_as(
                "SELECT account_id, starts_at, basis_points FROM fee_schedules
                 WHERE account_id = $1 AND starts_at = $2",
            )
            .bind(*id)
            .bind(start)
            .fetch_optional(tx.conn())
            .await?;
            match begun {
                Some(same) if same.2 == *points => Ok(Outcome::Set(schedule(same)?)),
                Some(_) => Ok(Outcome::Started),
                None => Ok(Outcome::Past),
            }
        })
    })
    .await
}

/// The schedules after a place that are in force or will be, everybody's first.
pub(crate) async fn list(
    db: &Database,
    after: Place,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Schedule>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT account_id, starts_at, basis_points FROM fee_schedules f
         WHERE (account_id, starts_at) > ($1, $2)
             AND (starts_at > $3 OR basis_points IS NOT NULL)
             AND NOT EXISTS (
                 SELECT FROM fee_schedules later
                 WHERE later.account_id = f.account_id AND later.starts_at > f.starts_at AND later.starts_at <= $3)
         ORDER BY account_id, starts_at LIMIT $4",
    )
    .bind(after.account)
    .bind(after.start)
    .bind(now)
    .bind(limit)
    .fetch_all(db.read())
    .await?;
    rows.into_iter().map(schedule).collect()
}

fn schedule((account, start, points): Row) -> Result<Schedule, Error> {
    let fee = points.map(|points| u32::try_from(points).ok().and_then(|points| points.try_into().ok()));
    let fee = fee.map(|fee| fee.ok_or_else(|| corrupt("a fee"))).transpose()?;
    Ok(Schedule { account: (account != EVERYBODY).then(|| AccountId::from_uuid(account)), fee, start })
}

// === impl Place ===

impl Place {
    /// Bytes of a place in a page token.
    pub(crate) const BYTES: usize = 24;
    /// Before the first.
    pub(crate) const START: Self = Self { account: EVERYBODY, start: Timestamp::UNIX_EPOCH };

    /// The place of a schedule.
    pub(crate) fn of(schedule: &Schedule) -> Self {
        Self { account: schedule.account.map_or(EVERYBODY, |account| account.uuid()), start: schedule.start }
    }

    /// For a page token. Stored times are whole microseconds.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let micros = i64::try_from(self.start.unix_timestamp_nanos().div_euclid(1_000)).unwrap_or(i64::MAX);
        [self.account.as_bytes().as_slice(), &micros.to_be_bytes()].concat()
    }

    /// From a page token.
    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let (account, micros) = bytes.split_first_chunk::<16>()?;
        let micros = i64::from_be_bytes(micros.try_into().ok()?);
        let start = Timestamp::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()?;
        Some(Self { account: Uuid::from_bytes(*account), start })
    }
}
