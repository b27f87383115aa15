//! The bodies of the targets, by what they read.

pub(crate) mod criteria;
pub(crate) mod files;
pub(crate) mod log;
pub(crate) mod messages;
pub(crate) mod names;
pub(crate) mod tokens;
