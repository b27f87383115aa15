//! The auditor's connection to the world: where entries come from, where its state is kept, what the user gives.

pub(crate) mod given;
pub(crate) mod source;
pub(crate) mod store;
