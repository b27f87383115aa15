//! Fees: what was taken, against what was in force.

use super::Invariant;

pub(super) const CHECKS: &[Invariant] = &[
    check!(
        "fee_schedules_were_never_backdated",
        "SELECT 'fee of ' || account_id || ' from ' || starts_at FROM fee_schedules
         WHERE starts_at < set_at OR basis_points NOT BETWEEN 0 AND 10000
             OR basis_points IS NULL AND account_id = '00000000-0000-0000-0000-000000000000'"
    ),
    // Terms may name what was in force for the payer at any moment of the 11 minutes before the hold. Where no schedule held
    // at their beginning it may have been the configured fee, which the database does not know.
    check!(
        "escrows_have_a_fee_that_was_in_force",
        "SELECT 'escrow ' || e.id
         FROM (SELECT *, created_at - interval '660 seconds' AS since FROM escrows WHERE state <> 'void') e
         CROSS JOIN LATERAL (SELECT EXISTS (
             SELECT FROM fee_schedules f
             WHERE f.account_id = e.payer_id AND f.starts_at <= e.since AND f.basis_points IS NOT NULL
                 AND NOT EXISTS (
                     SELECT FROM fee_schedules later WHERE later.account_id = f.account_id
                         AND later.starts_at > f.starts_at AND later.starts_at <= e.created_at))) own (held_throughout)
         WHERE (own.held_throughout OR EXISTS (
                 SELECT FROM fee_schedules f
                 WHERE f.account_id = '00000000-0000-0000-0000-000000000000' AND f.starts_at <= e.since))
             AND NOT EXISTS (
                 SELECT FROM fee_schedules f
                 WHERE (f.account_id = e.payer_id OR NOT own.held_throughout
                        AND f.account_id = '00000000-0000-0000-0000-000000000000')
                     AND f.basis_points = e.fee_basis_points AND f.starts_at <= e.created_at
                     AND NOT EXISTS (
                         SELECT FROM fee_schedules later WHERE later.account_id = f.account_id
                             AND later.starts_at > f.starts_at AND later.starts_at <= e.since))"
    ),
];
