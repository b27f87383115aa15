#![doc = include_str!("../README.md")]

mod deployment;
mod http;
mod poa;

pub use deployment::{Deployment, PROCESSES};
pub use http::{Response, request};
pub use poa::{Poa, Run};
