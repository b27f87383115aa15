//! What stands before every call: how far the node has come, the macaroon, and the script's faults.

use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use poa_payment::lnd::contract::lnrpc::WalletState;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::Shared;
use super::faults::{Call, LndEffect};

/// The one service that answers always, and to everybody.
const OPEN_SERVICE: &str = "/lnrpc.State/";
/// The first byte of a macaroon.
const VERSION: u8 = 2;

/// The macaroons that the node has baked: each is known by its bytes, and allows these methods.
#[derive(Debug, Default)]
pub(super) struct Macaroons(Mutex<Vec<(Vec<u8>, BTreeSet<String>)>>);

/// The layer.
#[derive(Clone)]
pub(super) struct AccessLayer(pub(super) Arc<Shared>);

/// A service behind the layer.
#[derive(Clone)]
pub(super) struct Access<S> {
    inner: S,
    shared: Arc<Shared>,
}

// === impl Macaroons ===

impl Macaroons {
    /// Bakes a macaroon; its number and its bytes.
    pub(super) fn bake(&self, random: [u8; 32], permissions: &[&str]) -> (usize, Vec<u8>) {
        let bytes: Vec<u8> = [&[VERSION][..], &random[..]].concat();
        let mut baked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        baked.push((bytes.clone(), permissions.iter().map(|uri| (*uri).to_owned()).collect()));
        (baked.len() - 1, bytes)
    }

    /// The number of the macaroon that comes with a call, if it allows the method. The texts are a real node's.
    fn check(&self, headers: &http::HeaderMap, path: &str) -> Result<usize, Status> {
        let given: Vec<_> = headers.get_all("macaroon").iter().collect();
        let [hex] = given.as_slice() else {
            return Err(Status::unknown(format!("expected 1 macaroon, got {}", given.len())));
        };
        let bytes = hex::decode(hex.as_bytes())
            .map_err(|_| Status::unknown("encoding/hex: invalid byte: U+007A 'z'"))?;
        if bytes.first() != Some(&VERSION) || bytes.len() < 33 {
            return Err(Status::unknown("unmarshal v2: varint value extends past end of buffer"));
        }
        let baked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, (_, allowed)) =
            baked.iter().enumerate().find(|(_, (known, _))| *known == bytes).ok_or_else(|| {
                Status::unknown("verification failed: signature mismatch after caveat verification")
            })?;
        if !allowed.contains(&format!("uri:{path}")) {
            return Err(Status::unknown("permission denied"));
        }
        Ok(number)
    }
}

/// The refusal of a node that has not come far enough.
fn not_ready(state: WalletState) -> Option<Status> {
    let text = match state {
        WalletState::WaitingToStart => "waiting to start, RPC services not available",
        WalletState::NonExisting => "wallet not created, create one to enable full RPC access",
        WalletState::Locked => "wallet locked, unlock it to enable full RPC access",
        WalletState::Unlocked => {
            "the RPC server is in the process of starting up, but not yet ready to accept calls"
        }
        WalletState::RpcActive | WalletState::ServerActive => return None,
    };
    Some(Status::new(Code::Unknown, text))
}

// === impl AccessLayer ===

impl<S> Layer<S> for AccessLayer {
    type Service = Access<S>;

    fn layer(&self, inner: S) -> Access<S> {
        Access { inner, shared: Arc::clone(&self.0) }
    }
}

// === impl Access ===

impl<S> Service<http::Request<Body>> for Access<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        // The one that is ready, and a fresh one in its place.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let allowed = if path.starts_with(OPEN_SERVICE) {
                Ok(None)
            } else {
                match not_ready(shared.startup()) {
                    Some(status) => Err(status),
                    None => shared.macaroons.check(request.headers(), &path).map(Some),
                }
            };
            let macaroon = allowed.as_ref().ok().copied().flatten();
            shared.script.note(Call { path: path.clone(), macaroon });
            if let Err(status) = allowed {
                return Ok(status.into_http());
            }
            let method = path.rsplit('/').next().unwrap_or_default();
            match shared.script.take(method) {
                None => inner.call(request).await,
                Some(LndEffect::Answers(code, text)) => Ok(Status::new(code, text).into_http()),
                Some(LndEffect::Hangs) => pending().await,
                Some(LndEffect::RequestLost) => {
                    shared.cut();
                    pending().await
                }
                Some(LndEffect::AnswerLost) => {
                    drop(inner.call(request).await);
                    shared.cut();
                    pending().await
                }
                Some(LndEffect::DoneAndHangs) => {
                    drop(inner.call(request).await);
                    pending().await
                }
            }
        })
    }
}
