//! The rules of the money, pure: no database, no network, no clock.

pub(crate) mod account;
pub(crate) mod address;
pub(crate) mod book;
pub(crate) mod caps;
pub(crate) mod command;
pub(crate) mod deposit;
pub(crate) mod destination;
pub(crate) mod escrow;
pub(crate) mod fee;
pub(crate) mod fee_schedule;
pub(crate) mod hold_invoice;
pub(crate) mod internal;
pub(crate) mod invoice;
pub(crate) mod mandate;
pub(crate) mod postings;
pub(crate) mod reconciliation;
pub(crate) mod refusal;
pub(crate) mod release;
pub(crate) mod withdrawal;
