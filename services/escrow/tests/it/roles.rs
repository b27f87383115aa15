//! What the database refuses, whoever asks.

use sqlx::{AssertSqlSafe, Executor as _};

use crate::chain::held;
use crate::world::world;

/// The grants of the role that serves requests.
const GRANTS: &str = include_str!("../../../../migrations/escrow/roles/service.sql");

#[tokio::test]
async fn the_role_that_serves_can_add_to_the_journal_and_change_nothing_in_it() {
    let world = world().await;
    let payer = world.rich(1_000_000).await;
    held(&world, &payer, 100_000).await;
    let mut sql = world.sql().await;
    // Roles belong to the cluster, which other tests share.
    let role = format!("serving_{}", std::process::id());
    sql.execute(AssertSqlSafe(format!("CREATE ROLE {role}"))).await.unwrap();
    sql.execute(AssertSqlSafe(GRANTS.replace(":role", &role))).await.unwrap();
    sql.execute(AssertSqlSafe(format!("SET ROLE {role}"))).await.unwrap();
    for refused in [
        "UPDATE postings SET available_msat = 1",
        "DELETE FROM postings",
        "UPDATE transfers SET kind = 'hold'",
        "DELETE FROM transfers",
        "UPDATE mandates SET policy = 'on_acceptance'",
        "DELETE FROM releases",
        "DELETE FROM escrows",
        "DELETE FROM hold_invoices",
        "UPDATE events_published SET kind = 'held'",
        "DELETE FROM withdrawals",
        "DELETE FROM deposits",
        "DELETE FROM accounts",
        "DELETE FROM fee_schedules",
        "TRUNCATE postings CASCADE",
        "DROP TABLE postings",
    ] {
        let error = sql.execute(refused).await.unwrap_err().to_string();
        assert!(error.contains("permission denied") || error.contains("must be owner"), "{refused}: {error}");
    }
    for allowed in [
        "SELECT count(*) FROM postings",
        "UPDATE accounts SET entries = entries WHERE kind = 'fees'",
        "UPDATE escrows SET state = state",
        "UPDATE hold_invoices SET parts = parts",
        "INSERT INTO events_pending (id, topic, subject, kind, payload, occurred_at)
         VALUES (gen_random_uuid(), 'escrow', gen_random_uuid(), 'held', '', now())",
        "INSERT INTO transfers VALUES (gen_random_uuid(), 'hold', gen_random_uuid(), now())",
    ] {
        sql.execute(allowed).await.unwrap();
    }
    sql.execute("RESET ROLE").await.unwrap();
    sql.execute(AssertSqlSafe(format!("DROP OWNED BY {role}; DROP ROLE {role}"))).await.unwrap();
}

#[tokio::test]
async fn the_tables_themselves_refuse_what_would_break_the_ledger() {
    let world = world().await;
    let payer = world.rich(1_000_000).await;
    let job = held(&world, &payer, 100_000).await;
    crate::chain::refund(&world, &job).await.unwrap();
    held(&world, &payer, 100_000).await;
    crate::hold_invoices::accepted(&world, &payer, crate::hold_invoices::PRICE).await;
    let mut sql = world.sql().await;
    for (change, constraint) in [
        ("UPDATE accounts SET available_msat = -1 WHERE kind = 'user'", "accounts_user_not_negative"),
        ("UPDATE accounts SET available_msat = 1 WHERE kind = 'clearing'", "accounts_clearing_is_empty"),
        ("UPDATE accounts SET kind = 'lightning' WHERE kind = 'user'", "accounts_kind_by_id"),
        ("UPDATE escrows SET payee_msat = payee_msat + 1", "escrows_legs_sum"),
        (
            "UPDATE escrows SET fee_msat = fee_msat + 1, payee_msat = payee_msat - 1 WHERE state = 'held'",
            "escrows_fee_rounded_down",
        ),
        ("UPDATE escrows SET rail = 'balance' WHERE state = 'accepted'", "escrows_rail_has_state"),
        ("UPDATE escrows SET state = 'held' WHERE state = 'accepted'", "escrows_void_is_empty"),
        ("UPDATE escrows SET state = 'canceled' WHERE state = 'accepted'", "escrows_ended_when_over"),
        ("UPDATE hold_invoices SET paid_msat = NULL", "hold_invoices_memo"),
        ("UPDATE hold_invoices SET invoice = NULL, expires_at = NULL", "hold_invoices_in_order"),
        ("UPDATE hold_invoices SET sealed_preimage = 'open'", "hold_invoices_byte_lengths"),
        ("UPDATE hold_invoices SET cltv_blocks = 1001", "hold_invoices_bounds"),
        (
            "INSERT INTO hold_invoices (escrow_id, payment_hash, sealed_preimage, node_id, cltv_blocks, expiry_seconds)
             SELECT e.id, payment_hash, sealed_preimage, node_id, cltv_blocks, expiry_seconds
             FROM hold_invoices, escrows e WHERE e.state = 'held'",
            "hold_invoices_payment_hash_once",
        ),
        (
            "INSERT INTO transfers SELECT gen_random_uuid(), 'fund', subject, created_at
             FROM transfers WHERE kind = 'hold' LIMIT 1",
            "transfers_one_hold",
        ),
        (
            "INSERT INTO transfers SELECT gen_random_uuid(), 'capture', subject, created_at
             FROM transfers WHERE kind = 'refund'",
            "transfers_one_end",
        ),
        (
            "INSERT INTO transfers SELECT gen_random_uuid(), kind, subject, created_at FROM transfers",
            "transfers_once_per_subject",
        ),
        ("DELETE FROM transfers", "fkey"),
        (
            "INSERT INTO fee_schedules VALUES (gen_random_uuid(), now() - interval '1 second', 100, now())",
            "fee_schedules_never_backdated",
        ),
        (
            "INSERT INTO fee_schedules VALUES ('00000000-0000-0000-0000-000000000000', now(), NULL, now())",
            "fee_schedules_everybody_has_one",
        ),
    ] {
        let error = sql.execute(change).await.unwrap_err();
        let found = error.as_database_error().unwrap().constraint().unwrap_or_default().to_owned();
        assert!(found.contains(constraint), "{change}: {found}");
    }
}
