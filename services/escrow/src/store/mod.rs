//! The database: a file for each aggregate, and the writer of the ledger.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod deposits;
pub(crate) mod entries;
pub(crate) mod escrows;
pub(crate) mod fees;
pub(crate) mod hold_invoices;
pub(crate) mod ledger;
pub(crate) mod liabilities;
pub(crate) mod payout_destinations;
pub(crate) mod payout_switch;
pub(crate) mod reconciliation;
pub(crate) mod withdrawals;

use poa_storage::Error;

/// The tables of this service.
pub(crate) static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/escrow");

/// The events about escrows that hold invoices fund.
pub(crate) const TOPIC: &str = "escrow";

/// What is stored and cannot be read: a bug, or somebody wrote into the database.
fn corrupt(what: &'static str) -> Error {
    Error::Corrupt(format!("{what} is not what this service writes"))
}

/// Exactly this many rows were to be written.
fn wrote(affected: u64, expected: usize, what: &'static str) -> Result<(), Error> {
    if u64::try_from(expected) == Ok(affected) { Ok(()) } else { Err(corrupt(what)) }
}
