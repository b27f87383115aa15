//! A witness's own key: kept as an agent's key is, and used for cosignatures alone.

use std::path::Path;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use proof_of_agent::note::WitnessKey;
use proof_of_agent::{Checkpoint, DidKey, NoteError};

use crate::key::AgentKey;
use crate::key_file::KeyError;

/// The key of a witness under its name. Its `Debug` shows the public half.
pub struct Cosigner {
    key: WitnessKey,
    signing: SigningKey,
}

/// A witness's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CosignerError {
    /// The key's file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The name of the witness.
    #[error("a witness's name has no spaces and no `+`")]
    Name(#[from] NoteError),
}

// === impl Cosigner ===

impl Cosigner {
    /// A key under a witness's name.
    pub fn new(name: &str, key: &AgentKey) -> Result<Self, CosignerError> {
        let pem = key.to_pem()?;
        let signing =
            SigningKey::from_pkcs8_pem(&pem).map_err(|error| KeyError::Malformed(error.to_string()))?;
        Ok(Self { key: WitnessKey::new(name, DidKey::of(&signing))?, signing })
    }

    /// Reads the key's file, which nobody but its owner may read.
    pub fn load(name: &str, path: &Path) -> Result<Self, CosignerError> {
        Self::new(name, &AgentKey::load(path)?)
    }

    /// The verifier key, for trust roots.
    pub fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// The signature line for a checkpoint that was judged, at a moment in seconds since 1970. The text that is signed is that of the
    /// note, extension lines too.
    pub fn cosign(&self, note: &str, at: u64) -> Result<String, NoteError> {
        let note = proof_of_agent::note::Note::parse(note)?;
        Ok(self.key.cosign(note.text(), at, &self.signing))
    }

    /// Whether a note of this checkpoint has the witness's cosignature.
    pub fn has_cosigned(&self, note: &str) -> bool {
        Checkpoint::cosigners(note, std::slice::from_ref(&self.key)).is_ok_and(|found| !found.is_empty())
    }
}

impl std::fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cosigner({})", self.key)
    }
}
