#![doc = include_str!("../README.md")]

mod config;
mod database;
mod error;
mod migrate;
mod reader;
mod transact;
mod tx;

pub mod batch;
pub mod cursor;
pub mod embedded;
pub mod events;
pub mod idempotency;
pub mod metrics;
pub mod page;
pub mod secret;

pub use config::DatabaseConfig;
pub use database::Database;
pub use error::Error;
pub use reader::{Lent, Reader};
pub use tx::Tx;

/// The future that the closure of [`Database::transact`] returns: `Box::pin(async move { … })`.
pub use futures_util::future::BoxFuture;
