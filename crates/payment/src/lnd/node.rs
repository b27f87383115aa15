//! The node: opened together with what sends, and asked whether it is ready.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use poa_common::Env;
use tokio::time::Instant;
use tonic::transport::Channel;

use super::connection::{self, Line, bounded};
use super::contract::lnrpc::{GetInfoRequest, GetInfoResponse, GetStateRequest, WalletState};
use super::macaroon::Macaroon;
use super::trouble::Trouble;
use super::{LndPayer, OpenError, Options, mapping, reading};
use crate::{Error, Info};

/// Between two looks at a node that is not ready.
const READY_POLL: Duration = Duration::from_millis(500);

/// An LND node: what receives, and what observes. Cheap to clone. It cannot send: see [`LndPayer`].
#[derive(Clone)]
pub struct LndNode {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    channel: Channel,
    /// With the macaroon for invoices.
    pub(super) invoices: Line,
    /// With the macaroon for reading.
    pub(super) reading: Line,
    pub(super) private_route_hints: bool,
    call: Duration,
    /// Whether the node remembers how HTLCs ended; `None` until it was asked.
    resolutions: Mutex<Option<bool>>,
}

// === impl LndNode ===

impl LndNode {
    /// Reads certificate and macaroons. Does not wait for the node, which may be down: see [`ready`](Self::ready). Blocks on
    /// the disk: for a program's start. To be called in a Tokio runtime.
    pub fn open(options: &Options, env: Env) -> Result<(Self, LndPayer), OpenError> {
        let channel = connection::channel(options)?;
        let read = |path: &Path| {
            Macaroon::read(path).map_err(|source| OpenError::File { path: path.to_owned(), source })
        };
        let line = |macaroon| Line::new(&channel, macaroon, options.timeouts.call);
        let payouts = line(read(&options.macaroons.payouts)?);
        let inner = Inner {
            invoices: line(read(&options.macaroons.invoices)?),
            reading: line(read(&options.macaroons.reconciliation)?),
            private_route_hints: options.private_route_hints,
            call: options.timeouts.call,
            resolutions: Mutex::new(None),
            channel,
        };
        Ok((Self { inner: Arc::new(inner) }, LndPayer::new(payouts, options.timeouts.dispatch, env)))
    }

    /// Waits until the node answers with all that it has, and says who it is. After `patience` the reason why it does not;
    /// at once where waiting cannot help.
    pub async fn ready(&self, patience: Duration) -> Result<Info, Trouble> {
        let end = Instant::now() + patience;
        loop {
            let trouble = match self.look().await {
                Ok(answer) => {
                    let unsupported = |_| Trouble::Nonsense("a network that is not supported");
                    return reading::info(&answer).map_err(unsupported);
                }
                Err(trouble) => trouble,
            };
            if !trouble.passes() || Instant::now() + READY_POLL > end {
                return Err(trouble);
            }
            tracing::debug!(reason = %trouble, "waiting for lnd");
            tokio::time::sleep(READY_POLL).await;
        }
    }

    async fn look(&self) -> Result<GetInfoResponse, Trouble> {
        let mut state = connection::state(&self.inner.channel);
        let answer = bounded(self.inner.call, state.get_state(GetStateRequest {})).await?;
        match WalletState::try_from(answer.state) {
            Ok(WalletState::ServerActive) => self.get_info().await,
            Ok(WalletState::NonExisting) => Err(Trouble::NoWallet),
            Ok(WalletState::Locked) => Err(Trouble::WalletLocked),
            Ok(WalletState::Unlocked | WalletState::RpcActive) => Err(Trouble::Starting),
            Ok(WalletState::WaitingToStart) => Err(Trouble::WaitingToStart),
            Err(_) => Err(Trouble::Nonsense("a state that is not known")),
        }
    }

    /// Asks the node for itself, and remembers whether it can have hold invoices.
    async fn get_info(&self) -> Result<GetInfoResponse, Trouble> {
        let mut lightning = self.inner.reading.lightning();
        let answer = self.inner.reading.ask(lightning.get_info(GetInfoRequest {})).await?;
        self.remember_resolutions(answer.store_final_htlc_resolutions);
        Ok(answer)
    }

    /// Who the node is.
    pub(super) async fn fetch_info(&self) -> Result<Info, Error> {
        let answer = self.get_info().await.map_err(mapping::no_answer)?;
        reading::info(&answer)
    }

    fn remember_resolutions(&self, stored: bool) {
        let mut known = self.inner.resolutions.lock().unwrap_or_else(PoisonError::into_inner);
        if !stored && *known != Some(false) {
            tracing::warn!(
                "no hold invoices: this lnd does not remember how HTLCs end. \
                 Set store-final-htlc-resolutions=true in lnd.conf and restart it"
            );
        }
        *known = Some(stored);
    }

    /// Whether the node remembers how HTLCs ended, as far as it was asked.
    pub(super) fn known_resolutions(&self) -> Option<bool> {
        *self.inner.resolutions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LndNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LndNode")
    }
}
