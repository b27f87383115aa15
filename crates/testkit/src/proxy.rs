//! A TCP proxy that misbehaves when it is told to: it holds bytes back, cuts connections, and refuses new ones.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes that one direction of a connection holds at a time.
const BUFFER: usize = 16 * 1024;

/// A proxy on a loopback port of its own. It ends, and cuts its connections, when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: String,
    control: Arc<Control>,
    accepting: JoinHandle<()>,
}

/// Where the proxy forwards to.
#[derive(Clone, Debug)]
enum Upstream {
    Tcp(String),
    Unix(PathBuf),
}

/// The way that bytes take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
    /// Either way.
    Both,
}

/// What a proxy has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyCounts {
    /// Connections taken.
    pub accepted: u64,
    /// Connections refused.
    pub refused: u64,
    /// Connections cut.
    pub cut: u64,
    /// Bytes forwarded, both ways.
    pub bytes: u64,
}

/// What the proxy does at the moment.
#[derive(Clone, Copy, Debug, Default)]
struct Mood {
    to_server_paused: bool,
    to_client_paused: bool,
    refusing: bool,
    delay: Duration,
    /// Raised by each cut: a connection that began in an earlier one is over.
    cuts: u64,
}

#[derive(Debug)]
struct Control {
    mood: watch::Sender<Mood>,
    /// After how many more bytes this way everything is cut.
    allowance: Mutex<Option<(Direction, usize)>>,
    accepted: AtomicU64,
    refused: AtomicU64,
    cut: AtomicU64,
    bytes: AtomicU64,
}

/// How a connection ended.
enum End {
    /// One side closed it, or broke it.
    Closed,
    /// The proxy cuts it.
    Cut,
}

// === impl FaultProxy ===

impl FaultProxy {
    /// A proxy for the server at an address such as `127.0.0.1:50051`.
    ///
    /// # Panics
    /// Where no loopback port is free.
    pub async fn to_tcp(address: impl Into<String>) -> Self {
        Self::start(Upstream::Tcp(address.into())).await
    }

    /// A proxy for the server at a Unix socket: its clients speak TCP.
    ///
    /// # Panics
    /// As [`FaultProxy::to_tcp`].
    pub async fn to_unix(socket: impl Into<PathBuf>) -> Self {
        Self::start(Upstream::Unix(socket.into())).await
    }

    async fn start(upstream: Upstream) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = listener.local_addr().expect("a bound port has an address").to_string();
        let control = Arc::new(Control {
            mood: watch::Sender::new(Mood::default()),
            allowance: Mutex::new(None),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let shared = Arc::clone(&control);
        let accepting = tokio::spawn(async move {
            loop {
                // An error is a client that went away before its turn.
                if let Ok((client, _)) = listener.accept().await {
                    shared.take(client, &upstream);
                }
            }
        });
        Self { address, control, accepting }
    }

    /// Where clients connect to, such as `127.0.0.1:40123`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Holds bytes back, on open connections and on new ones, which stay open: nobody is told.
    pub fn pause(&self, direction: Direction) {
        self.set(|mood| {
            mood.to_server_paused |= direction.covers(Direction::ToServer);
            mood.to_client_paused |= direction.covers(Direction::ToClient);
        });
    }

    /// Lets bytes pass again, those that were held first.
    pub fn resume(&self) {
        self.set(|mood| (mood.to_server_paused, mood.to_client_paused) = (false, false));
    }

    /// Resets every open connection. New ones are taken.
    pub fn cut(&self) {
        self.set(|mood| mood.cuts += 1);
    }

    /// Resets new connections at once, or takes them again. Open ones go on.
    pub fn refuse(&self, refusing: bool) {
        self.set(|mood| mood.refusing = refusing);
    }

    /// Adds a wait before each piece of data, both ways.
    pub fn delay(&self, delay: Duration) {
        self.set(|mood| mood.delay = delay);
    }

    /// Lets so many more bytes pass this way, over all connections, then resets them all: in the middle of a frame, most
    /// likely. New connections pass.
    pub fn cut_after(&self, direction: Direction, bytes: usize) {
        *self.control.allowance() = Some((direction, bytes));
    }

    /// Ends every fault. Connections that were cut stay cut.
    pub fn heal(&self) {
        *self.control.allowance() = None;
        self.set(|mood| *mood = Mood { cuts: mood.cuts, ..Mood::default() });
    }

    /// What happened so far.
    pub fn counts(&self) -> ProxyCounts {
        ProxyCounts {
            accepted: self.control.accepted.load(Ordering::Relaxed),
            refused: self.control.refused.load(Ordering::Relaxed),
            cut: self.control.cut.load(Ordering::Relaxed),
            bytes: self.control.bytes.load(Ordering::Relaxed),
        }
    }

    fn set(&self, change: impl FnOnce(&mut Mood)) {
        self.control.mood.send_modify(change);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

// === impl Direction ===

impl Direction {
    fn covers(self, other: Self) -> bool {
        self == Self::Both || self == other
    }
}

// === impl Control ===

impl Control {
    fn allowance(&self) -> std::sync::MutexGuard<'_, Option<(Direction, usize)>> {
        self.allowance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one connection on a task of its own.
    fn take(self: &Arc<Self>, mut client: TcpStream, upstream: &Upstream) {
        let mood = self.mood.subscribe();
        if mood.borrow().refusing {
            self.refused.fetch_add(1, Ordering::Relaxed);
            reset(&client);
            return;
        }
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let (control, upstream) = (Arc::clone(self), upstream.clone());
        tokio::spawn(async move {
            let cuts = mood.borrow().cuts;
            let _no_matter = client.set_nodelay(true);
            let end = match upstream {
                Upstream::Tcp(address) => match TcpStream::connect(address).await {
                    Ok(mut server) => {
                        let _no_matter = server.set_nodelay(true);
                        let end = control.relay(&mut client, &mut server, cuts).await;
                        if matches!(end, End::Cut) {
                            reset(&server);
                        }
                        end
                    }
                    Err(_server_is_away) => End::Cut,
                },
                Upstream::Unix(path) => match UnixStream::connect(path).await {
                    Ok(mut server) => control.relay(&mut client, &mut server, cuts).await,
                    Err(_server_is_away) => End::Cut,
                },
            };
            if matches!(end, End::Cut) {
                control.cut.fetch_add(1, Ordering::Relaxed);
                reset(&client);
            }
        });
    }

    /// Forwards until both sides are done, one breaks, or the connection is cut.
    async fn relay<S>(&self, client: &mut TcpStream, server: &mut S, cuts: u64) -> End
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = tokio::io::split(server);
        let mut mood = self.mood.subscribe();
        let both = async {
            tokio::try_join!(
                self.pump(from_client, to_server, Direction::ToServer),
                self.pump(from_server, to_client, Direction::ToClient),
            )
        };
        tokio::select! {
            ended = both => match ended {
                Ok(_) => End::Closed,
                Err(end) => end,
            },
            _ = mood.wait_for(|mood| mood.cuts != cuts) => End::Cut,
        }
    }

    /// Forwards one way until its end, which the other side is told.
    async fn pump<R, W>(&self, mut from: R, mut to: W, direction: Direction) -> Result<(), End>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut mood = self.mood.subscribe();
        let mut buffer = vec![0; BUFFER];
        loop {
            self.may_pass(&mut mood, direction).await?;
            let count = from.read(&mut buffer).await.map_err(|_broken| End::Closed)?;
            if count == 0 {
                // A side that is closed already need not be told.
                let _told = to.shutdown().await;
                return Ok(());
            }
            let delay = mood.borrow().delay;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            // What was read while a pause began is held too.
            self.may_pass(&mut mood, direction).await?;
            let (passing, last) = self.spend(direction, count);
            to.write_all(&buffer[..passing]).await.map_err(|_broken| End::Closed)?;
            self.bytes.fetch_add(u64::try_from(passing).unwrap_or(0), Ordering::Relaxed);
            if last {
                self.mood.send_modify(|mood| mood.cuts += 1);
                return Err(End::Cut);
            }
        }
    }

    async fn may_pass(&self, mood: &mut watch::Receiver<Mood>, direction: Direction) -> Result<(), End> {
        let passes = |mood: &Mood| match direction {
            Direction::ToServer => !mood.to_server_paused,
            Direction::ToClient => !mood.to_client_paused,
            Direction::Both => !mood.to_server_paused && !mood.to_client_paused,
        };
        mood.wait_for(passes).await.map(|_| ()).map_err(|_proxy_is_gone| End::Cut)
    }

    /// How many of these bytes may pass, and whether they are the last ones before the cut.
    fn spend(&self, direction: Direction, count: usize) -> (usize, bool) {
        let mut allowance = self.allowance();
        match allowance.as_mut() {
            Some((limited, left)) if limited.covers(direction) => {
                let passing = count.min(*left);
                *left -= passing;
                // Only a piece that is cut short ends it: what comes later would begin a new frame.
                let last = passing < count;
                if last {
                    *allowance = None;
                }
                (passing, last)
            }
            Some(_) | None => (count, false),
        }
    }
}

/// Makes the close that follows a reset: the peer gets an error, not an end.
fn reset(stream: &TcpStream) {
    // It fails for a socket that is gone already.
    let _gone = stream.set_zero_linger();
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
