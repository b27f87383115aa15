//! The host of Lightning addresses: a real HTTPS server that speaks LNURL-pay, and says something else where a test wants it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::https::{HttpsAnswer, HttpsServer};

/// What such a host takes at a time, in msat.
const MIN_MSAT: i64 = 1_000;
const MAX_MSAT: i64 = 10_000_000_000;
/// Where it gives invoices.
const CALLBACK: &str = "/lnurl/callback/";
/// Where names are asked for.
const WELL_KNOWN: &str = "/.well-known/lnurlp/";

/// What a request gets in the place of the usual answer, by its host and path.
type Script = Box<dyn Fn(&str, &str) -> Option<HttpsAnswer> + Send + Sync>;

/// The host of any name at these hosts. It ends with this value.
pub struct LnurlServer {
    https: HttpsServer,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<Option<Script>>,
    invoices: AtomicU64,
}

// === impl LnurlServer ===

impl LnurlServer {
    /// Starts a server. `invoice` makes one of an amount in msat with a description hash.
    pub async fn start<F>(
        hosts: &[&str],
        invoice: impl Fn(i64, [u8; 32]) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = String> + Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        let answering = Arc::clone(&shared);
        let https = HttpsServer::start(hosts, move |host, path| {
            let (shared, invoice) = (Arc::clone(&answering), invoice.clone());
            async move { shared.answer(&host, &path, invoice).await }
        })
        .await;
        Self { https, shared }
    }

    /// The server: where it listens, and what to believe.
    pub fn https(&self) -> &HttpsServer {
        &self.https
    }

    /// How many invoices it has given.
    pub fn invoices(&self) -> u64 {
        self.shared.invoices.load(Ordering::SeqCst)
    }

    /// Answers otherwise from now on, where the script says so.
    pub fn script(&self, script: impl Fn(&str, &str) -> Option<HttpsAnswer> + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(script));
    }

    /// The offer of a name, as it is usually made.
    pub fn offer(host: &str, name: &str) -> String {
        let metadata = metadata(host, name).replace('"', "\\\"");
        format!(
            "{{\"tag\":\"payRequest\",\"callback\":\"https://{host}{CALLBACK}{name}\",\"minSendable\":{MIN_MSAT},\
             \"maxSendable\":{MAX_MSAT},\"metadata\":\"{metadata}\"}}"
        )
    }
}

impl std::fmt::Debug for LnurlServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LnurlServer").field("https", &self.https).finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    async fn answer<F: Future<Output = String>>(
        &self,
        host: &str,
        path: &str,
        invoice: impl Fn(i64, [u8; 32]) -> F,
    ) -> HttpsAnswer {
        let scripted = {
            let script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
            script.as_ref().and_then(|script| script(host, path))
        };
        if let Some(scripted) = scripted {
            return scripted;
        }
        if let Some(name) = path.strip_prefix(WELL_KNOWN) {
            return HttpsAnswer::json(LnurlServer::offer(host, name));
        }
        let asked = path.strip_prefix(CALLBACK).and_then(|rest| rest.split_once("?amount="));
        let Some((name, amount)) = asked else { return HttpsAnswer::json("{}").with_status(404) };
        let Ok(amount) = amount.parse() else { return HttpsAnswer::json("{}").with_status(400) };
        let made = invoice(amount, Sha256::digest(metadata(host, name)).into()).await;
        self.invoices.fetch_add(1, Ordering::SeqCst);
        HttpsAnswer::json(format!("{{\"pr\":\"{made}\",\"routes\":[]}}"))
    }
}

fn metadata(host: &str, name: &str) -> String {
    format!("[[\"text/plain\",\"sats for {name}\"],[\"text/identifier\",\"{name}@{host}\"]]")
}
