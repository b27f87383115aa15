//! What went wrong at other systems, one test for each row of the list, under the row's own words. Where something like it
//! was reported: BTCPay Server, Mostro, RoboSats, LNbits, Blink, LNbank, Lightning.Pub, sqlx.
//!
//! Two rows have their tests elsewhere: "two code paths pay" is `sources.rs`, which reads who can send at all; and
//! workers on one payout by the dozen are in the crate itself, beside the one module that sends (`worker/dispatch.rs`).

mod concurrent;
mod node;
mod observer;
mod restarts;
