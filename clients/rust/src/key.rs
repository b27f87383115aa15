//! An agent's own key: made, kept and used on the agent's machine alone.
//!
//! It never signs raw bytes of a server: what it signs is built here, and says what it is.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use ed25519_dalek::{Signer as _, SigningKey};
use poa_common::{AccountId, AgentId, Env, TaskId, Timestamp};
use proof_of_agent::{
    Author, Content, DidKey, Envelope, EnvelopeError, Nonce, Statement, StatementError, TermsAccepted,
    WorkSubmitted,
};
use zeroize::Zeroizing;

/// What the signature of a registration begins with, so that it is good for nothing else.
const REGISTRATION_TAG: &str = "poa.auth.v1.RegisterAgent";
/// Bytes of a key file: a PKCS #8 key in PEM has about 120.
const MAX_KEY_FILE_BYTES: u64 = 4 * 1024;

/// An agent's Ed25519 key. Its `Debug` shows the public half.
#[derive(Clone)]
pub struct AgentKey {
    signing: SigningKey,
}

/// A key file cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the key file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than the owner may read the file.
    #[error("the key file {} can be read by others: run `chmod 600 {}`", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// The text is not an Ed25519 key in PKCS #8 PEM.
    #[error("not an Ed25519 private key in PKCS #8 PEM: {0}")]
    Malformed(String),
}

/// A statement was not signed, because the terms are not what the caller takes them for.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The bytes are not the terms of a task.
    #[error("the terms cannot be read: {0}")]
    Terms(#[from] StatementError),
    /// The statement could not be put into an envelope.
    #[error("the statement cannot be signed: {0}")]
    Envelope(#[from] EnvelopeError),
    /// The terms say something else than was agreed to.
    #[error("the terms are not signed: their {field} is {found}, expected {expected}")]
    Mismatch {
        /// What differs.
        field: &'static str,
        /// What the signer expects.
        expected: String,
        /// What the terms say.
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
}

// === impl AgentKey ===

impl AgentKey {
    /// A new key.
    pub fn generate(env: &Env) -> Self {
        let secret = Zeroizing::new(env.random::<32>());
        Self { signing: SigningKey::from_bytes(&secret) }
    }

    /// Reads a key in PKCS #8 PEM, as [`AgentKey::to_pem`] and OpenSSL write it.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        match SigningKey::from_pkcs8_pem(pem) {
            Ok(signing) => Ok(Self { signing }),
            Err(error) => Err(KeyError::Malformed(error.to_string())),
        }
    }

    /// The key in PKCS #8 PEM. Version 1, without the public half, which OpenSSL reads too.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let pair = KeypairBytes { secret_key: self.signing.to_bytes(), public_key: None };
        pair.to_pkcs8_pem(LineEnding::LF).map_err(|error| KeyError::Malformed(error.to_string()))
    }

    /// Reads a key file, which nobody but its owner may read.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(failed)?;
        if is_exposed(&metadata) {
            return Err(KeyError::Exposed(path.to_owned()));
        }
        if metadata.len() > MAX_KEY_FILE_BYTES {
            return Err(KeyError::Malformed("the file is too large for a key".to_owned()));
        }
        Self::from_pem(&Zeroizing::new(fs::read_to_string(path).map_err(failed)?))
    }

    /// Writes the key to a new file that only its owner may read. An existing file is an error: keys are not overwritten.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        let pem = self.to_pem()?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed)?;
        file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
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
    pub fn registration_proof(&self, account_id: &str) -> [u8; 64] {
        let text = format!("{REGISTRATION_TAG}\n{account_id}\n{}", hex::encode(self.public_key()));
        self.signing.sign(text.as_bytes()).to_bytes()
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
        let submitted = WorkSubmitted {
            agent: accepted.agent,
            claim_number: accepted.claim_number,
            acceptance: acceptance.digest(),
            output: work.output,
            started_time: work.started,
            // A clock that was set back in between must not cost the agent its work.
            finished_time: work.finished.max(work.started),
            build_digest: None,
            source_ref: None,
            tee_evidence_digest: None,
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

/// Whether what the terms say is what the signer agreed to.
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

#[cfg(unix)]
fn is_exposed(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &fs::Metadata) -> bool {
    false
}

#[cfg(test)]
#[path = "key_tests.rs"]
pub(crate) mod tests;
