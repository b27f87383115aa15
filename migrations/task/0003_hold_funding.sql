-- Tasks whose price the requester's own wallet locks, by a hold invoice.

-- Where the price comes from, by the contract's number: 1 the balance, 2 a hold invoice.
ALTER TABLE tasks ADD COLUMN funding smallint NOT NULL DEFAULT 1;
ALTER TABLE tasks ADD CONSTRAINT tasks_funding_known CHECK (funding IN (1, 2));

-- AWAITING_FUNDS.
ALTER TABLE task_status DROP CONSTRAINT task_status_state_known;
ALTER TABLE task_status ADD CONSTRAINT task_status_state_known CHECK (state BETWEEN 1 AND 11);

-- The hold invoice of a task, once escrow has made it. Written under the lock of the task's row in task_status.
CREATE TABLE hold_funding (
    task_id uuid NOT NULL,
    -- BOLT11, for the requester alone.
    invoice text NOT NULL,
    -- Until when it can be paid.
    expires_at timestamptz NOT NULL,
    -- What is locked, and the block heights at which the first part goes back and at which the platform decides: 0 until it
    -- is paid.
    paid_msat bigint NOT NULL,
    expiry_height bigint NOT NULL,
    guard_height bigint NOT NULL,
    -- Whether the chain has come to the guard height.
    guard_reached boolean NOT NULL,
    -- What became of what it locks: 1 locked or unpaid, 2 in the ledger, 3 given back, 4 lost.
    fate smallint NOT NULL,
    CONSTRAINT hold_funding_pkey PRIMARY KEY (task_id),
    CONSTRAINT hold_funding_fate_known CHECK (fate BETWEEN 1 AND 4),
    CONSTRAINT hold_funding_amounts CHECK (paid_msat >= 0 AND expiry_height >= 0 AND guard_height >= 0)
) WITH (fillfactor = 70);
