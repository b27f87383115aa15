#![doc = include_str!("../README.md")]

mod agent_history;
mod calls;
mod client;
mod cosigner;
mod credentials;
mod endpoint;
mod env;
mod error;
mod json;
mod key;
mod key_file;
mod operator_key;
mod probe;
mod refresh;
mod retry;
mod stream;
#[cfg(test)]
mod tests;
mod times;
mod trust;
pub mod worker;

pub use agent_history::{HistoryError, KeyEnd, KeyHistory, KeyLife, VersionCheck};
pub use calls::{Admin, FeedFilter, FeedUpdate, verify_balance_proof};
pub use client::{Client, Session, SignedIn};
pub use cosigner::{Cosigner, CosignerError};
pub use credentials::{SessionTokens, StoreError, StoreGuard, TokenStore};
pub use endpoint::{Endpoint, EndpointError};
pub use env::system_env;
pub use error::{Error, FieldViolation, StatusError};
pub use json::ToJson;
pub use key::{AcceptanceTerms, AgentKey, Build, SigningError, WorkDone};
pub use key_file::KeyError;
pub use operator_key::OperatorKey;
pub use probe::{HttpAnswer, grpc_web, http_get};
pub use stream::Patience;
pub use times::{from_duration, from_time, rfc3339, to_duration, to_time};
pub use trust::pinned_trust_root;

/// How long a hold invoice locks sats, in blocks.
pub use poa_common::hold;
/// What an LND node must allow the platform, for whoever bakes its macaroons.
pub use poa_common::lnd;
/// Amounts, ids and time.
pub use poa_common::{AccountId, AgentId, Env, Msat, Network, TaskId, Timestamp, default_data_dir};
/// The receipt protocol: statements, bundles, trust roots, offline verification.
pub use proof_of_agent as receipts;
/// The status codes of gRPC.
pub use tonic::{Code, Status};

/// The messages of the contract, as generated.
pub mod api {
    pub use poa_proto::attestation::v1 as attestation;
    pub use poa_proto::auth::v1 as auth;
    pub use poa_proto::escrow::v1 as escrow;
    pub use poa_proto::search::v1 as search;
    pub use poa_proto::task::v1 as task;
    /// A moment and a span as the contract has them.
    pub use prost_types::{Duration, Timestamp};
}
