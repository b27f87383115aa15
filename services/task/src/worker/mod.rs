//! What runs at its own pace: the mesh clock, the sagas, escrow's events, the hub that wakes streams, the
//! sweep.

mod answers;
mod driver;
mod escrow_events;
mod hub;
mod mesh_clock;
mod outcome;
mod peers;
mod quotes;
mod scan;

pub(crate) use driver::Driver;
pub(crate) use escrow_events::Follower;
pub(crate) use hub::{FeedItem, Hub, Watcher};
pub(crate) use mesh_clock::MeshClock;
pub(crate) use peers::{CallError, FEE_CHANGED, Peers, Refusal};
pub(crate) use quotes::Quotes;
pub(crate) use scan::{run, sweep};
