//! One service at several addresses, `http://10.0.0.1:50053,http://10.0.0.2:50053`.
//!
//! Each connection goes to one of them: the next in turn, and past those that do not take it. The turn is one for all
//! connections of a process to a service, so that they stay spread when many of them are made anew. A process that dies takes
//! its connections along, so that it is out of the turn with the same call that notices; a host that dies or stands still is
//! noticed when it has not answered a ping. One that comes back is found when connections are made anew, at the latest when
//! they have reached the age that servers give them. A caller with several connections, such as the gateway, spreads its
//! calls by spreading those.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint, Uri};

/// Addresses of one service, given or found behind its names: each is tried before a connection counts as impossible.
const MAX_ADDRESSES: usize = 64;
/// The port where an address names none.
const HTTP_PORT: u16 = 80;

/// The addresses of one service, and whose turn it is.
#[derive(Clone, Debug)]
pub(crate) struct Replicas {
    places: Arc<[Place]>,
    /// Shared by all channels to the service.
    turn: Arc<AtomicUsize>,
    /// How long each address may take to answer, and each name to be resolved.
    patience: Duration,
}

#[derive(Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
}

// === impl Replicas ===

impl Replicas {
    /// Reads a list of addresses, separated by commas. The next connection goes to the one of this `turn`.
    pub(crate) fn parse(list: &str, turn: Arc<AtomicUsize>, patience: Duration) -> Result<Self, String> {
        let places: Vec<Place> =
            list.split(',').map(|address| Place::parse(address.trim())).collect::<Result<_, _>>()?;
        if places.len() > MAX_ADDRESSES {
            return Err(format!("{} addresses are more than {MAX_ADDRESSES}", places.len()));
        }
        Ok(Self { places: places.into(), turn, patience })
    }

    /// A channel of one connection, which is made by the first call and anew whenever it must. The endpoint needs no time of
    /// its own to connect: each address has one here.
    pub(crate) fn channel(self, endpoint: &Endpoint) -> Channel {
        let connector = move |_: Uri| {
            let replicas = self.clone();
            async move { replicas.connect().await.map(TokioIo::new) }
        };
        endpoint.connect_with_connector_lazy(tower::service_fn(connector))
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let addresses = self.addresses().await?;
        first_that_answers(&in_turn(addresses, turn), self.patience).await
    }

    /// Every address behind every place. A name that cannot be resolved in time is left out.
    ///
    /// # Errors
    /// The last problem where nothing is left.
    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let mut addresses = Vec::new();
        let mut problem = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let lookups = self.places.iter().map(|place| within(self.patience, place.addresses()));
        for (place, found) in self.places.iter().zip(join_all(lookups).await) {
            match found {
                Ok(found) => addresses.extend(found),
                Err(error) => {
                    tracing::debug!(host = place.host, %error, "a name is not resolved");
                    problem = error;
                }
            }
        }
        if addresses.is_empty() { Err(problem) } else { Ok(addresses) }
    }
}

/// The addresses from the one whose turn it is on, each once: a place with several has as many turns.
fn in_turn(mut addresses: Vec<SocketAddr>, turn: usize) -> Vec<SocketAddr> {
    let first = turn.checked_rem(addresses.len()).unwrap_or(0);
    addresses.rotate_left(first);
    addresses.truncate(MAX_ADDRESSES);
    addresses
}

/// A connection to the first address that takes one within its own `patience`.
async fn first_that_answers(addresses: &[SocketAddr], patience: Duration) -> io::Result<TcpStream> {
    let mut problem = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match within(patience, TcpStream::connect(address)).await {
            Ok(stream) => {
                // Small messages must not wait for an acknowledgement (Nagle).
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => {
                tracing::debug!(%address, %error, "a replica takes no connection");
                problem = error;
            }
        }
    }
    Err(problem)
}

async fn within<T>(patience: Duration, trying: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(patience, trying).await.map_err(|_elapsed| io::ErrorKind::TimedOut)?
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

    /// A name may stand for several replicas, too. In the same order each time, whatever the resolver's is: the turn counts on it.
    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let mut addresses: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    fn parse(list: &str) -> Result<Replicas, String> {
        Replicas::parse(list, Arc::default(), Duration::from_secs(1))
    }

    #[test]
    fn each_address_of_each_name_has_its_turn() {
        // As two names of two addresses each are found.
        let found: Vec<SocketAddr> = (1..=4).map(|port| SocketAddr::from(([10, 0, 0, 1], port))).collect();
        let firsts: Vec<SocketAddr> = (4..8).map(|turn| in_turn(found.clone(), turn)[0]).collect();
        assert_eq!(firsts, found);
        assert_eq!(in_turn(found.clone(), 2), [found[2], found[3], found[0], found[1]]);
        assert!(in_turn(Vec::new(), 3).is_empty());
    }

    #[tokio::test]
    async fn an_address_that_stays_silent_leaves_the_others_their_time() {
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        // A full queue of connections that nobody accepts: the kernel leaves further ones unanswered.
        let silent = silent.listen(0).unwrap();
        let silent_address = silent.local_addr().unwrap();
        let patience = Duration::from_secs(1);
        let mut queued = Vec::new();
        while let Ok(stream) = within(patience, TcpStream::connect(silent_address)).await {
            queued.push(stream);
            assert!(queued.len() < 16, "the queue has no end");
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = first_that_answers(&[silent_address, silent_address, address], patience).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
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
