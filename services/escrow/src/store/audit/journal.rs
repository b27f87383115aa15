//! The journal and the balances: each movement sums to zero, belongs to something, and is what the balances say.

use super::Invariant;

pub(super) const CHECKS: &[Invariant] = &[
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
             WHEN t.kind IN ('hold', 'fund', 'capture', 'fee', 'refund')
                 THEN EXISTS (SELECT FROM escrows e WHERE e.id = t.subject)
             WHEN t.kind IN ('withdraw_reserve', 'withdraw', 'withdraw_return', 'transfer')
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
];
