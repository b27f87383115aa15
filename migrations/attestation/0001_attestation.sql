-- Receipt chains and the transparency log that they stand in.

-- One row per task with a chain: where it ends, and who may read it.
CREATE TABLE chains (
    task_id uuid NOT NULL,
    -- Statements so far.
    length integer NOT NULL,
    -- The digest of the last statement.
    last_digest bytea NOT NULL,
    -- Who offered the task.
    requester_account_id uuid NOT NULL,
    -- Who is paid under the current claim; NULL before the first one.
    payee_account_id uuid,
    CONSTRAINT chains_pkey PRIMARY KEY (task_id),
    -- A chain begins with its offer.
    CONSTRAINT chains_length_positive CHECK (length > 0),
    -- SHA-256.
    CONSTRAINT chains_last_digest_length CHECK (octet_length(last_digest) = 32)
) WITH (fillfactor = 80);

-- The statements, append-only. Written under the lock of log_head, so that indices are dense and in commit order.
CREATE TABLE statements (
    -- The place in the log, from 0.
    log_index bigint NOT NULL,
    id uuid NOT NULL,
    task_id uuid NOT NULL,
    -- The place in the task's chain, from 0.
    sequence integer NOT NULL,
    -- 1 TermsOffered, 2 TermsAccepted, 3 WorkSubmitted, 4 WorkReceived, 5 Decision, 6 Settlement.
    kind smallint NOT NULL,
    -- SHA-256 of the statement's PAE.
    digest bytea NOT NULL,
    -- The DSSE envelope as JSON, with the required signer's signature alone.
    envelope bytea NOT NULL,
    -- The hash of its leaf in the log.
    leaf_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    -- The sequencer: leaves from an index on.
    CONSTRAINT statements_pkey PRIMARY KEY (log_index),
    -- GetAttestation.
    CONSTRAINT statements_id_unique UNIQUE (id),
    -- A chain in order; two statements never share a place.
    CONSTRAINT statements_place_unique UNIQUE (task_id, sequence),
    CONSTRAINT statements_log_index_range CHECK (log_index >= 0),
    CONSTRAINT statements_sequence_range CHECK (sequence >= 0),
    CONSTRAINT statements_kind_known CHECK (kind BETWEEN 1 AND 6),
    -- SHA-256 both.
    CONSTRAINT statements_digest_length CHECK (octet_length(digest) = 32),
    CONSTRAINT statements_leaf_hash_length CHECK (octet_length(leaf_hash) = 32)
);

-- One row: the index of the next statement. Locked by whoever appends.
CREATE TABLE log_head (
    single boolean NOT NULL DEFAULT true,
    next_index bigint NOT NULL,
    CONSTRAINT log_head_pkey PRIMARY KEY (single),
    CONSTRAINT log_head_single CHECK (single)
) WITH (fillfactor = 50);

INSERT INTO log_head (next_index) VALUES (0);

-- One row: how far the tree has grown. Locked by the sequencer at work; appends do not wait for it.
CREATE TABLE log_tree (
    single boolean NOT NULL DEFAULT true,
    -- Leaves in the tree: the size of the newest checkpoint.
    size bigint NOT NULL,
    -- When that checkpoint was made: replicas keep their pace together.
    checkpointed_at timestamptz NOT NULL,
    CONSTRAINT log_tree_pkey PRIMARY KEY (single),
    CONSTRAINT log_tree_single CHECK (single)
) WITH (fillfactor = 50);

INSERT INTO log_tree (size, checkpointed_at) VALUES (0, '1970-01-01T00:00:00Z');

-- The hash of every complete subtree, leaves included: it covers the leaves from node_index << level on.
CREATE TABLE log_nodes (
    level smallint NOT NULL,
    node_index bigint NOT NULL,
    hash bytea NOT NULL,
    -- Proofs: single nodes by their place.
    CONSTRAINT log_nodes_pkey PRIMARY KEY (level, node_index),
    CONSTRAINT log_nodes_hash_length CHECK (octet_length(hash) = 32)
);

-- Signed checkpoints, append-only. One per size: two that disagree cannot both be stored.
CREATE TABLE checkpoints (
    size bigint NOT NULL,
    root bytea NOT NULL,
    -- The signed note, as published.
    note text NOT NULL,
    created_at timestamptz NOT NULL,
    -- The newest one is that of the largest size.
    CONSTRAINT checkpoints_pkey PRIMARY KEY (size),
    CONSTRAINT checkpoints_root_length CHECK (octet_length(root) = 32)
);

-- Agents and their keys, as followed from auth.
CREATE TABLE agents (
    agent_id uuid NOT NULL,
    account_id uuid NOT NULL,
    -- The active Ed25519 key.
    public_key bytea NOT NULL,
    -- It finishes what it claimed, and claims nothing new.
    retired boolean NOT NULL,
    -- When auth says that this became so: an older event changes nothing.
    changed_at timestamptz NOT NULL,
    CONSTRAINT agents_pkey PRIMARY KEY (agent_id),
    CONSTRAINT agents_public_key_length CHECK (octet_length(public_key) = 32)
);
