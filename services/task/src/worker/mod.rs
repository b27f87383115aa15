//! What runs at its own pace: the mesh clock, the sagas, the hub that wakes streams, the sweep.

mod driver;
mod hub;
mod mesh_clock;
mod peers;
mod scan;

pub(crate) use driver::Driver;
pub(crate) use hub::{FeedItem, Hub, Watcher};
pub(crate) use mesh_clock::MeshClock;
pub(crate) use peers::{Peers, Refusal};
pub(crate) use scan::{run, sweep};
