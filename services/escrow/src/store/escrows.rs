//! Escrows, their mandates, and what was verified before a release.

use poa_common::{AccountId, EscrowId, Msat, TaskId, TransferId, TypedId as _};
use poa_storage::{Database, Error, Tx};
use proof_of_agent::{Digest, Rail};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{corrupt, hold_invoices, wrote};
use crate::domain::escrow::{Escrow, State, rail_name};
use crate::domain::mandate::{Mandate, policy_name};
use crate::domain::release::{Evidence, decision_name};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, task_id, state, payer_id, payee_id, amount_msat, fee_msat, payee_msat, fee_basis_points,
                    terms_digest, hold_transfer, end_transfer, created_at, ended_at, ",
            hold_invoices::columns!(),
            " FROM escrows LEFT JOIN hold_invoices ON escrow_id = id ",
            $rest
        )
    };
}

/// Any escrow, for the service itself.
pub(crate) async fn find(db: &Database, id: EscrowId) -> Result<Option<Escrow>, Error> {
    let row = sqlx::query(select!("WHERE id = $1")).bind(id.uuid()).fetch_optional(db.read()).await?;
    row.as_ref().map(escrow).transpose()
}

/// An escrow of which the account is payer or payee.
pub(crate) async fn find_of(
    db: &Database,
    id: EscrowId,
    account: AccountId,
) -> Result<Option<Escrow>, Error> {
    let row = sqlx::query(select!("WHERE id = $1 AND (payer_id = $2 OR payee_id = $2)"))
        .bind(id.uuid())
        .bind(account.uuid())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(escrow).transpose()
}

/// Those of these escrows that there are.
pub(crate) async fn find_all(db: &Database, ids: &[Uuid]) -> Result<Vec<Escrow>, Error> {
    let rows = sqlx::query(select!("WHERE id = ANY($1)")).bind(ids).fetch_all(db.read()).await?;
    rows.iter().map(escrow).collect()
}

/// Escrows whose hold invoices are not at their end, oldest first.
pub(crate) async fn open_hold_invoices(db: &Database, limit: i64) -> Result<Vec<Escrow>, Error> {
    // As the index of these has it.
    let open =
        select!("WHERE state IN ('awaiting', 'accepted', 'settling', 'canceling') ORDER BY id LIMIT $1");
    let rows = sqlx::query(open).bind(limit).fetch_all(db.read()).await?;
    rows.iter().map(escrow).collect()
}

/// Locks escrows in the order of their ids, and reads them.
pub(crate) async fn lock(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Escrow>, Error> {
    let rows = sqlx::query(
        "SELECT id, task_id, state, payer_id, payee_id, amount_msat, fee_msat, payee_msat, fee_basis_points,
                terms_digest, hold_transfer, end_transfer, created_at, ended_at, rail
         FROM escrows WHERE id = ANY($1) ORDER BY id FOR UPDATE",
    )
    .bind(ids)
    .fetch_all(tx.conn())
    .await?;
    let mut escrows = rows.iter().map(bare).collect::<Result<Vec<_>, Error>>()?;
    let by_invoice: Vec<Uuid> = rows
        .iter()
        .zip(&escrows)
        .filter(|(row, _)| {
            row.try_get::<&str, _>("rail").is_ok_and(|rail| rail == rail_name(Rail::HoldInvoice))
        })
        .map(|(_, escrow)| escrow.id.uuid())
        .collect();
    if !by_invoice.is_empty() {
        // After the lock, by a statement of its own: one that waited for the lock would join what was before.
        let mut invoices = hold_invoices::of(tx, &by_invoice).await?;
        for escrow in &mut escrows {
            escrow.hold_invoice = invoices.remove(&escrow.id);
        }
    }
    Ok(escrows)
}

/// Writes new escrows. Answers how many were new: fewer where another replica was first.
pub(crate) async fn insert(tx: &mut Tx, escrows: &[&Escrow]) -> Result<u64, Error> {
    let column =
        |value: fn(&Escrow) -> Option<Uuid>| escrows.iter().map(|escrow| value(escrow)).collect::<Vec<_>>();
    let msat =
        |value: fn(&Escrow) -> Msat| escrows.iter().map(|escrow| value(escrow).get()).collect::<Vec<_>>();
    let inserted = sqlx::query(
        "INSERT INTO escrows (id, task_id, state, payer_id, payee_id, amount_msat, fee_msat, payee_msat,
                              fee_basis_points, terms_digest, hold_transfer, end_transfer, created_at, ended_at,
                              rail)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::bigint[], $7::bigint[],
                              $8::bigint[], $9::int[], $10::bytea[], $11::uuid[], $12::uuid[], $13::timestamptz[],
                              $14::timestamptz[], $15::text[])
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(escrows.iter().map(|escrow| escrow.id.uuid()).collect::<Vec<_>>())
    .bind(escrows.iter().map(|escrow| escrow.task.uuid()).collect::<Vec<_>>())
    .bind(escrows.iter().map(|escrow| escrow.state.as_str()).collect::<Vec<_>>())
    .bind(column(|escrow| escrow.payer.map(|id| id.uuid())))
    .bind(column(|escrow| escrow.payee.map(|id| id.uuid())))
    .bind(msat(|escrow| escrow.amount))
    .bind(msat(|escrow| escrow.fee))
    .bind(msat(|escrow| escrow.payee_net))
    .bind(escrows.iter().map(|escrow| i32::try_from(escrow.fee_basis_points).ok()).collect::<Vec<_>>())
    .bind(escrows.iter().map(|escrow| escrow.terms.map(Digest::to_vec)).collect::<Vec<_>>())
    .bind(column(|escrow| escrow.hold_transfer.map(|id| id.uuid())))
    .bind(column(|escrow| escrow.end_transfer.map(|id| id.uuid())))
    .bind(escrows.iter().map(|escrow| escrow.create_time).collect::<Vec<_>>())
    .bind(escrows.iter().map(|escrow| escrow.end_time).collect::<Vec<_>>())
    .bind(escrows.iter().map(|escrow| rail_name(escrow.rail())).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(inserted.rows_affected())
}

/// Writes what has changed of locked escrows, each with the state that it was decided in: of a row that is in another one
/// by now nothing is written, and the batch is given up.
pub(crate) async fn update(tx: &mut Tx, escrows: &[(&Escrow, State)]) -> Result<(), Error> {
    let updated = sqlx::query(
        "UPDATE escrows SET state = given.state, payee_id = given.payee_id, hold_transfer = given.hold_transfer,
                            end_transfer = given.end_transfer, ended_at = given.ended_at
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[], $7::timestamptz[])
              AS given (id, was, state, payee_id, hold_transfer, end_transfer, ended_at)
         WHERE escrows.id = given.id AND escrows.state = given.was",
    )
    .bind(escrows.iter().map(|(escrow, _)| escrow.id.uuid()).collect::<Vec<_>>())
    .bind(escrows.iter().map(|(_, was)| was.as_str()).collect::<Vec<_>>())
    .bind(escrows.iter().map(|(escrow, _)| escrow.state.as_str()).collect::<Vec<_>>())
    .bind(escrows.iter().map(|(escrow, _)| escrow.payee.map(|id| id.uuid())).collect::<Vec<_>>())
    .bind(escrows.iter().map(|(escrow, _)| escrow.hold_transfer.map(|id| id.uuid())).collect::<Vec<_>>())
    .bind(escrows.iter().map(|(escrow, _)| escrow.end_transfer.map(|id| id.uuid())).collect::<Vec<_>>())
    .bind(escrows.iter().map(|(escrow, _)| escrow.end_time).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    wrote(updated.rows_affected(), escrows.len(), "a locked escrow")
}

/// Writes the mandates of new escrows.
pub(crate) async fn insert_mandates(tx: &mut Tx, mandates: &[(EscrowId, Mandate)]) -> Result<(), Error> {
    let inserted = sqlx::query(
        "INSERT INTO mandates (escrow_id, terms, policy, direct_agent_id)
         SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::text[], $4::uuid[])",
    )
    .bind(mandates.iter().map(|(id, _)| id.uuid()).collect::<Vec<_>>())
    .bind(mandates.iter().map(|(_, mandate)| mandate.terms.as_slice()).collect::<Vec<_>>())
    .bind(mandates.iter().map(|(_, mandate)| policy_name(mandate.policy)).collect::<Vec<_>>())
    .bind(mandates.iter().map(|(_, mandate)| mandate.direct_agent.map(|id| id.uuid())).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    wrote(inserted.rows_affected(), mandates.len(), "a mandate")
}

/// Writes to whom was released, and what allowed it.
pub(crate) async fn insert_releases(
    tx: &mut Tx,
    releases: &[(EscrowId, AccountId, Evidence)],
) -> Result<(), Error> {
    let digest = |value: fn(&Evidence) -> Digest| {
        releases.iter().map(|(_, _, evidence)| value(evidence).to_vec()).collect::<Vec<_>>()
    };
    let inserted = sqlx::query(
        "INSERT INTO releases (escrow_id, payee_id, agent_id, agent_key, terms_digest, output_digest,
                               decision_digest, decision)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $6::bytea[], $7::bytea[],
                              $8::text[])",
    )
    .bind(releases.iter().map(|(id, _, _)| id.uuid()).collect::<Vec<_>>())
    .bind(releases.iter().map(|(_, payee, _)| payee.uuid()).collect::<Vec<_>>())
    .bind(releases.iter().map(|(_, _, evidence)| evidence.agent.uuid()).collect::<Vec<_>>())
    .bind(releases.iter().map(|(_, _, evidence)| evidence.agent_key.to_string()).collect::<Vec<_>>())
    .bind(digest(|evidence| evidence.terms))
    .bind(digest(|evidence| evidence.output))
    .bind(digest(|evidence| evidence.decision))
    .bind(releases.iter().map(|(_, _, evidence)| decision_name(evidence.decision_kind)).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    wrote(inserted.rows_affected(), releases.len(), "a release")
}

fn escrow(row: &PgRow) -> Result<Escrow, Error> {
    Ok(Escrow { hold_invoice: hold_invoices::joined(row)?, ..bare(row)? })
}

/// An escrow without its hold invoice.
fn bare(row: &PgRow) -> Result<Escrow, Error> {
    let account = |column| -> Result<Option<AccountId>, Error> {
        Ok(row.try_get::<Option<Uuid>, _>(column)?.map(AccountId::from_uuid))
    };
    let transfer = |column| -> Result<Option<TransferId>, Error> {
        Ok(row.try_get::<Option<Uuid>, _>(column)?.map(TransferId::from_uuid))
    };
    let terms: Option<Vec<u8>> = row.try_get("terms_digest")?;
    Ok(Escrow {
        id: EscrowId::from_uuid(row.try_get("id")?),
        task: TaskId::from_uuid(row.try_get("task_id")?),
        state: State::parse(row.try_get("state")?).ok_or_else(|| corrupt("the state of an escrow"))?,
        payer: account("payer_id")?,
        payee: account("payee_id")?,
        amount: Msat::new(row.try_get("amount_msat")?),
        fee: Msat::new(row.try_get("fee_msat")?),
        payee_net: Msat::new(row.try_get("payee_msat")?),
        fee_basis_points: u32::try_from(row.try_get::<i32, _>("fee_basis_points")?)
            .map_err(|_| corrupt("the fee of an escrow"))?,
        terms: terms
            .map(|bytes| Digest::try_from(bytes.as_slice()).map_err(|_| corrupt("the digest of an escrow")))
            .transpose()?,
        hold_transfer: transfer("hold_transfer")?,
        end_transfer: transfer("end_transfer")?,
        create_time: row.try_get("created_at")?,
        end_time: row.try_get("ended_at")?,
        hold_invoice: None,
    })
}
