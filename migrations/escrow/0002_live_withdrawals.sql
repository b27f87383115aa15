-- How many withdrawals of an account are on their way: counted before another one is reserved.
CREATE INDEX withdrawals_live_of_account ON withdrawals (account_id) WHERE state IN ('reserved', 'dispatched');
