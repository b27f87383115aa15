//! Idempotency records: the same request gives the same answer, and is carried out once.
//!
//! [`begin`] is the first statement of a mutating transaction and [`record`] its last; [`begin_with`] is both at once,
//! where the answer is known beforehand. Only committed
//! effects are recorded: a transaction that ends in an error leaves no record, and the request may be tried
//! again under the same id. A concurrent duplicate waits in [`begin`] until the first one has ended.
//!
//! Answers that hold a secret are not recorded as such: record what the answer can be computed from.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use poa_common::Timestamp;
use uuid::Uuid;

use crate::{Database, Error, Tx};

/// How long a record that is not about money is kept.
pub const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The largest answer that is recorded, in bytes: answers are resources, not their bodies.
pub const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// How often a request is begun that is found neither fresh nor known.
const BEGIN_ATTEMPTS: u32 = 3;

/// What a request is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The account or service that asks.
    pub principal: Uuid,
    /// The full method name: `poa.task.v1.TaskService/CreateTask`.
    pub method: &'static str,
    /// The `request_id` of the message.
    pub request_id: Uuid,
}

/// What [`begin`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first time: carry it out, then [`record`] the answer.
    Fresh,
    /// Done before: the recorded answer.
    Replay(Vec<u8>),
}

/// How long a record stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// [`RETENTION`].
    SevenDays,
    /// For ever: it moves money.
    Forever,
}

/// Begins a request.
///
/// # Errors
/// `RequestIdReused` where the key was used with another fingerprint, else those of the database.
pub async fn begin(tx: &mut Tx, key: Key, fingerprint: [u8; 32], now: Timestamp) -> Result<Outcome, Error> {
    let mut outcomes = begin_many(tx, &[(key, fingerprint)], now).await?;
    outcomes.pop().unwrap_or_else(|| Err(Error::Corrupt("no outcome for the one key".to_owned())))
}

/// Begins a request whose answer is known before it is carried out, and records it: one statement instead of two.
///
/// # Errors
/// As [`begin`] and [`record`]; `Busy` where a duplicate is begun and forgotten all the while.
pub async fn begin_with(
    tx: &mut Tx,
    key: Key,
    fingerprint: [u8; 32],
    (response, keep): (&[u8], Keep),
    now: Timestamp,
) -> Result<Outcome, Error> {
    check_size(&key, response)?;
    for _ in 0..BEGIN_ATTEMPTS {
        let inserted = sqlx::query(
            "INSERT INTO idempotency_records
                 (principal, method, request_id, fingerprint, created_at, response, keep)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT DO NOTHING",
        )
        .bind(key.principal)
        .bind(key.method)
        .bind(key.request_id)
        .bind(fingerprint.as_slice())
        .bind(now)
        .bind(response)
        .bind(keep == Keep::Forever)
        .execute(tx.conn())
        .await?;
        if inserted.rows_affected() == 1 {
            return Ok(Outcome::Fresh);
        }
        let known = recorded(tx, &[key.principal], &[key.method], &[key.request_id]).await?;
        if let Some((stored, answer)) = known.into_values().next() {
            return replay(&key, fingerprint, &stored, answer);
        }
        // Forgotten or swept between the two statements: it may be fresh after all.
    }
    Err(Error::Busy)
}

/// What a request is that was begun before.
fn replay(
    key: &Key,
    fingerprint: [u8; 32],
    stored: &[u8],
    answer: Option<Vec<u8>>,
) -> Result<Outcome, Error> {
    if stored != fingerprint {
        return Err(Error::RequestIdReused);
    }
    let answer =
        answer.ok_or_else(|| Error::Corrupt(format!("{} committed without an answer", key.method)))?;
    Ok(Outcome::Replay(answer))
}

/// Begins many requests with two statements, for a batch writer. One outcome per key, in their order; the
/// keys must differ from each other.
///
/// # Errors
/// Those of the database; `RequestIdReused` stands in the single outcome.
pub async fn begin_many(
    tx: &mut Tx,
    requests: &[(Key, [u8; 32])],
    now: Timestamp,
) -> Result<Vec<Result<Outcome, Error>>, Error> {
    let principals: Vec<Uuid> = requests.iter().map(|(key, _)| key.principal).collect();
    let methods: Vec<&str> = requests.iter().map(|(key, _)| key.method).collect();
    let request_ids: Vec<Uuid> = requests.iter().map(|(key, _)| key.request_id).collect();
    let fingerprints: Vec<&[u8]> = requests.iter().map(|(_, fingerprint)| fingerprint.as_slice()).collect();
    // Ordered, so that two transactions that begin the same keys cannot deadlock.
    let fresh: Vec<(Uuid, String, Uuid)> = sqlx::query_as(
        "INSERT INTO idempotency_records (principal, method, request_id, fingerprint, created_at)
         SELECT principal, method, request_id, fingerprint, $5
         FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bytea[])
              AS given (principal, method, request_id, fingerprint)
         ORDER BY principal, method, request_id
         ON CONFLICT DO NOTHING
         RETURNING principal, method, request_id",
    )
    .bind(&principals)
    .bind(&methods)
    .bind(&request_ids)
    .bind(&fingerprints)
    .bind(now)
    .fetch_all(tx.conn())
    .await?;
    if fresh.len() == requests.len() {
        return Ok(requests.iter().map(|_| Ok(Outcome::Fresh)).collect());
    }
    let fresh: HashSet<(Uuid, &str, Uuid)> = fresh.iter().map(|(p, m, r)| (*p, m.as_str(), *r)).collect();
    let known = recorded(tx, &principals, &methods, &request_ids).await?;
    Ok(requests
        .iter()
        .map(|(key, fingerprint)| {
            if fresh.contains(&(key.principal, key.method, key.request_id)) {
                return Ok(Outcome::Fresh);
            }
            match known.get(&(key.principal, key.method.to_owned(), key.request_id)) {
                Some((stored, answer)) => replay(key, *fingerprint, stored, answer.clone()),
                // Swept between the two statements: it was seven days old.
                None => Err(Error::Busy),
            }
        })
        .collect())
}

/// By key: the fingerprint and the answer.
type Recorded = HashMap<(Uuid, String, Uuid), (Vec<u8>, Option<Vec<u8>>)>;
type RecordedRow = (Uuid, String, Uuid, Vec<u8>, Option<Vec<u8>>);

async fn recorded(
    tx: &mut Tx,
    principals: &[Uuid],
    methods: &[&str],
    request_ids: &[Uuid],
) -> Result<Recorded, Error> {
    let rows: Vec<RecordedRow> = sqlx::query_as(
        "SELECT r.principal, r.method, r.request_id, r.fingerprint, r.response
         FROM unnest($1::uuid[], $2::text[], $3::uuid[]) AS given (principal, method, request_id)
         JOIN idempotency_records r USING (principal, method, request_id)",
    )
    .bind(principals)
    .bind(methods)
    .bind(request_ids)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(p, m, r, fingerprint, response)| ((p, m, r), (fingerprint, response)))
        .collect())
}

/// Records the answer of a request begun in this transaction.
///
/// # Errors
/// `Corrupt` where the request was not begun or the answer exceeds [`MAX_RESPONSE_BYTES`], else those of
/// the database.
pub async fn record(tx: &mut Tx, key: Key, response: &[u8], keep: Keep) -> Result<(), Error> {
    record_many(tx, &[(key, response)], keep).await
}

/// Records many answers with one statement.
///
/// # Errors
/// As [`record`].
pub async fn record_many(tx: &mut Tx, answers: &[(Key, &[u8])], keep: Keep) -> Result<(), Error> {
    for (key, response) in answers {
        check_size(key, response)?;
    }
    let principals: Vec<Uuid> = answers.iter().map(|(key, _)| key.principal).collect();
    let methods: Vec<&str> = answers.iter().map(|(key, _)| key.method).collect();
    let request_ids: Vec<Uuid> = answers.iter().map(|(key, _)| key.request_id).collect();
    let responses: Vec<&[u8]> = answers.iter().map(|(_, response)| *response).collect();
    let updated = sqlx::query(
        "UPDATE idempotency_records r SET response = given.response, keep = $5
         FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bytea[])
              AS given (principal, method, request_id, response)
         WHERE r.principal = given.principal AND r.method = given.method
           AND r.request_id = given.request_id AND r.response IS NULL",
    )
    .bind(&principals)
    .bind(&methods)
    .bind(&request_ids)
    .bind(&responses)
    .bind(keep == Keep::Forever)
    .execute(tx.conn())
    .await?
    .rows_affected();
    if usize::try_from(updated) == Ok(answers.len()) {
        Ok(())
    } else {
        Err(Error::Corrupt("an answer was recorded twice or never begun".to_owned()))
    }
}

fn check_size(key: &Key, response: &[u8]) -> Result<(), Error> {
    if response.len() > MAX_RESPONSE_BYTES {
        return Err(Error::Corrupt(format!("the answer of {} has {} bytes", key.method, response.len())));
    }
    Ok(())
}

/// Forgets a request whose effect was taken back: it may be tried again under the same id.
///
/// # Errors
/// Those of the database.
pub async fn forget(tx: &mut Tx, key: Key) -> Result<(), Error> {
    sqlx::query("DELETE FROM idempotency_records WHERE principal = $1 AND method = $2 AND request_id = $3")
        .bind(key.principal)
        .bind(key.method)
        .bind(key.request_id)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The recorded answer, if the request was carried out: for recovery after an unknown COMMIT.
///
/// # Errors
/// Those of the database.
pub async fn find(db: &Database, key: Key) -> Result<Option<Vec<u8>>, Error> {
    let found: Option<Option<Vec<u8>>> = sqlx::query_scalar(
        "SELECT response FROM idempotency_records
         WHERE principal = $1 AND method = $2 AND request_id = $3",
    )
    .bind(key.principal)
    .bind(key.method)
    .bind(key.request_id)
    .fetch_optional(db.read())
    .await?;
    Ok(found.flatten())
}

/// Deletes at most `limit` records older than [`RETENTION`], and answers how many. Call it until it
/// answers less than `limit`.
///
/// # Errors
/// Those of the database.
pub async fn sweep(db: &Database, now: Timestamp, limit: u32) -> Result<u64, Error> {
    db.transact(move |tx| {
        Box::pin(async move {
            let deleted = sqlx::query(
                "DELETE FROM idempotency_records
                 WHERE (principal, method, request_id) IN (
                     SELECT principal, method, request_id FROM idempotency_records
                     WHERE NOT keep AND created_at < $1 ORDER BY created_at LIMIT $2
                     FOR UPDATE SKIP LOCKED)",
            )
            .bind(now - RETENTION)
            .bind(i64::from(limit))
            .execute(tx.conn())
            .await
            .map_err(Error::from)?;
            Ok::<_, Error>(deleted.rows_affected())
        })
    })
    .await
}
