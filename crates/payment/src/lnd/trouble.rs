//! Why a node does not do what it is asked, as an operator wants to read it: the texts are what to do about it.

use std::error::Error as StdError;
use std::time::Duration;

use tonic::{Code, Status};

/// A longer text of the node's is cut before it is kept.
const MAX_TEXT_CHARS: usize = 300;

/// Why a node does not answer, or not what was asked. It is the source of [`Error::NoAnswer`](crate::Error::NoAnswer).
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It cannot be reached.
    #[error("lnd cannot be reached")]
    Unreachable(#[source] Box<Status>),
    /// It shows another certificate than the pinned one, or the pinned one cannot be read.
    #[error("lnd's certificate is not the one in the tls_cert file, or the file cannot be read")]
    Certificate(#[source] Box<Status>),
    /// It did not answer in time.
    #[error("lnd did not answer within {0:?}")]
    Late(Duration),
    /// It has just been started, or belongs to a cluster that another member leads.
    #[error("lnd opens its database, or waits to lead its cluster, and serves nothing until then")]
    WaitingToStart,
    /// It has no wallet.
    #[error("lnd has no wallet: make one with `lncli create`")]
    NoWallet,
    /// Its wallet is locked.
    #[error("lnd's wallet is locked: `lncli unlock`, or let lnd do it with wallet-unlock-password-file")]
    WalletLocked,
    /// It is starting.
    #[error("lnd is starting, and not ready yet")]
    Starting,
    /// It did not get a macaroon that it can read, or one of another node.
    #[error("lnd does not know the macaroon: is it this node's, and one that was not revoked?")]
    MacaroonRefused,
    /// The macaroon does not allow this call.
    #[error("the macaroon does not allow this: bake it anew with the permissions of its role")]
    PermissionDenied,
    /// A part of lnd's interface is missing.
    #[error("this lnd was built without invoicesrpc or routerrpc: take a release build")]
    NotBuiltIn,
    /// Something else.
    #[error("lnd answered {code:?}: {text}")]
    Other {
        /// The gRPC code.
        code: Code,
        /// The node's text.
        text: String,
    },
    /// An answer that contradicts itself or the question.
    #[error("lnd's answer makes no sense: {0}")]
    Nonsense(&'static str),
}

// === impl Trouble ===

impl Trouble {
    /// What an error status is about. Texts that are about invoices and payments are not looked for here.
    pub(super) fn of(status: Status) -> Self {
        match (status.code(), status.message()) {
            (Code::Unknown, "waiting to start, RPC services not available") => Self::WaitingToStart,
            (Code::Unknown, "wallet not created, create one to enable full RPC access") => Self::NoWallet,
            (Code::Unknown, "wallet locked, unlock it to enable full RPC access") => Self::WalletLocked,
            (
                Code::Unknown,
                "the RPC server is in the process of starting up, but not yet ready to accept calls",
            ) => Self::Starting,
            (Code::Unknown, "permission denied") => Self::PermissionDenied,
            (Code::Unknown, text) if is_about_macaroons(text) => Self::MacaroonRefused,
            (Code::Unimplemented, text) if text.starts_with("unknown service ") => Self::NotBuiltIn,
            _ if is_about_certificates(&status) => Self::Certificate(Box::new(status)),
            (Code::Unavailable | Code::Cancelled, _) if status.source().is_some() => {
                Self::Unreachable(Box::new(status))
            }
            (code, text) => Self::Other { code, text: text.chars().take(MAX_TEXT_CHARS).collect() },
        }
    }

    /// Whether waiting can help: for the node itself, or for an operator who is at work on it.
    pub fn passes(&self) -> bool {
        match self {
            Self::MacaroonRefused | Self::PermissionDenied | Self::NotBuiltIn | Self::Nonsense(_) => false,
            Self::Unreachable(_)
            | Self::Certificate(_)
            | Self::Late(_)
            | Self::WaitingToStart
            | Self::NoWallet
            | Self::WalletLocked
            | Self::Starting
            | Self::Other { .. } => true,
        }
    }
}

/// The texts for a macaroon that is missing, not hexadecimal, garbled, or of another node.
fn is_about_macaroons(text: &str) -> bool {
    [
        "expected 1 macaroon, got ",
        "encoding/hex: ",
        "unmarshal v2: ",
        "verification failed: ",
        "cannot get macaroon: ",
        "cannot retrieve macaroon: ",
        "unable to determine macaroon permissions",
    ]
    .iter()
    .any(|start| text.starts_with(start))
}

/// Whether a refusal of ours in the TLS handshake is among the causes.
fn is_about_certificates(status: &Status) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = status.source();
    while let Some(error) = cause {
        // An I/O error hides what it is made of from `source`.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if inner.is_some_and(|inner| inner.is::<rustls::Error>()) || error.is::<rustls::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}
