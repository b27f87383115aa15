//! The proof of one balance, in one file.

use poa_common::{AccountId, LiabilitiesId, Msat, Network};
use serde::{Deserialize, Serialize};

use super::tree::SALT_BYTES;
use super::{LiabilitiesError, SumNode};
use crate::digest::Digest;
use crate::dsse::Envelope;
use crate::json;
use crate::tlog::MAX_PROOF_HASHES;

/// Bytes of a proof's JSON.
pub const MAX_PROOF_BYTES: usize = 512 * 1024;
/// Steps of a path: one per level of the largest tree.
const MAX_PATH_STEPS: usize = 40;
/// The version of the file that this verifier reads.
const VERSION: u32 = 1;

/// A balance, its way to the root, and where the root stands in the log. Nothing in it is verified before
/// [`verify_balance`](super::verify_balance) says so.
///
/// Unknown fields are an error: a field with a typing error must not pass for one that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BalanceProof {
    version: u32,
    /// Which kind of sats.
    pub network: Network,
    /// The snapshot of the balances.
    pub snapshot: LiabilitiesId,
    /// Whose balance.
    pub account: AccountId,
    /// What the account was owed, available and held.
    #[serde(with = "json::msat")]
    pub balance_msat: Msat,
    /// The salt of the leaf.
    #[serde(with = "salt")]
    pub salt: [u8; SALT_BYTES],
    /// The place of the leaf in the tree, from 0.
    pub leaf_index: u64,
    /// The siblings on the way to the root, nearest first.
    pub path: Vec<PathStep>,
    /// The signed statement of root, total and number of leaves.
    pub envelope: Envelope,
    /// The statement's place in the log.
    pub log_index: u64,
    /// The proof that it is there, nearest hash first.
    pub log_proof: Vec<Digest>,
    /// The signed note that this proof leads to.
    pub checkpoint: String,
}

/// One sibling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathStep {
    /// Its hash.
    pub hash: Digest,
    /// The sum of what is below it.
    #[serde(with = "json::msat")]
    pub sum_msat: Msat,
}

/// Everything that a proof is made of but its version.
#[derive(Clone, Debug)]
pub struct Parts {
    /// See [`BalanceProof::network`].
    pub network: Network,
    /// See [`BalanceProof::snapshot`].
    pub snapshot: LiabilitiesId,
    /// See [`BalanceProof::account`].
    pub account: AccountId,
    /// See [`BalanceProof::balance_msat`].
    pub balance: Msat,
    /// See [`BalanceProof::salt`].
    pub salt: [u8; SALT_BYTES],
    /// See [`BalanceProof::leaf_index`].
    pub leaf_index: u64,
    /// See [`BalanceProof::path`].
    pub path: Vec<SumNode>,
    /// See [`BalanceProof::envelope`].
    pub envelope: Envelope,
    /// See [`BalanceProof::log_index`].
    pub log_index: u64,
    /// See [`BalanceProof::log_proof`].
    pub log_proof: Vec<Digest>,
    /// See [`BalanceProof::checkpoint`].
    pub checkpoint: String,
}

// === impl BalanceProof ===

impl BalanceProof {
    /// A proof of the current version.
    pub fn new(parts: Parts) -> Self {
        Self {
            version: VERSION,
            network: parts.network,
            snapshot: parts.snapshot,
            account: parts.account,
            balance_msat: parts.balance,
            salt: parts.salt,
            leaf_index: parts.leaf_index,
            path: parts.path.into_iter().map(PathStep::from).collect(),
            envelope: parts.envelope,
            log_index: parts.log_index,
            log_proof: parts.log_proof,
            checkpoint: parts.checkpoint,
        }
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// `Malformed`, `UnknownVersion`, `Limit`.
    pub fn from_json(bytes: &[u8]) -> Result<Self, LiabilitiesError> {
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(LiabilitiesError::Limit("bytes"));
        }
        let proof: Self =
            json::from_file(bytes).map_err(|error| LiabilitiesError::Malformed(error.to_string()))?;
        if proof.version != VERSION {
            return Err(LiabilitiesError::UnknownVersion(proof.version));
        }
        proof.check_limits()?;
        Ok(proof)
    }

    /// The proof's JSON.
    ///
    /// # Errors
    /// `Limit`.
    pub fn to_json(&self) -> Result<Vec<u8>, LiabilitiesError> {
        self.check_limits()?;
        serde_json::to_vec(self).map_err(|error| LiabilitiesError::Malformed(error.to_string()))
    }

    fn check_limits(&self) -> Result<(), LiabilitiesError> {
        if self.path.len() > MAX_PATH_STEPS {
            return Err(LiabilitiesError::Limit("steps"));
        }
        if self.log_proof.len() > MAX_PROOF_HASHES {
            return Err(LiabilitiesError::Limit("hashes"));
        }
        Ok(())
    }
}

impl From<SumNode> for PathStep {
    fn from(node: SumNode) -> Self {
        Self { hash: node.hash, sum_msat: node.sum }
    }
}

impl From<PathStep> for SumNode {
    fn from(step: PathStep) -> Self {
        Self { hash: step.hash, sum: step.sum_msat }
    }
}

/// 32 bytes as 64 lower-case hexadecimal digits.
mod salt {
    use std::borrow::Cow;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::SALT_BYTES;
    use crate::json::lower_hex;

    pub(super) fn serialize<S: Serializer>(
        salt: &[u8; SALT_BYTES],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(salt))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; SALT_BYTES], D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        lower_hex(&text).ok_or_else(|| D::Error::custom("expected 64 lower-case hexadecimal digits"))
    }
}
