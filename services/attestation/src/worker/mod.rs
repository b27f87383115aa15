//! What runs at its own pace: the writer of statements, the sequencer of the tree, the follower of agents.

pub(crate) mod agent_events;
pub(crate) mod appender;
pub(crate) mod follower;
pub(crate) mod kept;
pub(crate) mod sequencer;
pub(crate) mod witnesses;
