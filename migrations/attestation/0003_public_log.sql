-- The log as a public service: its entries, statements that belong to no task, agents' keys with their history, and what
-- witnesses have seen.

-- An entry of the log has another form than before, and a log is never rewritten.
DO $$ BEGIN
    IF EXISTS (SELECT FROM log_head WHERE next_index > 0) THEN
        RAISE EXCEPTION 'this database holds a log of an earlier form, which cannot be continued: begin with an empty one';
    END IF;
END $$;

-- Every entry of the log, whatever it is of. Append-only; written under the lock of log_head, so that indices are dense.
CREATE TABLE log_entries (
    -- The place in the log, from 0.
    log_index bigint NOT NULL,
    -- The bytes that the leaf is the hash of: 100 bytes, and 42 more where it has a record.
    entry bytea NOT NULL,
    -- The sequencer and tiles: entries from an index on.
    CONSTRAINT log_entries_pkey PRIMARY KEY (log_index),
    CONSTRAINT log_entries_log_index_range CHECK (log_index >= 0),
    CONSTRAINT log_entries_entry_length CHECK (octet_length(entry) IN (100, 142))
);

-- GetReputation: an agent's records. The agent's id stands in the record's bytes 2 to 17.
CREATE INDEX log_entries_of_agent ON log_entries (substring(entry FROM 102 FOR 16), log_index)
    WHERE octet_length(entry) = 142;

-- The leaf's hash follows from the entry.
ALTER TABLE statements DROP COLUMN leaf_hash;

-- Statements that belong to no task: liabilities, key events, versions of agents. Append-only, and public.
CREATE TABLE notices (
    -- The place in the log, from 0: either this table or statements has an index, never both.
    log_index bigint NOT NULL,
    -- The number of its kind in the log: 7 liabilities, 8 key event, 9 version of an agent.
    kind smallint NOT NULL,
    -- What can be said once, as its entry has it.
    slot bytea NOT NULL,
    -- The agent that it is about; NULL of liabilities.
    agent_id uuid,
    -- The digest of its subject: the key's, or the build's.
    subject bytea NOT NULL,
    -- SHA-256 of the statement's PAE.
    digest bytea NOT NULL,
    -- The DSSE envelope as JSON.
    envelope bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT notices_pkey PRIMARY KEY (log_index),
    -- An event that is told again, or a snapshot that is stated again, is not logged again.
    CONSTRAINT notices_slot_unique UNIQUE (slot),
    CONSTRAINT notices_kind_known CHECK (kind BETWEEN 7 AND 9),
    CONSTRAINT notices_byte_lengths
        CHECK (octet_length(slot) = 32 AND octet_length(subject) = 32 AND octet_length(digest) = 32)
);

-- A bundle: an agent's key events in order, and its version by the build's digest.
CREATE INDEX notices_of_agent ON notices (agent_id, kind, log_index) WHERE agent_id IS NOT NULL;

DROP TABLE liabilities;

-- Agents' keys, with what became of them.
CREATE TABLE agent_keys (
    agent_id uuid NOT NULL,
    public_key bytea NOT NULL,
    -- The digest of the key event that made it the agent's.
    event_digest bytea NOT NULL,
    -- 1 active, 2 superseded, 3 compromised.
    state smallint NOT NULL,
    CONSTRAINT agent_keys_pkey PRIMARY KEY (agent_id, public_key),
    CONSTRAINT agent_keys_state_known CHECK (state BETWEEN 1 AND 3),
    CONSTRAINT agent_keys_lengths CHECK (octet_length(public_key) = 32 AND octet_length(event_digest) = 32)
);

-- Agents are followed from the beginning again: their keys come with their events.
DELETE FROM agents;
DELETE FROM consumer_cursors WHERE name = 'auth.agent-events';
ALTER TABLE agents
    DROP COLUMN public_key,
    -- How many key events were applied.
    ADD COLUMN key_sequence integer NOT NULL;

-- What requesters have paid in fees for the work of others than themselves: their standing in records.
CREATE TABLE requesters (
    account_id uuid NOT NULL,
    fees_paid_msat bigint NOT NULL,
    CONSTRAINT requesters_pkey PRIMARY KEY (account_id),
    CONSTRAINT requesters_fees_positive CHECK (fees_paid_msat > 0)
) WITH (fillfactor = 80);

-- A log that cannot be continued goes on under a new origin: a size is then published once under each.
ALTER TABLE checkpoints DROP CONSTRAINT checkpoints_pkey;
ALTER TABLE checkpoints
    ADD COLUMN origin text NOT NULL DEFAULT '',
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (origin, size);
ALTER TABLE checkpoints ALTER COLUMN origin DROP DEFAULT;
DELETE FROM checkpoints;

-- What witnesses have seen.
CREATE TABLE cosignatures (
    origin text NOT NULL,
    size bigint NOT NULL,
    -- The name of the witness.
    witness text NOT NULL,
    -- The signature line, with its newline.
    line text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT cosignatures_pkey PRIMARY KEY (origin, size, witness)
);
