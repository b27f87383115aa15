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

// === impl Audit ===

impl Audit {
    /// How many rows break an invariant.
    pub(crate) fn violations(&self) -> i64 {
        self.checks.iter().map(|check| check.violations).sum()
    }

    /// The invariants that are broken.
    pub(crate) fn broken(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.violations > 0)
    }

    /// Why payouts are to stop, for people; none where nothing is broken.
    pub(crate) fn reason(&self) -> Option<String> {
        let first = self.broken().next()?;
        Some(format!("audit: {} rows break {}: {}", first.violations, first.name, first.example))
    }
}

/// An invariant: its name, and the SQL that counts what breaks it and gives an example.
type Invariant = (&'static str, &'static str);

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

// The macros above are theirs too.
mod escrows;
mod fees;
mod hold_invoices;
mod journal;
mod payments;

/// All of them, by what they are about.
const GROUPS: [&[Invariant]; 5] =
    [journal::CHECKS, escrows::CHECKS, fees::CHECKS, hold_invoices::CHECKS, payments::CHECKS];

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
            let mut checks = Vec::new();
            for (name, sql) in GROUPS.into_iter().flatten().copied() {
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
