-- Payouts: where a withdrawal came from, transfers within the ledger, the pause switch, and where accounts are paid out to.

ALTER TABLE withdrawals
    -- The Lightning address that gave the invoice; NULL where the caller gave it.
    ADD COLUMN lightning_address text,
    -- The failed withdrawal that this one takes the place of.
    ADD COLUMN replaces uuid,
    -- Begun by the platform, because the account's balance reached its threshold.
    ADD COLUMN automatic boolean NOT NULL DEFAULT false,
    -- The deposit that the invoice belongs to, where the invoice is our own node's: then the ledger pays, and the node never
    -- does.
    ADD COLUMN deposit_id uuid,
    -- Who is paid: payments in flight are counted by it. NULL where the ledger pays, and in rows from before it was kept.
    ADD COLUMN payee_node_id bytea;

ALTER TABLE withdrawals
    ADD CONSTRAINT withdrawals_replaces_fkey FOREIGN KEY (replaces) REFERENCES withdrawals (id),
    -- A failed withdrawal is replaced once.
    ADD CONSTRAINT withdrawals_replaces_once UNIQUE (replaces),
    ADD CONSTRAINT withdrawals_deposit_fkey FOREIGN KEY (deposit_id) REFERENCES deposits (id),
    ADD CONSTRAINT withdrawals_payee_length CHECK (octet_length(payee_node_id) = 33),
    -- Nothing is sent for it, so no route takes a fee.
    ADD CONSTRAINT withdrawals_internal_has_no_route CHECK (
        deposit_id IS NULL OR (fee_msat = 0 AND preimage IS NULL AND payee_node_id IS NULL)),
    -- The proof of a payment that was sent; within the ledger the transfer is the proof.
    DROP CONSTRAINT withdrawals_proof_when_succeeded,
    ADD CONSTRAINT withdrawals_proof_when_succeeded CHECK (
        (state = 'succeeded' AND deposit_id IS NULL) = (preimage IS NOT NULL));

-- The caps: what left lately, of one account and of all.
CREATE INDEX withdrawals_recent ON withdrawals (created_at) INCLUDE (account_id, amount_msat)
    WHERE state <> 'failed' AND deposit_id IS NULL;
CREATE INDEX withdrawals_recent_of_account ON withdrawals (account_id, created_at) INCLUDE (amount_msat)
    WHERE state <> 'failed' AND deposit_id IS NULL;
-- Whether the ledger is about to pay a deposit: then it is not given up.
CREATE INDEX withdrawals_live_of_deposit ON withdrawals (deposit_id)
    WHERE state IN ('reserved', 'dispatched') AND deposit_id IS NOT NULL;

ALTER TABLE deposits
    -- The withdrawal that paid it within the ledger; NULL where sats came in from outside.
    ADD COLUMN paid_by uuid,
    ADD CONSTRAINT deposits_paid_by_fkey FOREIGN KEY (paid_by) REFERENCES withdrawals (id),
    ADD CONSTRAINT deposits_paid_by_once UNIQUE (paid_by),
    ADD CONSTRAINT deposits_paid_by_when_settled CHECK (paid_by IS NULL OR state = 'settled');

ALTER TABLE transfers
    DROP CONSTRAINT transfers_kind_known,
    ADD CONSTRAINT transfers_kind_known CHECK (kind IN (
        'deposit', 'hold', 'fund', 'capture', 'fee', 'refund', 'withdraw_reserve', 'withdraw', 'withdraw_return',
        'transfer'));

-- A withdrawal leaves or is paid within the ledger, never both.
CREATE UNIQUE INDEX transfers_one_way_out ON transfers (subject) WHERE kind IN ('withdraw', 'transfer');

-- Whether payouts go on. One row. Whoever reserves or sends reads it FOR SHARE in the same transaction, so that nothing
-- new begins once a pause is committed.
CREATE TABLE payout_switch (
    only_row boolean NOT NULL DEFAULT true,
    paused boolean NOT NULL,
    -- Why, for people.
    reason text NOT NULL,
    -- Since when it is so; NULL as long as nobody has touched it.
    changed_at timestamptz,
    CONSTRAINT payout_switch_pkey PRIMARY KEY (only_row),
    CONSTRAINT payout_switch_is_one CHECK (only_row)
);

INSERT INTO payout_switch (paused, reason) VALUES (false, '');

-- Where an account is paid out to.
CREATE TABLE payout_destinations (
    account_id uuid NOT NULL,
    -- The Lightning address in force; NULL where there is none.
    lightning_address text,
    -- From this available balance on it is paid out; 0: never.
    threshold_msat bigint NOT NULL,
    -- An address that will take its place, and when.
    pending_address text,
    pending_effective_at timestamptz,
    -- Whether there ever was an address: the first one counts at once, every other one waits.
    had_one boolean NOT NULL,
    -- Counts the changes.
    version bigint NOT NULL,
    -- The number of the payout that comes next: with the account it makes the request id, so that each is made once.
    next_number bigint NOT NULL,
    -- Attempts in a row that came to nothing, when the next one is due, and what was wrong with the last, for people.
    failures integer NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    problem text NOT NULL,
    CONSTRAINT payout_destinations_pkey PRIMARY KEY (account_id),
    CONSTRAINT payout_destinations_pending_is_whole CHECK (
        (pending_address IS NULL) = (pending_effective_at IS NULL)),
    CONSTRAINT payout_destinations_remember CHECK (had_one OR num_nonnulls(lightning_address, pending_address) = 0),
    CONSTRAINT payout_destinations_counts CHECK (
        threshold_msat >= 0 AND version >= 0 AND next_number > 0 AND failures >= 0),
    CONSTRAINT payout_destinations_threshold_needs_an_address CHECK (
        threshold_msat = 0 OR lightning_address IS NOT NULL OR pending_address IS NOT NULL)
);

-- The worker: what may be due.
CREATE INDEX payout_destinations_due ON payout_destinations (next_attempt_at) WHERE threshold_msat > 0;
