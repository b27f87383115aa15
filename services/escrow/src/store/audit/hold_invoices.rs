//! Hold invoices: memos of what is locked, which is nobody's but the payer's until it is in the ledger.

use super::Invariant;

pub(super) const CHECKS: &[Invariant] = &[
    check!(
        "hold_invoices_belong_to_their_escrows",
        "SELECT 'escrow ' || coalesce(e.id, h.escrow_id)
         FROM (SELECT * FROM escrows WHERE rail = 'hold_invoice') e
         FULL JOIN hold_invoices h ON h.escrow_id = e.id
         WHERE e.id IS NULL OR h.escrow_id IS NULL OR e.state = 'void'
             OR (e.rail = 'balance' AND e.state NOT IN ('held', 'released', 'refunded', 'void'))"
    ),
    // What is locked, was locked or came in has a memo; what waits to be paid has none. Less than the price was never
    // taken, and more than twice of it goes back.
    check!(
        "open_hold_escrows_are_accepted_memos",
        "SELECT 'escrow ' || e.id FROM escrows e JOIN hold_invoices h ON h.escrow_id = e.id
         WHERE (e.state = 'awaiting' AND h.paid_msat IS NOT NULL)
             OR (e.state IN ('accepted', 'settling', 'held', 'released', 'refunded', 'funding_lost') AND (
                 h.paid_msat IS NULL OR h.parts IS NULL OR h.expiry_height IS NULL OR h.accepted_at IS NULL
                 OR h.invoice IS NULL OR h.paid_msat < e.amount_msat OR h.paid_msat::numeric > 2 * e.amount_msat::numeric
                 OR h.expiry_height <= 36))
             OR (h.guard_reached_at IS NOT NULL AND h.accepted_at IS NULL)"
    ),
];
