-- :count copies of one completed task, under other ids: first the time, a year ago and on, then what the service makes random.
CREATE FUNCTION pg_temp.past(number bigint, kind integer) RETURNS uuid IMMUTABLE LANGUAGE sql
    AS $$ SELECT (lpad(to_hex(1700000000000 + number), 12, '0') || '7' || substr(md5(number::text || '.' || kind::text), 1, 19))::uuid $$;
CREATE TEMPORARY TABLE pattern AS SELECT task_id FROM task_status WHERE state = 7 ORDER BY task_id DESC LIMIT 1;
CREATE TEMPORARY TABLE numbers AS
    SELECT n + (SELECT count(*) FROM tasks) AS n FROM generate_series(1, :count) n;
INSERT INTO tasks
    SELECT past.*
    FROM numbers, tasks t, LATERAL (SELECT (jsonb_populate_record(t, jsonb_build_object(
        'task_id', pg_temp.past(n, 1), 'escrow_id', pg_temp.past(n, 2)))).*) past
    WHERE t.task_id = (SELECT task_id FROM pattern);
INSERT INTO task_status
    SELECT past.* FROM numbers, task_status t,
        LATERAL (SELECT (jsonb_populate_record(t, jsonb_build_object('task_id', pg_temp.past(n, 1)))).*) past
    WHERE t.task_id = (SELECT task_id FROM pattern);
INSERT INTO results
    SELECT past.* FROM numbers, results t,
        LATERAL (SELECT (jsonb_populate_record(t, jsonb_build_object('task_id', pg_temp.past(n, 1)))).*) past
    WHERE t.task_id = (SELECT task_id FROM pattern);
INSERT INTO statements
    SELECT past.* FROM numbers, statements t,
        LATERAL (SELECT (jsonb_populate_record(t, jsonb_build_object('task_id', pg_temp.past(n, 1)))).*) past
    WHERE t.task_id = (SELECT task_id FROM pattern);
INSERT INTO idempotency_records (principal, method, request_id, fingerprint, response, keep, created_at)
    SELECT principal, method, pg_temp.past(n, 10 + length(method)), fingerprint, response, keep, created_at
    FROM numbers, (SELECT DISTINCT ON (method) * FROM idempotency_records) one;
DROP TABLE pattern, numbers;
