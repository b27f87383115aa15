//! From a host's name to the addresses that may be connected to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

/// Lookups at a time. The system's resolver cannot be interrupted: one that hangs keeps its place, and no more threads.
const LOOKUPS: usize = 16;
/// Addresses of one host that are tried.
const MAX_ADDRESSES: usize = 8;

/// Looks names up. A port other than 0 in what it gives takes the place of the one that goes with the scheme.
pub(super) trait Names: Send + Sync + 'static {
    fn look_up(&self, host: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

/// The system's resolver.
#[derive(Debug)]
pub(super) struct System {
    room: Arc<Semaphore>,
}

/// One server for every name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed(pub(super) SocketAddr);

/// A resolver whose every address is checked: what it does not admit is never connected to.
pub(super) struct Guarded {
    names: Box<dyn Names>,
    admits: fn(IpAddr) -> bool,
}

/// No address of the host may be connected to.
#[derive(Debug, thiserror::Error)]
#[error("the host has no public address")]
struct NotPublic;

// === impl System ===

impl Default for System {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

impl Names for System {
    fn look_up(&self, host: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let room = Arc::clone(&self.room);
        async move {
            let permit = room.acquire_owned().await.map_err(io::Error::other)?;
            let looking = tokio::task::spawn_blocking(move || {
                let found = std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), 0));
                drop(permit);
                found.map(|addresses| addresses.collect())
            });
            looking.await.map_err(io::Error::other)?
        }
        .boxed()
    }
}

// === impl Fixed ===

impl Names for Fixed {
    fn look_up(&self, _host: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let server = self.0;
        async move { Ok(vec![server]) }.boxed()
    }
}

// === impl Guarded ===

impl Guarded {
    pub(super) fn new(names: impl Names, admits: fn(IpAddr) -> bool) -> Self {
        Self { names: Box::new(names), admits }
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = self.names.look_up(name.as_str().to_owned());
        let admits = self.admits;
        Box::pin(async move {
            let found = looking.await?;
            let admitted: Vec<SocketAddr> =
                found.into_iter().filter(|address| admits(address.ip())).take(MAX_ADDRESSES).collect();
            if admitted.is_empty() {
                return Err(NotPublic.into());
            }
            Ok::<Addrs, _>(Box::new(admitted.into_iter()))
        })
    }
}
