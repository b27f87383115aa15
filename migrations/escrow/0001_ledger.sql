-- The ledger of the escrow service. All amounts are millisatoshi; all times are the service's clock.

-- Whose sats. The balance is a cache of the postings, written in their transaction and checked against them by the audit.
CREATE TABLE accounts (
    -- The user's account id, or one of the three below.
    id uuid NOT NULL,
    kind text NOT NULL,
    available_msat bigint NOT NULL,
    held_msat bigint NOT NULL,
    -- How many postings there are: the sequence of the last one.
    entries bigint NOT NULL,
    CONSTRAINT accounts_pkey PRIMARY KEY (id),
    CONSTRAINT accounts_kind_known CHECK (kind IN ('user', 'lightning', 'fees', 'clearing')),
    -- The platform's accounts have fixed ids, which no user can have.
    CONSTRAINT accounts_kind_by_id CHECK (
        kind = CASE id
            WHEN '00000000-0000-0000-0000-000000000001' THEN 'lightning'
            WHEN '00000000-0000-0000-0000-000000000002' THEN 'fees'
            WHEN '00000000-0000-0000-0000-000000000003' THEN 'clearing'
            ELSE 'user'
        END),
    -- The last line against overdrafts: the code decides on locked rows before.
    CONSTRAINT accounts_user_not_negative CHECK (kind <> 'user' OR (available_msat >= 0 AND held_msat >= 0)),
    -- Only users hold; clearing is empty at every commit.
    CONSTRAINT accounts_system_holds_nothing CHECK (kind = 'user' OR held_msat = 0),
    CONSTRAINT accounts_clearing_is_empty CHECK (kind <> 'clearing' OR available_msat = 0),
    CONSTRAINT accounts_entries_not_negative CHECK (entries >= 0)
) WITH (fillfactor = 70);

INSERT INTO accounts (id, kind, available_msat, held_msat, entries) VALUES
    ('00000000-0000-0000-0000-000000000001', 'lightning', 0, 0, 0),
    ('00000000-0000-0000-0000-000000000002', 'fees', 0, 0, 0),
    ('00000000-0000-0000-0000-000000000003', 'clearing', 0, 0, 0);

-- A movement: postings that sum to zero. Append-only.
CREATE TABLE transfers (
    id uuid NOT NULL,
    kind text NOT NULL,
    -- The deposit, escrow or withdrawal, by the kind.
    subject uuid NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT transfers_pkey PRIMARY KEY (id),
    CONSTRAINT transfers_kind_known CHECK (kind IN (
        'deposit', 'hold', 'capture', 'fee', 'refund', 'withdraw_reserve', 'withdraw', 'withdraw_return')),
    -- Nothing is credited, held, captured, refunded, reserved or paid twice.
    CONSTRAINT transfers_once_per_subject UNIQUE (subject, kind)
);

-- An escrow ends once: released or refunded, never both.
CREATE UNIQUE INDEX transfers_one_end ON transfers (subject) WHERE kind IN ('capture', 'refund');

-- The journal: one account's part in a movement. Append-only.
CREATE TABLE postings (
    account_id uuid NOT NULL,
    -- The place in the account's journal: from 1, without gaps. Statements page by it.
    sequence bigint NOT NULL,
    transfer_id uuid NOT NULL,
    available_msat bigint NOT NULL,
    held_msat bigint NOT NULL,
    CONSTRAINT postings_pkey PRIMARY KEY (account_id, sequence),
    CONSTRAINT postings_account_fkey FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT postings_transfer_fkey FOREIGN KEY (transfer_id) REFERENCES transfers (id),
    CONSTRAINT postings_sequence_positive CHECK (sequence > 0),
    -- A posting of nothing is none.
    CONSTRAINT postings_move CHECK (available_msat <> 0 OR held_msat <> 0)
);

-- The audit: the postings of a movement.
CREATE INDEX postings_transfer ON postings (transfer_id);

-- Sats held for one task. The narrow part, which changes once; what was agreed stands in mandates.
CREATE TABLE escrows (
    id uuid NOT NULL,
    task_id uuid NOT NULL,
    state text NOT NULL,
    -- NULL of a void escrow: refunded before anything was held.
    payer_id uuid,
    payee_id uuid,
    amount_msat bigint NOT NULL,
    fee_msat bigint NOT NULL,
    payee_msat bigint NOT NULL,
    fee_basis_points integer NOT NULL,
    -- The digest of the mandate's terms.
    terms_digest bytea,
    hold_transfer uuid,
    end_transfer uuid,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT escrows_pkey PRIMARY KEY (id),
    CONSTRAINT escrows_hold_transfer_fkey FOREIGN KEY (hold_transfer) REFERENCES transfers (id),
    CONSTRAINT escrows_end_transfer_fkey FOREIGN KEY (end_transfer) REFERENCES transfers (id),
    CONSTRAINT escrows_state_known CHECK (state IN ('held', 'released', 'refunded', 'void')),
    -- Whatever happens, the two parts are the whole.
    CONSTRAINT escrows_legs_sum CHECK (fee_msat >= 0 AND payee_msat >= 0 AND fee_msat + payee_msat = amount_msat),
    -- The fee is rounded down to the msat.
    CONSTRAINT escrows_fee_rounded_down CHECK (
        fee_msat = div(amount_msat::numeric * fee_basis_points::numeric, 10000)),
    CONSTRAINT escrows_void_is_empty CHECK (
        CASE WHEN state = 'void'
            THEN amount_msat = 0 AND num_nonnulls(payer_id, payee_id, terms_digest, hold_transfer, end_transfer) = 0
            ELSE amount_msat > 0 AND num_nulls(payer_id, terms_digest, hold_transfer) = 0
        END),
    CONSTRAINT escrows_payee_when_released CHECK ((state = 'released') = (payee_id IS NOT NULL)),
    CONSTRAINT escrows_end_transfer_when_moved CHECK (
        (state IN ('released', 'refunded')) = (end_transfer IS NOT NULL)),
    CONSTRAINT escrows_ended_when_not_held CHECK ((state = 'held') = (ended_at IS NULL)),
    CONSTRAINT escrows_terms_digest_length CHECK (octet_length(terms_digest) = 32)
) WITH (fillfactor = 80);

-- What the payer agreed to when the sats were held: it bounds every later release. Append-only.
CREATE TABLE mandates (
    escrow_id uuid NOT NULL,
    -- The exact payload of the TermsOffered statement.
    terms bytea NOT NULL,
    policy text NOT NULL,
    -- The one agent that may take the task; NULL when it is open to all.
    direct_agent_id uuid,
    CONSTRAINT mandates_pkey PRIMARY KEY (escrow_id),
    CONSTRAINT mandates_escrow_fkey FOREIGN KEY (escrow_id) REFERENCES escrows (id),
    CONSTRAINT mandates_policy_known CHECK (policy IN ('on_attestation', 'on_acceptance'))
);

-- What was verified before the payee was paid. Append-only.
CREATE TABLE releases (
    escrow_id uuid NOT NULL,
    payee_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    -- The key that signed the work: a did:key.
    agent_key text NOT NULL,
    terms_digest bytea NOT NULL,
    output_digest bytea NOT NULL,
    decision_digest bytea NOT NULL,
    decision text NOT NULL,
    CONSTRAINT releases_pkey PRIMARY KEY (escrow_id),
    CONSTRAINT releases_escrow_fkey FOREIGN KEY (escrow_id) REFERENCES escrows (id),
    -- Nothing else releases.
    CONSTRAINT releases_decision_known CHECK (decision IN ('accepted', 'deadline_passed', 'criteria_met')),
    CONSTRAINT releases_digest_lengths CHECK (
        octet_length(terms_digest) = 32 AND octet_length(output_digest) = 32 AND octet_length(decision_digest) = 32)
);

-- An invoice of ours that credits an account when it is paid. Also the idempotency record of its request, for ever.
CREATE TABLE deposits (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    request_id uuid NOT NULL,
    -- SHA-256 of the request: another payload under the same id is refused.
    fingerprint bytea NOT NULL,
    state text NOT NULL,
    amount_msat bigint NOT NULL,
    credited_msat bigint NOT NULL,
    invoice text NOT NULL,
    payment_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    settled_at timestamptz,
    CONSTRAINT deposits_pkey PRIMARY KEY (id),
    CONSTRAINT deposits_request UNIQUE (account_id, request_id),
    -- Credited at most once per payment hash.
    CONSTRAINT deposits_payment_hash_once UNIQUE (payment_hash),
    CONSTRAINT deposits_state_known CHECK (state IN ('open', 'settled', 'expired')),
    CONSTRAINT deposits_amount_positive CHECK (amount_msat > 0),
    CONSTRAINT deposits_credited_when_settled CHECK (
        (state = 'settled') = (settled_at IS NOT NULL) AND (state = 'settled') = (credited_msat > 0)),
    CONSTRAINT deposits_byte_lengths CHECK (octet_length(fingerprint) = 32 AND octet_length(payment_hash) = 32)
) WITH (fillfactor = 80);

-- The poll of what waits to be paid.
CREATE INDEX deposits_open ON deposits (id) WHERE state = 'open';
-- How many of an account's wait.
CREATE INDEX deposits_open_of_account ON deposits (account_id) WHERE state = 'open';

-- Sats that leave over Lightning. Also the idempotency record of its request, for ever.
CREATE TABLE withdrawals (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    request_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    state text NOT NULL,
    amount_msat bigint NOT NULL,
    fee_limit_msat bigint NOT NULL,
    fee_msat bigint NOT NULL,
    invoice text NOT NULL,
    payment_hash bytea NOT NULL,
    invoice_expires_at timestamptz NOT NULL,
    -- The intent: the node that was told to pay, and until when it may try. Committed before it is told.
    node_id bytea,
    deadline timestamptz,
    -- How often it was told. Only the first time can it say that nothing was sent.
    dispatches integer NOT NULL,
    -- Looks in a row at which the node said that it failed.
    failures_seen smallint NOT NULL,
    preimage bytea,
    failure text,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT withdrawals_pkey PRIMARY KEY (id),
    CONSTRAINT withdrawals_request UNIQUE (account_id, request_id),
    -- One withdrawal per payment hash over all accounts, for ever: an invoice is paid once.
    CONSTRAINT withdrawals_payment_hash_once UNIQUE (payment_hash),
    CONSTRAINT withdrawals_state_known CHECK (state IN ('reserved', 'dispatched', 'succeeded', 'failed')),
    CONSTRAINT withdrawals_amounts CHECK (amount_msat > 0 AND fee_limit_msat >= 0 AND fee_msat >= 0),
    -- Nothing is in flight without an intent.
    CONSTRAINT withdrawals_intent_before_dispatch CHECK (
        (dispatches > 0) = (node_id IS NOT NULL) AND (dispatches > 0) = (deadline IS NOT NULL)
        AND (state <> 'reserved' OR dispatches = 0) AND (state NOT IN ('dispatched', 'succeeded') OR dispatches > 0)),
    CONSTRAINT withdrawals_proof_when_succeeded CHECK ((state = 'succeeded') = (preimage IS NOT NULL)),
    CONSTRAINT withdrawals_reason_when_failed CHECK ((state = 'failed') = (failure IS NOT NULL)),
    CONSTRAINT withdrawals_ended CHECK ((state IN ('succeeded', 'failed')) = (ended_at IS NOT NULL)),
    CONSTRAINT withdrawals_byte_lengths CHECK (
        octet_length(fingerprint) = 32 AND octet_length(payment_hash) = 32 AND octet_length(node_id) = 33
        AND octet_length(preimage) = 32),
    -- The proof of payment is one: PostgreSQL computes the hash itself.
    CONSTRAINT withdrawals_preimage_opens_hash CHECK (sha256(preimage) = payment_hash)
) WITH (fillfactor = 70);

-- The payout worker: what is not at its end.
CREATE INDEX withdrawals_live ON withdrawals (id) WHERE state IN ('reserved', 'dispatched');
-- An account's withdrawals, newest first.
CREATE INDEX withdrawals_of_account ON withdrawals (account_id, id);
