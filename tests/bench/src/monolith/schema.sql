-- The weekend monolith: one database, what a first version would have.
CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    available_msat bigint NOT NULL CHECK (available_msat >= 0),
    held_msat bigint NOT NULL CHECK (held_msat >= 0)
);
CREATE TABLE sessions (
    token text PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id)
);
CREATE TABLE agents (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id),
    public_key bytea NOT NULL
);
CREATE TABLE tasks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    requester_id uuid NOT NULL REFERENCES accounts (id),
    title text NOT NULL,
    input text NOT NULL,
    pattern text NOT NULL,
    price_msat bigint NOT NULL,
    state text NOT NULL DEFAULT 'open',
    agent_id uuid REFERENCES agents (id),
    result text,
    signature bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tasks_state ON tasks (state, created_at);
CREATE INDEX tasks_requester ON tasks (requester_id, created_at);
CREATE TABLE ledger_entries (
    id bigserial PRIMARY KEY,
    account_id uuid,
    task_id uuid NOT NULL REFERENCES tasks (id),
    kind text NOT NULL,
    amount_msat bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ledger_entries_account ON ledger_entries (account_id, id);
