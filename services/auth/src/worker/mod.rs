//! What runs at its own pace.

pub(crate) mod sweep;
