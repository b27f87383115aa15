-- What the node says it has received and sent, held against what the journal says, hash by hash.

-- How far the node's lists and the journal have been read. One row, changed by whoever reads on.
CREATE TABLE reconciliation (
    only_row boolean NOT NULL DEFAULT true,
    -- The node that the ledger is held against; NULL: the one that answers next is taken. Another one's word counts for
    -- nothing.
    node_id bytea,
    -- Whether the node was taken and its lists have not been read to their end yet: what it did before is not ours.
    adopting boolean NOT NULL,
    -- Where its lists ended when it was taken: what the ledger does not know up to there was somebody else's.
    invoices_baseline bigint NOT NULL,
    payments_baseline bigint NOT NULL,
    -- The place of the last invoice and the last payment that was read. What had not ended by then waits in
    -- reconciliation_waiting.
    invoices_place bigint NOT NULL,
    payments_place bigint NOT NULL,
    -- The last posting of the account `lightning` that was read, and the sum of those so far, as what came in.
    ledger_sequence bigint NOT NULL,
    ledger_msat bigint NOT NULL,
    -- Counts the times that everything was read from the beginning.
    pass bigint NOT NULL,
    -- Whether such a pass is under way: what it does not find again is no longer there.
    full_under_way boolean NOT NULL,
    -- When everything was last read from the beginning to the end; NULL before the first time.
    full_at timestamptz,
    CONSTRAINT reconciliation_pkey PRIMARY KEY (only_row),
    CONSTRAINT reconciliation_is_one CHECK (only_row),
    CONSTRAINT reconciliation_node_length CHECK (octet_length(node_id) = 33),
    CONSTRAINT reconciliation_counts CHECK (
        invoices_baseline >= 0 AND payments_baseline >= 0 AND invoices_place >= 0 AND payments_place >= 0
        AND ledger_sequence >= 0 AND pass >= 0)
);

INSERT INTO reconciliation (adopting, invoices_baseline, payments_baseline, invoices_place, payments_place,
                            ledger_sequence, ledger_msat, pass, full_under_way)
VALUES (true, 0, 0, 0, 0, 0, 0, 0, false);

-- What came in or went out under one payment hash: what the node says, beside what the journal says.
CREATE TABLE reconciliation_flows (
    direction text NOT NULL,
    payment_hash bytea NOT NULL,
    -- The node that says so. NULL where none does.
    node_id bytea,
    -- What arrived, or what was sent with its fee; NULL where the node knows of nothing.
    node_msat bigint,
    -- Where the node lists it. More than one place: it was paid more than once.
    node_places bigint[] NOT NULL,
    -- The pass in which the node last showed it.
    node_pass bigint NOT NULL,
    -- What was booked on the account `lightning`; NULL where nothing was.
    ledger_msat bigint,
    -- The place of that posting in the account's journal, and the pass in which it was last read.
    ledger_sequence bigint NOT NULL,
    ledger_pass bigint NOT NULL,
    -- At how many looks in a row the two differed, and since when: what has just arrived is about to be booked.
    looks integer NOT NULL,
    first_look_at timestamptz,
    -- Set by an operator who knows why the two differ: then it is no difference any more.
    explained text,
    -- The upsert of both sides.
    CONSTRAINT reconciliation_flows_pkey PRIMARY KEY (direction, payment_hash),
    CONSTRAINT reconciliation_flows_direction_known CHECK (direction IN ('in', 'out')),
    CONSTRAINT reconciliation_flows_byte_lengths CHECK (
        octet_length(payment_hash) = 32 AND octet_length(node_id) = 33),
    CONSTRAINT reconciliation_flows_places CHECK ((node_msat IS NULL) = (cardinality(node_places) = 0)),
    CONSTRAINT reconciliation_flows_amounts CHECK (node_msat >= 0 AND ledger_msat >= 0)
);

-- Every round: what differs.
CREATE INDEX reconciliation_flows_open ON reconciliation_flows (direction, payment_hash)
    WHERE node_msat IS DISTINCT FROM ledger_msat AND explained IS NULL;

-- Invoices and payments of the node that had not ended when they were read: read again in every round.
CREATE TABLE reconciliation_waiting (
    list text NOT NULL,
    place bigint NOT NULL,
    payment_hash bytea NOT NULL,
    -- Read in the order of the places.
    CONSTRAINT reconciliation_waiting_pkey PRIMARY KEY (list, place),
    CONSTRAINT reconciliation_waiting_list_known CHECK (list IN ('invoices', 'payments')),
    CONSTRAINT reconciliation_waiting_hash_length CHECK (octet_length(payment_hash) = 32)
);
