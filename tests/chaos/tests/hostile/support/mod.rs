//! What the tests of this folder share: a mesh with honest people in it, and hands to write hostile bytes with.

pub(crate) mod call;
pub(crate) mod frames;
pub(crate) mod mesh;
pub(crate) mod tokens;
