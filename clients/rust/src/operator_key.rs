//! A key of whoever runs an instance or a witness. A root key signs trust roots, and belongs on a machine of its own.

use std::fmt;
use std::path::Path;

use ed25519_dalek::SigningKey;
use poa_common::Env;
use proof_of_agent::{DidKey, TrustError, TrustRoot};

use crate::key_file::{self, KeyError};

/// A key of an instance or a witness. Its `Debug` shows the public half.
#[derive(Clone)]
pub struct OperatorKey {
    signing: SigningKey,
}

// === impl OperatorKey ===

impl OperatorKey {
    /// A new key.
    pub fn generate(env: &Env) -> Self {
        Self { signing: key_file::generate(env) }
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

    /// The public half.
    pub fn did(&self) -> DidKey {
        DidKey::of(&self.signing)
    }

    /// The trust root with this key's signature.
    ///
    /// # Errors
    /// `Keys` where it has too many signatures.
    pub fn sign_trust_root(&self, trust_root: &TrustRoot) -> Result<TrustRoot, TrustError> {
        trust_root.sign(&self.signing)
    }
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperatorKey({})", self.did())
    }
}
