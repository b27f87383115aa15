//! A proxy in front of the cluster's socket. It swallows the answer to one COMMIT: the server has committed, and
//! nobody is told. Or it turns one connection into a black hole: open, and silent in both directions.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const BUFFER: usize = 64 * 1024;

pub(crate) struct Proxy {
    folder: TempDir,
    plan: Arc<Plan>,
}

#[derive(Default)]
struct Plan {
    /// What happens to the next connection that says this word.
    armed: Mutex<Option<(&'static str, Fault)>>,
    /// How often it has happened.
    struck: AtomicU32,
}

#[derive(Clone, Copy)]
enum Fault {
    /// The server hears it; its answer is swallowed, and the connection cut.
    SwallowAnswer,
    /// The server does not hear it, nor anything else.
    GoSilent,
}

impl Proxy {
    /// A proxy for the server behind this URL.
    pub(crate) fn before(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket: PathBuf = Path::new(&host(url)).join(".s.PGSQL.5432");
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let plan = Arc::<Plan>::default();
        let proxy = Self { folder, plan: plan.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(forward(client, server, plan.clone()));
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
        *self.plan.armed.lock().unwrap() = Some(("COMMIT", Fault::SwallowAnswer));
    }

    /// The next connection that says this word is silent from there on, and stays open.
    pub(crate) fn go_silent_at(&self, word: &'static str) {
        *self.plan.armed.lock().unwrap() = Some((word, Fault::GoSilent));
    }

    /// How often a fault has struck.
    pub(crate) fn struck(&self) -> u32 {
        self.plan.struck.load(Ordering::SeqCst)
    }
}

fn host(url: &str) -> String {
    let (_, after) = url.split_once("host=").unwrap();
    after.split('&').next().unwrap().to_owned()
}

// === impl Plan ===

impl Plan {
    /// The fault that these bytes bring about. It strikes once.
    fn fault_of(&self, said: &[u8]) -> Option<Fault> {
        let says = |word: &str| said.windows(word.len()).any(|window| window == word.as_bytes());
        let armed = self.armed.lock().unwrap().take_if(|(word, _)| says(word));
        armed.map(|(_, fault)| fault)
    }
}

async fn forward(client: UnixStream, server: UnixStream, plan: Arc<Plan>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut asked, mut answered) = (vec![0; BUFFER], vec![0; BUFFER]);
    let mut last = false;
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let Ok(count @ 1..) = read else { return };
                match plan.fault_of(&asked[..count]) {
                    Some(Fault::GoSilent) => {
                        plan.struck.fetch_add(1, Ordering::SeqCst);
                        return std::future::pending().await;
                    }
                    Some(Fault::SwallowAnswer) => last = true,
                    None => {}
                }
                if to_server.write_all(&asked[..count]).await.is_err() { return }
            }
            read = from_server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                if last {
                    // The server answered, so the commit is durable.
                    plan.struck.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if to_client.write_all(&answered[..count]).await.is_err() { return }
            }
        }
    }
}
