-- B2: the same writes, set-based: :k lifecycles in each transaction, as many as the writers of the mesh gathered on average. What
-- is read one by one in B1 is here one statement for all, so this is the ceiling of this schema on this machine.
\set n :n + 1
\set id :base + :n * 100000 + :client_id * 1000

-- task, CreateTask
BEGIN;
INSERT INTO task.idempotency_records (principal, method, request_id, fingerprint, response, keep, created_at)
    SELECT uid(101, 1 + (:id::bigint + g) % 64), 'poa.task.v1.TaskService/CreateTask', uid(11, :id::bigint + g), sha256('x'), '\x01a2036da1b47724a3a325d1620166d8', true, now() FROM generate_series(1, :k) g ON CONFLICT DO NOTHING;
INSERT INTO task.tasks (task_id, requester_id, title, capability, price_msat, fee_msat, payee_msat, policy, direct_agent_id,
        escrow_id, open_us, work_us, review_us, lease_us, terms, terms_digest, input_media_type, input_sha256, input_size,
        input_body, input_uri, created_at)
    SELECT uid(1, :id::bigint + g), uid(101, 1 + (:id::bigint + g) % 64), 'Repeat what I say', 'bench.echo', 100000, 5000, 95000, 1, NULL, uid(2, :id::bigint + g), 86400000000,
        3600000000, 86400000000, 60000000, :terms::bytea, sha256('t'), 'text/plain', sha256('i'), 1024, :input::bytea, NULL, now() FROM generate_series(1, :k) g;
INSERT INTO task.task_status (task_id, version, state, claim_number, submissions, note, payer_token, token_expires_at, held, updated_at)
    SELECT uid(1, :id::bigint + g), 1, 1, 0, 0, '', :token::bytea, now(), false, now() FROM generate_series(1, :k) g;
INSERT INTO task.statements (task_id, seq, kind, digest, body, envelope, account_id, request_id)
    SELECT uid(1, :id::bigint + g), 1, 1, sha256('s1'), :terms::bytea, NULL, NULL, NULL FROM generate_series(1, :k) g;
INSERT INTO task.sagas (task_id, due_us) SELECT uid(1, :id::bigint + g), 18594112 FROM generate_series(1, :k) g;
INSERT INTO task.events_pending (id, topic, subject, kind, payload, occurred_at)
    SELECT uid(21, :id::bigint + g), 'tasks', uid(1, :id::bigint + g), 'FUNDING', :change::bytea, now() FROM generate_series(1, :k) g;
COMMIT;

-- escrow, HoldFunds
BEGIN;
SELECT id FROM escrow.escrows WHERE id = ANY(ARRAY(SELECT uid(2, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY id FOR UPDATE;
SELECT id, available_msat, held_msat, entries FROM escrow.accounts WHERE id = ANY(ARRAY(SELECT uid(101, 1 + (:id::bigint + g) % 64) FROM generate_series(1, :k) g)) ORDER BY id FOR UPDATE;
WITH lines AS (
    SELECT account, transfer, available, held, row_number() OVER (PARTITION BY account ORDER BY g, place) AS place
    FROM generate_series(1, :k) g CROSS JOIN LATERAL (VALUES
        (1, uid(101, 1 + (:id::bigint + g) % 64), uid(3, :id::bigint + g), -100000::bigint, 100000::bigint)) AS line (place, account, transfer, available, held)
), moved AS (
    INSERT INTO escrow.transfers (id, kind, subject, created_at)
    SELECT id, kind, uid(2, :id::bigint + g), now() FROM generate_series(1, :k) g CROSS JOIN LATERAL (VALUES (uid(3, :id::bigint + g), 'hold')) AS given (id, kind)
), posted AS (
    INSERT INTO escrow.postings (account_id, sequence, transfer_id, available_msat, held_msat)
    SELECT lines.account, accounts.entries + lines.place, transfer, available, held
    FROM lines JOIN escrow.accounts ON accounts.id = lines.account
)
UPDATE escrow.accounts SET available_msat = available_msat + given.available, held_msat = held_msat + given.held,
        entries = entries + given.count
    FROM (SELECT account, sum(available) AS available, sum(held) AS held, count(*) AS count FROM lines GROUP BY account) given
    WHERE accounts.id = given.account;
INSERT INTO escrow.escrows (id, task_id, state, payer_id, payee_id, amount_msat, fee_msat, payee_msat, fee_basis_points,
        terms_digest, hold_transfer, end_transfer, created_at, ended_at)
    SELECT uid(2, :id::bigint + g), uid(1, :id::bigint + g), 'held', uid(101, 1 + (:id::bigint + g) % 64), NULL, 100000, 5000, 95000, 500, sha256('t'), uid(3, :id::bigint + g), NULL, now(), NULL FROM generate_series(1, :k) g;
INSERT INTO escrow.mandates (escrow_id, terms, policy, direct_agent_id)
    SELECT uid(2, :id::bigint + g), :terms::bytea, 'on_attestation', NULL FROM generate_series(1, :k) g;
COMMIT;

-- attestation, AppendStatement(TermsOffered)
BEGIN;
SELECT next_index FROM attestation.log_head FOR UPDATE \gset
SELECT task_id, length, last_digest, requester_account_id, payee_account_id FROM attestation.chains WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));
INSERT INTO attestation.statements (log_index, id, task_id, sequence, kind, digest, envelope, created_at)
    SELECT :next_index::bigint + (g - 1) * 1 + place, uid(30 + seq, :id::bigint + g), uid(1, :id::bigint + g), seq, kind, sha256('s'), envelope, now()
    FROM generate_series(1, :k) g, (VALUES (0, 0, 1, :offered::bytea)) AS given (place, seq, kind, envelope);
INSERT INTO attestation.log_entries (log_index, entry)
    SELECT :next_index::bigint + (g - 1) * 1 + place, '\x01'::bytea || sha256('l') || sha256('m') || sha256('n') || '\x000000'::bytea
    FROM generate_series(1, :k) g, (VALUES (0, 0, 1, :offered::bytea)) AS given (place, seq, kind, envelope);
INSERT INTO attestation.chains (task_id, length, last_digest, requester_account_id, payee_account_id)
    SELECT uid(1, :id::bigint + g), 1, sha256('s'), uid(101, 1 + (:id::bigint + g) % 64), uid(102, 1 + (:id::bigint / 64 + g * 7) % 64) FROM generate_series(1, :k) g
    ON CONFLICT (task_id) DO UPDATE SET length = excluded.length, last_digest = excluded.last_digest,
        payee_account_id = excluded.payee_account_id;
UPDATE attestation.log_head SET next_index = :next_index::bigint + :k::bigint * 1;
COMMIT;

-- task: the tasks open
BEGIN;
SELECT t.*, s.* FROM task.task_status s JOIN task.tasks t USING (task_id)
    WHERE s.task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY s.task_id FOR NO KEY UPDATE OF s;
SELECT task_id, seq, kind, digest, account_id, request_id, envelope IS NULL AS pending,
    CASE WHEN envelope IS NULL OR lead(seq) OVER (PARTITION BY task_id ORDER BY seq) IS NULL THEN coalesce(envelope, body) END AS bytes
    FROM task.statements WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY task_id, seq;
UPDATE task.task_status s SET version = 2, state = 2, submissions = 0, open_due_us = 86417159484,
    payer_token = NULL, token_expires_at = NULL, held = true, updated_at = now()
    FROM (SELECT uid(1, :id::bigint + g) AS task_id, uid(103, 1 + (:id::bigint / 64 + g * 7) % 64) AS agent, uid(102, 1 + (:id::bigint / 64 + g * 7) % 64) AS account FROM generate_series(1, :k) g) given
    WHERE s.task_id = given.task_id AND s.version = 1;
UPDATE task.statements SET envelope = :offered::bytea, body = NULL WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) AND seq = 1 AND envelope IS NULL;
INSERT INTO task.open_tasks (task_id, capability, payee_msat, direct_agent_id) SELECT uid(1, :id::bigint + g), 'bench.echo', 95000, NULL FROM generate_series(1, :k) g;
UPDATE task.sagas SET due_us = 18627118, attempts = 0 WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));
INSERT INTO task.events_pending (id, topic, subject, kind, payload, occurred_at)
    SELECT uid(22, :id::bigint + g), 'tasks', uid(1, :id::bigint + g), 'OPEN', :change::bytea, now() FROM generate_series(1, :k) g;
COMMIT;
SELECT t.*, s.*, r.media_type, r.sha256, r.size,
    EXISTS (SELECT FROM task.statements p WHERE p.task_id = t.task_id AND p.envelope IS NULL) AS pending
    FROM task.tasks t JOIN task.task_status s USING (task_id)
    LEFT JOIN task.results r ON r.task_id = t.task_id AND r.submission = s.submissions
    WHERE t.task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));

-- task, ClaimTask
BEGIN;
INSERT INTO task.idempotency_records (principal, method, request_id, fingerprint, response, keep, created_at)
    SELECT uid(102, 1 + (:id::bigint / 64 + g * 7) % 64), 'poa.task.v1.TaskService/ClaimTask', uid(12, :id::bigint + g), sha256('x'), '\x01a2036da1b47724a3a325d1620166d8', true, now() FROM generate_series(1, :k) g ON CONFLICT DO NOTHING;
SELECT t.*, s.* FROM task.task_status s JOIN task.tasks t USING (task_id)
    WHERE s.task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY s.task_id FOR NO KEY UPDATE OF s;
SELECT task_id, seq, kind, digest, account_id, request_id, envelope IS NULL AS pending,
    CASE WHEN envelope IS NULL OR lead(seq) OVER (PARTITION BY task_id ORDER BY seq) IS NULL THEN coalesce(envelope, body) END AS bytes
    FROM task.statements WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY task_id, seq;
SELECT task_id, reserved_agent_id, reserved_due_us FROM task.open_tasks WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) FOR NO KEY UPDATE;
UPDATE task.task_status s SET version = 3, state = 3, agent_id = given.agent, account_id = given.account, claim_number = 1, claim_lease_us = 60000000,
    lease_due_us = 77212907, work_due_us = 3617212907, acceptance_digest = sha256('a'), submissions = 0, open_due_us = 86417159484,
    payer_token = NULL, token_expires_at = NULL, held = true, updated_at = now()
    FROM (SELECT uid(1, :id::bigint + g) AS task_id, uid(103, 1 + (:id::bigint / 64 + g * 7) % 64) AS agent, uid(102, 1 + (:id::bigint / 64 + g * 7) % 64) AS account FROM generate_series(1, :k) g) given
    WHERE s.task_id = given.task_id AND s.version = 2;
INSERT INTO task.statements (task_id, seq, kind, digest, body, envelope, account_id, request_id)
    SELECT uid(1, :id::bigint + g), 2, 2, sha256('s2'), :accepted::bytea, NULL, NULL, NULL FROM generate_series(1, :k) g;
DELETE FROM task.open_tasks WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));
UPDATE task.sagas SET due_us = 18627118, attempts = 0 WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));
INSERT INTO task.events_pending (id, topic, subject, kind, payload, occurred_at)
    SELECT uid(23, :id::bigint + g), 'tasks', uid(1, :id::bigint + g), 'CLAIMED', :change::bytea, now() FROM generate_series(1, :k) g;
COMMIT;

-- attestation, AppendStatement(TermsAccepted)
BEGIN;
SELECT next_index FROM attestation.log_head FOR UPDATE \gset
SELECT task_id, length, last_digest, requester_account_id, payee_account_id FROM attestation.chains WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));
INSERT INTO attestation.statements (log_index, id, task_id, sequence, kind, digest, envelope, created_at)
    SELECT :next_index::bigint + (g - 1) * 1 + place, uid(30 + seq, :id::bigint + g), uid(1, :id::bigint + g), seq, kind, sha256('s'), envelope, now()
    FROM generate_series(1, :k) g, (VALUES (0, 1, 2, :accepted::bytea)) AS given (place, seq, kind, envelope);
INSERT INTO attestation.log_entries (log_index, entry)
    SELECT :next_index::bigint + (g - 1) * 1 + place, '\x01'::bytea || sha256('l') || sha256('m') || sha256('n') || '\x000000'::bytea
    FROM generate_series(1, :k) g, (VALUES (0, 1, 2, :accepted::bytea)) AS given (place, seq, kind, envelope);
INSERT INTO attestation.chains (task_id, length, last_digest, requester_account_id, payee_account_id)
    SELECT uid(1, :id::bigint + g), 2, sha256('s'), uid(101, 1 + (:id::bigint + g) % 64), uid(102, 1 + (:id::bigint / 64 + g * 7) % 64) FROM generate_series(1, :k) g
    ON CONFLICT (task_id) DO UPDATE SET length = excluded.length, last_digest = excluded.last_digest,
        payee_account_id = excluded.payee_account_id;
UPDATE attestation.log_head SET next_index = :next_index::bigint + :k::bigint * 1;
COMMIT;

-- task: the acceptances are logged
BEGIN;
SELECT t.*, s.* FROM task.task_status s JOIN task.tasks t USING (task_id)
    WHERE s.task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY s.task_id FOR NO KEY UPDATE OF s;
SELECT task_id, seq, kind, digest, account_id, request_id, envelope IS NULL AS pending,
    CASE WHEN envelope IS NULL OR lead(seq) OVER (PARTITION BY task_id ORDER BY seq) IS NULL THEN coalesce(envelope, body) END AS bytes
    FROM task.statements WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY task_id, seq;
UPDATE task.task_status s SET version = 3, state = 3, agent_id = given.agent, account_id = given.account, claim_number = 1, claim_lease_us = 60000000,
    lease_due_us = 77212907, work_due_us = 3617212907, acceptance_digest = sha256('a'), submissions = 0, open_due_us = 86417159484,
    payer_token = NULL, token_expires_at = NULL, held = true, updated_at = now()
    FROM (SELECT uid(1, :id::bigint + g) AS task_id, uid(103, 1 + (:id::bigint / 64 + g * 7) % 64) AS agent, uid(102, 1 + (:id::bigint / 64 + g * 7) % 64) AS account FROM generate_series(1, :k) g) given
    WHERE s.task_id = given.task_id AND s.version = 3;
UPDATE task.statements SET envelope = :accepted::bytea, body = NULL WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) AND seq = 2 AND envelope IS NULL;
UPDATE task.sagas SET due_us = 18627118, attempts = 0 WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));
COMMIT;
SELECT t.*, s.*, r.media_type, r.sha256, r.size,
    EXISTS (SELECT FROM task.statements p WHERE p.task_id = t.task_id AND p.envelope IS NULL) AS pending
    FROM task.tasks t JOIN task.task_status s USING (task_id)
    LEFT JOIN task.results r ON r.task_id = t.task_id AND r.submission = s.submissions
    WHERE t.task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));

-- task, SubmitResult
BEGIN;
INSERT INTO task.idempotency_records (principal, method, request_id, fingerprint, response, keep, created_at)
    SELECT uid(102, 1 + (:id::bigint / 64 + g * 7) % 64), 'poa.task.v1.TaskService/SubmitResult', uid(13, :id::bigint + g), sha256('x'), '\x01a2036da1b47724a3a325d1620166d8', true, now() FROM generate_series(1, :k) g ON CONFLICT DO NOTHING;
SELECT t.*, s.* FROM task.task_status s JOIN task.tasks t USING (task_id)
    WHERE s.task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY s.task_id FOR NO KEY UPDATE OF s;
SELECT task_id, seq, kind, digest, account_id, request_id, envelope IS NULL AS pending,
    CASE WHEN envelope IS NULL OR lead(seq) OVER (PARTITION BY task_id ORDER BY seq) IS NULL THEN coalesce(envelope, body) END AS bytes
    FROM task.statements WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY task_id, seq;
UPDATE task.task_status s SET version = 4, state = 4, agent_id = given.agent, account_id = given.account, claim_number = 1, claim_lease_us = 60000000,
    lease_due_us = 77212907, work_due_us = 3617212907, acceptance_digest = sha256('a'), submissions = 1, open_due_us = 86417159484,
    payer_token = NULL, token_expires_at = NULL, held = true, updated_at = now()
    FROM (SELECT uid(1, :id::bigint + g) AS task_id, uid(103, 1 + (:id::bigint / 64 + g * 7) % 64) AS agent, uid(102, 1 + (:id::bigint / 64 + g * 7) % 64) AS account FROM generate_series(1, :k) g) given
    WHERE s.task_id = given.task_id AND s.version = 3;
INSERT INTO task.statements (task_id, seq, kind, digest, body, envelope, account_id, request_id)
    SELECT uid(1, :id::bigint + g), 3, 3, sha256('s3'), :submitted::bytea, NULL, NULL, NULL FROM generate_series(1, :k) g;
INSERT INTO task.results (task_id, submission, media_type, sha256, size, body, uri, created_at)
    SELECT uid(1, :id::bigint + g), 1, 'text/plain', sha256('r'), 256, :result::bytea, NULL, now() FROM generate_series(1, :k) g;
UPDATE task.sagas SET due_us = 18627118, attempts = 0 WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));
INSERT INTO task.events_pending (id, topic, subject, kind, payload, occurred_at)
    SELECT uid(24, :id::bigint + g), 'tasks', uid(1, :id::bigint + g), 'SUBMITTED', :change::bytea, now() FROM generate_series(1, :k) g;
COMMIT;

-- attestation, AppendStatement(WorkSubmitted), with WorkReceived
BEGIN;
SELECT next_index FROM attestation.log_head FOR UPDATE \gset
SELECT task_id, length, last_digest, requester_account_id, payee_account_id FROM attestation.chains WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));
INSERT INTO attestation.statements (log_index, id, task_id, sequence, kind, digest, envelope, created_at)
    SELECT :next_index::bigint + (g - 1) * 2 + place, uid(30 + seq, :id::bigint + g), uid(1, :id::bigint + g), seq, kind, sha256('s'), envelope, now()
    FROM generate_series(1, :k) g, (VALUES (0, 2, 3, :submitted::bytea), (1, 3, 4, :received::bytea)) AS given (place, seq, kind, envelope);
INSERT INTO attestation.log_entries (log_index, entry)
    SELECT :next_index::bigint + (g - 1) * 2 + place, '\x01'::bytea || sha256('l') || sha256('m') || sha256('n') || '\x000000'::bytea
    FROM generate_series(1, :k) g, (VALUES (0, 2, 3, :submitted::bytea), (1, 3, 4, :received::bytea)) AS given (place, seq, kind, envelope);
INSERT INTO attestation.chains (task_id, length, last_digest, requester_account_id, payee_account_id)
    SELECT uid(1, :id::bigint + g), 4, sha256('s'), uid(101, 1 + (:id::bigint + g) % 64), uid(102, 1 + (:id::bigint / 64 + g * 7) % 64) FROM generate_series(1, :k) g
    ON CONFLICT (task_id) DO UPDATE SET length = excluded.length, last_digest = excluded.last_digest,
        payee_account_id = excluded.payee_account_id;
UPDATE attestation.log_head SET next_index = :next_index::bigint + :k::bigint * 2;
COMMIT;

-- task: the receipts are logged
BEGIN;
SELECT t.*, s.* FROM task.task_status s JOIN task.tasks t USING (task_id)
    WHERE s.task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY s.task_id FOR NO KEY UPDATE OF s;
SELECT task_id, seq, kind, digest, account_id, request_id, envelope IS NULL AS pending,
    CASE WHEN envelope IS NULL OR lead(seq) OVER (PARTITION BY task_id ORDER BY seq) IS NULL THEN coalesce(envelope, body) END AS bytes
    FROM task.statements WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY task_id, seq;
UPDATE task.task_status s SET version = 5, state = 6, agent_id = given.agent, account_id = given.account, claim_number = 1, claim_lease_us = 60000000,
    lease_due_us = 77212907, work_due_us = 3617212907, acceptance_digest = sha256('a'), submissions = 1, open_due_us = 86417159484,
    payer_token = NULL, token_expires_at = NULL, held = true, updated_at = now()
    FROM (SELECT uid(1, :id::bigint + g) AS task_id, uid(103, 1 + (:id::bigint / 64 + g * 7) % 64) AS agent, uid(102, 1 + (:id::bigint / 64 + g * 7) % 64) AS account FROM generate_series(1, :k) g) given
    WHERE s.task_id = given.task_id AND s.version = 4;
UPDATE task.statements SET envelope = :submitted::bytea, body = NULL WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) AND seq = 3 AND envelope IS NULL;
INSERT INTO task.statements (task_id, seq, kind, digest, body, envelope, account_id, request_id)
    SELECT uid(1, :id::bigint + g), 4, 4, sha256('s4'), NULL, :received::bytea, NULL, NULL FROM generate_series(1, :k) g;
INSERT INTO task.statements (task_id, seq, kind, digest, body, envelope, account_id, request_id)
    SELECT uid(1, :id::bigint + g), 5, 5, sha256('s5'), :decision::bytea, NULL, NULL, NULL FROM generate_series(1, :k) g;
UPDATE task.sagas SET due_us = 18627118, attempts = 0 WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));
INSERT INTO task.events_pending (id, topic, subject, kind, payload, occurred_at)
    SELECT uid(25, :id::bigint + g), 'tasks', uid(1, :id::bigint + g), 'RELEASING', :change::bytea, now() FROM generate_series(1, :k) g;
COMMIT;

-- attestation, AppendStatement(Decision)
BEGIN;
SELECT next_index FROM attestation.log_head FOR UPDATE \gset
SELECT task_id, length, last_digest, requester_account_id, payee_account_id FROM attestation.chains WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));
INSERT INTO attestation.statements (log_index, id, task_id, sequence, kind, digest, envelope, created_at)
    SELECT :next_index::bigint + (g - 1) * 1 + place, uid(30 + seq, :id::bigint + g), uid(1, :id::bigint + g), seq, kind, sha256('s'), envelope, now()
    FROM generate_series(1, :k) g, (VALUES (0, 4, 5, :decision::bytea)) AS given (place, seq, kind, envelope);
INSERT INTO attestation.log_entries (log_index, entry)
    SELECT :next_index::bigint + (g - 1) * 1 + place, '\x01'::bytea || sha256('l') || sha256('m') || sha256('n') || '\x000000'::bytea
    FROM generate_series(1, :k) g, (VALUES (0, 4, 5, :decision::bytea)) AS given (place, seq, kind, envelope);
INSERT INTO attestation.chains (task_id, length, last_digest, requester_account_id, payee_account_id)
    SELECT uid(1, :id::bigint + g), 5, sha256('s'), uid(101, 1 + (:id::bigint + g) % 64), uid(102, 1 + (:id::bigint / 64 + g * 7) % 64) FROM generate_series(1, :k) g
    ON CONFLICT (task_id) DO UPDATE SET length = excluded.length, last_digest = excluded.last_digest,
        payee_account_id = excluded.payee_account_id;
UPDATE attestation.log_head SET next_index = :next_index::bigint + :k::bigint * 1;
COMMIT;

-- escrow, CaptureEscrow
BEGIN;
SELECT id FROM escrow.escrows WHERE id = ANY(ARRAY(SELECT uid(2, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY id FOR UPDATE;
SELECT id, available_msat, held_msat, entries FROM escrow.accounts
    WHERE id = ANY(ARRAY(SELECT uid(101, 1 + (:id::bigint + g) % 64) FROM generate_series(1, :k) g UNION SELECT uid(102, 1 + (:id::bigint / 64 + g * 7) % 64) FROM generate_series(1, :k) g UNION VALUES (uid(2, 0)), (uid(3, 0)))) ORDER BY id FOR UPDATE;
WITH lines AS (
    SELECT account, transfer, available, held, row_number() OVER (PARTITION BY account ORDER BY g, place) AS place
    FROM generate_series(1, :k) g CROSS JOIN LATERAL (VALUES
        (1, uid(101, 1 + (:id::bigint + g) % 64), uid(4, :id::bigint + g), 0::bigint, -100000::bigint),
        (2, uid(3, 0), uid(4, :id::bigint + g), 100000, 0), (3, uid(3, 0), uid(4, :id::bigint + g), -95000, 0),
        (4, uid(102, 1 + (:id::bigint / 64 + g * 7) % 64), uid(4, :id::bigint + g), 95000, 0),
        (5, uid(3, 0), uid(5, :id::bigint + g), -5000, 0), (6, uid(2, 0), uid(5, :id::bigint + g), 5000, 0)) AS line (place, account, transfer, available, held)
), moved AS (
    INSERT INTO escrow.transfers (id, kind, subject, created_at)
    SELECT id, kind, uid(2, :id::bigint + g), now() FROM generate_series(1, :k) g CROSS JOIN LATERAL (VALUES (uid(4, :id::bigint + g), 'capture'), (uid(5, :id::bigint + g), 'fee')) AS given (id, kind)
), posted AS (
    INSERT INTO escrow.postings (account_id, sequence, transfer_id, available_msat, held_msat)
    SELECT lines.account, accounts.entries + lines.place, transfer, available, held
    FROM lines JOIN escrow.accounts ON accounts.id = lines.account
)
UPDATE escrow.accounts SET available_msat = available_msat + given.available, held_msat = held_msat + given.held,
        entries = entries + given.count
    FROM (SELECT account, sum(available) AS available, sum(held) AS held, count(*) AS count FROM lines GROUP BY account) given
    WHERE accounts.id = given.account;
UPDATE escrow.escrows SET state = 'released', payee_id = given.payee, end_transfer = given.transfer, ended_at = now()
    FROM (SELECT uid(2, :id::bigint + g) AS id, uid(102, 1 + (:id::bigint / 64 + g * 7) % 64) AS payee, uid(4, :id::bigint + g) AS transfer FROM generate_series(1, :k) g) given
    WHERE escrows.id = given.id AND escrows.state = 'held';
INSERT INTO escrow.releases (escrow_id, payee_id, agent_id, agent_key, terms_digest, output_digest, decision_digest, decision)
    SELECT uid(2, :id::bigint + g), uid(102, 1 + (:id::bigint / 64 + g * 7) % 64), uid(103, 1 + (:id::bigint / 64 + g * 7) % 64), 'did' || chr(58) || 'key' || chr(58) || 'z6MkeUVtNtZx3n3aRbMAPRMpw1PGPjDj4wKg1CXMtmvZEjNx', sha256('t'), sha256('r'), sha256('d'),
        'criteria_met' FROM generate_series(1, :k) g;
COMMIT;

-- task: the agents are paid
BEGIN;
SELECT t.*, s.* FROM task.task_status s JOIN task.tasks t USING (task_id)
    WHERE s.task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY s.task_id FOR NO KEY UPDATE OF s;
SELECT task_id, seq, kind, digest, account_id, request_id, envelope IS NULL AS pending,
    CASE WHEN envelope IS NULL OR lead(seq) OVER (PARTITION BY task_id ORDER BY seq) IS NULL THEN coalesce(envelope, body) END AS bytes
    FROM task.statements WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY task_id, seq;
UPDATE task.task_status s SET version = 5, state = 6, agent_id = given.agent, account_id = given.account, claim_number = 1, claim_lease_us = 60000000,
    lease_due_us = 77212907, work_due_us = 3617212907, acceptance_digest = sha256('a'), submissions = 1, open_due_us = 86417159484,
    payer_token = NULL, token_expires_at = NULL, held = true, updated_at = now()
    FROM (SELECT uid(1, :id::bigint + g) AS task_id, uid(103, 1 + (:id::bigint / 64 + g * 7) % 64) AS agent, uid(102, 1 + (:id::bigint / 64 + g * 7) % 64) AS account FROM generate_series(1, :k) g) given
    WHERE s.task_id = given.task_id AND s.version = 5;
UPDATE task.statements SET envelope = :decision::bytea, body = NULL WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) AND seq = 5 AND envelope IS NULL;
INSERT INTO task.statements (task_id, seq, kind, digest, body, envelope, account_id, request_id)
    SELECT uid(1, :id::bigint + g), 6, 6, sha256('s6'), :settlement::bytea, NULL, NULL, NULL FROM generate_series(1, :k) g;
UPDATE task.sagas SET due_us = 18627118, attempts = 0 WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));
COMMIT;

-- attestation, AppendStatement(Settlement)
BEGIN;
SELECT next_index FROM attestation.log_head FOR UPDATE \gset
SELECT task_id, length, last_digest, requester_account_id, payee_account_id FROM attestation.chains WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));
INSERT INTO attestation.statements (log_index, id, task_id, sequence, kind, digest, envelope, created_at)
    SELECT :next_index::bigint + (g - 1) * 1 + place, uid(30 + seq, :id::bigint + g), uid(1, :id::bigint + g), seq, kind, sha256('s'), envelope, now()
    FROM generate_series(1, :k) g, (VALUES (0, 5, 6, :settlement::bytea)) AS given (place, seq, kind, envelope);
INSERT INTO attestation.log_entries (log_index, entry)
    SELECT :next_index::bigint + (g - 1) * 1 + place, '\x01'::bytea || sha256('l') || sha256('m') || sha256('n') || '\x000000'::bytea
    FROM generate_series(1, :k) g, (VALUES (0, 5, 6, :settlement::bytea)) AS given (place, seq, kind, envelope);
INSERT INTO attestation.chains (task_id, length, last_digest, requester_account_id, payee_account_id)
    SELECT uid(1, :id::bigint + g), 6, sha256('s'), uid(101, 1 + (:id::bigint + g) % 64), uid(102, 1 + (:id::bigint / 64 + g * 7) % 64) FROM generate_series(1, :k) g
    ON CONFLICT (task_id) DO UPDATE SET length = excluded.length, last_digest = excluded.last_digest,
        payee_account_id = excluded.payee_account_id;
UPDATE attestation.log_head SET next_index = :next_index::bigint + :k::bigint * 1;
COMMIT;

-- task: the tasks are completed
BEGIN;
SELECT t.*, s.* FROM task.task_status s JOIN task.tasks t USING (task_id)
    WHERE s.task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY s.task_id FOR NO KEY UPDATE OF s;
SELECT task_id, seq, kind, digest, account_id, request_id, envelope IS NULL AS pending,
    CASE WHEN envelope IS NULL OR lead(seq) OVER (PARTITION BY task_id ORDER BY seq) IS NULL THEN coalesce(envelope, body) END AS bytes
    FROM task.statements WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) ORDER BY task_id, seq;
UPDATE task.task_status s SET version = 6, state = 7, agent_id = given.agent, account_id = given.account, claim_number = 1, claim_lease_us = 60000000,
    lease_due_us = 77212907, work_due_us = 3617212907, acceptance_digest = sha256('a'), submissions = 1, open_due_us = 86417159484,
    payer_token = NULL, token_expires_at = NULL, held = true, updated_at = now()
    FROM (SELECT uid(1, :id::bigint + g) AS task_id, uid(103, 1 + (:id::bigint / 64 + g * 7) % 64) AS agent, uid(102, 1 + (:id::bigint / 64 + g * 7) % 64) AS account FROM generate_series(1, :k) g) given
    WHERE s.task_id = given.task_id AND s.version = 5;
UPDATE task.statements SET envelope = :settlement::bytea, body = NULL WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g)) AND seq = 6 AND envelope IS NULL;
DELETE FROM task.sagas WHERE task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));
INSERT INTO task.events_pending (id, topic, subject, kind, payload, occurred_at)
    SELECT uid(26, :id::bigint + g), 'tasks', uid(1, :id::bigint + g), 'COMPLETED', :change::bytea, now() FROM generate_series(1, :k) g;
COMMIT;
SELECT t.*, s.*, r.media_type, r.sha256, r.size,
    EXISTS (SELECT FROM task.statements p WHERE p.task_id = t.task_id AND p.envelope IS NULL) AS pending
    FROM task.tasks t JOIN task.task_status s USING (task_id)
    LEFT JOIN task.results r ON r.task_id = t.task_id AND r.submission = s.submissions
    WHERE t.task_id = ANY(ARRAY(SELECT uid(1, :id::bigint + g) FROM generate_series(1, :k) g));
