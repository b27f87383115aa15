-- Escrows that a hold invoice funds. Until the node has settled, and that is final, nothing is ours and nothing is posted.

-- What funds an escrow: the payer's balance, or a hold invoice.
ALTER TABLE escrows ADD COLUMN rail text NOT NULL DEFAULT 'balance';
ALTER TABLE escrows ADD CONSTRAINT escrows_rail_known CHECK (rail IN ('balance', 'hold_invoice'));

ALTER TABLE escrows DROP CONSTRAINT escrows_state_known;
ALTER TABLE escrows ADD CONSTRAINT escrows_state_known CHECK (state IN (
    'held', 'released', 'refunded', 'void',
    'awaiting', 'accepted', 'settling', 'canceling', 'canceled', 'funding_lost'));
ALTER TABLE escrows ADD CONSTRAINT escrows_rail_has_state CHECK (
    CASE rail
        WHEN 'balance' THEN state IN ('held', 'released', 'refunded', 'void')
        ELSE state <> 'void'
    END);

-- As before, but that an escrow of a hold invoice names a transfer from when its sats are in the ledger on.
ALTER TABLE escrows DROP CONSTRAINT escrows_void_is_empty;
ALTER TABLE escrows ADD CONSTRAINT escrows_void_is_empty CHECK (
    CASE WHEN state = 'void'
        THEN amount_msat = 0 AND num_nonnulls(payer_id, payee_id, terms_digest, hold_transfer, end_transfer) = 0
        ELSE amount_msat > 0 AND num_nulls(payer_id, terms_digest) = 0
            AND (state IN ('held', 'released', 'refunded')) = (hold_transfer IS NOT NULL)
    END);

ALTER TABLE escrows DROP CONSTRAINT escrows_ended_when_not_held;
ALTER TABLE escrows ADD CONSTRAINT escrows_ended_when_over CHECK (
    (state IN ('held', 'awaiting', 'accepted', 'settling', 'canceling')) = (ended_at IS NULL));

-- The worker of hold invoices, and how much they lock: what is not at its end.
CREATE INDEX escrows_open_hold_invoices ON escrows (id)
    WHERE state IN ('awaiting', 'accepted', 'settling', 'canceling');

-- A settled hold invoice comes in by a movement of its own, which holds what it brings.
ALTER TABLE transfers DROP CONSTRAINT transfers_kind_known;
ALTER TABLE transfers ADD CONSTRAINT transfers_kind_known CHECK (kind IN (
    'deposit', 'hold', 'fund', 'capture', 'fee', 'refund', 'withdraw_reserve', 'withdraw', 'withdraw_return'));
-- An escrow is filled once: from the balance or by its invoice.
CREATE UNIQUE INDEX transfers_one_hold ON transfers (subject) WHERE kind IN ('hold', 'fund');

-- The invoice of an escrow, written before the node is asked to make it.
CREATE TABLE hold_invoices (
    escrow_id uuid NOT NULL,
    payment_hash bytea NOT NULL,
    -- The preimage, sealed with the key in preimages.secret for this escrow alone: nonce, ciphertext, tag.
    sealed_preimage bytea NOT NULL,
    -- The node that was asked: no other one's word counts.
    node_id bytea NOT NULL,
    -- The final CLTV delta, in blocks.
    cltv_blocks integer NOT NULL,
    -- How long it can be paid, from when it is made.
    expiry_seconds integer NOT NULL,
    -- The BOLT11 text; NULL until the node has made it. What is not here was never handed out.
    invoice text,
    expires_at timestamptz,
    -- What the node says is locked: a memo, and no posting. NULL until it is paid.
    paid_msat bigint,
    -- The number of HTLCs.
    parts bigint,
    -- The lowest block height at which one goes back to the payer by itself.
    expiry_height bigint,
    accepted_at timestamptz,
    -- When the chain came to the guard height while nothing was decided.
    guard_reached_at timestamptz,
    CONSTRAINT hold_invoices_pkey PRIMARY KEY (escrow_id),
    CONSTRAINT hold_invoices_escrow_fkey FOREIGN KEY (escrow_id) REFERENCES escrows (id),
    -- A preimage opens one escrow.
    CONSTRAINT hold_invoices_payment_hash_once UNIQUE (payment_hash),
    CONSTRAINT hold_invoices_bounds CHECK (cltv_blocks BETWEEN 80 AND 1000 AND expiry_seconds BETWEEN 1 AND 600),
    CONSTRAINT hold_invoices_made CHECK (num_nulls(invoice, expires_at) IN (0, 2)),
    CONSTRAINT hold_invoices_memo CHECK (
        num_nulls(paid_msat, parts, expiry_height, accepted_at) IN (0, 4)
        AND paid_msat > 0 AND parts > 0 AND expiry_height > 0),
    -- Nobody pays what was not handed out, and a guard stands over what is locked.
    CONSTRAINT hold_invoices_in_order CHECK (
        (paid_msat IS NULL OR invoice IS NOT NULL) AND (guard_reached_at IS NULL OR paid_msat IS NOT NULL)),
    -- 12 bytes of nonce, 32 of preimage, 16 of tag.
    CONSTRAINT hold_invoices_byte_lengths CHECK (
        octet_length(payment_hash) = 32 AND octet_length(sealed_preimage) = 60 AND octet_length(node_id) = 33)
) WITH (fillfactor = 80);
