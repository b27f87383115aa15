-- Ids as the services make them: the front grows with time, so that index pages are filled one after the other.
CREATE FUNCTION public.uid(kind integer, number bigint) RETURNS uuid STABLE LANGUAGE sql
    AS $$ SELECT (lpad(to_hex(number), 16, '0') || lpad(to_hex(kind), 16, '0'))::uuid $$;
-- 64 requesters (kind 101) with sats, and 64 owners of agents (kind 102).
INSERT INTO escrow.accounts (id, kind, available_msat, held_msat, entries)
    SELECT public.uid(101, n), 'user', 1000000000000000, 0, 0 FROM generate_series(1, 64) n
    UNION ALL SELECT public.uid(102, n), 'user', 0, 0, 0 FROM generate_series(1, 64) n;
