#![doc = include_str!("../README.md")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "the harness of tests: what cannot go on ends the test"
)]

mod deployment;
mod http;
mod poa;
mod replicated;

pub use deployment::{Deployment, PROCESSES};
pub use http::{Response, request};
pub use poa::{Poa, Run};
pub use replicated::Replicated;
