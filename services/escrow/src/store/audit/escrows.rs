//! Escrows: what they say against what moved, and what allowed it.

use super::Invariant;

pub(super) const CHECKS: &[Invariant] = &[
    journal_check!(
        "escrows_moved_as_they_say",
        "'hold', 'fund', 'capture', 'fee', 'refund'",
        "SELECT 'hold', id, payer_id, -amount_msat::numeric, amount_msat::numeric FROM escrows
             WHERE rail = 'balance' AND state <> 'void'
         UNION ALL SELECT 'fund', id, payer_id, paid_msat::numeric - amount_msat, amount_msat
             FROM escrows JOIN hold_invoices ON escrow_id = id WHERE state IN ('held', 'released', 'refunded')
         UNION ALL SELECT 'fund', e.id, a.id, -paid_msat::numeric, 0
             FROM escrows e JOIN hold_invoices ON escrow_id = e.id, accounts a
             WHERE e.state IN ('held', 'released', 'refunded') AND a.kind = 'lightning'
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
         LEFT JOIN transfers h ON h.id = e.hold_transfer AND h.subject = e.id
             AND h.kind = CASE e.rail WHEN 'balance' THEN 'hold' ELSE 'fund' END
         LEFT JOIN transfers f ON f.id = e.end_transfer AND f.subject = e.id
             AND f.kind = CASE e.state WHEN 'released' THEN 'capture' WHEN 'refunded' THEN 'refund' END
         WHERE (h.id IS NOT NULL) <> (e.state IN ('held', 'released', 'refunded'))
             OR (f.id IS NOT NULL) <> (e.state IN ('released', 'refunded'))"
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
];
