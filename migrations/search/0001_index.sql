-- What search finds: a projection of the events of auth, task and attestation. All of it can be lost: it is read again.

-- Typing errors. A trusted extension: whoever owns the database may create it.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- One row: which of the builds of the index this is. Whoever applies events holds it in share mode, whoever empties the
-- index changes it, so that no event of an earlier build gets into a later one. No row: the index is to be built anew.
CREATE TABLE index_state (
    single boolean NOT NULL DEFAULT true,
    generation uuid NOT NULL,
    CONSTRAINT index_state_pkey PRIMARY KEY (single),
    CONSTRAINT index_state_single CHECK (single)
) WITH (fillfactor = 50);

-- How far each service's events were followed. A row for each, for as long as the index is whole.
CREATE TABLE sources (
    -- `auth`, `task` or `attestation`.
    source text NOT NULL,
    -- Empty: from the beginning.
    cursor text NOT NULL DEFAULT '',
    -- Whether any of its events has left a row: where there is none now, the rows were lost.
    filled boolean NOT NULL DEFAULT false,
    updated_at timestamptz,
    CONSTRAINT sources_pkey PRIMARY KEY (source)
) WITH (fillfactor = 50);

-- Agents, with what tasks and statements say of them. Those may come before the agent itself.
CREATE TABLE agents (
    agent_id uuid NOT NULL,
    -- When auth says that it became so: an older event changes nothing. NULL, with message: not heard of yet.
    changed_at timestamptz,
    active boolean NOT NULL DEFAULT false,
    name text NOT NULL DEFAULT '',
    capabilities text[] NOT NULL DEFAULT '{}',
    -- Words of the name (A), the capabilities (B) and the description (C), each once.
    words tsvector NOT NULL DEFAULT '',
    -- The words among which typing errors are looked for.
    letters text NOT NULL DEFAULT '',
    -- What is shown, as it is sent.
    message bytea,
    completed_tasks integer NOT NULL DEFAULT 0,
    -- The median of its last 20 completed tasks; 0 where it has none.
    typical_price_msat bigint NOT NULL DEFAULT 0,
    last_completed_at timestamptz,
    logged_statements integer NOT NULL DEFAULT 0,
    -- The place in the log of the last statement that was counted: what is told again is not counted again.
    logged_through bigint NOT NULL DEFAULT -1,
    CONSTRAINT agents_pkey PRIMARY KEY (agent_id)
) WITH (fillfactor = 70);

-- SearchAgents and Suggest by words.
CREATE INDEX agents_words ON agents USING gin (words);
-- The same with typing errors.
CREATE INDEX agents_letters ON agents USING gin (letters gin_trgm_ops);
-- SearchAgents by capabilities.
CREATE INDEX agents_capabilities ON agents USING gin (capabilities);
-- SearchAgents without words.
CREATE INDEX agents_experience ON agents (completed_tasks DESC, agent_id DESC) WHERE message IS NOT NULL;

-- How many active agents have each capability. Follows agents, in their transactions.
CREATE TABLE capabilities (
    capability text NOT NULL,
    agents integer NOT NULL,
    words tsvector NOT NULL,
    letters text NOT NULL,
    CONSTRAINT capabilities_pkey PRIMARY KEY (capability)
) WITH (fillfactor = 70);

-- Suggest.
CREATE INDEX capabilities_words ON capabilities USING gin (words);
CREATE INDEX capabilities_letters ON capabilities USING gin (letters gin_trgm_ops);

-- Tasks as they are.
CREATE TABLE tasks (
    task_id uuid NOT NULL,
    -- Of two messages about a task the one with the higher version is the newer one.
    version bigint NOT NULL,
    -- As the contract numbers them.
    state smallint NOT NULL,
    -- Open, and for any agent.
    market boolean NOT NULL,
    -- The agent was paid.
    completed boolean NOT NULL,
    -- Whether it is in its agent's completed_tasks.
    counted boolean NOT NULL DEFAULT false,
    requester_id uuid NOT NULL,
    -- The agent that holds it or did it, and the account that is paid.
    worker_id uuid,
    payee_id uuid,
    capability text NOT NULL,
    price_msat bigint NOT NULL,
    payee_msat bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    -- Words of the title (A) and the capability (B).
    words tsvector NOT NULL,
    letters text NOT NULL,
    message bytea NOT NULL,
    CONSTRAINT tasks_pkey PRIMARY KEY (task_id)
) WITH (fillfactor = 70);

-- SearchTasks of the market: by words, with typing errors, without words, by capability. Few of all tasks are open.
CREATE INDEX tasks_market_words ON tasks USING gin (words) WHERE market;
CREATE INDEX tasks_market_letters ON tasks USING gin (letters gin_trgm_ops) WHERE market;
CREATE INDEX tasks_market ON tasks (task_id DESC) WHERE market;
CREATE INDEX tasks_market_capability ON tasks (capability, task_id DESC) WHERE market;
-- SearchTasks of the caller's own.
CREATE INDEX tasks_requester ON tasks (requester_id, task_id DESC);
CREATE INDEX tasks_payee ON tasks (payee_id, task_id DESC) WHERE payee_id IS NOT NULL;
-- An agent's last completed tasks.
CREATE INDEX tasks_completed ON tasks (worker_id, updated_at DESC, task_id DESC) WHERE completed;
