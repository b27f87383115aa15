-- Accounts, their sessions and API keys, and the agents that they own.

-- Who signs in, owns a balance and is paid.
CREATE TABLE accounts (
    id uuid NOT NULL,
    -- The name to sign in with. Collation C: the CHECK below means bytes, on every server.
    username text COLLATE "C" NOT NULL,
    display_name text NOT NULL,
    -- A PHC string: argon2id with its parameters and salt.
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT accounts_pkey PRIMARY KEY (id),
    -- Also the index that sign-in reads by.
    CONSTRAINT accounts_username_unique UNIQUE (username),
    -- Two names that differ only in case or in an invisible character could pass for each other.
    CONSTRAINT accounts_username_form CHECK (username ~ '^[a-z0-9_-]{3,32}$'),
    CONSTRAINT accounts_password_hash_form CHECK (password_hash LIKE '$argon2id$%')
);

-- One sign-in: a family of refresh tokens.
CREATE TABLE sessions (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    -- The newest refresh token; 0 is the one that sign-in gave.
    generation integer NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- Set by a sign-out, by the reuse of a spent token, or by too many newer sessions.
    revoked_at timestamptz,
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    CONSTRAINT sessions_generation_not_negative CHECK (generation >= 0),
    CONSTRAINT sessions_expire_after_they_begin CHECK (expires_at > created_at)
) WITH (fillfactor = 80);

-- The live sessions of an account, newest first: a new one ends those beyond the limit.
CREATE INDEX sessions_live ON sessions (account_id, created_at DESC, id DESC) WHERE revoked_at IS NULL;
-- The sweep: sessions past their end.
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- The newest refresh token of each session, and those spent within the last seconds, which a retry may present
-- again. Older ones are known by their derivation and need no row.
CREATE TABLE refresh_tokens (
    session_id uuid NOT NULL,
    generation integer NOT NULL,
    -- SHA-256 of the token's text; the text is derived anew, never stored.
    hash bytea NOT NULL,
    issued_at timestamptz NOT NULL,
    -- When it bought its successor.
    used_at timestamptz,
    CONSTRAINT refresh_tokens_pkey PRIMARY KEY (session_id, generation),
    CONSTRAINT refresh_tokens_session FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE,
    CONSTRAINT refresh_tokens_hash_length CHECK (octet_length(hash) = 32)
);

-- Keys for programs, bounded by scopes and, where given, to one agent.
CREATE TABLE api_keys (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    name text NOT NULL,
    scopes text[] NOT NULL,
    -- NULL: all agents of the account.
    agent_id uuid,
    -- SHA-256 of the secret's text; the secret is derived anew for a replayed request, never stored.
    secret_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    -- Also the index by which an exchange finds the key.
    CONSTRAINT api_keys_secret_unique UNIQUE (secret_hash),
    CONSTRAINT api_keys_secret_length CHECK (octet_length(secret_hash) = 32),
    -- A key without a scope could do nothing.
    CONSTRAINT api_keys_scopes_not_empty CHECK (cardinality(scopes) > 0)
);

-- An account's keys, newest first: the list, and the count for the limit.
CREATE INDEX api_keys_account_newest ON api_keys (account_id, id DESC);
-- The sweep: keys that ended long ago.
CREATE INDEX api_keys_end ON api_keys (LEAST(expires_at, revoked_at));

-- Who works, and the key that signs the work. Rows stay for ever: receipts name them.
CREATE TABLE agents (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    capabilities text[] NOT NULL,
    -- Ed25519.
    public_key bytea NOT NULL,
    created_at timestamptz NOT NULL,
    -- NULL while it works.
    retired_at timestamptz,
    CONSTRAINT agents_pkey PRIMARY KEY (id),
    CONSTRAINT agents_account FOREIGN KEY (account_id) REFERENCES accounts (id),
    -- For ever and over all accounts: a receipt's key names one agent.
    CONSTRAINT agents_public_key_unique UNIQUE (public_key),
    CONSTRAINT agents_public_key_length CHECK (octet_length(public_key) = 32)
);

-- An account's agents, newest first: the list, and the count for the limit.
CREATE INDEX agents_account_newest ON agents (account_id, id DESC);
