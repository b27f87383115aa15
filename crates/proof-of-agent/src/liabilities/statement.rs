//! The signed statement: root, total and number of the leaves.

use ed25519_dalek::SigningKey;
use poa_common::{LiabilitiesId, Msat, Network, Timestamp};
use serde::{Deserialize, Serialize};

use super::tree::MAX_LEAVES;
use crate::did::DidKey;
use crate::digest::Digest;
use crate::dsse::{Envelope, EnvelopeError, Signature};
use crate::json;
use crate::statement::{MAX_ORIGIN_BYTES, MAX_STATEMENT_BYTES, Nonce, Role, STATEMENT_TYPE, StatementError};

/// The predicate type, compared byte by byte.
pub const PREDICATE_TYPE: &str = "urn:uuid:6ebeb7d1-33c1-44dd-946e-1f07280a6e9f#Liabilities/v1";
/// The same without its version: a known type of another version is an error of its own.
const UNVERSIONED: &str = "urn:uuid:6ebeb7d1-33c1-44dd-946e-1f07280a6e9f#Liabilities/";
/// The name of the subject, whose digest is the root.
const SUBJECT: &str = "liabilities";
/// What of the statement must be written as objects: serde reads a struct from the array of its fields too.
const OBJECTS: [&str; 5] = ["", "/subject/0", "/subject/0/digest", "/predicate", "/predicate/body"];

/// What the platform owes at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liabilities {
    /// The snapshot of the balances.
    pub snapshot: LiabilitiesId,
    /// The root of the tree.
    pub root: Digest,
    /// What all leaves are owed together: the sum of the root.
    pub liabilities: Msat,
    /// How many leaves the tree has.
    pub leaf_count: u64,
    /// When the balances were read.
    pub snapshot_time: Timestamp,
}

/// The statement of it, well-formed by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiabilitiesStatement {
    payload: Vec<u8>,
    network: Network,
    origin: String,
    signer: DidKey,
    liabilities: Liabilities,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: DigestSet,
}

#[derive(Serialize, Deserialize)]
struct DigestSet {
    sha256: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    network: Network,
    log_origin: String,
    nonce: Nonce,
    signer: DidKey,
    signer_role: Role,
    body: Body,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    snapshot: LiabilitiesId,
    #[serde(with = "json::msat")]
    liabilities_msat: Msat,
    leaf_count: u64,
    #[serde(with = "json::utc")]
    snapshot_time: Timestamp,
}

// === impl LiabilitiesStatement ===

impl LiabilitiesStatement {
    /// The statement of a platform instance, by its receipt key.
    ///
    /// # Errors
    /// `Invalid` where a field breaks a rule.
    pub fn new(
        network: Network,
        origin: impl Into<String>,
        signer: DidKey,
        nonce: Nonce,
        liabilities: Liabilities,
    ) -> Result<Self, StatementError> {
        let wire = Wire {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject: vec![Subject {
                name: SUBJECT.to_owned(),
                digest: DigestSet { sha256: liabilities.root },
            }],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: Predicate {
                network,
                log_origin: origin.into(),
                nonce,
                signer,
                signer_role: Role::Platform,
                body: Body {
                    snapshot: liabilities.snapshot,
                    liabilities_msat: liabilities.liabilities,
                    leaf_count: liabilities.leaf_count,
                    snapshot_time: liabilities.snapshot_time,
                },
            },
        };
        let payload =
            serde_json::to_vec(&wire).map_err(|error| StatementError::Malformed(error.to_string()))?;
        Self::parse(&payload)
    }

    /// Reads a statement from its exact bytes and checks every rule that it can be held to by itself.
    ///
    /// # Errors
    /// One variant per rule.
    pub fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        if payload.len() > MAX_STATEMENT_BYTES {
            return Err(StatementError::TooLarge);
        }
        let malformed = |error: serde_json::Error| StatementError::Malformed(error.to_string());
        let value: serde_json::Value = serde_json::from_slice(payload).map_err(malformed)?;
        check_types(&value)?;
        let Wire { subject, predicate, .. } = serde_json::from_slice(payload).map_err(malformed)?;
        let [subject] = <[Subject; 1]>::try_from(subject)
            .map_err(|_| StatementError::Invalid { field: "subject", problem: "expected exactly one" })?;
        let Predicate { network, log_origin, nonce: _, signer, signer_role, body } = predicate;
        let sound_origin = (1..=MAX_ORIGIN_BYTES).contains(&log_origin.len())
            && log_origin.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
        let rules = [
            (subject.name == SUBJECT, "subject", "expected the name liabilities"),
            (sound_origin, "logOrigin", "expected 1 to 255 printable ASCII characters without space or plus"),
            (signer_role == Role::Platform, "signerRole", "expected platform"),
            ((1..=MAX_LEAVES).contains(&body.leaf_count), "leafCount", "expected 1 to 2^40"),
        ];
        if let Some((_, field, problem)) = rules.into_iter().find(|(holds, _, _)| !holds) {
            return Err(StatementError::Invalid { field, problem });
        }
        Ok(Self {
            payload: payload.to_vec(),
            network,
            origin: log_origin,
            signer,
            liabilities: Liabilities {
                snapshot: body.snapshot,
                root: subject.digest.sha256,
                liabilities: body.liabilities_msat,
                leaf_count: body.leaf_count,
                snapshot_time: body.snapshot_time,
            },
        })
    }

    /// Signs it with the key of the signer that it names.
    ///
    /// # Errors
    /// `WrongKey` for another key.
    pub fn sign(&self, key: &SigningKey) -> Result<Envelope, EnvelopeError> {
        Envelope::sign_payload(&self.payload, self.signer, key)
    }

    /// Verifies the signature of the signer that the statement in an envelope names, and returns the statement. It does not
    /// say whether that signer may be trusted.
    ///
    /// # Errors
    /// As [`Envelope::open`].
    pub fn open(envelope: &Envelope) -> Result<Self, EnvelopeError> {
        envelope.check_type()?;
        let statement = Self::parse(envelope.payload())?;
        envelope.signature_by(statement.signer, &statement.payload)?;
        Ok(statement)
    }

    /// Which kind of sats.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The origin of the log that it is for.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The key that signs.
    pub fn signer(&self) -> DidKey {
        self.signer
    }

    /// What it says.
    pub fn liabilities(&self) -> &Liabilities {
        &self.liabilities
    }
}

/// The signer that an envelope's statement of liabilities names, and the signature of it that holds.
pub(crate) fn signature_of(envelope: &Envelope) -> Result<(DidKey, &Signature), EnvelopeError> {
    let statement = LiabilitiesStatement::open(envelope)?;
    Ok((statement.signer, envelope.signature_by(statement.signer, envelope.payload())?))
}

/// The two types that decide how the rest is read, and that objects are written as objects.
fn check_types(value: &serde_json::Value) -> Result<(), StatementError> {
    let text = |pointer: &str| value.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
    let known = |text: &str| text.chars().take(100).collect();
    if text("/_type") != STATEMENT_TYPE {
        return Err(StatementError::UnknownStatementType(known(text("/_type"))));
    }
    let found = text("/predicateType");
    if found != PREDICATE_TYPE {
        return Err(if found.starts_with(UNVERSIONED) {
            StatementError::UnknownVersion(known(found))
        } else {
            StatementError::UnknownType(known(found))
        });
    }
    let objects =
        OBJECTS.iter().all(|pointer| value.pointer(pointer).is_none_or(serde_json::Value::is_object));
    if objects {
        Ok(())
    } else {
        Err(StatementError::Malformed("an object is expected where something else stands".to_owned()))
    }
}
