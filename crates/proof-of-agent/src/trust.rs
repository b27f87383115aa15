//! The trust root: a file that says which keys a verifier believes. It is pinned by whoever verifies, and
//! never fetched from the server under test.

use ed25519_dalek::{Signer as _, SigningKey};
use poa_common::{Network, Timestamp};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::did::DidKey;
use crate::digest::Digest;
use crate::json;
use crate::note::{LogKey, WitnessKey};

/// Bytes of a trust root's file.
pub const MAX_TRUST_ROOT_BYTES: usize = 64 * 1024;
/// Keys of one kind: rotations add, and old receipts need the old ones.
pub const MAX_KEYS: usize = 64;
/// The version of the file that this verifier reads.
pub const TRUST_ROOT_VERSION: u32 = 1;
/// What is signed begins with this: a root key signs nothing else.
const SIGNATURE_TAG: &str = "poa.trust-root.v1\n";

/// What a verifier believes about one platform instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRoot {
    file: Trusted,
    digest: Digest,
    receipt_keys: Vec<DidKey>,
    arbiter_keys: Vec<DidKey>,
}

/// What the file says. Unknown fields are an error: one that a verifier overlooks may be the one that matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trusted {
    /// The version of the file's form: [`TRUST_ROOT_VERSION`].
    pub version: u32,
    /// Counts up from 1 with each new file of the instance.
    pub revision: u64,
    /// Which kind of sats the instance moves.
    pub network: Network,
    /// The origin of its log.
    pub origin: String,
    /// Origins that the log had before: its first entries were published under them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prior_origins: Vec<String>,
    /// The keys that sign its checkpoints. The last one is in use.
    pub log_keys: Vec<LogKey>,
    /// Who must have seen a checkpoint too.
    #[serde(default, skip_serializing_if = "Witnesses::is_empty")]
    pub witnesses: Witnesses,
    /// The keys that sign in the role `platform`. The last one is in use.
    pub receipt_keys: Vec<KeyInRange>,
    /// The keys that sign in the role `arbiter`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arbiter_keys: Vec<KeyInRange>,
    /// The roots of the makers of trusted execution environments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tee_roots: Vec<TeeRoot>,
    /// The keys that may sign the next file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub root_keys: Vec<DidKey>,
    /// When the file is to be replaced by a newer one.
    #[serde(default, with = "json::optional_utc", skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The signatures of root keys over all of the above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<RootSignature>,
}

/// Who must have seen a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Witnesses {
    /// How many of them must have cosigned it.
    pub quorum: u32,
    /// Their keys.
    pub keys: Vec<WitnessKey>,
}

/// A key, and the places in the log of what it may have signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyInRange {
    /// The key.
    pub key: DidKey,
    /// The first place.
    pub from: u64,
    /// The place after the last one; absent for a key in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// The root certificate of a maker of trusted execution environments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TeeRoot {
    /// Whose: `intelSgx`, `intelTdx`, `amdSevSnp` or `awsNitro`.
    pub vendor: String,
    /// SHA-256 of the certificate's DER.
    pub sha256: Digest,
}

/// A root key's signature over the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RootSignature {
    /// The key.
    pub key: DidKey,
    /// Its signature: 64 bytes of Ed25519.
    #[serde(with = "json::base64_bytes")]
    pub sig: Vec<u8>,
}

/// Why a file is not a trust root, or does not follow another one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Larger than [`MAX_TRUST_ROOT_BYTES`].
    #[error("the trust root is larger than {MAX_TRUST_ROOT_BYTES} bytes")]
    TooLarge,
    /// Not JSON of the documented shape.
    #[error("the trust root is malformed: {0}")]
    Malformed(String),
    /// Of a version that this verifier does not read.
    #[error("the trust root is of the unknown version {0}: use a newer verifier")]
    UnknownVersion(u32),
    /// No key of a kind, too many, or a log key of another log.
    #[error("a trust root holds 1 to {MAX_KEYS} receipt keys, and as many log keys under its own origin")]
    Keys,
    /// More witnesses are asked for than there are, or two have one name or one key.
    #[error("the quorum is above the number of witnesses, or a witness stands there twice")]
    Witnesses,
    /// A key's range is empty.
    #[error("the range of the key {0} is empty")]
    Range(DidKey),
    /// A signature on the file does not hold.
    #[error("the signature of {0} does not hold for the trust root")]
    BadSignature(DidKey),
    /// Not signed by a root key of the file before.
    #[error("no root key of the trust root {pinned} has signed this one: get it from someone you trust")]
    NotSigned {
        /// The digest of the file before.
        pinned: Digest,
    },
    /// Of another instance than the file before.
    #[error("the trust root is of another instance than the one before")]
    OtherInstance,
    /// Not newer than the file before.
    #[error("the trust root is of revision {found}, and revision {pinned} is known already")]
    NotNewer {
        /// The revision of the file before.
        pinned: u64,
        /// The revision of this one.
        found: u64,
    },
}

// === impl TrustRoot ===

impl TrustRoot {
    /// The trust root of an instance, as that instance writes it at its first start.
    pub fn new(
        network: Network,
        origin: impl Into<String>,
        log_keys: Vec<LogKey>,
        receipt_keys: Vec<DidKey>,
        expires: Option<Timestamp>,
    ) -> Result<Self, TrustError> {
        let receipt_keys = receipt_keys.into_iter().map(KeyInRange::always).collect();
        Self::of(Trusted { expires, ..Trusted::new(network, origin, log_keys, receipt_keys) })
    }

    /// A trust root that says this.
    ///
    /// # Errors
    /// One variant per rule.
    pub fn of(trusted: Trusted) -> Result<Self, TrustError> {
        Self::checked(trusted)
    }

    /// Reads the file. Signatures that are there must hold; whether they are by keys that may sign, [`TrustRoot::succeeds`] says.
    ///
    /// # Errors
    /// One variant per rule.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TrustError> {
        if bytes.len() > MAX_TRUST_ROOT_BYTES {
            return Err(TrustError::TooLarge);
        }
        let file = json::from_file(bytes).map_err(|error| TrustError::Malformed(error.to_string()))?;
        Self::checked(file)
    }

    fn checked(file: Trusted) -> Result<Self, TrustError> {
        if file.version != TRUST_ROOT_VERSION {
            return Err(TrustError::UnknownVersion(file.version));
        }
        let trusted = &file;
        let counted = [trusted.log_keys.len(), trusted.receipt_keys.len()];
        let bounded = [
            trusted.arbiter_keys.len(),
            trusted.witnesses.keys.len(),
            trusted.tee_roots.len(),
            trusted.root_keys.len(),
            trusted.prior_origins.len(),
            file.signatures.len(),
        ];
        let sound = counted.into_iter().all(|n| (1..=MAX_KEYS).contains(&n))
            && bounded.into_iter().all(|n| n <= MAX_KEYS)
            && trusted.log_keys.iter().all(|key| key.name() == trusted.origin);
        if !sound {
            return Err(TrustError::Keys);
        }
        trusted.witnesses.check()?;
        check_numbers(trusted)?;
        let ranges = trusted.receipt_keys.iter().chain(&trusted.arbiter_keys);
        if let Some(empty) = ranges.into_iter().find(|it| it.until.is_some_and(|until| until <= it.from)) {
            return Err(TrustError::Range(empty.key));
        }
        let canonical = canonical(&file)?;
        let message = message(&canonical);
        if let Some(bad) = file.signatures.iter().find(|it| !it.key.verifies(&message, &it.sig)) {
            return Err(TrustError::BadSignature(bad.key));
        }
        let keys = |keys: &[KeyInRange]| keys.iter().map(|it| it.key).collect();
        Ok(Self {
            digest: Digest::of(&canonical),
            receipt_keys: keys(&trusted.receipt_keys),
            arbiter_keys: keys(&trusted.arbiter_keys),
            file,
        })
    }

    /// The file's JSON, indented for people.
    pub fn to_json(&self) -> Result<Vec<u8>, TrustError> {
        written(&self.file)
    }

    /// Adds a root key's signature.
    ///
    /// # Errors
    /// `Keys` where there are too many.
    pub fn sign(&self, key: &SigningKey) -> Result<Self, TrustError> {
        let signer = DidKey::of(key);
        let sig = key.sign(&message(&canonical(&self.file)?)).to_bytes().to_vec();
        let mut file = self.file.clone();
        file.signatures.retain(|before| before.key != signer);
        file.signatures.push(RootSignature { key: signer, sig });
        Self::checked(file)
    }

    /// Whether this file may take the place of the one that is pinned: of the same instance, newer, and signed by a root key of
    /// the pinned one.
    ///
    /// # Errors
    /// Why it may not.
    pub fn succeeds(&self, pinned: &Self) -> Result<(), TrustError> {
        let (this, before) = (self.trusted(), pinned.trusted());
        let same_log = this.origin == before.origin || this.prior_origins.contains(&before.origin);
        if this.network != before.network || !same_log {
            return Err(TrustError::OtherInstance);
        }
        if this.revision <= before.revision {
            return Err(TrustError::NotNewer { pinned: before.revision, found: this.revision });
        }
        let signed = self.file.signatures.iter().any(|it| before.root_keys.contains(&it.key));
        if signed { Ok(()) } else { Err(TrustError::NotSigned { pinned: pinned.digest }) }
    }

    /// SHA-256 of the file as [`TrustRoot::to_json`] writes it, without signatures: what people compare over the telephone. It
    /// does not depend on how the file at hand is indented.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// All that the file says.
    pub fn trusted(&self) -> &Trusted {
        &self.file
    }

    /// The keys that have signed the file.
    pub fn signers(&self) -> impl Iterator<Item = DidKey> + '_ {
        self.file.signatures.iter().map(|it| it.key)
    }

    /// Which kind of sats the instance moves.
    pub fn network(&self) -> Network {
        self.trusted().network
    }

    /// The origin of the instance's log.
    pub fn origin(&self) -> &str {
        &self.trusted().origin
    }

    /// Whether a statement for a log of this origin belongs to the instance.
    pub fn has_origin(&self, origin: &str) -> bool {
        self.origin() == origin || self.trusted().prior_origins.iter().any(|prior| prior == origin)
    }

    /// The keys that sign checkpoints.
    pub fn log_keys(&self) -> &[LogKey] {
        &self.trusted().log_keys
    }

    /// The keys that sign statements in the platform's role.
    pub fn receipt_keys(&self) -> &[DidKey] {
        &self.receipt_keys
    }

    /// The keys that sign verdicts.
    pub fn arbiter_keys(&self) -> &[DidKey] {
        &self.arbiter_keys
    }

    /// Whether a key may have signed in the platform's role at a place of the log.
    pub fn may_sign_receipts(&self, key: DidKey, log_index: u64) -> bool {
        covered(&self.trusted().receipt_keys, key, log_index)
    }

    /// Whether a key may have signed a verdict at a place of the log.
    pub fn may_judge(&self, key: DidKey, log_index: u64) -> bool {
        covered(&self.trusted().arbiter_keys, key, log_index)
    }

    /// Verifies a checkpoint of the instance's log, and that enough witnesses have seen it. Answers with how many have.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn open_checkpoint(&self, note: &str) -> Result<(Checkpoint, usize), CheckpointError> {
        let checkpoint = Checkpoint::open(note, self.log_keys())?;
        let witnesses = &self.trusted().witnesses;
        let found = Checkpoint::cosigners(note, &witnesses.keys)?.len();
        if usize::try_from(witnesses.quorum).is_ok_and(|quorum| quorum <= found) {
            Ok((checkpoint, found))
        } else {
            Err(CheckpointError::NotWitnessed { quorum: witnesses.quorum, found })
        }
    }

    /// When the file must be replaced by a newer one.
    pub fn expires(&self) -> Option<Timestamp> {
        self.trusted().expires
    }
}

// === impl Trusted ===

impl Trusted {
    /// The first file of an instance: its log and its receipt keys, and nothing else.
    pub fn new(
        network: Network,
        origin: impl Into<String>,
        log_keys: Vec<LogKey>,
        receipt_keys: Vec<KeyInRange>,
    ) -> Self {
        Self {
            version: TRUST_ROOT_VERSION,
            revision: 1,
            network,
            origin: origin.into(),
            prior_origins: Vec::new(),
            log_keys,
            witnesses: Witnesses::default(),
            receipt_keys,
            arbiter_keys: Vec::new(),
            tee_roots: Vec::new(),
            root_keys: Vec::new(),
            expires: None,
            signatures: Vec::new(),
        }
    }
}

// === impl KeyInRange ===

impl KeyInRange {
    /// A key that may sign at every place.
    pub fn always(key: DidKey) -> Self {
        Self { key, from: 0, until: None }
    }

    /// Whether what stands at a place of the log may be signed with the key.
    pub fn covers(&self, log_index: u64) -> bool {
        self.from <= log_index && self.until.is_none_or(|until| log_index < until)
    }
}

// === impl Witnesses ===

impl Witnesses {
    fn is_empty(&self) -> bool {
        self.quorum == 0 && self.keys.is_empty()
    }

    fn check(&self) -> Result<(), TrustError> {
        let twice = self.keys.iter().enumerate().any(|(place, key)| {
            self.keys
                .iter()
                .skip(place + 1)
                .any(|other| other.name() == key.name() || other.key() == key.key())
        });
        let enough = usize::try_from(self.quorum).is_ok_and(|quorum| quorum <= self.keys.len());
        if enough && !twice { Ok(()) } else { Err(TrustError::Witnesses) }
    }
}

/// Numbers that every JSON reader keeps exactly, so that every reader writes the same file back.
fn check_numbers(trusted: &Trusted) -> Result<(), TrustError> {
    let ranges = trusted.receipt_keys.iter().chain(&trusted.arbiter_keys);
    let places = ranges.flat_map(|it| [it.from, it.until.unwrap_or_default()]);
    let exact = places.chain([trusted.revision]).all(|number| number <= json::MAX_INTEGER);
    if exact && trusted.revision > 0 {
        Ok(())
    } else {
        Err(TrustError::Malformed("a number is not 1 to 2^53 - 1".to_owned()))
    }
}

fn covered(keys: &[KeyInRange], key: DidKey, log_index: u64) -> bool {
    keys.iter().any(|it| it.key == key && it.covers(log_index))
}

/// The file without its signatures.
fn canonical(file: &Trusted) -> Result<Vec<u8>, TrustError> {
    written(&Trusted { signatures: Vec::new(), ..file.clone() })
}

fn message(canonical: &[u8]) -> Vec<u8> {
    [SIGNATURE_TAG.as_bytes(), canonical].concat()
}

fn written(file: &Trusted) -> Result<Vec<u8>, TrustError> {
    let mut bytes =
        serde_json::to_vec_pretty(file).map_err(|error| TrustError::Malformed(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}
