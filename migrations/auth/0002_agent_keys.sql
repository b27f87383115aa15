-- What becomes of agents' keys, and the versions that agents publish. Both enter the log of receipts.

-- The proof of a key's registration was not kept before, and cannot be made up: the log would begin with an event that nobody
-- can check.
DO $$ BEGIN
    IF EXISTS (SELECT FROM agents) THEN
        RAISE EXCEPTION 'this database has agents from before their keys had events: begin with an empty one';
    END IF;
END $$;

ALTER TABLE agents
    -- How many events its keys have had.
    ADD COLUMN key_sequence integer NOT NULL DEFAULT 1,
    -- NULL while its key signs.
    ADD COLUMN key_revoked_at timestamptz,
    -- The newest version that it has published, and whether that names its source.
    ADD COLUMN version text,
    ADD COLUMN version_has_source boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT agents_key_sequence_range CHECK (key_sequence BETWEEN 1 AND 64);

-- Append-only. Written under the lock of the agent's row.
CREATE TABLE agent_key_events (
    agent_id uuid NOT NULL,
    -- From 1 on without a gap.
    sequence integer NOT NULL,
    -- 1 registered, 2 rotated, 3 revoked.
    kind smallint NOT NULL,
    -- The key that is the agent's from now on; of a revocation the revoked one.
    public_key bytea NOT NULL,
    previous_key bytea,
    -- 1 superseded, 2 compromised; NULL of a registration.
    reason smallint,
    compromised_since timestamptz,
    by_owner boolean NOT NULL,
    authorisation bytea,
    key_proof bytea,
    occurred_at timestamptz NOT NULL,
    CONSTRAINT agent_key_events_pkey PRIMARY KEY (agent_id, sequence),
    CONSTRAINT agent_key_events_agent FOREIGN KEY (agent_id) REFERENCES agents (id),
    CONSTRAINT agent_key_events_kind_known CHECK (kind BETWEEN 1 AND 3),
    CONSTRAINT agent_key_events_reason_known CHECK (reason BETWEEN 1 AND 2)
);

-- A key is one agent's, once and for ever: also one that was rotated away.
CREATE UNIQUE INDEX agent_key_events_key_unique ON agent_key_events (public_key) WHERE kind <> 3;

-- Builds of agents. Append-only.
CREATE TABLE agent_versions (
    id uuid NOT NULL,
    agent_id uuid NOT NULL,
    version text NOT NULL,
    build_digest bytea NOT NULL,
    build_size bigint NOT NULL,
    source_ref text,
    -- The signed statement, a DSSE envelope as JSON.
    envelope bytea NOT NULL,
    -- SHA-256 of its PAE.
    digest bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT agent_versions_pkey PRIMARY KEY (id),
    CONSTRAINT agent_versions_agent FOREIGN KEY (agent_id) REFERENCES agents (id),
    -- A name stands for one build.
    CONSTRAINT agent_versions_name_unique UNIQUE (agent_id, version)
);

-- An agent's versions, newest first.
CREATE INDEX agent_versions_newest ON agent_versions (agent_id, id DESC);
