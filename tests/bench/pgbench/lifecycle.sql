-- B1: the statements of one lifecycle, one command a transaction, as the services execute them. All services' tables are in
-- one database, a schema for each service. Written by hand from what PostgreSQL logged of a lifecycle; constants stand where
-- a value does not matter, and bodies have the bytes of a real task. What attestation and escrow gather into batches is
-- here a batch of one.
\set n :n + 1
\set id :base + :n * 1000 + :client_id
\set r random(1, 64)
\set w random(1, 64)

-- task, CreateTask: the offer
BEGIN;
INSERT INTO task.idempotency_records (principal, method, request_id, fingerprint, created_at, response, keep)
    VALUES (uid(101, :r), 'poa.task.v1.TaskService/CreateTask', uid(11, :id), sha256('x'), now(), '\x01a2036da1b47724a3a325d1620166d8', true)
    ON CONFLICT DO NOTHING;
INSERT INTO task.tasks (task_id, requester_id, title, capability, price_msat, fee_msat, payee_msat, policy, direct_agent_id,
        escrow_id, open_us, work_us, review_us, lease_us, terms, terms_digest, input_media_type, input_sha256, input_size,
        input_body, input_uri, created_at)
    VALUES (uid(1, :id), uid(101, :r), 'Repeat what I say', 'bench.echo', 100000, 5000, 95000, 1, NULL, uid(2, :id),
        86400000000, 3600000000, 86400000000, 60000000, :terms, sha256('t'), 'text/plain', sha256('i'), 1024, :input, NULL, now());
INSERT INTO task.task_status (task_id, version, state, claim_number, submissions, note, payer_token, token_expires_at, held,
        updated_at)
    VALUES (uid(1, :id), 1, 1, 0, 0, '', :token, now(), false, now());
INSERT INTO task.statements (task_id, seq, kind, digest, body, envelope, account_id, request_id)
    VALUES (uid(1, :id), 1, 1, sha256('s1'), :terms, NULL, uid(101, :r), uid(11, :id));
INSERT INTO task.sagas (task_id, due_us) VALUES (uid(1, :id), 18594112);
INSERT INTO task.events_pending (id, topic, subject, kind, payload, occurred_at)
    SELECT id, topic, subject, kind, payload, occurred_at FROM unnest(ARRAY[uid(21, :id)], ARRAY['tasks'],
        ARRAY[uid(1, :id)], ARRAY['FUNDING'], ARRAY[:change::bytea], ARRAY[now()])
        WITH ORDINALITY AS given (id, topic, subject, kind, payload, occurred_at, place) ORDER BY place;
COMMIT;

-- escrow, HoldFunds
BEGIN;
SELECT id, task_id, state, payer_id, payee_id, amount_msat, fee_msat, payee_msat, fee_basis_points, terms_digest,
    hold_transfer, end_transfer, created_at, ended_at FROM escrow.escrows WHERE id = ANY(ARRAY[uid(2, :id)]) ORDER BY id FOR UPDATE;
SELECT id AS account, available_msat AS available, held_msat AS held, entries FROM escrow.accounts
    WHERE id = ANY(ARRAY[uid(101, :r)]) ORDER BY id FOR UPDATE \gset
WITH moved AS (
    INSERT INTO escrow.transfers (id, kind, subject, created_at)
    SELECT * FROM unnest(ARRAY[uid(3, :id)], ARRAY['hold'], ARRAY[uid(2, :id)], ARRAY[now()])
), posted AS (
    INSERT INTO escrow.postings (account_id, sequence, transfer_id, available_msat, held_msat)
    SELECT * FROM unnest(ARRAY[uid(101, :r)], ARRAY[:entries::bigint + 1], ARRAY[uid(3, :id)], ARRAY[-100000::bigint], ARRAY[100000::bigint])
)
UPDATE escrow.accounts SET available_msat = given.available, held_msat = given.held, entries = given.entries
    FROM unnest(ARRAY[uid(101, :r)], ARRAY[:available::bigint - 100000], ARRAY[:held::bigint + 100000], ARRAY[:entries::bigint + 1]) AS given (id, available, held, entries) WHERE accounts.id = given.id;
INSERT INTO escrow.escrows (id, task_id, state, payer_id, payee_id, amount_msat, fee_msat, payee_msat, fee_basis_points,
        terms_digest, hold_transfer, end_transfer, created_at, ended_at)
    SELECT * FROM unnest(ARRAY[uid(2, :id)], ARRAY[uid(1, :id)], ARRAY['held'], ARRAY[uid(101, :r)], ARRAY[NULL::uuid],
        ARRAY[100000::bigint], ARRAY[5000::bigint], ARRAY[95000::bigint], ARRAY[500], ARRAY[sha256('t')], ARRAY[uid(3, :id)],
        ARRAY[NULL::uuid], ARRAY[now()], ARRAY[NULL::timestamptz]) ON CONFLICT (id) DO NOTHING;
INSERT INTO escrow.mandates (escrow_id, terms, policy, direct_agent_id)
    SELECT * FROM unnest(ARRAY[uid(2, :id)], ARRAY[:terms::bytea], ARRAY['on_attestation'], ARRAY[NULL::uuid]);
COMMIT;

-- attestation, AppendStatement(TermsOffered)
BEGIN;
SELECT next_index FROM attestation.log_head FOR UPDATE \gset
SELECT task_id, length, last_digest, requester_account_id, payee_account_id FROM attestation.chains WHERE task_id = ANY(ARRAY[uid(1, :id)]);
INSERT INTO attestation.statements (log_index, id, task_id, sequence, kind, digest, envelope, created_at)
    SELECT * FROM unnest(ARRAY[:next_index::bigint + 0], ARRAY[uid(30, :id)],
        ARRAY[uid(1, :id)], ARRAY[0], ARRAY[1::smallint],
        ARRAY[sha256('s0')], ARRAY[:offered::bytea], ARRAY[now()]);
INSERT INTO attestation.log_entries (log_index, entry)
    SELECT * FROM unnest(ARRAY[:next_index::bigint + 0], ARRAY['\x01'::bytea || sha256('l') || sha256('m') || sha256('n') || '\x000000'::bytea]);
INSERT INTO attestation.chains (task_id, length, last_digest, requester_account_id, payee_account_id)
    SELECT * FROM unnest(ARRAY[uid(1, :id)], ARRAY[1], ARRAY[sha256('s0')], ARRAY[uid(101, :r)], ARRAY[uid(102, :w)])
    ON CONFLICT (task_id) DO UPDATE SET length = excluded.length, last_digest = excluded.last_digest,
        payee_account_id = excluded.payee_account_id;
UPDATE attestation.log_head SET next_index = :next_index::bigint + 1;
COMMIT;

-- task: the offer is logged, the task opens
BEGIN;
SELECT t.task_id, t.requester_id, t.capability, t.price_msat, t.fee_msat, t.payee_msat, t.policy, t.direct_agent_id,
    t.escrow_id, t.open_us, t.work_us, t.review_us, t.lease_us, t.terms_digest, s.version, s.state, s.end_state, s.agent_id,
    s.account_id, s.claim_number, s.claim_lease_us, s.lease_due_us, s.work_due_us, s.acceptance_digest, s.submissions,
    s.open_due_us, s.review_due_us, s.resubmit_due_us, s.note, s.payer_token, s.token_expires_at, s.held, s.updated_at
    FROM task.task_status s JOIN task.tasks t USING (task_id) WHERE s.task_id = uid(1, :id) FOR NO KEY UPDATE OF s;
SELECT seq, kind, digest, account_id, request_id, envelope IS NULL AS pending,
    CASE WHEN envelope IS NULL OR lead(seq) OVER (ORDER BY seq) IS NULL THEN coalesce(envelope, body) END AS bytes
    FROM task.statements WHERE task_id = uid(1, :id) ORDER BY seq;
UPDATE task.task_status SET version = 2, state = 2, end_state = NULL, agent_id = NULL, account_id = NULL,
    claim_number = 0, claim_lease_us = NULL, lease_due_us = NULL, work_due_us = NULL, acceptance_digest = NULL,
    submissions = 0, open_due_us = 86417159484, review_due_us = NULL, resubmit_due_us = NULL, note = '',
    payer_token = NULL, token_expires_at = NULL, held = true, updated_at = now()
    WHERE task_id = uid(1, :id) AND version = 1;
UPDATE task.statements SET envelope = :offered, body = NULL WHERE task_id = uid(1, :id) AND seq = 1 AND envelope IS NULL;
INSERT INTO task.open_tasks (task_id, capability, payee_msat, direct_agent_id) VALUES (uid(1, :id), 'bench.echo', 95000, NULL);
UPDATE task.sagas SET due_us = 18627118, attempts = 0 WHERE task_id = uid(1, :id);
INSERT INTO task.events_pending (id, topic, subject, kind, payload, occurred_at)
    SELECT id, topic, subject, kind, payload, occurred_at FROM unnest(ARRAY[uid(22, :id)], ARRAY['tasks'],
        ARRAY[uid(1, :id)], ARRAY['OPEN'], ARRAY[:change::bytea], ARRAY[now()])
        WITH ORDINALITY AS given (id, topic, subject, kind, payload, occurred_at, place) ORDER BY place;
COMMIT;
-- the answer
SELECT t.task_id, t.requester_id, t.title, t.capability, t.price_msat, t.fee_msat, t.payee_msat, t.policy,
    t.direct_agent_id, t.escrow_id, t.terms, t.created_at, t.input_media_type, t.input_sha256, t.input_size, NULL::bytea,
    s.*, r.media_type, r.sha256, r.size,
    EXISTS (SELECT FROM task.statements p WHERE p.task_id = t.task_id AND p.envelope IS NULL) AS pending
    FROM task.tasks t JOIN task.task_status s USING (task_id)
    LEFT JOIN task.results r ON r.task_id = t.task_id AND r.submission = s.submissions
    WHERE t.task_id = uid(1, :id);

-- task, ClaimTask
BEGIN;
INSERT INTO task.idempotency_records (principal, method, request_id, fingerprint, created_at, response, keep)
    VALUES (uid(102, :w), 'poa.task.v1.TaskService/ClaimTask', uid(12, :id), sha256('x'), now(), '\x01a2036da1b47724a3a325d1620166d8', true)
    ON CONFLICT DO NOTHING;
SELECT t.task_id, t.requester_id, t.capability, t.price_msat, t.fee_msat, t.payee_msat, t.policy, t.direct_agent_id,
    t.escrow_id, t.open_us, t.work_us, t.review_us, t.lease_us, t.terms_digest, s.version, s.state, s.end_state, s.agent_id,
    s.account_id, s.claim_number, s.claim_lease_us, s.lease_due_us, s.work_due_us, s.acceptance_digest, s.submissions,
    s.open_due_us, s.review_due_us, s.resubmit_due_us, s.note, s.payer_token, s.token_expires_at, s.held, s.updated_at
    FROM task.task_status s JOIN task.tasks t USING (task_id) WHERE s.task_id = uid(1, :id) FOR NO KEY UPDATE OF s;
SELECT seq, kind, digest, account_id, request_id, envelope IS NULL AS pending,
    CASE WHEN envelope IS NULL OR lead(seq) OVER (ORDER BY seq) IS NULL THEN coalesce(envelope, body) END AS bytes
    FROM task.statements WHERE task_id = uid(1, :id) ORDER BY seq;
SELECT terms FROM task.tasks WHERE task_id = uid(1, :id);
SELECT reserved_agent_id, reserved_due_us FROM task.open_tasks WHERE task_id = uid(1, :id) FOR NO KEY UPDATE;
UPDATE task.task_status SET version = 3, state = 3, end_state = NULL, agent_id = uid(103, :w), account_id = uid(102, :w),
    claim_number = 1, claim_lease_us = 60000000, lease_due_us = 77212907, work_due_us = 3617212907, acceptance_digest = sha256('a'),
    submissions = 0, open_due_us = 86417159484, review_due_us = NULL, resubmit_due_us = NULL, note = '',
    payer_token = NULL, token_expires_at = NULL, held = true, updated_at = now()
    WHERE task_id = uid(1, :id) AND version = 2;
INSERT INTO task.statements (task_id, seq, kind, digest, body, envelope, account_id, request_id)
    VALUES (uid(1, :id), 2, 2, sha256('s2'), :accepted, NULL, uid(102, :w), uid(12, :id));
DELETE FROM task.open_tasks WHERE task_id = uid(1, :id);
UPDATE task.sagas SET due_us = 18627118, attempts = 0 WHERE task_id = uid(1, :id);
INSERT INTO task.events_pending (id, topic, subject, kind, payload, occurred_at)
    SELECT id, topic, subject, kind, payload, occurred_at FROM unnest(ARRAY[uid(23, :id)], ARRAY['tasks'],
        ARRAY[uid(1, :id)], ARRAY['CLAIMED'], ARRAY[:change::bytea], ARRAY[now()])
        WITH ORDINALITY AS given (id, topic, subject, kind, payload, occurred_at, place) ORDER BY place;
COMMIT;

-- attestation, AppendStatement(TermsAccepted)
BEGIN;
SELECT next_index FROM attestation.log_head FOR UPDATE \gset
SELECT task_id, length, last_digest, requester_account_id, payee_account_id FROM attestation.chains WHERE task_id = ANY(ARRAY[uid(1, :id)]);
SELECT s.log_index, s.id, s.task_id, s.sequence, s.kind, s.digest, s.envelope, s.created_at
    FROM unnest(ARRAY[uid(1, :id)], ARRAY[sha256('s1')]) AS wanted (task_id, digest)
    JOIN attestation.statements s ON s.task_id = wanted.task_id AND s.digest = wanted.digest;
INSERT INTO attestation.statements (log_index, id, task_id, sequence, kind, digest, envelope, created_at)
    SELECT * FROM unnest(ARRAY[:next_index::bigint + 0], ARRAY[uid(31, :id)],
        ARRAY[uid(1, :id)], ARRAY[1], ARRAY[2::smallint],
        ARRAY[sha256('s1')], ARRAY[:accepted::bytea], ARRAY[now()]);
INSERT INTO attestation.log_entries (log_index, entry)
    SELECT * FROM unnest(ARRAY[:next_index::bigint + 0], ARRAY['\x01'::bytea || sha256('l') || sha256('m') || sha256('n') || '\x000000'::bytea]);
INSERT INTO attestation.chains (task_id, length, last_digest, requester_account_id, payee_account_id)
    SELECT * FROM unnest(ARRAY[uid(1, :id)], ARRAY[2], ARRAY[sha256('s1')], ARRAY[uid(101, :r)], ARRAY[uid(102, :w)])
    ON CONFLICT (task_id) DO UPDATE SET length = excluded.length, last_digest = excluded.last_digest,
        payee_account_id = excluded.payee_account_id;
UPDATE attestation.log_head SET next_index = :next_index::bigint + 1;
COMMIT;

-- task: the acceptance is logged
BEGIN;
SELECT t.task_id, t.requester_id, t.capability, t.price_msat, t.fee_msat, t.payee_msat, t.policy, t.direct_agent_id,
    t.escrow_id, t.open_us, t.work_us, t.review_us, t.lease_us, t.terms_digest, s.version, s.state, s.end_state, s.agent_id,
    s.account_id, s.claim_number, s.claim_lease_us, s.lease_due_us, s.work_due_us, s.acceptance_digest, s.submissions,
    s.open_due_us, s.review_due_us, s.resubmit_due_us, s.note, s.payer_token, s.token_expires_at, s.held, s.updated_at
    FROM task.task_status s JOIN task.tasks t USING (task_id) WHERE s.task_id = uid(1, :id) FOR NO KEY UPDATE OF s;
SELECT seq, kind, digest, account_id, request_id, envelope IS NULL AS pending,
    CASE WHEN envelope IS NULL OR lead(seq) OVER (ORDER BY seq) IS NULL THEN coalesce(envelope, body) END AS bytes
    FROM task.statements WHERE task_id = uid(1, :id) ORDER BY seq;
UPDATE task.task_status SET version = 3, state = 3, end_state = NULL, agent_id = uid(103, :w), account_id = uid(102, :w),
    claim_number = 1, claim_lease_us = 60000000, lease_due_us = 77212907, work_due_us = 3617212907, acceptance_digest = sha256('a'),
    submissions = 0, open_due_us = 86417159484, review_due_us = NULL, resubmit_due_us = NULL, note = '',
    payer_token = NULL, token_expires_at = NULL, held = true, updated_at = now()
    WHERE task_id = uid(1, :id) AND version = 3;
UPDATE task.statements SET envelope = :accepted, body = NULL WHERE task_id = uid(1, :id) AND seq = 2 AND envelope IS NULL;
UPDATE task.sagas SET due_us = 18627118, attempts = 0 WHERE task_id = uid(1, :id);
COMMIT;
-- the answer, with the input
SELECT t.task_id, t.requester_id, t.title, t.capability, t.price_msat, t.fee_msat, t.payee_msat, t.policy,
    t.direct_agent_id, t.escrow_id, t.terms, t.created_at, t.input_media_type, t.input_sha256, t.input_size, t.input_body,
    s.*, r.media_type, r.sha256, r.size,
    EXISTS (SELECT FROM task.statements p WHERE p.task_id = t.task_id AND p.envelope IS NULL) AS pending
    FROM task.tasks t JOIN task.task_status s USING (task_id)
    LEFT JOIN task.results r ON r.task_id = t.task_id AND r.submission = s.submissions
    WHERE t.task_id = uid(1, :id);

-- task, SubmitResult: a replay? the claim?
SELECT response FROM task.idempotency_records WHERE principal = uid(102, :w) AND method = 'poa.task.v1.TaskService/SubmitResult'
    AND request_id = uid(13, :id);
SELECT t.task_id, t.requester_id, t.title, t.capability, t.price_msat, t.fee_msat, t.payee_msat, t.policy,
    t.direct_agent_id, t.escrow_id, t.terms, t.created_at, t.input_media_type, t.input_sha256, t.input_size, NULL::bytea,
    s.*, r.media_type, r.sha256, r.size,
    EXISTS (SELECT FROM task.statements p WHERE p.task_id = t.task_id AND p.envelope IS NULL) AS pending
    FROM task.tasks t JOIN task.task_status s USING (task_id)
    LEFT JOIN task.results r ON r.task_id = t.task_id AND r.submission = s.submissions
    WHERE t.task_id = uid(1, :id);
BEGIN;
INSERT INTO task.idempotency_records (principal, method, request_id, fingerprint, created_at, response, keep)
    VALUES (uid(102, :w), 'poa.task.v1.TaskService/SubmitResult', uid(13, :id), sha256('x'), now(), '\x01a2036da1b47724a3a325d1620166d8', true)
    ON CONFLICT DO NOTHING;
SELECT t.task_id, t.requester_id, t.capability, t.price_msat, t.fee_msat, t.payee_msat, t.policy, t.direct_agent_id,
    t.escrow_id, t.open_us, t.work_us, t.review_us, t.lease_us, t.terms_digest, s.version, s.state, s.end_state, s.agent_id,
    s.account_id, s.claim_number, s.claim_lease_us, s.lease_due_us, s.work_due_us, s.acceptance_digest, s.submissions,
    s.open_due_us, s.review_due_us, s.resubmit_due_us, s.note, s.payer_token, s.token_expires_at, s.held, s.updated_at
    FROM task.task_status s JOIN task.tasks t USING (task_id) WHERE s.task_id = uid(1, :id) FOR NO KEY UPDATE OF s;
SELECT seq, kind, digest, account_id, request_id, envelope IS NULL AS pending,
    CASE WHEN envelope IS NULL OR lead(seq) OVER (ORDER BY seq) IS NULL THEN coalesce(envelope, body) END AS bytes
    FROM task.statements WHERE task_id = uid(1, :id) ORDER BY seq;
UPDATE task.task_status SET version = 4, state = 4, end_state = NULL, agent_id = uid(103, :w), account_id = uid(102, :w),
    claim_number = 1, claim_lease_us = 60000000, lease_due_us = 77212907, work_due_us = 3617212907, acceptance_digest = sha256('a'),
    submissions = 1, open_due_us = 86417159484, review_due_us = NULL, resubmit_due_us = NULL, note = '',
    payer_token = NULL, token_expires_at = NULL, held = true, updated_at = now()
    WHERE task_id = uid(1, :id) AND version = 3;
INSERT INTO task.statements (task_id, seq, kind, digest, body, envelope, account_id, request_id)
    VALUES (uid(1, :id), 3, 3, sha256('s3'), :submitted, NULL, uid(102, :w), uid(13, :id));
INSERT INTO task.results (task_id, submission, media_type, sha256, size, body, uri, created_at)
    VALUES (uid(1, :id), 1, 'text/plain', sha256('r'), 256, :result, NULL, now());
UPDATE task.sagas SET due_us = 18627118, attempts = 0 WHERE task_id = uid(1, :id);
INSERT INTO task.events_pending (id, topic, subject, kind, payload, occurred_at)
    SELECT id, topic, subject, kind, payload, occurred_at FROM unnest(ARRAY[uid(24, :id)], ARRAY['tasks'],
        ARRAY[uid(1, :id)], ARRAY['SUBMITTED'], ARRAY[:change::bytea], ARRAY[now()])
        WITH ORDINALITY AS given (id, topic, subject, kind, payload, occurred_at, place) ORDER BY place;
COMMIT;

-- attestation, AppendStatement(WorkSubmitted), with WorkReceived
BEGIN;
SELECT next_index FROM attestation.log_head FOR UPDATE \gset
SELECT task_id, length, last_digest, requester_account_id, payee_account_id FROM attestation.chains WHERE task_id = ANY(ARRAY[uid(1, :id)]);
SELECT s.log_index, s.id, s.task_id, s.sequence, s.kind, s.digest, s.envelope, s.created_at
    FROM unnest(ARRAY[uid(1, :id)], ARRAY[sha256('s2')]) AS wanted (task_id, digest)
    JOIN attestation.statements s ON s.task_id = wanted.task_id AND s.digest = wanted.digest;
INSERT INTO attestation.statements (log_index, id, task_id, sequence, kind, digest, envelope, created_at)
    SELECT * FROM unnest(ARRAY[:next_index::bigint + 0, :next_index::bigint + 1], ARRAY[uid(32, :id), uid(33, :id)],
        ARRAY[uid(1, :id), uid(1, :id)], ARRAY[2, 3], ARRAY[3::smallint, 4::smallint],
        ARRAY[sha256('s2'), sha256('s3')], ARRAY[:submitted::bytea, :received::bytea], ARRAY[now(), now()]);
INSERT INTO attestation.log_entries (log_index, entry)
    SELECT * FROM unnest(ARRAY[:next_index::bigint + 0, :next_index::bigint + 1], ARRAY['\x01'::bytea || sha256('l') || sha256('m') || sha256('n') || '\x000000'::bytea, '\x01'::bytea || sha256('l') || sha256('m') || sha256('n') || '\x000000'::bytea]);
INSERT INTO attestation.chains (task_id, length, last_digest, requester_account_id, payee_account_id)
    SELECT * FROM unnest(ARRAY[uid(1, :id)], ARRAY[4], ARRAY[sha256('s2')], ARRAY[uid(101, :r)], ARRAY[uid(102, :w)])
    ON CONFLICT (task_id) DO UPDATE SET length = excluded.length, last_digest = excluded.last_digest,
        payee_account_id = excluded.payee_account_id;
UPDATE attestation.log_head SET next_index = :next_index::bigint + 2;
COMMIT;

-- task: the receipt is logged, the criteria hold
BEGIN;
SELECT t.task_id, t.requester_id, t.capability, t.price_msat, t.fee_msat, t.payee_msat, t.policy, t.direct_agent_id,
    t.escrow_id, t.open_us, t.work_us, t.review_us, t.lease_us, t.terms_digest, s.version, s.state, s.end_state, s.agent_id,
    s.account_id, s.claim_number, s.claim_lease_us, s.lease_due_us, s.work_due_us, s.acceptance_digest, s.submissions,
    s.open_due_us, s.review_due_us, s.resubmit_due_us, s.note, s.payer_token, s.token_expires_at, s.held, s.updated_at
    FROM task.task_status s JOIN task.tasks t USING (task_id) WHERE s.task_id = uid(1, :id) FOR NO KEY UPDATE OF s;
SELECT seq, kind, digest, account_id, request_id, envelope IS NULL AS pending,
    CASE WHEN envelope IS NULL OR lead(seq) OVER (ORDER BY seq) IS NULL THEN coalesce(envelope, body) END AS bytes
    FROM task.statements WHERE task_id = uid(1, :id) ORDER BY seq;
UPDATE task.task_status SET version = 5, state = 6, end_state = NULL, agent_id = uid(103, :w), account_id = uid(102, :w),
    claim_number = 1, claim_lease_us = 60000000, lease_due_us = 77212907, work_due_us = 3617212907, acceptance_digest = sha256('a'),
    submissions = 1, open_due_us = 86417159484, review_due_us = NULL, resubmit_due_us = NULL, note = '',
    payer_token = NULL, token_expires_at = NULL, held = true, updated_at = now()
    WHERE task_id = uid(1, :id) AND version = 4;
UPDATE task.statements SET envelope = :submitted, body = NULL WHERE task_id = uid(1, :id) AND seq = 3 AND envelope IS NULL;
INSERT INTO task.statements (task_id, seq, kind, digest, body, envelope, account_id, request_id)
    VALUES (uid(1, :id), 4, 4, sha256('s4'), NULL, :received, NULL, NULL);
INSERT INTO task.statements (task_id, seq, kind, digest, body, envelope, account_id, request_id)
    VALUES (uid(1, :id), 5, 5, sha256('s5'), :decision, NULL, NULL, NULL);
UPDATE task.sagas SET due_us = 18627118, attempts = 0 WHERE task_id = uid(1, :id);
INSERT INTO task.events_pending (id, topic, subject, kind, payload, occurred_at)
    SELECT id, topic, subject, kind, payload, occurred_at FROM unnest(ARRAY[uid(25, :id)], ARRAY['tasks'],
        ARRAY[uid(1, :id)], ARRAY['RELEASING'], ARRAY[:change::bytea], ARRAY[now()])
        WITH ORDINALITY AS given (id, topic, subject, kind, payload, occurred_at, place) ORDER BY place;
COMMIT;

-- attestation, AppendStatement(Decision)
BEGIN;
SELECT next_index FROM attestation.log_head FOR UPDATE \gset
SELECT task_id, length, last_digest, requester_account_id, payee_account_id FROM attestation.chains WHERE task_id = ANY(ARRAY[uid(1, :id)]);
SELECT s.log_index, s.id, s.task_id, s.sequence, s.kind, s.digest, s.envelope, s.created_at
    FROM unnest(ARRAY[uid(1, :id)], ARRAY[sha256('s4')]) AS wanted (task_id, digest)
    JOIN attestation.statements s ON s.task_id = wanted.task_id AND s.digest = wanted.digest;
INSERT INTO attestation.statements (log_index, id, task_id, sequence, kind, digest, envelope, created_at)
    SELECT * FROM unnest(ARRAY[:next_index::bigint + 0], ARRAY[uid(34, :id)],
        ARRAY[uid(1, :id)], ARRAY[4], ARRAY[5::smallint],
        ARRAY[sha256('s4')], ARRAY[:decision::bytea], ARRAY[now()]);
INSERT INTO attestation.log_entries (log_index, entry)
    SELECT * FROM unnest(ARRAY[:next_index::bigint + 0], ARRAY['\x01'::bytea || sha256('l') || sha256('m') || sha256('n') || '\x000000'::bytea]);
INSERT INTO attestation.chains (task_id, length, last_digest, requester_account_id, payee_account_id)
    SELECT * FROM unnest(ARRAY[uid(1, :id)], ARRAY[5], ARRAY[sha256('s4')], ARRAY[uid(101, :r)], ARRAY[uid(102, :w)])
    ON CONFLICT (task_id) DO UPDATE SET length = excluded.length, last_digest = excluded.last_digest,
        payee_account_id = excluded.payee_account_id;
UPDATE attestation.log_head SET next_index = :next_index::bigint + 1;
COMMIT;
-- the chain for escrow
SELECT seq, kind, digest, account_id, request_id, envelope IS NULL AS pending, coalesce(envelope, body) AS bytes
    FROM task.statements WHERE task_id = uid(1, :id) ORDER BY seq;

-- escrow, CaptureEscrow. The accounts of fees and clearing are everybody's: without batches this is a queue.
SELECT id, task_id, state, payer_id, payee_id, amount_msat, fee_msat, payee_msat, fee_basis_points, terms_digest,
    hold_transfer, end_transfer, created_at, ended_at FROM escrow.escrows WHERE id = uid(2, :id);
BEGIN;
SELECT id, task_id, state, payer_id, payee_id, amount_msat, fee_msat, payee_msat, fee_basis_points, terms_digest,
    hold_transfer, end_transfer, created_at, ended_at FROM escrow.escrows WHERE id = ANY(ARRAY[uid(2, :id)]) ORDER BY id FOR UPDATE;
WITH locked AS (
    SELECT id, available_msat, held_msat, entries FROM escrow.accounts
    WHERE id = ANY(ARRAY[uid(2, 0), uid(3, 0), uid(101, :r), uid(102, :w)]) ORDER BY id FOR UPDATE)
SELECT sum(entries) FILTER (WHERE id = uid(2, 0)) AS fee_entries, sum(available_msat) FILTER (WHERE id = uid(2, 0)) AS fee_available,
    sum(entries) FILTER (WHERE id = uid(3, 0)) AS clearing_entries,
    sum(entries) FILTER (WHERE id = uid(101, :r)) AS payer_entries, sum(available_msat) FILTER (WHERE id = uid(101, :r)) AS payer_available,
    sum(held_msat) FILTER (WHERE id = uid(101, :r)) AS payer_held,
    sum(entries) FILTER (WHERE id = uid(102, :w)) AS payee_entries, sum(available_msat) FILTER (WHERE id = uid(102, :w)) AS payee_available
    FROM locked \gset
WITH moved AS (
    INSERT INTO escrow.transfers (id, kind, subject, created_at)
    SELECT * FROM unnest(ARRAY[uid(4, :id), uid(5, :id)], ARRAY['capture', 'fee'], ARRAY[uid(2, :id), uid(2, :id)], ARRAY[now(), now()])
), posted AS (
    INSERT INTO escrow.postings (account_id, sequence, transfer_id, available_msat, held_msat)
    SELECT * FROM unnest(ARRAY[uid(101, :r), uid(3, 0), uid(3, 0), uid(102, :w), uid(3, 0), uid(2, 0)], ARRAY[:payer_entries::bigint + 1, :clearing_entries::bigint + 1, :clearing_entries::bigint + 2, :payee_entries::bigint + 1,
        :clearing_entries::bigint + 3, :fee_entries::bigint + 1], ARRAY[uid(4, :id), uid(4, :id), uid(4, :id), uid(4, :id), uid(5, :id), uid(5, :id)], ARRAY[0::bigint, 100000, -95000, 95000, -5000, 5000], ARRAY[-100000::bigint, 0, 0, 0, 0, 0])
)
UPDATE escrow.accounts SET available_msat = given.available, held_msat = given.held, entries = given.entries
    FROM unnest(ARRAY[uid(2, 0), uid(3, 0), uid(101, :r), uid(102, :w)], ARRAY[:fee_available::bigint + 5000, 0, :payer_available::bigint, :payee_available::bigint + 95000], ARRAY[0::bigint, 0, :payer_held::bigint - 100000, 0], ARRAY[:fee_entries::bigint + 1, :clearing_entries::bigint + 3, :payer_entries::bigint + 1, :payee_entries::bigint + 1]) AS given (id, available, held, entries) WHERE accounts.id = given.id;
UPDATE escrow.escrows SET state = given.state, payee_id = given.payee_id, end_transfer = given.end_transfer, ended_at = given.ended_at
    FROM unnest(ARRAY[uid(2, :id)], ARRAY['released'], ARRAY[uid(102, :w)], ARRAY[uid(4, :id)], ARRAY[now()])
        AS given (id, state, payee_id, end_transfer, ended_at)
    WHERE escrows.id = given.id AND escrows.state = 'held';
INSERT INTO escrow.releases (escrow_id, payee_id, agent_id, agent_key, terms_digest, output_digest, decision_digest, decision)
    SELECT * FROM unnest(ARRAY[uid(2, :id)], ARRAY[uid(102, :w)], ARRAY[uid(103, :w)],
        ARRAY['did' || chr(58) || 'key' || chr(58) || 'z6MkeUVtNtZx3n3aRbMAPRMpw1PGPjDj4wKg1CXMtmvZEjNx'], ARRAY[sha256('t')], ARRAY[sha256('r')],
        ARRAY[sha256('d')], ARRAY['criteria_met']);
COMMIT;

-- task: the agent is paid
BEGIN;
SELECT t.task_id, t.requester_id, t.capability, t.price_msat, t.fee_msat, t.payee_msat, t.policy, t.direct_agent_id,
    t.escrow_id, t.open_us, t.work_us, t.review_us, t.lease_us, t.terms_digest, s.version, s.state, s.end_state, s.agent_id,
    s.account_id, s.claim_number, s.claim_lease_us, s.lease_due_us, s.work_due_us, s.acceptance_digest, s.submissions,
    s.open_due_us, s.review_due_us, s.resubmit_due_us, s.note, s.payer_token, s.token_expires_at, s.held, s.updated_at
    FROM task.task_status s JOIN task.tasks t USING (task_id) WHERE s.task_id = uid(1, :id) FOR NO KEY UPDATE OF s;
SELECT seq, kind, digest, account_id, request_id, envelope IS NULL AS pending,
    CASE WHEN envelope IS NULL OR lead(seq) OVER (ORDER BY seq) IS NULL THEN coalesce(envelope, body) END AS bytes
    FROM task.statements WHERE task_id = uid(1, :id) ORDER BY seq;
UPDATE task.task_status SET version = 5, state = 6, end_state = NULL, agent_id = uid(103, :w), account_id = uid(102, :w),
    claim_number = 1, claim_lease_us = 60000000, lease_due_us = 77212907, work_due_us = 3617212907, acceptance_digest = sha256('a'),
    submissions = 1, open_due_us = 86417159484, review_due_us = NULL, resubmit_due_us = NULL, note = '',
    payer_token = NULL, token_expires_at = NULL, held = true, updated_at = now()
    WHERE task_id = uid(1, :id) AND version = 5;
UPDATE task.statements SET envelope = :decision, body = NULL WHERE task_id = uid(1, :id) AND seq = 5 AND envelope IS NULL;
INSERT INTO task.statements (task_id, seq, kind, digest, body, envelope, account_id, request_id)
    VALUES (uid(1, :id), 6, 6, sha256('s6'), :settlement, NULL, NULL, NULL);
UPDATE task.sagas SET due_us = 18627118, attempts = 0 WHERE task_id = uid(1, :id);
COMMIT;

-- attestation, AppendStatement(Settlement)
BEGIN;
SELECT next_index FROM attestation.log_head FOR UPDATE \gset
SELECT task_id, length, last_digest, requester_account_id, payee_account_id FROM attestation.chains WHERE task_id = ANY(ARRAY[uid(1, :id)]);
SELECT s.log_index, s.id, s.task_id, s.sequence, s.kind, s.digest, s.envelope, s.created_at
    FROM unnest(ARRAY[uid(1, :id)], ARRAY[sha256('s5')]) AS wanted (task_id, digest)
    JOIN attestation.statements s ON s.task_id = wanted.task_id AND s.digest = wanted.digest;
INSERT INTO attestation.statements (log_index, id, task_id, sequence, kind, digest, envelope, created_at)
    SELECT * FROM unnest(ARRAY[:next_index::bigint + 0], ARRAY[uid(35, :id)],
        ARRAY[uid(1, :id)], ARRAY[5], ARRAY[6::smallint],
        ARRAY[sha256('s5')], ARRAY[:settlement::bytea], ARRAY[now()]);
INSERT INTO attestation.log_entries (log_index, entry)
    SELECT * FROM unnest(ARRAY[:next_index::bigint + 0], ARRAY['\x01'::bytea || sha256('l') || sha256('m') || sha256('n') || '\x000000'::bytea]);
INSERT INTO attestation.chains (task_id, length, last_digest, requester_account_id, payee_account_id)
    SELECT * FROM unnest(ARRAY[uid(1, :id)], ARRAY[6], ARRAY[sha256('s5')], ARRAY[uid(101, :r)], ARRAY[uid(102, :w)])
    ON CONFLICT (task_id) DO UPDATE SET length = excluded.length, last_digest = excluded.last_digest,
        payee_account_id = excluded.payee_account_id;
UPDATE attestation.log_head SET next_index = :next_index::bigint + 1;
COMMIT;

-- task: the settlement is logged, the task is completed
BEGIN;
SELECT t.task_id, t.requester_id, t.capability, t.price_msat, t.fee_msat, t.payee_msat, t.policy, t.direct_agent_id,
    t.escrow_id, t.open_us, t.work_us, t.review_us, t.lease_us, t.terms_digest, s.version, s.state, s.end_state, s.agent_id,
    s.account_id, s.claim_number, s.claim_lease_us, s.lease_due_us, s.work_due_us, s.acceptance_digest, s.submissions,
    s.open_due_us, s.review_due_us, s.resubmit_due_us, s.note, s.payer_token, s.token_expires_at, s.held, s.updated_at
    FROM task.task_status s JOIN task.tasks t USING (task_id) WHERE s.task_id = uid(1, :id) FOR NO KEY UPDATE OF s;
SELECT seq, kind, digest, account_id, request_id, envelope IS NULL AS pending,
    CASE WHEN envelope IS NULL OR lead(seq) OVER (ORDER BY seq) IS NULL THEN coalesce(envelope, body) END AS bytes
    FROM task.statements WHERE task_id = uid(1, :id) ORDER BY seq;
UPDATE task.task_status SET version = 6, state = 7, end_state = NULL, agent_id = uid(103, :w), account_id = uid(102, :w),
    claim_number = 1, claim_lease_us = 60000000, lease_due_us = 77212907, work_due_us = 3617212907, acceptance_digest = sha256('a'),
    submissions = 1, open_due_us = 86417159484, review_due_us = NULL, resubmit_due_us = NULL, note = '',
    payer_token = NULL, token_expires_at = NULL, held = true, updated_at = now()
    WHERE task_id = uid(1, :id) AND version = 5;
UPDATE task.statements SET envelope = :settlement, body = NULL WHERE task_id = uid(1, :id) AND seq = 6 AND envelope IS NULL;
DELETE FROM task.sagas WHERE task_id = uid(1, :id);
INSERT INTO task.events_pending (id, topic, subject, kind, payload, occurred_at)
    SELECT id, topic, subject, kind, payload, occurred_at FROM unnest(ARRAY[uid(26, :id)], ARRAY['tasks'],
        ARRAY[uid(1, :id)], ARRAY['COMPLETED'], ARRAY[:change::bytea], ARRAY[now()])
        WITH ORDINALITY AS given (id, topic, subject, kind, payload, occurred_at, place) ORDER BY place;
COMMIT;
-- the answer
SELECT t.task_id, t.requester_id, t.title, t.capability, t.price_msat, t.fee_msat, t.payee_msat, t.policy,
    t.direct_agent_id, t.escrow_id, t.terms, t.created_at, t.input_media_type, t.input_sha256, t.input_size, NULL::bytea,
    s.*, r.media_type, r.sha256, r.size,
    EXISTS (SELECT FROM task.statements p WHERE p.task_id = t.task_id AND p.envelope IS NULL) AS pending
    FROM task.tasks t JOIN task.task_status s USING (task_id)
    LEFT JOIN task.results r ON r.task_id = t.task_id AND r.submission = s.submissions
    WHERE t.task_id = uid(1, :id);
