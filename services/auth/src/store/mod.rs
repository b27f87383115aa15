//! The tables, one file per aggregate. Times come from the caller; errors of named constraints become the domain's.

pub(crate) mod accounts;
pub(crate) mod agents;
pub(crate) mod api_keys;
pub(crate) mod key_events;
pub(crate) mod sessions;
pub(crate) mod versions;

use poa_storage::Error as StorageError;
use sqlx::postgres::PgQueryResult;

use crate::error::Error;

/// A stored value that no writer of ours writes.
pub(crate) fn corrupt(what: impl Into<String>) -> Error {
    Error::Storage(StorageError::Corrupt(what.into()))
}

/// Asserts that a statement changed exactly one row.
fn one_row(result: &PgQueryResult, what: &str) -> Result<(), Error> {
    match result.rows_affected() {
        1 => Ok(()),
        rows => Err(corrupt(format!("{what} changed {rows} rows"))),
    }
}

/// A digest column.
fn digest(bytes: &[u8]) -> Result<[u8; 32], Error> {
    bytes.try_into().map_err(|_| corrupt("a digest has not 32 bytes"))
}
