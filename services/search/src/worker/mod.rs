//! What runs at its own pace: the keeper of the index, and a follower for each service that is followed.

pub(crate) mod feeds;
pub(crate) mod follower;
pub(crate) mod keeper;
