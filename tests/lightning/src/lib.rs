#![doc = include_str!("../README.md")]
#![expect(clippy::expect_used, clippy::panic, reason = "this crate is linked into tests alone")]

mod network;
mod node;
mod script;
mod world;

pub use network::{Exclusive, Network, Which, network};
pub use node::Node;
pub use world::LndWorld;
