-- What runs beside the commands at its own pace, at the frequency that the mesh has it: the relay of task's events (without
-- its notification, whose global lock would be a second queue) and attestation's sequencer.
BEGIN;
SELECT position FROM task.events_head FOR UPDATE \gset
WITH moved AS (
    DELETE FROM task.events_pending WHERE sequence IN (SELECT sequence FROM task.events_pending ORDER BY sequence LIMIT 1000)
    RETURNING sequence, id, topic, subject, kind, payload, occurred_at)
INSERT INTO task.events_published (position, id, topic, subject, kind, payload, occurred_at)
    SELECT :position + row_number() OVER (ORDER BY sequence), id, topic, subject, kind, payload, occurred_at FROM moved;
UPDATE task.events_head SET position = (SELECT coalesce(max(position), 0) FROM task.events_published);
COMMIT;

BEGIN;
SELECT size, checkpointed_at FROM attestation.log_tree FOR UPDATE;
INSERT INTO attestation.log_nodes (level, node_index, hash)
    SELECT 0, log_index, sha256('\x00'::bytea || entry) FROM attestation.log_entries
    WHERE log_index >= (SELECT size FROM attestation.log_tree) AND log_index < (SELECT next_index FROM attestation.log_head)
    ON CONFLICT DO NOTHING;
UPDATE attestation.log_tree SET size = (SELECT coalesce(max(node_index), -1) + 1 FROM attestation.log_nodes WHERE level = 0),
    checkpointed_at = now();
COMMIT;
