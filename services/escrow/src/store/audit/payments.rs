//! The edge to Lightning: deposits, withdrawals, and their payment hashes.

use super::Invariant;

pub(super) const CHECKS: &[Invariant] = &[
    journal_check!(
        "deposits_are_credited_once_for_what_was_paid",
        "'deposit'",
        "SELECT 'deposit', d.id, d.account_id, d.credited_msat::numeric, 0::numeric FROM deposits d
             WHERE d.state = 'settled' AND d.paid_by IS NULL
         UNION ALL SELECT 'deposit', d.id, a.id, -d.credited_msat, 0 FROM deposits d, accounts a
             WHERE d.state = 'settled' AND d.paid_by IS NULL AND a.kind = 'lightning'"
    ),
    journal_check!(
        "withdrawals_moved_as_they_say",
        "'withdraw_reserve', 'withdraw', 'withdraw_return', 'transfer'",
        "SELECT 'withdraw_reserve', id, account_id, -(amount_msat::numeric + fee_limit_msat),
                amount_msat::numeric + fee_limit_msat FROM withdrawals
         UNION ALL SELECT 'withdraw', id, account_id, 0, -(amount_msat::numeric + least(fee_msat, fee_limit_msat))
             FROM withdrawals WHERE state = 'succeeded' AND deposit_id IS NULL
         UNION ALL SELECT 'withdraw', w.id, a.id, w.amount_msat::numeric + w.fee_msat, 0 FROM withdrawals w, accounts a
             WHERE w.state = 'succeeded' AND w.deposit_id IS NULL AND a.kind = 'lightning'
         UNION ALL SELECT 'transfer', id, account_id, 0, -amount_msat::numeric
             FROM withdrawals WHERE state = 'succeeded' AND deposit_id IS NOT NULL
         UNION ALL SELECT 'transfer', w.id, d.account_id, w.amount_msat::numeric, 0
             FROM withdrawals w JOIN deposits d ON d.id = w.deposit_id WHERE w.state = 'succeeded'
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
        "SELECT 'payment hash ' || encode(payment_hash, 'hex')
         FROM (SELECT payment_hash FROM deposits UNION ALL SELECT payment_hash FROM hold_invoices) AS ours
         GROUP BY payment_hash HAVING count(*) > 1
         UNION ALL SELECT 'payment hash ' || encode(payment_hash, 'hex') FROM withdrawals
         GROUP BY payment_hash HAVING count(*) > 1
         UNION ALL SELECT 'withdrawal ' || id FROM withdrawals
         WHERE (state = 'succeeded' AND deposit_id IS NULL) <> (preimage IS NOT NULL)
             OR sha256(preimage) <> payment_hash"
    ),
    // One of the two: the ledger pays a deposit, or somebody outside does.
    check!(
        "deposits_and_the_withdrawals_that_pay_them_agree",
        "SELECT 'deposit ' || coalesce(d.id, w.deposit_id)
         FROM (SELECT * FROM deposits WHERE paid_by IS NOT NULL) d
         FULL JOIN (SELECT * FROM withdrawals WHERE state = 'succeeded' AND deposit_id IS NOT NULL) w
             ON w.id = d.paid_by AND w.deposit_id = d.id
         WHERE d.id IS NULL OR w.id IS NULL OR d.state <> 'settled' OR d.payment_hash <> w.payment_hash
             OR d.credited_msat <> w.amount_msat OR d.amount_msat <> w.amount_msat
         UNION ALL SELECT 'withdrawal ' || w.id
         FROM withdrawals w JOIN deposits d ON d.payment_hash = w.payment_hash OR d.id = w.deposit_id
         WHERE d.payment_hash <> w.payment_hash OR w.deposit_id IS DISTINCT FROM d.id"
    ),

];
