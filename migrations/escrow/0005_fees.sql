-- What the platform takes of a release, from a moment on. Append-only, but for a fee that has not begun.
CREATE TABLE fee_schedules (
    -- Whose fee. The nil id: everybody who has none of his own.
    account_id uuid NOT NULL,
    starts_at timestamptz NOT NULL,
    -- In 1/10,000. NULL ends an account's own fee: everybody's holds again.
    basis_points integer,
    -- When it was set, or last replaced.
    set_at timestamptz NOT NULL,
    -- One fee of an account at a moment: it holds until the next one starts. Also the page of the list, and the look-up of
    -- what holds for one account.
    CONSTRAINT fee_schedules_pkey PRIMARY KEY (account_id, starts_at),
    CONSTRAINT fee_schedules_basis_points_range CHECK (basis_points BETWEEN 0 AND 10000),
    -- Nobody could say what holds when everybody's fee has ended.
    CONSTRAINT fee_schedules_everybody_has_one CHECK (
        account_id <> '00000000-0000-0000-0000-000000000000' OR basis_points IS NOT NULL),
    -- What was in force at a moment stays so: terms that name it may be signed.
    CONSTRAINT fee_schedules_never_backdated CHECK (starts_at >= set_at)
);
