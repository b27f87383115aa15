-- Tasks, their receipt chains and what drives them.
--
-- Two kinds of time: timestamptz is wall-clock time, for people; *_us columns are microseconds of the mesh clock, on
-- which every deadline runs. Numbers of states, policies and kinds are those of the contracts.

-- What is fixed when a task is offered. Wide, and never updated.
CREATE TABLE tasks (
    task_id uuid NOT NULL,
    requester_id uuid NOT NULL,
    title text NOT NULL,
    capability text NOT NULL,
    price_msat bigint NOT NULL,
    fee_msat bigint NOT NULL,
    payee_msat bigint NOT NULL,
    policy smallint NOT NULL,
    -- NULL: any agent may claim it.
    direct_agent_id uuid,
    escrow_id uuid NOT NULL,
    open_us bigint NOT NULL,
    work_us bigint NOT NULL,
    review_us bigint NOT NULL,
    lease_us bigint NOT NULL,
    -- The exact payload of TermsOffered, and the SHA-256 of its pre-authentication encoding.
    terms bytea NOT NULL,
    terms_digest bytea NOT NULL,
    input_media_type text NOT NULL,
    input_sha256 bytea NOT NULL,
    input_size bigint NOT NULL,
    input_body bytea,
    input_uri text,
    created_at timestamptz NOT NULL,
    CONSTRAINT tasks_pkey PRIMARY KEY (task_id),
    CONSTRAINT tasks_escrow_key UNIQUE (escrow_id),
    CONSTRAINT tasks_price_adds_up CHECK (fee_msat >= 0 AND payee_msat >= 0 AND fee_msat + payee_msat = price_msat),
    -- An input is inline or elsewhere.
    CONSTRAINT tasks_input_place CHECK (num_nonnulls(input_body, input_uri) = 1)
);

-- ListTasks as requester, newest first.
CREATE INDEX tasks_requester ON tasks (requester_id, task_id DESC);

-- Where a task stands. Narrow, apart from the wide row, because it changes some ten times in a task's life.
CREATE TABLE task_status (
    task_id uuid NOT NULL,
    -- The etag: grows with every visible change.
    version bigint NOT NULL,
    state smallint NOT NULL,
    -- While REFUNDING: where it will end.
    end_state smallint,
    agent_id uuid,
    account_id uuid,
    claim_number integer NOT NULL,
    claim_lease_us bigint,
    lease_due_us bigint,
    work_due_us bigint,
    acceptance_digest bytea,
    submissions integer NOT NULL,
    open_due_us bigint,
    -- The end of the review of the result.
    review_due_us bigint,
    -- After a rejection, the end of the agent's time for another result.
    resubmit_due_us bigint,
    note text NOT NULL,
    -- Only while FUNDING: the payer's access token, sealed, and its end.
    payer_token bytea,
    token_expires_at timestamptz,
    -- Whether the price is known to be held.
    held boolean NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT task_status_pkey PRIMARY KEY (task_id),
    CONSTRAINT task_status_state_known CHECK (state BETWEEN 1 AND 10),
    -- A claim is there whole or not at all.
    CONSTRAINT task_status_claim_whole CHECK (
        num_nonnulls(agent_id, account_id, claim_lease_us, lease_due_us, work_due_us, acceptance_digest) IN (0, 6)),
    -- A token outlives its use in no row.
    CONSTRAINT task_status_token_only_while_funding CHECK (payer_token IS NULL OR state = 1)
) WITH (fillfactor = 70);

-- ListTasks as worker, newest first.
CREATE INDEX task_status_account ON task_status (account_id, task_id DESC);

-- The queue: tasks in state OPEN and nothing else, so that claiming stays as quick after a million closed ones.
CREATE TABLE open_tasks (
    task_id uuid NOT NULL,
    capability text NOT NULL,
    payee_msat bigint NOT NULL,
    direct_agent_id uuid,
    -- ClaimNextTask sets a task aside for an agent.
    reserved_agent_id uuid,
    reserved_due_us bigint NOT NULL DEFAULT 0,
    CONSTRAINT open_tasks_pkey PRIMARY KEY (task_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

-- ClaimNextTask: the oldest of a capability.
CREATE INDEX open_tasks_capability ON open_tasks (capability, task_id);

-- The latest results. An older one is kept until its task ends, because a refused submission falls back to it.
CREATE TABLE results (
    task_id uuid NOT NULL,
    -- Counts the submissions of a task, from 1.
    submission integer NOT NULL,
    media_type text NOT NULL,
    sha256 bytea NOT NULL,
    size bigint NOT NULL,
    body bytea,
    uri text,
    created_at timestamptz NOT NULL,
    CONSTRAINT results_pkey PRIMARY KEY (task_id, submission),
    -- A result is inline or elsewhere.
    CONSTRAINT results_place CHECK (num_nonnulls(body, uri) = 1)
);

-- Each task's receipt chain, and the outbox to the attestation service: pending statements are appended in their order.
CREATE TABLE statements (
    task_id uuid NOT NULL,
    -- From 1, without gaps.
    seq integer NOT NULL,
    kind smallint NOT NULL,
    -- SHA-256 of the pre-authentication encoding.
    digest bytea NOT NULL,
    -- Pending: the payload that the platform is to sign, or the envelope that an agent signed.
    body bytea,
    -- Appended: the envelope as logged.
    envelope bytea,
    -- With whose token it came, and under which request, which is forgotten if the statement is refused.
    account_id uuid,
    request_id uuid,
    CONSTRAINT statements_pkey PRIMARY KEY (task_id, seq),
    CONSTRAINT statements_pending_or_appended CHECK (num_nonnulls(body, envelope) = 1)
) WITH (fillfactor = 80);

-- One row for each task that has not ended: when something is next to be done for it. A row that is due and not done
-- is what a crash leaves behind.
CREATE TABLE sagas (
    task_id uuid NOT NULL,
    due_us bigint NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    CONSTRAINT sagas_pkey PRIMARY KEY (task_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

-- The worker: what is due, the oldest first.
CREATE INDEX sagas_due ON sagas (due_us);

-- One row: the mesh clock, in microseconds. It is advanced by the time that passed while the mesh ran.
CREATE TABLE mesh_clock (
    singleton boolean NOT NULL DEFAULT true,
    now_us bigint NOT NULL,
    CONSTRAINT mesh_clock_pkey PRIMARY KEY (singleton),
    CONSTRAINT mesh_clock_single CHECK (singleton)
) WITH (fillfactor = 50);

INSERT INTO mesh_clock (now_us) VALUES (0);
