//! The escrow service on a real PostgreSQL and the simulated node, a module for each RPC and one for each way to fail.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod acts;
mod addresses;
mod audit;
mod automatic;
mod caps;
mod capture;
mod chain;
mod concurrency;
mod cuts;
mod deposits;
mod destinations;
mod faucet;
mod fee_schedules;
mod fees;
mod hold;
mod hold_invoices;

mod incidents;
mod internal;
mod liabilities;
mod nodes;
mod pause;
mod payee;
mod payouts;
mod reads;
mod reconciliation;
mod refund;
mod replace;
mod restart;
mod roles;
mod sources;
mod start;
mod withdrawals;
mod world;
