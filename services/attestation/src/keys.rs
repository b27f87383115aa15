//! The platform's own keys: the one that signs receipts, the one that signs checkpoints, and the trust root
//! that names both. They live in this service alone.

use std::path::{Path, PathBuf};
use std::{fs, io};

use ed25519_dalek::SigningKey;
use poa_chassis::keyring;
use poa_common::{Env, Network};
use proof_of_agent::liabilities::LiabilitiesStatement;
use proof_of_agent::{
    Checkpoint, CheckpointError, DidKey, Envelope, EnvelopeError, LogKey, Statement, TrustError, TrustRoot,
};

/// The receipt key's file in the folder of the keys.
const RECEIPT_KEY: &str = "receipt.key";
/// The log key's file in the folder of the keys.
const LOG_KEY: &str = "log.key";
/// The trust root's file in the folder of the keys.
const TRUST_ROOT: &str = "trust-root.json";

/// What the platform signs with.
pub(crate) struct PlatformKeys {
    trust_root: TrustRoot,
    receipt: SigningKey,
    log: SigningKey,
}

/// Why the platform's keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file is not there.
    #[error("{} is missing: run `poa-mesh init` to make a deployment's keys", .0.display())]
    Missing(PathBuf),
    /// A file cannot be read or written, or holds no key.
    #[error("a key of the platform cannot be used")]
    Unusable(#[from] io::Error),
    /// The trust root is malformed.
    #[error("{} is not a trust root", path.display())]
    TrustRoot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: TrustError,
    },
    /// The receipt key is not the trust root's: receipts would verify nowhere.
    #[error("receipt.key is {0}, which is not among the receiptKeys of trust-root.json")]
    ForeignReceiptKey(DidKey),
    /// The log key is not the trust root's: checkpoints would verify nowhere.
    #[error("log.key is {0}, which is not among the logKeys of trust-root.json")]
    ForeignLogKey(DidKey),
}

/// Makes what is missing of the platform's keys, and a trust root that names them. What is there stays.
///
/// # Errors
/// `Unusable` where a file cannot be read or written, `TrustRoot` for an origin that no checkpoint can carry.
pub fn provision(dir: &Path, network: Network, origin: &str, env: &Env) -> Result<TrustRoot, KeysError> {
    let receipt = keyring::signing_key(&dir.join(RECEIPT_KEY), env)?;
    let log = keyring::signing_key(&dir.join(LOG_KEY), env)?;
    let path = dir.join(TRUST_ROOT);
    let unusable = |source| KeysError::TrustRoot { path: path.clone(), source };
    if !path.exists() {
        let log_key = LogKey::new(origin, DidKey::of(&log)).map_err(|_| unusable(TrustError::Keys))?;
        let trust_root = TrustRoot::new(network, origin, vec![log_key], vec![DidKey::of(&receipt)], None)
            .map_err(unusable)?;
        let part = path.with_extension("part");
        fs::write(&part, trust_root.to_json().map_err(unusable)?)?;
        fs::rename(&part, &path)?;
    }
    TrustRoot::from_json(&fs::read(&path)?).map_err(unusable)
}

// === impl PlatformKeys ===

impl PlatformKeys {
    /// Reads the keys and holds them against the trust root.
    pub(crate) fn open(dir: &Path, env: &Env) -> Result<Self, KeysError> {
        // `signing_key` makes a key where there is none, and a new key would be one that nobody trusts.
        let existing = |name: &str| {
            let path = dir.join(name);
            if path.exists() { Ok(path) } else { Err(KeysError::Missing(path)) }
        };
        let path = existing(TRUST_ROOT)?;
        let trust_root = TrustRoot::from_json(&fs::read(&path)?)
            .map_err(|source| KeysError::TrustRoot { path, source })?;
        let receipt = keyring::signing_key(&existing(RECEIPT_KEY)?, env)?;
        let log = keyring::signing_key(&existing(LOG_KEY)?, env)?;
        if !trust_root.receipt_keys().contains(&DidKey::of(&receipt)) {
            return Err(KeysError::ForeignReceiptKey(DidKey::of(&receipt)));
        }
        if !trust_root.log_keys().iter().any(|known| known.key() == DidKey::of(&log)) {
            return Err(KeysError::ForeignLogKey(DidKey::of(&log)));
        }
        Ok(Self { trust_root, receipt, log })
    }

    /// The key that signs in the platform's role.
    pub(crate) fn receipt_key(&self) -> DidKey {
        DidKey::of(&self.receipt)
    }

    /// All keys that sign or signed in the platform's role.
    pub(crate) fn receipt_keys(&self) -> &[DidKey] {
        self.trust_root.receipt_keys()
    }

    /// Which kind of sats this instance moves.
    pub(crate) fn network(&self) -> Network {
        self.trust_root.network()
    }

    /// The log's origin.
    pub(crate) fn origin(&self) -> &str {
        self.trust_root.origin()
    }

    /// Signs a statement that names the receipt key as its signer.
    pub(crate) fn sign(&self, statement: &Statement) -> Result<Envelope, EnvelopeError> {
        Envelope::sign(statement, &self.receipt)
    }

    /// Signs a statement of what the platform owes that names the receipt key as its signer.
    pub(crate) fn sign_liabilities(
        &self,
        statement: &LiabilitiesStatement,
    ) -> Result<Envelope, EnvelopeError> {
        statement.sign(&self.receipt)
    }

    /// Signs a checkpoint of this log.
    pub(crate) fn sign_checkpoint(&self, checkpoint: &Checkpoint) -> Result<String, CheckpointError> {
        checkpoint.sign(&self.log)
    }

    /// Reads a checkpoint that this log has signed, now or with an earlier key.
    pub(crate) fn open_checkpoint(&self, note: &str) -> Result<Checkpoint, CheckpointError> {
        let checkpoint = Checkpoint::open(note, self.trust_root.log_keys())?;
        if checkpoint.origin == self.origin() {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::NoTrustedSignature)
        }
    }
}

impl std::fmt::Debug for PlatformKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlatformKeys").field("origin", &self.origin()).finish_non_exhaustive()
    }
}
