//! One service at several addresses, `http://10.0.0.1:50053,http://10.0.0.2:50053`.
//!
//! Each connection goes to one of them: the next in turn, and past those that do not take it. A replica that dies takes its
//! connections along, so that it is out of the turn with the same call that notices; one that comes back is found when
//! connections are made anew, at the latest when they have reached the age that servers give them. A caller with several
//! connections, such as the gateway, spreads its calls by spreading those.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint, Uri};

/// Addresses of one service: each is tried before a connection counts as impossible.
const MAX_ADDRESSES: usize = 64;
/// The port where an address names none.
const HTTP_PORT: u16 = 80;

/// The addresses of one service, and whose turn it is.
#[derive(Clone, Debug)]
pub(crate) struct Replicas {
    places: Arc<[Place]>,
    turn: Arc<AtomicUsize>,
    /// How long each may take to answer.
    patience: Duration,
}

#[derive(Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
}

// === impl Replicas ===

impl Replicas {
    /// Reads a list of addresses, separated by commas. The first connection goes to the one of this `turn`.
    pub(crate) fn parse(list: &str, turn: usize, patience: Duration) -> Result<Self, String> {
        let places: Vec<Place> =
            list.split(',').map(|address| Place::parse(address.trim())).collect::<Result<_, _>>()?;
        if places.len() > MAX_ADDRESSES {
            return Err(format!("{} addresses are more than {MAX_ADDRESSES}", places.len()));
        }
        Ok(Self { places: places.into(), turn: Arc::new(AtomicUsize::new(turn)), patience })
    }

    /// A channel of one connection, which is made by the first call and anew whenever it must.
    pub(crate) fn channel(self, tuned: impl FnOnce(Endpoint) -> Endpoint) -> Channel {
        let tries = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let patience = self.patience.saturating_mul(tries);
        let connector = move |_: Uri| {
            let replicas = self.clone();
            async move { replicas.connect().await.map(TokioIo::new) }
        };
        // The same name for all: who is asked does not look at it.
        tuned(Endpoint::from_static("http://service"))
            .connect_timeout(patience)
            .connect_with_connector_lazy(tower::service_fn(connector))
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut problem = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let (before, after) = self.places.split_at(first.checked_rem(self.places.len()).unwrap_or(0));
        for place in after.iter().chain(before) {
            match tokio::time::timeout(self.patience, place.connect(first)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => problem = error,
                Err(_elapsed) => problem = io::Error::from(io::ErrorKind::TimedOut),
            }
            tracing::debug!(host = place.host, port = place.port, error = %problem, "a replica takes no connection");
        }
        Err(problem)
    }
}

// === impl Place ===

impl Place {
    fn parse(address: &str) -> Result<Self, String> {
        let expected = || format!("`{address}` is not an address such as http://127.0.0.1:50053");
        let uri: Uri = address.parse().map_err(|_| expected())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(expected)?;
        if uri.scheme_str() != Some("http") {
            return Err(expected());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: uri.port_u16().unwrap_or(HTTP_PORT) })
    }

    /// A name may stand for several replicas, too: each is tried, another one first each turn.
    async fn connect(&self, turn: usize) -> io::Result<TcpStream> {
        let mut addresses: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect();
        let first = turn.checked_rem(addresses.len()).unwrap_or(0);
        addresses.rotate_left(first);
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        // Small messages must not wait for an acknowledgement (Nagle).
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str) -> Result<Replicas, String> {
        Replicas::parse(list, 0, Duration::from_secs(1))
    }

    #[test]
    fn a_list_of_addresses_is_read_and_what_is_none_is_named() {
        let replicas = parse("http://task:50052, http://[::1]:7,http://127.0.0.1").unwrap();
        let read: Vec<(&str, u16)> =
            replicas.places.iter().map(|place| (place.host.as_str(), place.port)).collect();
        assert_eq!(read, [("task", 50052), ("::1", 7), ("127.0.0.1", 80)]);
        for list in ["", "task:50052", "https://task:50052", "http://a:1,", "http://a:1,ftp://b", "http://:5"]
        {
            assert!(parse(list).is_err(), "{list}");
        }
        assert!(parse("http://a:1,nonsense").unwrap_err().contains("`nonsense`"));
        assert!(parse(&vec!["http://a:1"; MAX_ADDRESSES + 1].join(",")).is_err());
    }
}
