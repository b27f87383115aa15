#![doc = include_str!("../README.md")]

pub mod bundle;
pub mod chain;
pub mod checkpoint;
pub mod did;
mod digest;
pub mod dsse;
mod json;
pub mod liabilities;
pub mod statement;
pub mod tlog;
pub mod trust;
mod verify;

pub use bundle::{Bundle, BundleEntry, BundleError};
pub use chain::{Chain, ChainError, Position, Release, authorises_release};
pub use checkpoint::{Checkpoint, CheckpointError, LogKey};
pub use did::{DidError, DidKey};
pub use digest::{Digest, DigestError};
pub use dsse::{Envelope, EnvelopeError, Signature};
pub use liabilities::{BalanceProof, LiabilitiesError, VerifiedBalance, verify_balance};
pub use statement::{
    AgentKeyState, Author, Body, Content, Context, Criterion, Decision, DecisionKind, Kind, Nonce, Rail,
    ReleasePolicy, Role, Settlement, SettlementKind, Statement, StatementError, Subject, SubjectName,
    TermsAccepted, TermsOffered, WorkReceived, WorkSubmitted,
};
pub use trust::{TrustError, TrustRoot};
pub use verify::{Check, Outcome, Policy, Requester, Verified, VerifyError, verify};
