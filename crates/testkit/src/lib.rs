#![doc = include_str!("../README.md")]
#![expect(clippy::expect_used, clippy::panic, reason = "this crate is linked into tests alone")]

mod env;
mod https;
mod lnd;
mod lnurl;
mod nitro;
mod own_postgres;
pub mod phoenixd;
mod postgres;
mod process;
mod proxy;
mod wait;

pub use env::{SeededEntropy, TestClock, env};
pub use https::{HttpsAnswer, HttpsServer};
pub use lnd::{
    LndAttempt, LndCertificate, LndEffect, LndFault, LndOutsideInvoice, LndStandIn, LndStartup, PaymentPlan,
};
pub use lnurl::LnurlServer;
pub use nitro::NitroEnclave;
pub use own_postgres::{Greedy, OwnPostgres, Stop};
pub use postgres::{Cluster, fresh_database, postgres};
pub use process::{Process, ProcessSpec, binary};
pub use proxy::{Direction, FaultProxy, ProxyCounts};
pub use wait::eventually;
