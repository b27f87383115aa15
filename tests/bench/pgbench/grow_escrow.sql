-- :count copies of one released escrow with its mandate, its release and its transfers. The postings are copied as the first
-- rows of accounts that nobody has: an account's own journal has no gaps, and stays as it is.
CREATE FUNCTION pg_temp.past(number bigint, kind integer) RETURNS uuid IMMUTABLE LANGUAGE sql
    AS $$ SELECT (lpad(to_hex(1700000000000 + number), 12, '0') || '7' || substr(md5(number::text || '.' || kind::text), 1, 19))::uuid $$;
CREATE TEMPORARY TABLE pattern AS SELECT * FROM escrows WHERE state = 'released' ORDER BY id DESC LIMIT 1;
CREATE TEMPORARY TABLE numbers AS
    SELECT n + (SELECT count(*) FROM escrows) AS n FROM generate_series(1, :count) n;
INSERT INTO transfers (id, kind, subject, created_at)
    SELECT pg_temp.past(n, 2 + length(t.kind)), t.kind, pg_temp.past(n, 2), t.created_at
    FROM numbers, transfers t WHERE t.subject = (SELECT id FROM pattern);
INSERT INTO accounts (id, kind, available_msat, held_msat, entries)
    SELECT pg_temp.past(n, 100), 'user', 0, 0, 2 FROM numbers;
INSERT INTO postings (account_id, sequence, transfer_id, available_msat, held_msat)
    SELECT pg_temp.past(n, 100), 1, pg_temp.past(n, 2 + length('hold')), -100000, 100000 FROM numbers
    UNION ALL
    SELECT pg_temp.past(n, 100), 2, pg_temp.past(n, 2 + length('capture')), 100000, -100000 FROM numbers;
INSERT INTO escrows
    SELECT past.* FROM numbers, escrows t, LATERAL (SELECT (jsonb_populate_record(t, jsonb_build_object(
        'id', pg_temp.past(n, 2), 'task_id', pg_temp.past(n, 1), 'hold_transfer', pg_temp.past(n, 2 + length('hold')),
        'end_transfer', pg_temp.past(n, 2 + length('capture'))))).*) past
    WHERE t.id = (SELECT id FROM pattern);
INSERT INTO mandates
    SELECT past.* FROM numbers, mandates t,
        LATERAL (SELECT (jsonb_populate_record(t, jsonb_build_object('escrow_id', pg_temp.past(n, 2)))).*) past
    WHERE t.escrow_id = (SELECT id FROM pattern);
INSERT INTO releases
    SELECT past.* FROM numbers, releases t,
        LATERAL (SELECT (jsonb_populate_record(t, jsonb_build_object('escrow_id', pg_temp.past(n, 2)))).*) past
    WHERE t.escrow_id = (SELECT id FROM pattern);
DROP TABLE pattern, numbers;
