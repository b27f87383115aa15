//! Journeys of the whole platform on real nodes: `poa-mesh` with our node behind it, people who call it through the SDK, and
//! the other node as the wallets of everybody outside.

mod cancels;
mod heights;
mod market;
mod restarts;
mod sats;
mod tasks;
