//! Columns to domain types and back.

use std::time::Duration;

use poa_storage::Error;
use proof_of_agent::{Digest, ReleasePolicy};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use poa_common::TypedId;

use super::corrupt;
use crate::domain::{Body, MeshTime, Place};

/// The number of a policy, as the contract has it.
pub(super) fn policy_number(policy: ReleasePolicy) -> i16 {
    match policy {
        ReleasePolicy::OnAttestation => 1,
        ReleasePolicy::OnAcceptance => 2,
    }
}

/// The policy of a number.
pub(super) fn policy(number: i16) -> Result<ReleasePolicy, Error> {
    match number {
        1 => Ok(ReleasePolicy::OnAttestation),
        2 => Ok(ReleasePolicy::OnAcceptance),
        _ => Err(corrupt("an unknown policy")),
    }
}

/// A digest column.
pub(super) fn digest(bytes: &[u8]) -> Result<Digest, Error> {
    Digest::try_from(bytes).map_err(|_| corrupt("a digest of another length"))
}

/// An id column.
pub(super) fn id<T: TypedId>(row: &PgRow, column: &str) -> Result<T, Error> {
    Ok(T::from_uuid(row.try_get::<Uuid, _>(column)?))
}

/// An id column that may be NULL.
pub(super) fn optional_id<T: TypedId>(row: &PgRow, column: &str) -> Result<Option<T>, Error> {
    Ok(row.try_get::<Option<Uuid>, _>(column)?.map(T::from_uuid))
}

/// A count, which is never negative.
pub(super) fn count(row: &PgRow, column: &str) -> Result<u32, Error> {
    u32::try_from(row.try_get::<i32, _>(column)?).map_err(|_| corrupt("a negative count"))
}

/// A count for a column.
pub(super) fn count_column(count: u32) -> Result<i32, Error> {
    i32::try_from(count).map_err(|_| corrupt("a count beyond its column"))
}

/// A span in microseconds.
pub(super) fn span(row: &PgRow, column: &str) -> Result<Duration, Error> {
    u64::try_from(row.try_get::<i64, _>(column)?)
        .map(Duration::from_micros)
        .map_err(|_| corrupt("a negative span"))
}

/// A span for a column.
pub(super) fn span_column(span: Duration) -> Result<i64, Error> {
    i64::try_from(span.as_micros()).map_err(|_| corrupt("a span beyond its column"))
}

/// A mesh time that may be NULL.
pub(super) fn mesh(row: &PgRow, column: &str) -> Result<Option<MeshTime>, Error> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(MeshTime::from_micros))
}

/// A size in bytes.
pub(super) fn size(number: i64) -> Result<u64, Error> {
    u64::try_from(number).map_err(|_| corrupt("a negative size"))
}

/// A size for a column.
pub(super) fn size_column(size: u64) -> Result<i64, Error> {
    i64::try_from(size).map_err(|_| corrupt("a size beyond its column"))
}

/// A body from its columns: what is inline, or where it is.
pub(super) fn body(
    media_type: String,
    sha256: Digest,
    size: u64,
    inline: Option<Vec<u8>>,
    uri: Option<String>,
) -> Option<Body> {
    let place = match (inline, uri) {
        (Some(bytes), _) => Place::Inline(bytes),
        (None, Some(uri)) => Place::Remote { uri, sha256, size },
        (None, None) => return None,
    };
    Some(Body { media_type, place })
}

/// The columns of a body: inline bytes or URI.
pub(super) fn body_columns(body: &Body) -> (Option<&[u8]>, Option<&str>) {
    match &body.place {
        Place::Inline(bytes) => (Some(bytes), None),
        Place::Remote { uri, .. } => (None, Some(uri)),
    }
}
