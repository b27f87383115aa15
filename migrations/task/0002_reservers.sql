-- Tasks that are set aside are counted by account, because an account may name as many agents as it likes.

-- NULL: set aside for nobody, or before this column was there.
ALTER TABLE open_tasks ADD COLUMN reserved_account_id uuid;

-- ClaimNextTask: what an account has set aside.
CREATE INDEX open_tasks_reserved ON open_tasks (reserved_account_id, reserved_due_us)
    WHERE reserved_account_id IS NOT NULL;

-- The accounts that ever called ClaimNextTask. A row is locked while its account's tasks are counted and one more is set
-- aside, so that calls at the same time do not exceed the limit together.
CREATE TABLE reservers (
    account_id uuid NOT NULL,
    CONSTRAINT reservers_pkey PRIMARY KEY (account_id)
) WITH (fillfactor = 50);
