//! LND: a node of one's own, over its gRPC interface.
//!
//! [`LndNode`] receives and observes, [`LndPayer`] sends; they are opened together and hold different macaroons. The contract
//! is a part of LND's own, in `crates/payment/proto`; what its answers mean is in `mapping.rs`, in one place.

mod connection;
#[cfg(feature = "lnd-server")]
#[expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::as_conversions,
    reason = "generated"
)]
pub mod contract;
#[cfg(not(feature = "lnd-server"))]
#[expect(
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    reason = "generated; public with the feature"
)]
mod contract;
mod hold;
mod macaroon;
mod mapping;
mod node;
mod payer;
mod provider;
mod reading;
mod tls;
mod tracking;
mod trouble;
mod turns;
mod watch;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod mapping_tests;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use node::LndNode;
pub use payer::LndPayer;
pub use poa_common::lnd::Role;
pub use trouble::Trouble;

/// Where the node is, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Such as `https://127.0.0.1:10009`.
    pub endpoint: String,
    /// The certificate that the node shows, as a PEM file: LND's `tls.cert`. It alone is trusted, whoever signed it. A file
    /// that is replaced counts from the next connection on.
    pub tls_cert: PathBuf,
    /// The macaroons, one file per [`Role`]. Read once.
    pub macaroons: MacaroonFiles,
    /// Whether invoices carry hints to private channels. Without such channels there are none to give; without the hints a
    /// node that has only private channels cannot be paid.
    pub private_route_hints: bool,
    /// How long is waited.
    pub timeouts: Timeouts,
}

/// Macaroons as `lncli bakemacaroon --save_to` writes them, each with the permissions of its [`Role`].
#[derive(Clone, Debug)]
pub struct MacaroonFiles {
    /// Of [`Role::Invoices`].
    pub invoices: PathBuf,
    /// Of [`Role::Payouts`].
    pub payouts: PathBuf,
    /// Of [`Role::Reconciliation`].
    pub reconciliation: PathBuf,
}

/// How long is waited before an answer counts as lost.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the answer to a call.
    pub call: Duration,
    /// For the first sign that a payment was taken. It goes on without us when the wait is over.
    pub dispatch: Duration,
}

/// Why the node could not be opened. The node itself is not asked.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The endpoint is none.
    #[error("lnd's endpoint {endpoint} cannot be used: {why}")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The certificate or a macaroon cannot be read.
    #[error("lnd's file {} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
}

// === impl Options ===

impl Options {
    /// With hints to private channels, and waits that suit a node on the same network.
    pub fn new(endpoint: impl Into<String>, tls_cert: impl Into<PathBuf>, macaroons: MacaroonFiles) -> Self {
        Self {
            endpoint: endpoint.into(),
            tls_cert: tls_cert.into(),
            macaroons,
            private_route_hints: true,
            timeouts: Timeouts::default(),
        }
    }
}

// === impl Timeouts ===

impl Default for Timeouts {
    /// 5 s for a connection, 15 s for a call, 30 s for a payment to be taken.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(15),
            dispatch: Duration::from_secs(30),
        }
    }
}
