-- What the role that serves requests may do, and no more. Run it as the owner of the tables, after each migration:
--
--   psql -v role=poa_escrow -f migrations/escrow/roles/service.sql escrow
--
-- The journal is append-only by permission: not even a bug in the service, or its stolen password, can alter it.
GRANT USAGE ON SCHEMA public TO :role;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO :role;
GRANT INSERT ON transfers, postings, mandates, releases TO :role;
GRANT INSERT, UPDATE ON accounts, escrows, hold_invoices, deposits, withdrawals TO :role;
GRANT INSERT, UPDATE ON fee_schedules TO :role;
-- Events wait in one table, and are moved to their places in the other.
GRANT INSERT, DELETE ON events_pending TO :role;
GRANT INSERT ON events_published TO :role;
GRANT UPDATE ON events_head TO :role;
GRANT UPDATE ON payout_switch TO :role;
GRANT INSERT, UPDATE ON payout_destinations, idempotency_records TO :role;
GRANT INSERT, UPDATE ON reconciliation, reconciliation_flows TO :role;
GRANT INSERT, UPDATE, DELETE ON reconciliation_waiting TO :role;
GRANT INSERT, UPDATE, DELETE ON liabilities_snapshots TO :role;
GRANT INSERT, DELETE ON liabilities_leaves, liabilities_parts TO :role;
