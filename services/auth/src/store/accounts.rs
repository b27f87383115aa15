//! The table `accounts`.

use poa_common::{AccountId, Timestamp, TypedId as _};
use poa_storage::{Database, Error as StorageError, Tx};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row as _};
use uuid::Uuid;

use super::one_row;
use crate::domain::{Account, Username};
use crate::error::{Error, account_unknown};

/// Adds an account.
///
/// # Errors
/// `UsernameTaken`, and those of the database.
pub(crate) async fn insert(tx: &mut Tx, account: &Account, password_hash: &str) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO accounts (id, username, display_name, password_hash, created_at)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(account.id.uuid())
    .bind(&account.username)
    .bind(&account.display_name)
    .bind(password_hash)
    .bind(account.create_time)
    .execute(tx.conn())
    .await
    .map_err(|error| match StorageError::from(error) {
        error if error.constraint() == Some("accounts_username_unique") => {
            Error::UsernameTaken { username: account.username.clone() }
        }
        error => error.into(),
    })?;
    Ok(())
}

/// The account of an id.
pub(crate) async fn find(executor: impl PgExecutor<'_>, id: AccountId) -> Result<Option<Account>, Error> {
    let row = sqlx::query("SELECT id, username, display_name, created_at FROM accounts WHERE id = $1")
        .bind(id.uuid())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(account).transpose()
}

/// The account of a user name, with its password hash.
pub(crate) async fn by_username(
    db: &Database,
    username: &Username,
) -> Result<Option<(Account, String)>, Error> {
    let row = sqlx::query(
        "SELECT id, username, display_name, created_at, password_hash FROM accounts WHERE username = $1",
    )
    .bind(username.as_str())
    .fetch_optional(db.read())
    .await?;
    row.as_ref().map(|row| Ok((account(row)?, row.try_get("password_hash")?))).transpose()
}

/// Locks an account until the end of the transaction, so that what is counted under it stays counted.
///
/// # Errors
/// `CredentialsInvalid` where there is no such account, and those of the database.
pub(crate) async fn lock(tx: &mut Tx, id: AccountId) -> Result<(), Error> {
    let found: Option<Uuid> = sqlx::query_scalar("SELECT id FROM accounts WHERE id = $1 FOR UPDATE")
        .bind(id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    found.map(|_locked| ()).ok_or_else(account_unknown)
}

/// Replaces the hash of an unchanged password by one with today's parameters.
pub(crate) async fn replace_hash(tx: &mut Tx, id: AccountId, password_hash: &str) -> Result<(), Error> {
    let updated = sqlx::query("UPDATE accounts SET password_hash = $2 WHERE id = $1")
        .bind(id.uuid())
        .bind(password_hash)
        .execute(tx.conn())
        .await?;
    one_row(&updated, "a new password hash")
}

fn account(row: &PgRow) -> Result<Account, Error> {
    Ok(Account {
        id: AccountId::from_uuid(row.try_get("id")?),
        username: row.try_get("username")?,
        display_name: row.try_get("display_name")?,
        create_time: row.try_get::<Timestamp, _>("created_at")?,
    })
}
