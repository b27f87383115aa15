//! AuditLedger: clean after every kind of movement, and not after any change behind the service's back.

use std::collections::BTreeSet;

use poa_common::AccountId;
use poa_proto::escrow::v1::AuditLedgerRequest;
use poa_proto::escrow::v1::escrow::State as Stands;
use poa_proto::escrow::v1::escrow_admin_service_client::EscrowAdminServiceClient;
use poa_proto::escrow::v1::withdrawal::State;
use poa_testkit::eventually;
use sqlx::{AssertSqlSafe, Executor as _};
use tonic::Code;

use crate::chain::{capture, held, job, receipts, refund};
use crate::hold_invoices::{PRICE, accepted, awaiting, now, reaches, secure};
use crate::world::{SOON, World, refusal, with, world, world_with};

/// A ledger with a row in every state.
async fn lived_in() -> World {
    use poa_payment::simulated::{Answer, Fault, PayEffect};
    // The poll would take part: a deposit that is made to look paid is its to credit.
    let mut world = world_with(|config| config.deposits.poll_ms = 3_600_000).await;
    let (payer, payee) = (world.rich(10_000_000).await, world.user());
    world.deposit(&payer, 5_000).await;
    held(&world, &payer, 100_000).await;
    let released = held(&world, &payer, 200_000).await;
    capture(&world, &released, receipts(&world, &released, payee.account)).await.unwrap();
    let refunded = held(&world, &payer, 300_000).await;
    refund(&world, &refunded).await.unwrap();
    refund(&world, &job(&world, &payer, 1)).await.unwrap();
    let paid = world.outside_invoice(&payer, 400_000).await;
    let paid = world.withdraw(&payer, &paid, None).await.unwrap();
    world.reaches(&payer, &paid.withdrawal_id, State::Succeeded).await;
    let inside = world.deposit(&payee, 30_000).await;
    let inside = world.withdraw(&payer, &inside.invoice, None).await.unwrap();
    world.reaches(&payer, &inside.withdrawal_id, State::Succeeded).await;
    let failed = world.outside_invoice(&payer, 500_000).await;
    let failed = world.withdraw(&payer, &failed, Some(0)).await.unwrap();
    world.reaches(&payer, &failed.withdrawal_id, State::Failed).await;
    let in_flight = world.outside_invoice(&payer, 600_000).await;
    assert!(world.node().script([Fault::Pay { effect: PayEffect::StaysInFlight, answer: Answer::Given }]));
    let in_flight = world.withdraw(&payer, &in_flight, None).await.unwrap();
    world.reaches(&payer, &in_flight.withdrawal_id, State::InFlight).await;
    funded_by_invoices(&world, payee.account).await;
    // What is not at its end stays so: of another node the workers believe nothing.
    let _old = world.change_node().await;
    world
}

/// An escrow in every state that a hold invoice leads to: one released, one refunded and one held.
async fn funded_by_invoices(world: &World, payee: AccountId) {
    use poa_payment::simulated::{ChangeFault, Fault, FinalityFault};
    let payer = world.user();
    let guarded = accepted(world, &payer, PRICE).await;
    world.node().mine(44).await.unwrap();
    eventually(SOON, "the guard is told", async || {
        world.count("SELECT count(*) FROM hold_invoices WHERE guard_reached_at IS NOT NULL").await == 1
    })
    .await;
    assert_eq!(now(world, &guarded).await.state(), Stands::Accepted);
    awaiting(world, &payer, PRICE).await;
    let (unpaid, _) = awaiting(world, &payer, PRICE).await;
    refund(world, &unpaid).await.unwrap();
    reaches(world, &unpaid, Stands::Canceled).await;
    let mut jobs = Vec::new();
    for _ in 0..6 {
        jobs.push(accepted(world, &payer, PRICE).await);
    }
    let [released, refunded, held, lost, settling, canceling] = jobs.try_into().unwrap();
    for job in [&released, &refunded, &held] {
        secure(world, job).await.unwrap();
        reaches(world, job, Stands::Held).await;
    }
    capture(world, &released, receipts(world, &released, payee)).await.unwrap();
    refund(world, &refunded).await.unwrap();
    assert!(world.node().script([Fault::Finality(FinalityFault::Lost)]));
    secure(world, &lost).await.unwrap();
    reaches(world, &lost, Stands::FundingLost).await;
    assert!(world.node().script([Fault::Finality(FinalityFault::Pending); 1_000]));
    assert!(world.node().script([Fault::Change(ChangeFault::RequestLost); 1_000]));
    for (job, verb) in [(&settling, Stands::Settling), (&canceling, Stands::Canceling)] {
        if verb == Stands::Settling {
            secure(world, job).await.unwrap();
        } else {
            refund(world, job).await.unwrap();
        }
        reaches(world, job, verb).await;
    }
}

async fn broken(world: &World) -> Vec<String> {
    let audit = world.audit().await;
    let broken: Vec<String> =
        audit.checks.into_iter().filter(|check| check.violations > 0).map(|check| check.name).collect();
    assert_eq!(audit.clean, broken.is_empty());
    broken
}

#[tokio::test]
async fn a_ledger_that_has_seen_everything_is_clean_and_its_figures_add_up() {
    let world = lived_in().await;
    let audit = world.audit().await;
    assert!(audit.clean, "{:?}", audit.checks);
    assert_eq!(audit.checks.len(), 21);
    assert_eq!((audit.open_escrows, audit.fees_msat), (2, 10_000 + 500_049));
    // What came in, less what was sent with its fee, is what users and platform have.
    assert_eq!(audit.user_liabilities_msat + audit.fees_msat, 10_000_000 - 400_400 + 3 * PRICE);
    assert!(audit.audit_time.is_some());
}

/// Changes one row behind the service's back, and says what the audit makes of it; then puts it back.
async fn corrupted(world: &World, change: &str, table: &str) -> Vec<String> {
    let mut sql = world.sql().await;
    let saved = format!("CREATE TABLE saved AS TABLE {table}");
    sql.execute(AssertSqlSafe(saved)).await.unwrap();
    // Constraints are the first line; here somebody has taken them away.
    sql.execute("SET session_replication_role = replica").await.unwrap();
    let changed = sql.execute(AssertSqlSafe(change.to_owned())).await.unwrap().rows_affected();
    assert!(changed > 0, "nothing was changed: {change}");
    let found = broken(world).await;
    let back = format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM saved; DROP TABLE saved");
    sql.execute(AssertSqlSafe(back)).await.unwrap();
    found
}

#[tokio::test]
async fn a_change_of_any_amount_state_or_owner_is_found() {
    let world = lived_in().await;
    world.sql().await.execute(AssertSqlSafe(drop_checks())).await.unwrap();
    let (mut missed, mut finders) = (Vec::new(), BTreeSet::new());
    for (table, changes) in CHANGES {
        for change in *changes {
            let found = corrupted(&world, change, table).await;
            if found.is_empty() {
                missed.push(*change);
            }
            finders.extend(found);
        }
    }
    assert_eq!(missed, Vec::<&str>::new());
    let checks: BTreeSet<String> = world.audit().await.checks.into_iter().map(|check| check.name).collect();
    assert_eq!(finders, checks, "each check finds something");
    assert_eq!(broken(&world).await, Vec::<String>::new(), "everything was put back");
}

/// Takes every CHECK away, so that the audit stands alone.
fn drop_checks() -> String {
    "DO $$ DECLARE c record; BEGIN
         FOR c IN SELECT conrelid::regclass AS tbl, conname FROM pg_constraint
                  WHERE contype IN ('c', 'u') AND connamespace = 'public'::regnamespace
                    AND conrelid::regclass::text IN ('accounts', 'transfers', 'postings', 'escrows', 'mandates',
                                                     'releases', 'deposits', 'withdrawals',
                                                     'hold_invoices', 'fee_schedules') LOOP
             EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.tbl, c.conname);
         END LOOP;
         DROP INDEX transfers_one_end, transfers_one_hold, transfers_one_way_out;
     END $$"
        .to_owned()
}

/// Changes of single rows, by table.
const CHANGES: &[(&str, &[&str])] = &[
    (
        "accounts",
        &[
            "UPDATE accounts SET available_msat = available_msat + 1 WHERE kind = 'fees'",
            "UPDATE accounts SET available_msat = available_msat - 1 WHERE kind = 'lightning'",
            "UPDATE accounts SET available_msat = 1 WHERE kind = 'clearing'",
            "UPDATE accounts SET held_msat = held_msat + 1 WHERE kind = 'user' AND held_msat > 0",
            "UPDATE accounts SET available_msat = -1 WHERE kind = 'user' AND held_msat = 0",
            "UPDATE accounts SET entries = entries + 1 WHERE kind = 'fees'",
            "DELETE FROM accounts WHERE kind = 'user' AND held_msat = 0",
            "UPDATE accounts SET kind = 'fees' WHERE kind = 'clearing'",
        ],
    ),
    (
        "postings",
        &[
            "UPDATE postings SET available_msat = available_msat + 1
             WHERE ctid = (SELECT min(ctid) FROM postings)",
            "UPDATE postings SET held_msat = held_msat - 1 WHERE ctid = (SELECT max(ctid) FROM postings)",
            "DELETE FROM postings WHERE ctid = (SELECT min(ctid) FROM postings)",
            "DELETE FROM postings WHERE ctid = (SELECT max(ctid) FROM postings)",
            "UPDATE postings SET sequence = 1000 WHERE ctid = (SELECT min(ctid) FROM postings)",
            "UPDATE postings SET available_msat = held_msat, held_msat = available_msat
             WHERE ctid = (SELECT min(ctid) FROM postings WHERE held_msat <> 0)",
            "UPDATE postings SET transfer_id = (SELECT id FROM transfers WHERE kind = 'hold' LIMIT 1)
             WHERE transfer_id = (SELECT min(id::text)::uuid FROM transfers WHERE kind = 'refund')",
            "UPDATE postings SET account_id = '00000000-0000-0000-0000-000000000002', sequence = 99
             WHERE transfer_id = (SELECT id FROM transfers WHERE kind = 'deposit') AND available_msat > 0",
            "INSERT INTO postings SELECT account_id, sequence + 1000, transfer_id, 1, -1 FROM postings LIMIT 1",
        ],
    ),
    (
        "transfers",
        &[
            "UPDATE transfers SET kind = 'refund' WHERE kind = 'capture'",
            "UPDATE transfers SET kind = 'withdraw_return' WHERE kind = 'withdraw'",
            "UPDATE transfers SET kind = 'hold' WHERE kind = 'deposit'",
            "UPDATE transfers SET subject = id WHERE kind = 'capture'",
            "UPDATE transfers SET subject = id WHERE kind = 'deposit'",
            "UPDATE transfers SET subject = (SELECT id FROM escrows WHERE state = 'held' LIMIT 1) WHERE kind = 'refund'",
            "UPDATE transfers SET kind = 'hold' WHERE kind = 'fund'",
            "UPDATE transfers SET kind = 'fund' WHERE kind = 'hold'",
            "UPDATE transfers SET subject = id WHERE kind = 'fund'",
            "DELETE FROM transfers WHERE kind = 'fund'",
            "DELETE FROM transfers WHERE kind = 'fee'",
            "DELETE FROM transfers WHERE kind = 'transfer'",
            "UPDATE transfers SET kind = 'withdraw' WHERE kind = 'transfer'",
            "INSERT INTO transfers SELECT gen_random_uuid(), 'hold', subject, created_at FROM transfers LIMIT 1",
        ],
    ),
    (
        "escrows",
        &[
            "UPDATE escrows SET amount_msat = amount_msat + 1 WHERE state = 'held'",
            "UPDATE escrows SET fee_msat = fee_msat + 1 WHERE state = 'held'",
            "UPDATE escrows SET fee_msat = fee_msat + 1, payee_msat = payee_msat - 1 WHERE state = 'released'",
            "UPDATE escrows SET fee_basis_points = 400 WHERE state = 'released'",
            "UPDATE escrows SET payee_id = payer_id WHERE state = 'released'",
            "UPDATE escrows SET payer_id = payee_id WHERE state = 'released'",
            "UPDATE escrows SET state = 'held' WHERE state = 'released'",
            "UPDATE escrows SET state = 'refunded' WHERE state = 'held'",
            "UPDATE escrows SET state = 'released', payee_id = payer_id WHERE state = 'refunded'",
            "UPDATE escrows SET state = 'held' WHERE state = 'void'",
            "UPDATE escrows SET end_transfer = hold_transfer WHERE state = 'refunded'",
            "UPDATE escrows SET hold_transfer = NULL WHERE state = 'held'",
            "UPDATE escrows SET terms_digest = sha256('other') WHERE state = 'held'",
            "UPDATE escrows SET rail = 'balance' WHERE state = 'accepted'",
            "UPDATE escrows SET rail = 'balance' WHERE state = 'released'",
            "UPDATE escrows SET rail = 'hold_invoice' WHERE state = 'held' AND rail = 'balance'",
            "UPDATE escrows SET state = 'held' WHERE state = 'accepted'",
            "UPDATE escrows SET state = 'held' WHERE state = 'funding_lost'",
            "UPDATE escrows SET state = 'canceled' WHERE state = 'held' AND rail = 'hold_invoice'",
            "UPDATE escrows SET state = 'funding_lost' WHERE state = 'released' AND rail = 'hold_invoice'",
            "UPDATE escrows SET state = 'settling' WHERE state = 'awaiting'",
            "UPDATE escrows SET state = 'awaiting' WHERE state = 'accepted'",
            "UPDATE escrows SET terms_digest = sha256('other') WHERE state = 'awaiting'",
            "DELETE FROM escrows WHERE state = 'held'",
            "DELETE FROM escrows WHERE state = 'released'",
        ],
    ),
    (
        "mandates",
        &[
            "UPDATE mandates SET terms = terms || ' '::bytea
             WHERE escrow_id = (SELECT id FROM escrows WHERE state = 'held' LIMIT 1)",
            "DELETE FROM mandates WHERE escrow_id = (SELECT id FROM escrows WHERE state = 'held' LIMIT 1)",
            "DELETE FROM mandates WHERE escrow_id = (SELECT id FROM escrows WHERE state = 'awaiting')",
            "INSERT INTO mandates SELECT gen_random_uuid(), terms, policy, direct_agent_id FROM mandates LIMIT 1",
        ],
    ),
    (
        "releases",
        &[
            "DELETE FROM releases",
            "UPDATE releases SET terms_digest = decision_digest",
            "UPDATE releases SET payee_id = gen_random_uuid()",
            "UPDATE releases SET decision = 'rejected'",
            "UPDATE releases SET escrow_id = gen_random_uuid()",
        ],
    ),
    (
        "hold_invoices",
        &[
            "UPDATE hold_invoices SET paid_msat = paid_msat + 1
             WHERE escrow_id = (SELECT id FROM escrows WHERE state = 'released' AND rail = 'hold_invoice')",
            "UPDATE hold_invoices SET paid_msat = paid_msat - 1
             WHERE escrow_id = (SELECT id FROM escrows WHERE state = 'settling')",
            "UPDATE hold_invoices SET paid_msat = 3 * paid_msat
             WHERE escrow_id = (SELECT id FROM escrows WHERE state = 'accepted')",
            "UPDATE hold_invoices SET paid_msat = NULL, parts = NULL, expiry_height = NULL, accepted_at = NULL
             WHERE escrow_id = (SELECT id FROM escrows WHERE state = 'settling')",
            "UPDATE hold_invoices SET paid_msat = 10000999, parts = 1, expiry_height = 800080, accepted_at = now()
             WHERE escrow_id = (SELECT id FROM escrows WHERE state = 'awaiting')",
            "UPDATE hold_invoices SET expiry_height = 1 WHERE guard_reached_at IS NOT NULL",
            "UPDATE hold_invoices SET guard_reached_at = now() WHERE accepted_at IS NULL",
            "UPDATE hold_invoices SET invoice = NULL
             WHERE escrow_id = (SELECT id FROM escrows WHERE state = 'accepted')",
            "UPDATE hold_invoices SET escrow_id = gen_random_uuid()
             WHERE escrow_id = (SELECT id FROM escrows WHERE state = 'awaiting')",
            "UPDATE hold_invoices SET payment_hash = (SELECT payment_hash FROM deposits LIMIT 1)
             WHERE escrow_id = (SELECT id FROM escrows WHERE state = 'accepted')",
            "UPDATE hold_invoices SET payment_hash = sha256('same')",
            "DELETE FROM hold_invoices WHERE guard_reached_at IS NOT NULL",
            "DELETE FROM hold_invoices
             WHERE escrow_id = (SELECT id FROM escrows WHERE state = 'held' AND rail = 'hold_invoice')",
        ],
    ),
    (
        "deposits",
        &[
            "UPDATE deposits SET credited_msat = credited_msat + 1 WHERE state = 'settled'",
            "UPDATE deposits SET state = 'expired' WHERE state = 'settled'",
            "UPDATE deposits SET state = 'settled', credited_msat = amount_msat WHERE state = 'open'",
            "UPDATE deposits SET account_id = gen_random_uuid() WHERE state = 'settled'",
            "UPDATE deposits SET payment_hash = (SELECT payment_hash FROM deposits WHERE state = 'settled' LIMIT 1)
             WHERE state = 'open'",
            "DELETE FROM deposits WHERE state = 'settled'",
            "UPDATE deposits SET paid_by = NULL WHERE paid_by IS NOT NULL",
            "UPDATE deposits SET paid_by = (SELECT id FROM withdrawals WHERE state = 'failed') WHERE paid_by IS NOT NULL",
            "UPDATE deposits SET account_id = gen_random_uuid() WHERE paid_by IS NOT NULL",
        ],
    ),
    (
        "withdrawals",
        &[
            "UPDATE withdrawals SET amount_msat = amount_msat + 1 WHERE state = 'succeeded'",
            "UPDATE withdrawals SET fee_msat = fee_msat + 1 WHERE state = 'succeeded'",
            "UPDATE withdrawals SET fee_limit_msat = fee_limit_msat + 1 WHERE state = 'dispatched'",
            "UPDATE withdrawals SET account_id = gen_random_uuid() WHERE state = 'failed'",
            "UPDATE withdrawals SET preimage = sha256('wrong') WHERE state = 'succeeded'",
            "UPDATE withdrawals SET state = 'failed', preimage = NULL WHERE state = 'succeeded'",
            "UPDATE withdrawals SET state = 'succeeded' WHERE state = 'failed'",
            "DELETE FROM withdrawals WHERE state = 'succeeded'",
            "UPDATE withdrawals SET deposit_id = NULL WHERE deposit_id IS NOT NULL",
            "UPDATE withdrawals SET deposit_id = (SELECT id FROM deposits WHERE state = 'open') WHERE deposit_id IS NOT NULL",
            "UPDATE withdrawals SET deposit_id = (SELECT id FROM deposits WHERE paid_by IS NOT NULL) WHERE state = 'failed'",
            "UPDATE withdrawals SET state = 'failed' WHERE deposit_id IS NOT NULL",
        ],
    ),
    (
        "fee_schedules",
        &[
            // A fee for all that was in force long before, and that no escrow has.
            "INSERT INTO fee_schedules
             VALUES ('00000000-0000-0000-0000-000000000000', '2020-01-01Z', 250, '2020-01-01Z')",
            "INSERT INTO fee_schedules VALUES (gen_random_uuid(), '2020-01-01Z', 250, '2020-01-02Z')",
        ],
    ),
];

#[tokio::test]
async fn what_is_broken_is_found_by_itself_and_pauses_payouts() {
    let world = world_with(|config| config.audit.every_seconds = 1).await;
    let _user = world.rich(10_000).await;
    let found = "SELECT count(*) FROM payout_switch WHERE paused AND reason LIKE 'audit: %'";
    assert_eq!(world.count("SELECT count(*) FROM payout_switch WHERE paused").await, 0);
    world.sql_run("UPDATE accounts SET available_msat = available_msat + 1 WHERE kind = 'user'").await;
    eventually(SOON, "payouts are paused", async || world.count(found).await == 1).await;
}

#[tokio::test]
async fn only_an_operator_may_audit_and_only_on_the_admin_port() {
    let world = world().await;
    let user = world.user();
    let mut public = EscrowAdminServiceClient::new(world.public_channel());
    let refused = public.audit_ledger(with(&user.token, AuditLedgerRequest {})).await;
    assert_eq!(refusal(refused).0, Code::PermissionDenied);
    let mut admin = EscrowAdminServiceClient::new(world.admin_channel());
    let refused = admin.audit_ledger(with(&user.token, AuditLedgerRequest {})).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "AUDIENCE_MISMATCH".to_owned()));
    assert!(admin.audit_ledger(AuditLedgerRequest {}).await.is_err());
}
