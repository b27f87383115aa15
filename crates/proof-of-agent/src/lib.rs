#![doc = include_str!("../README.md")]

pub mod archive;
pub mod audit;
pub mod bundle;
pub mod chain;
pub mod checkpoint;
pub mod did;
mod digest;
pub mod dsse;
mod json;
pub mod liabilities;
pub mod note;
pub mod notice;
pub mod reputation;
pub mod statement;
#[cfg(feature = "tee")]
pub mod tee;
pub mod tlog;
pub mod trust;
mod verify;
pub mod witness;

pub use archive::ArchiveError;
pub use bundle::{Bundle, BundleEntry, BundleError, NoticeEntry};
pub use chain::{Chain, ChainError, Position, Release, authorises_release};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use did::{DidError, DidKey};
pub use digest::{Digest, DigestError};
pub use dsse::{Envelope, EnvelopeError, Signature};
pub use liabilities::{BalanceProof, LiabilitiesError, VerifiedBalance, verify_balance};
pub use note::{LogKey, NoteError, WitnessKey};
pub use notice::{AgentVersion, KeyEvent, NoticeStatement};
pub use statement::{
    AgentKeyState, Author, Body, Content, Context, Criterion, Deadline, Decision, DecisionKind, Kind, Nonce,
    Rail, ReleasePolicy, Role, Settlement, SettlementKind, Statement, StatementError, Subject, SubjectName,
    TermsAccepted, TermsOffered, WorkReceived, WorkSubmitted,
};
pub use trust::{KeyInRange, TrustError, TrustRoot, Trusted, Witnesses};
pub use verify::{
    Check, KeyState, Outcome, Policy, Requester, TrustLevel, Verified, VerifyError, verify, verify_evidence,
};
