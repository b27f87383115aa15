//! What requesters have paid in fees for the work of others: their standing in records.

use std::collections::HashMap;

use poa_common::{AccountId, Msat, TypedId as _};
use poa_storage::{Error, Tx};
use uuid::Uuid;

/// What these accounts have paid; one that has paid nothing is left out.
pub(crate) async fn fees_paid(
    tx: &mut Tx,
    accounts: &[AccountId],
) -> Result<HashMap<AccountId, Msat>, Error> {
    if accounts.is_empty() {
        return Ok(HashMap::new());
    }
    let accounts: Vec<Uuid> = accounts.iter().map(|account| account.uuid()).collect();
    let rows: Vec<(Uuid, i64)> =
        sqlx::query_as("SELECT account_id, fees_paid_msat FROM requesters WHERE account_id = ANY($1)")
            .bind(accounts)
            .fetch_all(tx.conn())
            .await?;
    Ok(rows.into_iter().map(|(account, fees)| (AccountId::from_uuid(account), Msat::new(fees))).collect())
}

/// Adds fees, each account once. Under the lock of the log's head, so that none is lost.
pub(crate) async fn add_fees(tx: &mut Tx, paid: &HashMap<AccountId, Msat>) -> Result<(), Error> {
    let (accounts, fees): (Vec<Uuid>, Vec<i64>) =
        paid.iter().map(|(account, fee)| (account.uuid(), fee.get())).unzip();
    sqlx::query(
        "INSERT INTO requesters (account_id, fees_paid_msat)
         SELECT * FROM unnest($1::uuid[], $2::bigint[])
         ON CONFLICT (account_id) DO UPDATE
         SET fees_paid_msat = requesters.fees_paid_msat + excluded.fees_paid_msat",
    )
    .bind(accounts)
    .bind(fees)
    .execute(tx.conn())
    .await?;
    Ok(())
}
