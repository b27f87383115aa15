//! Hold invoices of tasks.

use poa_common::{Msat, TaskId, TypedId as _};
use poa_storage::{Error, Tx};
use proof_of_agent::Rail;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row as _};

use super::corrupt;
use crate::domain::{Bolt11, Fate, Hold, Lock};

/// The number of a rail, as the contract has it.
pub(super) fn rail_number(rail: Rail) -> i16 {
    match rail {
        Rail::Balance => 1,
        Rail::HoldInvoice => 2,
    }
}

/// The rail of a number.
pub(super) fn rail(number: i16) -> Result<Rail, Error> {
    match number {
        1 => Ok(Rail::Balance),
        2 => Ok(Rail::HoldInvoice),
        _ => Err(corrupt("an unknown rail")),
    }
}

/// The hold invoice of a task, if it has one.
pub(super) async fn load(executor: impl PgExecutor<'_>, task: TaskId) -> Result<Option<Hold>, Error> {
    let row = sqlx::query(
        "SELECT invoice AS hold_invoice, expires_at AS hold_expires_at, paid_msat, expiry_height, guard_height,
                guard_reached, fate
         FROM hold_funding WHERE task_id = $1",
    )
    .bind(task.uuid())
    .fetch_optional(executor)
    .await?;
    row.as_ref().map(of_row).transpose().map(Option::flatten)
}

/// The hold invoice in a row that is joined with them; `None` where the join found none.
pub(super) fn of_row(row: &PgRow) -> Result<Option<Hold>, Error> {
    let Some(invoice) = row.try_get::<Option<String>, _>("hold_invoice")? else {
        return Ok(None);
    };
    Ok(Some(Hold {
        lock: Lock {
            invoice: Bolt11(invoice),
            expires: row.try_get("hold_expires_at")?,
            paid: Msat::new(row.try_get("paid_msat")?),
            expiry_height: height(row, "expiry_height")?,
            guard_height: height(row, "guard_height")?,
        },
        guard_reached: row.try_get("guard_reached")?,
        fate: match row.try_get::<i16, _>("fate")? {
            1 => Fate::Locked,
            2 => Fate::Secured,
            3 => Fate::Returned,
            4 => Fate::Lost,
            _ => return Err(corrupt("an unknown fate of a hold invoice")),
        },
    }))
}

/// Writes the hold invoice as it is now, where it changed. The task's row is locked.
pub(super) async fn save(
    tx: &mut Tx,
    task: TaskId,
    before: Option<&Hold>,
    now: Option<&Hold>,
) -> Result<(), Error> {
    let Some(hold) = now.filter(|_| now != before) else {
        return Ok(());
    };
    let fate: i16 = match hold.fate {
        Fate::Locked => 1,
        Fate::Secured => 2,
        Fate::Returned => 3,
        Fate::Lost => 4,
    };
    sqlx::query(
        "INSERT INTO hold_funding (task_id, invoice, expires_at, paid_msat, expiry_height, guard_height,
                                   guard_reached, fate)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (task_id) DO UPDATE SET paid_msat = $4, expiry_height = $5, guard_height = $6,
                                             guard_reached = $7, fate = $8",
    )
    .bind(task.uuid())
    .bind(&hold.lock.invoice.0)
    .bind(hold.lock.expires)
    .bind(hold.lock.paid.get())
    .bind(i64::from(hold.lock.expiry_height))
    .bind(i64::from(hold.lock.guard_height))
    .bind(hold.guard_reached)
    .bind(fate)
    .execute(tx.conn())
    .await?;
    Ok(())
}

fn height(row: &PgRow, column: &str) -> Result<u32, Error> {
    u32::try_from(row.try_get::<i64, _>(column)?).map_err(|_| corrupt("a height that is none"))
}
