//! The invariants of the ledger as SQL, checked on one snapshot.
//!
//! What escrows, deposits and withdrawals say must have moved is computed anew from their rows, and held against the
//! journal posting by posting, in both directions. Together with the sums this finds any single amount, account, state or
//! row that was changed behind the service's back.

use std::time::Duration;

use poa_common::{Msat, Timestamp};
use poa_storage::{Database, Error};

/// What an audit found.
#[derive(Debug)]
pub(crate) struct Audit {
    pub(crate) checks: Vec<Check>,
    /// What all users hold together, available and held.
    pub(crate) user_liabilities: Msat,
    /// What the platform has earned.
    pub(crate) fees: Msat,
    pub(crate) open_escrows: i64,
    /// When the snapshot was taken.
    pub(crate) time: Timestamp,
}

/// One invariant.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// How many rows break it.
    pub(crate) violations: i64,
    /// The first of them.
    pub(crate) example: String,
}

/// An invariant: its name, and the rows that break it.
macro_rules! check {
    ($name:literal, $broken:literal) => {
        (
            $name,
            concat!("SELECT count(*), coalesce(min(example), '') FROM (", $broken, ") AS broken (example)"),
        )
    };
}

/// An invariant between a table and the journal: what each row says must have moved, against what did.
macro_rules! journal_check {
    ($name:literal, $kinds:literal, $expected:literal) => {
        ($name, concat!(
            "SELECT count(*), coalesce(min(example), '') FROM (
                 WITH expected (kind, subject, account_id, available_msat, held_msat) AS (", $expected, "),
                 actual AS (
                     SELECT t.kind, t.subject, p.account_id, p.available_msat::numeric, p.held_msat::numeric
                     FROM postings p JOIN transfers t ON t.id = p.transfer_id WHERE t.kind IN (", $kinds, ")),
                 missing AS (SELECT * FROM expected EXCEPT ALL SELECT * FROM actual),
                 surplus AS (SELECT * FROM actual EXCEPT ALL SELECT * FROM expected)
                 SELECT 'missing: ' || kind || ' of ' || subject FROM missing
                 UNION ALL SELECT 'surplus: ' || kind || ' of ' || subject FROM surplus
             ) AS broken (example)"
        ))
    };
}

/// Every invariant, each with the SQL that counts what breaks it.
const CHECKS: [(&str, &str); 16] = [
    check!(
        "postings_sum_to_zero",
        "SELECT 'transfer ' || transfer_id FROM postings
         GROUP BY transfer_id HAVING sum(available_msat) + sum(held_msat) <> 0"
    ),
    check!(
        "all_accounts_sum_to_zero",
        "SELECT 'the sum is ' || sum(available_msat::numeric + held_msat) FROM accounts
         HAVING sum(available_msat::numeric + held_msat) <> 0"
    ),
    check!(
        "transfers_and_postings_belong_together",
        "SELECT 'transfer ' || coalesce(t.id, p.transfer_id)
         FROM transfers t FULL JOIN (SELECT DISTINCT transfer_id FROM postings) p ON p.transfer_id = t.id
         WHERE t.id IS NULL OR p.transfer_id IS NULL"
    ),
    check!(
        "transfers_have_their_subject",
        "SELECT 'transfer ' || t.id FROM transfers t
         WHERE NOT CASE
             WHEN t.kind = 'deposit' THEN EXISTS (SELECT FROM deposits d WHERE d.id = t.subject)
             WHEN t.kind IN ('hold', 'capture', 'fee', 'refund')
                 THEN EXISTS (SELECT FROM escrows e WHERE e.id = t.subject)
             WHEN t.kind IN ('withdraw_reserve', 'withdraw', 'withdraw_return')
                 THEN EXISTS (SELECT FROM withdrawals w WHERE w.id = t.subject)
             ELSE false END"
    ),
    check!(
        "balances_match_postings",
        "SELECT 'account ' || coalesce(a.id, s.account_id)
         FROM accounts a FULL JOIN (
             SELECT account_id, sum(available_msat) AS available, sum(held_msat) AS held, count(*) AS entries,
                    max(sequence) AS last
             FROM postings GROUP BY account_id) s ON s.account_id = a.id
         WHERE a.id IS NULL OR a.available_msat <> coalesce(s.available, 0) OR a.held_msat <> coalesce(s.held, 0)
             OR a.entries <> coalesce(s.entries, 0) OR a.entries <> coalesce(s.last, 0)"
    ),
    check!(
        "user_balances_are_not_negative",
        "SELECT 'account ' || id FROM accounts WHERE kind = 'user' AND (available_msat < 0 OR held_msat < 0)"
    ),
    check!(
        "clearing_is_empty",
        "SELECT 'account ' || id FROM accounts WHERE kind = 'clearing' AND (available_msat <> 0 OR held_msat <> 0)"
    ),
    check!(
        "held_is_open_escrows_and_withdrawals",
        "SELECT 'account ' || coalesce(a.id, o.owner)
         FROM accounts a FULL JOIN (
             SELECT owner, sum(msat) AS msat FROM (
                 SELECT payer_id, amount_msat::numeric FROM escrows WHERE state = 'held'
                 UNION ALL
                 SELECT account_id, amount_msat::numeric + fee_limit_msat FROM withdrawals
                 WHERE state IN ('reserved', 'dispatched')) AS open (owner, msat)
             GROUP BY owner) o ON o.owner = a.id
         WHERE coalesce(a.held_msat, 0) <> coalesce(o.msat, 0)"
    ),
    journal_check!(
        "escrows_moved_as_they_say",
        "'hold', 'capture', 'fee', 'refund'",
        "SELECT 'hold', id, payer_id, -amount_msat::numeric, amount_msat::numeric FROM escrows WHERE state <> 'void'
         UNION ALL SELECT 'refund', id, payer_id, amount_msat, -amount_msat FROM escrows WHERE state = 'refunded'
         UNION ALL SELECT 'capture', id, payer_id, 0, -amount_msat FROM escrows WHERE state = 'released'
         UNION ALL SELECT 'capture', e.id, a.id, e.amount_msat, 0 FROM escrows e, accounts a
             WHERE e.state = 'released' AND a.kind = 'clearing'
         UNION ALL SELECT 'capture', e.id, a.id, -e.payee_msat, 0 FROM escrows e, accounts a
             WHERE e.state = 'released' AND e.payee_msat <> 0 AND a.kind = 'clearing'
         UNION ALL SELECT 'capture', id, payee_id, payee_msat, 0 FROM escrows
             WHERE state = 'released' AND payee_msat <> 0
         UNION ALL SELECT 'fee', e.id, a.id, CASE a.kind WHEN 'fees' THEN e.fee_msat ELSE -e.fee_msat END, 0
             FROM escrows e, accounts a
             WHERE e.state = 'released' AND e.fee_msat <> 0 AND a.kind IN ('clearing', 'fees')"
    ),
    check!(
        "escrows_name_their_transfers",
        "SELECT 'escrow ' || e.id FROM escrows e
         LEFT JOIN transfers h ON h.id = e.hold_transfer AND h.subject = e.id AND h.kind = 'hold'
         LEFT JOIN transfers f ON f.id = e.end_transfer AND f.subject = e.id
             AND f.kind = CASE e.state WHEN 'released' THEN 'capture' WHEN 'refunded' THEN 'refund' END
         WHERE (h.id IS NULL) <> (e.state = 'void') OR (f.id IS NULL) <> (e.state IN ('held', 'void'))"
    ),
    check!(
        "escrow_legs_sum_to_the_amount",
        "SELECT 'escrow ' || id FROM escrows
         WHERE fee_msat < 0 OR payee_msat < 0 OR fee_msat::numeric + payee_msat <> amount_msat
             OR fee_msat <> div(amount_msat::numeric * fee_basis_points, 10000)"
    ),
    check!(
        "releases_were_authorised",
        "SELECT 'escrow ' || coalesce(e.id, r.escrow_id)
         FROM (SELECT * FROM escrows WHERE state = 'released') e FULL JOIN releases r ON r.escrow_id = e.id
         WHERE e.id IS NULL OR r.escrow_id IS NULL OR r.terms_digest <> e.terms_digest OR r.payee_id <> e.payee_id
             OR r.decision NOT IN ('accepted', 'deadline_passed', 'criteria_met')"
    ),
    // The digest of a statement is SHA-256 of its DSSE pre-authentication encoding.
    check!(
        "mandates_are_the_terms",
        "SELECT 'escrow ' || coalesce(e.id, m.escrow_id)
         FROM (SELECT * FROM escrows WHERE state <> 'void') e FULL JOIN mandates m ON m.escrow_id = e.id
         WHERE e.id IS NULL OR m.escrow_id IS NULL OR e.terms_digest IS DISTINCT FROM sha256(
             convert_to('DSSEv1 28 application/vnd.in-toto+json ' || octet_length(m.terms) || ' ', 'UTF8') || m.terms)"
    ),
    journal_check!(
        "deposits_are_credited_once_for_what_was_paid",
        "'deposit'",
        "SELECT 'deposit', d.id, d.account_id, d.credited_msat::numeric, 0::numeric FROM deposits d
             WHERE d.state = 'settled'
         UNION ALL SELECT 'deposit', d.id, a.id, -d.credited_msat, 0 FROM deposits d, accounts a
             WHERE d.state = 'settled' AND a.kind = 'lightning'"
    ),
    journal_check!(
        "withdrawals_moved_as_they_say",
        "'withdraw_reserve', 'withdraw', 'withdraw_return'",
        "SELECT 'withdraw_reserve', id, account_id, -(amount_msat::numeric + fee_limit_msat),
                amount_msat::numeric + fee_limit_msat FROM withdrawals
         UNION ALL SELECT 'withdraw', id, account_id, 0, -(amount_msat::numeric + least(fee_msat, fee_limit_msat))
             FROM withdrawals WHERE state = 'succeeded'
         UNION ALL SELECT 'withdraw', w.id, a.id, w.amount_msat::numeric + w.fee_msat, 0 FROM withdrawals w, accounts a
             WHERE w.state = 'succeeded' AND a.kind = 'lightning'
         UNION ALL SELECT 'withdraw', w.id, a.id, w.fee_limit_msat - w.fee_msat, 0 FROM withdrawals w, accounts a
             WHERE w.state = 'succeeded' AND w.fee_msat > w.fee_limit_msat AND a.kind = 'fees'
         UNION ALL SELECT 'withdraw_return', id, account_id, fee_limit_msat - fee_msat, fee_msat - fee_limit_msat
             FROM withdrawals WHERE state = 'succeeded' AND fee_msat < fee_limit_msat
         UNION ALL SELECT 'withdraw_return', id, account_id, amount_msat::numeric + fee_limit_msat,
                          -(amount_msat::numeric + fee_limit_msat)
             FROM withdrawals WHERE state = 'failed'"
    ),
    check!(
        "payment_hashes_are_used_once_and_proven",
        "SELECT 'payment hash ' || encode(payment_hash, 'hex') FROM deposits
         GROUP BY payment_hash HAVING count(*) > 1
         UNION ALL SELECT 'payment hash ' || encode(payment_hash, 'hex') FROM withdrawals
         GROUP BY payment_hash HAVING count(*) > 1
         UNION ALL SELECT 'withdrawal ' || id FROM withdrawals
         WHERE (state = 'succeeded') <> (preimage IS NOT NULL) OR sha256(preimage) <> payment_hash"
    ),
];

/// How long an audit may take: it reads everything, and the method's own deadline is a minute.
const LIMIT: Duration = Duration::from_secs(55);

/// Checks everything on one snapshot.
pub(crate) async fn run(db: &Database, now: Timestamp) -> Result<Audit, Error> {
    db.transact_within(LIMIT, move |tx| {
        Box::pin(async move {
            sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                .execute(tx.conn())
                .await?;
            // Longer than a request's statement, and over whole tables.
            sqlx::raw_sql("SET LOCAL statement_timeout = '50s'; SET LOCAL enable_seqscan = on")
                .execute(tx.conn())
                .await?;
            let mut checks = Vec::with_capacity(CHECKS.len());
            for (name, sql) in CHECKS {
                let (violations, example) = sqlx::query_as(sql).fetch_one(tx.conn()).await?;
                checks.push(Check { name, violations, example });
            }
            let (liabilities, fees, open_escrows): (i64, i64, i64) = sqlx::query_as(
                "SELECT (SELECT coalesce(sum(available_msat::numeric + held_msat), 0) FROM accounts
                         WHERE kind = 'user')::bigint,
                        (SELECT coalesce(sum(available_msat), 0) FROM accounts WHERE kind = 'fees')::bigint,
                        (SELECT count(*) FROM escrows WHERE state = 'held')",
            )
            .fetch_one(tx.conn())
            .await?;
            Ok::<_, Error>(Audit {
                checks,
                user_liabilities: Msat::new(liabilities),
                fees: Msat::new(fees),
                open_escrows,
                time: now,
            })
        })
    })
    .await
}
