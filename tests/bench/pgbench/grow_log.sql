-- :count entries, as copies of what is there: of those with an agent's record and of those without, six to one, as a task has
-- them. Each has a digest of its own, and each record an agent of its own.
BEGIN;
CREATE TEMPORARY TABLE pattern ON COMMIT DROP AS
    SELECT DISTINCT ON (1) octet_length(entry) = 142 AS has_record, entry FROM log_entries ORDER BY 1, log_index;
-- The head is locked before places are given, as by every append.
CREATE TEMPORARY TABLE head ON COMMIT DROP AS SELECT next_index FROM log_head FOR UPDATE;
INSERT INTO log_entries (log_index, entry)
    SELECT head.next_index + n, CASE WHEN has_record THEN overlay(copy PLACING decode(md5(n::text), 'hex') FROM 102 FOR 16) ELSE copy END
    FROM head, generate_series(0, :count - 1) n
    JOIN pattern ON pattern.has_record = (n % 6 = 5),
    LATERAL (SELECT overlay(pattern.entry PLACING sha256(n::text::bytea) FROM 3 FOR 32) AS copy) copies;
UPDATE log_head SET next_index = next_index + :count;
COMMIT;
