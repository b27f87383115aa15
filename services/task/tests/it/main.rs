//! The task service on a real PostgreSQL, between an escrow and an attestation service that keep their contracts.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod accept_result;
mod cancel_task;
mod claim_next_task;
mod claim_task;
mod create_task;
mod deadlines;
mod faults;
mod feed;
mod fees;
mod get_task;
mod hold_faults;
mod hold_funding;
mod list_tasks;
mod reject_result;
mod release_claim;
mod renew_claim;
mod replicas;
mod submit_result;
mod support;
mod watch_task;
mod watch_task_events;
