-- What is owed to all accounts at a moment, as the leaves of a Merkle-sum tree whose root the platform states in the log:
-- docs/protocol/liabilities.md.

-- One snapshot of the balances, and how far it is on its way into the log.
CREATE TABLE liabilities_snapshots (
    id uuid NOT NULL,
    taken_at timestamptz NOT NULL,
    leaf_count bigint NOT NULL,
    -- The sum of all leaves.
    liabilities_msat bigint NOT NULL,
    -- The root of the tree; NULL until it is built.
    root bytea,
    -- The signed statement and its place in the log; NULL until attestation has answered.
    envelope bytea,
    log_index bigint,
    -- The signed note that covers that place, and the proof; NULL until there is one. Then it is published.
    checkpoint text,
    inclusion_proof bytea[],
    CONSTRAINT liabilities_snapshots_pkey PRIMARY KEY (id),
    CONSTRAINT liabilities_snapshots_counts CHECK (
        leaf_count > 0 AND liabilities_msat > 0 AND log_index >= 0),
    CONSTRAINT liabilities_snapshots_root_length CHECK (octet_length(root) = 32),
    -- Built, then stated, then covered.
    CONSTRAINT liabilities_snapshots_in_order CHECK (
        num_nulls(envelope, log_index) IN (0, 2) AND num_nulls(checkpoint, inclusion_proof) IN (0, 2)
        AND (envelope IS NULL OR root IS NOT NULL) AND (checkpoint IS NULL OR envelope IS NOT NULL))
);

-- The newest one, and whether the next one is due.
CREATE INDEX liabilities_snapshots_by_time ON liabilities_snapshots (taken_at);

-- A leaf: one account's balance. Append-only, until its snapshot is forgotten.
CREATE TABLE liabilities_leaves (
    snapshot_id uuid NOT NULL,
    -- The place in the tree: leaves stand in the order of their hashes.
    leaf_index bigint NOT NULL,
    account_id uuid NOT NULL,
    balance_msat bigint NOT NULL,
    -- Known to the platform and the account.
    salt bytea NOT NULL,
    hash bytea NOT NULL,
    -- Building the tree, and the neighbours of a leaf.
    CONSTRAINT liabilities_leaves_pkey PRIMARY KEY (snapshot_id, leaf_index),
    -- An account counts once, and finds its leaf.
    CONSTRAINT liabilities_leaves_account_once UNIQUE (snapshot_id, account_id),
    CONSTRAINT liabilities_leaves_snapshot_fkey FOREIGN KEY (snapshot_id) REFERENCES liabilities_snapshots (id),
    CONSTRAINT liabilities_leaves_balance_positive CHECK (balance_msat > 0),
    CONSTRAINT liabilities_leaves_byte_lengths CHECK (octet_length(salt) = 32 AND octet_length(hash) = 32)
);

-- The roots of parts of 1,024 leaves each, of which the last may be smaller: with them a path needs no more than one part.
CREATE TABLE liabilities_parts (
    snapshot_id uuid NOT NULL,
    part_index bigint NOT NULL,
    hash bytea NOT NULL,
    sum_msat bigint NOT NULL,
    CONSTRAINT liabilities_parts_pkey PRIMARY KEY (snapshot_id, part_index),
    CONSTRAINT liabilities_parts_snapshot_fkey FOREIGN KEY (snapshot_id) REFERENCES liabilities_snapshots (id),
    CONSTRAINT liabilities_parts_hash_length CHECK (octet_length(hash) = 32)
);
