-- Tables that every service's database has; applied by poa-storage before the service's own migrations.

-- What was answered to a mutating request, so that the same request gets the same answer.
CREATE TABLE idempotency_records (
    principal uuid NOT NULL,
    method text NOT NULL,
    request_id uuid NOT NULL,
    -- SHA-256 of the request: another payload under the same id is refused.
    fingerprint bytea NOT NULL,
    -- NULL only inside the transaction that began the record.
    response bytea,
    -- Money: never swept.
    keep boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL,
    CONSTRAINT idempotency_records_pkey PRIMARY KEY (principal, method, request_id),
    CONSTRAINT idempotency_records_fingerprint_length CHECK (octet_length(fingerprint) = 32)
);

-- The sweep: the oldest records that may go.
CREATE INDEX idempotency_records_sweep ON idempotency_records (created_at) WHERE NOT keep;

-- Events written in the transaction of the change; the relay empties it.
CREATE TABLE events_pending (
    -- Order of insertion. Not the order of commits, hence the relay's dense positions.
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    id uuid NOT NULL,
    topic text NOT NULL,
    subject uuid NOT NULL,
    kind text NOT NULL,
    payload bytea NOT NULL,
    occurred_at timestamptz NOT NULL,
    CONSTRAINT events_pending_pkey PRIMARY KEY (sequence)
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);

-- What readers page by: positions start at 1 and have no gaps.
CREATE TABLE events_published (
    position bigint NOT NULL,
    id uuid NOT NULL,
    topic text NOT NULL,
    subject uuid NOT NULL,
    kind text NOT NULL,
    payload bytea NOT NULL,
    occurred_at timestamptz NOT NULL,
    CONSTRAINT events_published_pkey PRIMARY KEY (position),
    CONSTRAINT events_published_position_positive CHECK (position > 0)
);

-- A reader of one topic.
CREATE INDEX events_published_topic ON events_published (topic, position);

-- One row: the last position given out. Locked by the relay at work.
CREATE TABLE events_head (
    single boolean NOT NULL DEFAULT true,
    position bigint NOT NULL,
    CONSTRAINT events_head_pkey PRIMARY KEY (single),
    CONSTRAINT events_head_single CHECK (single)
) WITH (fillfactor = 50);

INSERT INTO events_head (position) VALUES (0);

-- How far this service has followed another's stream; committed with the effect of what it read.
CREATE TABLE consumer_cursors (
    name text NOT NULL,
    value bytea NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT consumer_cursors_pkey PRIMARY KEY (name)
) WITH (fillfactor = 50);
