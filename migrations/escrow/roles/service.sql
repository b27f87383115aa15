-- What the role that serves requests may do, and no more. Run it as the owner of the tables, after each migration:
--
--   psql -v role=poa_escrow -f migrations/escrow/roles/service.sql escrow
--
-- The journal is append-only by permission: not even a bug in the service, or its stolen password, can alter it.
GRANT USAGE ON SCHEMA public TO :role;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO :role;
GRANT INSERT ON transfers, postings, mandates, releases TO :role;
GRANT INSERT, UPDATE ON accounts, escrows, deposits, withdrawals TO :role;
GRANT INSERT, UPDATE ON fee_schedules TO :role;
