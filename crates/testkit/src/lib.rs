#![doc = include_str!("../README.md")]
#![expect(clippy::expect_used, clippy::panic, reason = "this crate is linked into tests alone")]

mod env;
mod postgres;
mod process;
mod wait;

pub use env::{SeededEntropy, TestClock, env};
pub use postgres::{Cluster, fresh_database, postgres};
pub use process::{Process, ProcessSpec, binary};
pub use wait::eventually;
