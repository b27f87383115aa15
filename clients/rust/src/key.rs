//! An agent's own key: made, kept and used on the agent's machine alone.
//!
//! It never signs raw bytes of a server: what it signs is built here, and says what it is.

use std::fmt;
use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey};
use poa_common::{AccountId, AgentId, Env, TaskId, Timestamp};
use proof_of_agent::notice::{KeyChange, registration_text};
use proof_of_agent::{
    AgentVersion, Author, Content, DidKey, Digest, Envelope, EnvelopeError, Nonce, NoticeStatement,
    Statement, StatementError, TermsAccepted, TrustRoot, WorkSubmitted,
};
use zeroize::Zeroizing;

use crate::key_file::{self, KeyError};

/// An agent's Ed25519 key. Its `Debug` shows the public half.
#[derive(Clone)]
pub struct AgentKey {
    signing: SigningKey,
}

/// Something was not signed, because it is not what the caller takes it for.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The bytes are not the terms of a task.
    #[error("the terms cannot be read: {0}")]
    Terms(#[from] StatementError),
    /// What is to be said breaks a rule of the protocol.
    #[error("the statement is not signed: {0}")]
    Statement(#[source] StatementError),
    /// The statement could not be put into an envelope.
    #[error("the statement cannot be signed: {0}")]
    Envelope(#[from] EnvelopeError),
    /// It says something else than was agreed to.
    #[error("this is not signed: its {field} is {found}, expected {expected}")]
    Mismatch {
        /// What differs.
        field: &'static str,
        /// What the signer expects.
        expected: String,
        /// What it says.
        found: String,
    },
}

/// What an agent accepts, beside the terms themselves.
#[derive(Clone, Debug)]
pub struct AcceptanceTerms {
    /// The task that the terms must be of.
    pub task: TaskId,
    /// The agent.
    pub agent: AgentId,
    /// The account that is paid.
    pub account: AccountId,
    /// The number of the claim, as the feed gives it.
    pub claim_number: u32,
}

/// What an agent did, for its receipt.
#[derive(Clone, Debug)]
pub struct WorkDone {
    /// The result.
    pub output: Content,
    /// When the work began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// The build that did it, if the agent says: one that it has published shows more of the run than its key alone.
    pub build: Option<Build>,
    /// SHA-256 of the evidence that a trusted execution environment gave for this result, if it ran in one: see
    /// [`crate::Session::submit_tee_evidence`].
    pub evidence: Option<Digest>,
}

/// A build of an agent, as its receipts name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// SHA-256 of the build's archive.
    pub digest: Digest,
    /// Where its source is.
    pub source_ref: Option<String>,
}

// === impl AgentKey ===

impl AgentKey {
    /// A new key.
    pub fn generate(env: &Env) -> Self {
        Self { signing: key_file::generate(env) }
    }

    /// Reads a key in PKCS #8 PEM, as [`AgentKey::to_pem`] and OpenSSL write it.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        key_file::from_pem(pem).map(|signing| Self { signing })
    }

    /// The key in PKCS #8 PEM. Version 1, without the public half, which OpenSSL reads too.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        key_file::to_pem(&self.signing)
    }

    /// Reads a key file, which nobody but its owner may read.
    ///
    /// # Errors
    /// One variant per cause.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        key_file::load(path).map(|signing| Self { signing })
    }

    /// Writes the key to a new file that only its owner may read. An existing file is an error: keys are not overwritten.
    ///
    /// # Errors
    /// `File`.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        key_file::save(&self.signing, path)
    }

    /// The 32 bytes of the public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
    }

    /// The name under which the key signs.
    pub fn did(&self) -> DidKey {
        DidKey::of(&self.signing)
    }

    /// Proves to `RegisterAgent` that the caller holds the key: 64 bytes.
    pub fn registration_proof(&self, account: &AccountId) -> [u8; 64] {
        self.signing.sign(registration_text(account, &self.did()).as_bytes()).to_bytes()
    }

    /// Signs that a key takes another's place, or is revoked: 64 bytes. The old key and the new one sign the same text.
    ///
    /// # Errors
    /// `Mismatch` where the change is not about this key.
    pub fn sign_change(&self, change: &KeyChange) -> Result<[u8; 64], SigningError> {
        if change.new_key != Some(self.did()) {
            expect("key", &self.did(), &change.key)?;
        }
        Ok(self.signing.sign(change.text().as_bytes()).to_bytes())
    }

    /// Signs a version of the agent for the log of a trust root: the one that the caller believes, which says the network and
    /// the log's origin.
    ///
    /// # Errors
    /// `Statement` where a field of the version breaks a rule.
    pub fn sign_version(
        &self,
        env: &Env,
        trust_root: &TrustRoot,
        version: &AgentVersion,
    ) -> Result<(NoticeStatement<AgentVersion>, Envelope), SigningError> {
        let (network, origin) = (trust_root.network(), trust_root.origin());
        let statement = NoticeStatement::new(network, origin, self.did(), Nonce::new(env.random()), version)
            .map_err(SigningError::Statement)?;
        let envelope = statement.sign(&self.signing)?;
        Ok((statement, envelope))
    }

    /// Signs TermsAccepted for the exact bytes of the terms that the feed delivered.
    pub fn accept(
        &self,
        env: &Env,
        terms: &[u8],
        acceptance: &AcceptanceTerms,
    ) -> Result<(Statement, Envelope), SigningError> {
        let offer = Statement::parse(terms)?;
        let offered = offer.body().as_terms_offered().ok_or_else(|| SigningError::Mismatch {
            field: "kind",
            expected: "TermsOffered".to_owned(),
            found: offer.kind().to_string(),
        })?;
        expect("task", &acceptance.task, &offer.context().task)?;
        if let Some(direct) = &offered.direct_agent {
            expect("agent", &acceptance.agent, direct)?;
        }
        let accepted = TermsAccepted {
            agent: acceptance.agent,
            account: acceptance.account,
            claim_number: acceptance.claim_number,
            lease_seconds: offered.claim_seconds,
            accepted_time: env.now(),
        };
        let statement = offer.successor(self.author(env), accepted)?;
        let envelope = Envelope::sign(&statement, &self.signing)?;
        Ok((statement, envelope))
    }

    /// Signs WorkSubmitted. `last` is the last statement of the task: the acceptance itself, or the rejection of an
    /// earlier result.
    pub fn submit(
        &self,
        env: &Env,
        acceptance: &Statement,
        last: &Statement,
        work: WorkDone,
    ) -> Result<Envelope, SigningError> {
        let accepted = acceptance.body().as_terms_accepted().ok_or_else(|| SigningError::Mismatch {
            field: "kind",
            expected: "TermsAccepted".to_owned(),
            found: acceptance.kind().to_string(),
        })?;
        expect("signer", &self.did(), &acceptance.context().signer)?;
        let (build_digest, source_ref) = match work.build {
            Some(build) => (Some(build.digest), build.source_ref),
            None => (None, None),
        };
        let submitted = WorkSubmitted {
            agent: accepted.agent,
            claim_number: accepted.claim_number,
            acceptance: acceptance.digest(),
            output: work.output,
            started_time: work.started,
            // A clock that was set back in between must not cost the agent its work.
            finished_time: work.finished.max(work.started),
            build_digest,
            source_ref,
            tee_evidence_digest: work.evidence,
        };
        let statement = last.successor(self.author(env), submitted)?;
        Ok(Envelope::sign(&statement, &self.signing)?)
    }

    fn author(&self, env: &Env) -> Author {
        Author::agent(self.did(), Nonce::new(env.random()))
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentKey({})", self.did())
    }
}

/// Whether what is to be signed says what the signer agreed to.
pub(crate) fn expect<T: PartialEq + fmt::Display>(
    field: &'static str,
    expected: &T,
    found: &T,
) -> Result<(), SigningError> {
    if expected == found {
        return Ok(());
    }
    Err(SigningError::Mismatch { field, expected: expected.to_string(), found: found.to_string() })
}

#[cfg(test)]
#[path = "key_tests.rs"]
pub(crate) mod tests;
