//! The platform's own keys: those that sign receipts, the one that signs checkpoints, and the trust root
//! that names them. They live in this service alone.
//!
//! The receipt key in use is `receipt.key`. One that was in use before stays beside it as `receipt-NAME.key`, for as long as
//! statements that name it may still have to be signed.

use std::path::{Path, PathBuf};
use std::{fs, io};

use ed25519_dalek::SigningKey;
use poa_chassis::keyring;
use poa_common::{AccountId, AgentId, Env, Network, TypedId as _};
use proof_of_agent::notice::Notice;
use proof_of_agent::reputation::Pseudonym;
use proof_of_agent::tee::{TeeRoots, Vendor};
use proof_of_agent::trust::TeeRoot;
use proof_of_agent::{
    Checkpoint, CheckpointError, DidKey, Envelope, EnvelopeError, KeyInRange, LogKey, NoticeStatement,
    Statement, TrustError, TrustRoot, Trusted,
};

/// The receipt key's file in the folder of the keys.
const RECEIPT_KEY: &str = "receipt.key";
/// How the files of receipt keys that were in use before begin.
const EARLIER_RECEIPT_KEY: &str = "receipt-";
/// The key that signs trust roots. It belongs on another machine: nothing here reads it after the first start.
const ROOT_KEY: &str = "root.key";
/// The log key's file in the folder of the keys.
const LOG_KEY: &str = "log.key";
/// The trust root's file in the folder of the keys.
const TRUST_ROOT: &str = "trust-root.json";

/// What the platform signs with.
pub(crate) struct PlatformKeys {
    trust_root: TrustRoot,
    /// The one in use first.
    receipts: Vec<SigningKey>,
    log: SigningKey,
    /// What pseudonyms of requesters are made with.
    secret: [u8; 32],
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
        let root = keyring::signing_key(&dir.join(ROOT_KEY), env)?;
        let receipt_keys = vec![KeyInRange::always(DidKey::of(&receipt))];
        let trusted = Trusted::new(network, origin, vec![log_key], receipt_keys);
        let trusted = Trusted { root_keys: vec![DidKey::of(&root)], tee_roots: tee_roots(), ..trusted };
        let trust_root = TrustRoot::of(trusted).and_then(|file| file.sign(&root)).map_err(unusable)?;
        let part = path.with_extension("part");
        fs::write(&part, trust_root.to_json().map_err(unusable)?)?;
        fs::rename(&part, &path)?;
    }
    TrustRoot::from_json(&fs::read(&path)?).map_err(unusable)
}

/// The roots of trusted execution that the vendors publish, each under every name that it counts for.
fn tee_roots() -> Vec<TeeRoot> {
    let published = TeeRoots::published();
    let vendors = [Vendor::IntelSgx, Vendor::IntelTdx, Vendor::AmdSevSnp, Vendor::AwsNitro];
    let of = |vendor: Vendor| {
        let roots = published.of(vendor).iter();
        roots.map(|sha256| TeeRoot { vendor: vendor.to_string(), sha256: *sha256 }).collect::<Vec<_>>()
    };
    vendors.into_iter().flat_map(of).collect()
}

// === impl PlatformKeys ===

impl PlatformKeys {
    /// Reads the keys and holds them against the trust root.
    pub(crate) fn open(dir: &Path, secret: [u8; 32], env: &Env) -> Result<Self, KeysError> {
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
        let mut receipts = vec![receipt];
        for path in earlier_receipt_keys(dir)? {
            receipts.push(keyring::signing_key(&path, env)?);
        }
        let known = trust_root.receipt_keys();
        if let Some(foreign) = receipts.iter().map(DidKey::of).find(|key| !known.contains(key)) {
            return Err(KeysError::ForeignReceiptKey(foreign));
        }
        if !trust_root.log_keys().iter().any(|known| known.key() == DidKey::of(&log)) {
            return Err(KeysError::ForeignLogKey(DidKey::of(&log)));
        }
        Ok(Self { trust_root, receipts, log, secret })
    }

    /// The key that signs in the platform's role.
    pub(crate) fn receipt_key(&self) -> DidKey {
        DidKey::of(self.receipt())
    }

    /// The receipt key in use. There is always one: see [`PlatformKeys::open`].
    fn receipt(&self) -> &SigningKey {
        &self.receipts[0]
    }

    /// Whether statements that name this key as their signer are signed here.
    pub(crate) fn signs_with(&self, key: DidKey) -> bool {
        self.receipts.iter().any(|receipt| DidKey::of(receipt) == key)
    }

    /// All that a verifier of this instance believes.
    pub(crate) fn trust_root(&self) -> &TrustRoot {
        &self.trust_root
    }

    /// The names of the witnesses that count.
    pub(crate) fn witnesses(&self) -> Vec<String> {
        self.trust_root.trusted().witnesses.keys.iter().map(|key| key.name().to_owned()).collect()
    }

    /// Whether a statement for a log of this origin is for this log.
    pub(crate) fn has_origin(&self, origin: &str) -> bool {
        self.trust_root.has_origin(origin)
    }

    /// The requester's name in an agent's records: the same for all tasks between the two, and another for each agent.
    pub(crate) fn pseudonym(&self, requester: AccountId, agent: AgentId) -> Pseudonym {
        let derived =
            poa_storage::secret::derive(&self.secret, &format!("requester of {agent}"), requester.uuid());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&derived[..16]);
        Pseudonym::new(bytes)
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

    /// Signs a statement with the receipt key that it names as its signer.
    pub(crate) fn sign(&self, statement: &Statement) -> Result<Envelope, EnvelopeError> {
        let signer = statement.context().signer;
        let key = self.receipts.iter().find(|receipt| DidKey::of(receipt) == signer);
        Envelope::sign(statement, key.unwrap_or(self.receipt()))
    }

    /// Signs a statement that belongs to no task, and names the receipt key in use as its signer.
    pub(crate) fn sign_notice<N: Notice>(
        &self,
        statement: &NoticeStatement<N>,
    ) -> Result<Envelope, EnvelopeError> {
        statement.sign(self.receipt())
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

/// The files of receipt keys that were in use before, in the order of their names.
fn earlier_receipt_keys(dir: &Path) -> Result<Vec<PathBuf>, KeysError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(EARLIER_RECEIPT_KEY) && name.ends_with(".key") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

impl std::fmt::Debug for PlatformKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlatformKeys").field("origin", &self.origin()).finish_non_exhaustive()
    }
}
