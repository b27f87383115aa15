-- What the platform owes, as stated once a day: entries of the log that belong to no task's chain. Append-only.
CREATE TABLE liabilities (
    -- The place in the log, from 0: given under the lock of log_head, as those of statements are. Either table has an index,
    -- never both.
    log_index bigint NOT NULL,
    -- The snapshot of the balances: stated once.
    snapshot_id uuid NOT NULL,
    -- SHA-256 of the statement's PAE.
    digest bytea NOT NULL,
    -- The DSSE envelope as JSON.
    envelope bytea NOT NULL,
    -- The hash of its leaf in the log.
    leaf_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    -- The sequencer: leaves from an index on.
    CONSTRAINT liabilities_pkey PRIMARY KEY (log_index),
    CONSTRAINT liabilities_snapshot_once UNIQUE (snapshot_id),
    CONSTRAINT liabilities_log_index_range CHECK (log_index >= 0),
    CONSTRAINT liabilities_byte_lengths CHECK (octet_length(digest) = 32 AND octet_length(leaf_hash) = 32)
);
