//! What the tests are made of: the contract as descriptors, a mesh, callers, a client for any method, and examples.

mod agent_keys;
pub(crate) mod contract;
mod evidence;
pub(crate) mod examples;
pub(crate) mod field;
mod status;
mod story;
pub(crate) mod wire;
mod world;

pub(crate) use contract::contract;
pub(crate) use examples::{Example, example};
pub(crate) use status::Refusal;
pub(crate) use story::request_id;
pub(crate) use wire::{Credentials, Route};
pub(crate) use world::{Forgery, Scene, methods};
