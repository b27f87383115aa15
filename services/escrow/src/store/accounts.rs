//! Balances.

use poa_common::{AccountId, Msat, TypedId as _};
use poa_storage::{Database, Error, Tx};
use uuid::Uuid;

use crate::domain::account::Account;

/// A user's balance: nothing for one who never had any.
pub(crate) async fn balance(db: &Database, account: AccountId) -> Result<Account, Error> {
    let found: Option<(i64, i64, i64)> =
        sqlx::query_as("SELECT available_msat, held_msat, entries FROM accounts WHERE id = $1")
            .bind(account.uuid())
            .fetch_optional(db.read())
            .await?;
    Ok(found.map(account_of).unwrap_or_default())
}

/// Locks accounts in the order of their ids, and reads them. Those that are not there are left out.
pub(crate) async fn lock(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<(Uuid, Account)>, Error> {
    let rows: Vec<(Uuid, i64, i64, i64)> = sqlx::query_as(
        "SELECT id, available_msat, held_msat, entries FROM accounts
         WHERE id = ANY($1) ORDER BY id FOR UPDATE",
    )
    .bind(ids)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, available, held, entries)| (id, account_of((available, held, entries))))
        .collect())
}

/// Makes users' accounts, empty, where another replica has not.
pub(crate) async fn create(tx: &mut Tx, ids: &[Uuid]) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO accounts (id, kind, available_msat, held_msat, entries)
         SELECT id, 'user', 0, 0, 0 FROM unnest($1::uuid[]) AS given (id) ORDER BY id
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(ids)
    .execute(tx.conn())
    .await?;
    Ok(())
}

fn account_of((available, held, entries): (i64, i64, i64)) -> Account {
    Account { available: Msat::new(available), held: Msat::new(held), entries }
}
