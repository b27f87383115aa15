-- :count copies of one complete chain. They stand at negative places of the log, outside of the tree, which has no gaps and
-- stays as it is: what is measured are the indexes that an append looks into.
CREATE FUNCTION pg_temp.past(number bigint, kind integer) RETURNS uuid IMMUTABLE LANGUAGE sql
    AS $$ SELECT (lpad(to_hex(1700000000000 + number), 12, '0') || '7' || substr(md5(number::text || '.' || kind::text), 1, 19))::uuid $$;
CREATE TEMPORARY TABLE pattern AS SELECT task_id FROM chains WHERE length = 6 ORDER BY task_id DESC LIMIT 1;
CREATE TEMPORARY TABLE numbers AS
    SELECT n + (SELECT count(*) FROM chains) AS n FROM generate_series(1, :count) n;
INSERT INTO chains
    SELECT past.* FROM numbers, chains t,
        LATERAL (SELECT (jsonb_populate_record(t, jsonb_build_object('task_id', pg_temp.past(n, 1)))).*) past
    WHERE t.task_id = (SELECT task_id FROM pattern);
ALTER TABLE statements DROP CONSTRAINT IF EXISTS statements_log_index_range;
INSERT INTO statements
    SELECT past.* FROM numbers, statements t, LATERAL (SELECT (jsonb_populate_record(t, jsonb_build_object(
        'task_id', pg_temp.past(n, 1), 'id', pg_temp.past(n, 30 + t.sequence),
        'log_index', -1000000000 + n * 8 + t.sequence))).*) past
    WHERE t.task_id = (SELECT task_id FROM pattern);
DROP TABLE pattern, numbers;
