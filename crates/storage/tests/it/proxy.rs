//! A proxy in front of the cluster's socket, which swallows the answer to one COMMIT: the server has
//! committed, and nobody is told.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const BUFFER: usize = 64 * 1024;

pub(crate) struct Proxy {
    folder: TempDir,
    armed: Arc<AtomicBool>,
    swallowed: Arc<AtomicU32>,
}

impl Proxy {
    /// A proxy for the server behind this URL.
    pub(crate) fn before(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket: PathBuf = Path::new(&host(url)).join(".s.PGSQL.5432");
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let proxy = Self { folder, armed: Arc::default(), swallowed: Arc::default() };
        let (armed, swallowed) = (proxy.armed.clone(), proxy.swallowed.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(forward(client, server, armed.clone(), swallowed.clone()));
            }
        });
        proxy
    }

    /// The same database, through the proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replace(&host(url), self.folder.path().to_str().unwrap())
    }

    /// Swallows the answer to the next COMMIT, and cuts its connection.
    pub(crate) fn swallow_next_commit(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn swallowed(&self) -> u32 {
        self.swallowed.load(Ordering::SeqCst)
    }
}

fn host(url: &str) -> String {
    let (_, after) = url.split_once("host=").unwrap();
    after.split('&').next().unwrap().to_owned()
}

async fn forward(client: UnixStream, server: UnixStream, armed: Arc<AtomicBool>, swallowed: Arc<AtomicU32>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut asked, mut answered) = (vec![0; BUFFER], vec![0; BUFFER]);
    let mut last = false;
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let Ok(count @ 1..) = read else { return };
                let commits = asked[..count].windows(6).any(|word| word == b"COMMIT");
                last = last || (commits && armed.swap(false, Ordering::SeqCst));
                if to_server.write_all(&asked[..count]).await.is_err() { return }
            }
            read = from_server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                if last {
                    // The server answered, so the commit is durable.
                    swallowed.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if to_client.write_all(&answered[..count]).await.is_err() { return }
            }
        }
    }
}
