//! What went wrong at other systems, one test for each row of the list, under the row's own words. Where something like it
//! was reported: BTCPay Server, Mostro, RoboSats, LNbits, Blink, LNbank, Lightning.Pub, sqlx.
//!
//! Some rows have their tests elsewhere: "two code paths pay" is `sources.rs`, which reads who can send at all; workers on
//! one payout by the dozen are beside the one module that sends (`worker/dispatch.rs`); "cancelled what was just paid" is
//! `domain/book/hold_tests.rs` and `hold_invoices/concurrency.rs`, "expiry height" `hold_invoices/height.rs`, "work after
//! settle failed" `hold_invoices/restart.rs`; "malformed preimage" is in poa-payment, "wrong party's amount" `roles.rs`,
//! "cursor and effect" in poa-storage, and "punished for our outage" in poa-task.

mod concurrent;
mod node;
mod observer;
mod restarts;
