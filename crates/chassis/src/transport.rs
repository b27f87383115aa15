//! How servers are reached: over TCP, or inside one process over an in-memory pipe that carries the same HTTP/2
//! through the same layers.

use std::io;
use std::net::SocketAddr;

use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

/// Bytes that an in-memory pipe holds in each direction.
const PIPE_BYTES: usize = 256 * 1_024;
/// Connections that wait to be accepted in memory.
const PIPE_BACKLOG: usize = 64;

/// Connections that wait to be accepted, as tokio's own listeners have it.
const TCP_BACKLOG: u32 = 1_024;

/// A port where nobody is answered yet: who connects is refused and goes to another replica. One that somebody listens on is
/// refused here already. Where two reserve the same one at the same time, the second to listen is refused there.
#[derive(Debug)]
pub(crate) struct Reserved(TcpSocket);

/// Where a server accepts connections.
#[derive(Debug)]
pub enum Listen {
    /// A bound socket.
    Tcp(TcpListener),
    /// The accepting end of an in-memory transport.
    InProcess(mpsc::Receiver<DuplexStream>),
}

/// Where a client connects to.
#[derive(Clone, Debug)]
pub enum Target {
    /// An address such as `http://127.0.0.1:50053`, or those of several replicas, separated by commas.
    Address(String),
    /// The connecting end of an in-memory transport.
    InProcess(InProcess),
}

/// The connecting end of an in-memory transport.
#[derive(Clone, Debug)]
pub struct InProcess(mpsc::Sender<DuplexStream>);

/// Binds a socket; port 0 lets the system choose.
pub async fn bind(address: SocketAddr) -> io::Result<(Listen, SocketAddr)> {
    let listener = TcpListener::bind(address).await.map_err(|error| unusable(address, &error))?;
    let bound = listener.local_addr()?;
    Ok((Listen::Tcp(listener), bound))
}

/// Takes a port; port 0 lets the system choose.
pub(crate) fn reserve(address: SocketAddr) -> io::Result<(Reserved, SocketAddr)> {
    let open = || -> io::Result<(Reserved, SocketAddr)> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A port whose last connections are still being forgotten can be taken again.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let bound = socket.local_addr()?;
        Ok((Reserved(socket), bound))
    };
    open().map_err(|error| unusable(address, &error))
}

fn unusable(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}

// === impl Reserved ===

impl Reserved {
    /// Takes connections from here on.
    pub(crate) fn listen(self) -> io::Result<Listen> {
        let address = self.0.local_addr()?;
        self.0.listen(TCP_BACKLOG).map(Listen::Tcp).map_err(|error| unusable(address, &error))
    }
}

// === impl InProcess ===

impl InProcess {
    /// Both ends of a new in-memory transport.
    pub fn pair() -> (Self, Listen) {
        let (sender, receiver) = mpsc::channel(PIPE_BACKLOG);
        (Self(sender), Listen::InProcess(receiver))
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        self.0.send(theirs).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(ours)
    }
}
