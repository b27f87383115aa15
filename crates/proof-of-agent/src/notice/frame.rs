//! The frame of a notice: the exact bytes, read strictly.

use ed25519_dalek::SigningKey;
use poa_common::Network;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::did::DidKey;
use crate::digest::Digest;
use crate::dsse::{Envelope, EnvelopeError, Signature, statement_digest};
use crate::statement::{
    MAX_STATEMENT_BYTES, Nonce, Role, STATEMENT_TYPE, StatementError, TYPE_NAMESPACE, TYPE_VERSION,
    check_origin, excerpt,
};
use crate::tlog::{EntryKind, Slot};

/// What one kind of notice says.
pub trait Notice: Sized {
    /// The body as its JSON has it. What the subject says does not stand in it.
    type Wire: Serialize + DeserializeOwned;

    /// The name that stands in the predicate type.
    const NAME: &'static str;
    /// The name of the subject.
    const SUBJECT: &'static str;
    /// In which role it is signed.
    const ROLE: Role;
    /// The kind of its entry in the log.
    const ENTRY: EntryKind;
    /// What of the body must be written as objects, beside itself, as JSON pointers from the body: serde reads a struct from the
    /// array of its fields too.
    const OBJECTS: &'static [&'static str] = &[];
    /// The lists of the body whose items must be written as objects.
    const OBJECT_LISTS: &'static [&'static str] = &[];
    /// What of the body must be written as strings: serde reads the name of a case from an object too.
    const STRINGS: &'static [&'static str] = &[];

    /// The digest of the subject, and the body.
    fn to_wire(&self) -> (Digest, Self::Wire);
    /// The notice from its subject's digest and its body, or the rule that it breaks.
    fn from_wire(subject: Digest, wire: Self::Wire) -> Result<Self, StatementError>;
    /// What can be said once: two entries of a log with the same slot are equivocation.
    fn slot(&self) -> Slot;
}

/// A notice as a statement, well-formed by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeStatement<N> {
    payload: Vec<u8>,
    network: Network,
    origin: String,
    signer: DidKey,
    notice: N,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<B> {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate<B>,
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
struct Predicate<B> {
    network: Network,
    log_origin: String,
    nonce: Nonce,
    signer: DidKey,
    signer_role: Role,
    body: B,
}

// === impl NoticeStatement ===

impl<N: Notice> NoticeStatement<N> {
    /// The statement of a platform instance.
    ///
    /// # Errors
    /// `Invalid` where a field breaks a rule.
    pub fn new(
        network: Network,
        origin: impl Into<String>,
        signer: DidKey,
        nonce: Nonce,
        notice: &N,
    ) -> Result<Self, StatementError> {
        let (subject, body) = notice.to_wire();
        let wire = Wire {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject: vec![Subject { name: N::SUBJECT.to_owned(), digest: DigestSet { sha256: subject } }],
            predicate_type: type_uri::<N>(),
            predicate: Predicate {
                network,
                log_origin: origin.into(),
                nonce,
                signer,
                signer_role: N::ROLE,
                body,
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
        let value: Value = serde_json::from_slice(payload).map_err(malformed)?;
        check_types::<N>(&value)?;
        check_shape::<N>(&value)?;
        let Wire { subject, predicate, .. } =
            serde_json::from_slice::<Wire<N::Wire>>(payload).map_err(malformed)?;
        let [subject] = <[Subject; 1]>::try_from(subject)
            .map_err(|_| StatementError::Invalid { field: "subject", problem: "expected exactly one" })?;
        if subject.name != N::SUBJECT {
            let problem = "it is not what a statement of this kind is about";
            return Err(StatementError::Invalid { field: "subject", problem });
        }
        let Predicate { network, log_origin, nonce: _, signer, signer_role, body } = predicate;
        check_origin(&log_origin)?;
        if signer_role != N::ROLE {
            let problem = "a statement of this kind is not signed in this role";
            return Err(StatementError::Invalid { field: "signerRole", problem });
        }
        let notice = N::from_wire(subject.digest.sha256, body)?;
        Ok(Self { payload: payload.to_vec(), network, origin: log_origin, signer, notice })
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
        Self::open_signed(envelope).map(|(statement, _)| statement)
    }

    /// The same, and the signature of that signer that holds.
    pub(crate) fn open_signed(envelope: &Envelope) -> Result<(Self, &Signature), EnvelopeError> {
        envelope.check_type()?;
        let statement = Self::parse(envelope.payload())?;
        let signature = envelope.signature_by(statement.signer, &statement.payload)?;
        Ok((statement, signature))
    }

    /// The same, and the envelope with the signature of that signer alone: what a log stores.
    ///
    /// # Errors
    /// As [`Envelope::open`].
    pub fn open_normalised(envelope: &Envelope) -> Result<(Self, Envelope), EnvelopeError> {
        let (statement, signature) = Self::open_signed(envelope)?;
        Ok((statement, envelope.with_one(signature.clone())))
    }

    /// The exact bytes: the payload of the envelope.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// SHA-256 of the PAE: how others name this statement.
    pub fn digest(&self) -> Digest {
        statement_digest(&self.payload)
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
    pub fn notice(&self) -> &N {
        &self.notice
    }
}

fn type_uri<N: Notice>() -> String {
    format!("{TYPE_NAMESPACE}{}/{TYPE_VERSION}", N::NAME)
}

/// The two types that decide how the rest is read.
fn check_types<N: Notice>(value: &Value) -> Result<(), StatementError> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/_type") != STATEMENT_TYPE {
        return Err(StatementError::UnknownStatementType(excerpt(text("/_type"))));
    }
    let found = text("/predicateType");
    if found == type_uri::<N>() {
        return Ok(());
    }
    let named = found.strip_prefix(TYPE_NAMESPACE).and_then(|rest| rest.split_once('/'));
    Err(match named {
        Some((name, _)) if name == N::NAME => StatementError::UnknownVersion(excerpt(found)),
        Some(_) | None => StatementError::UnknownType(excerpt(found)),
    })
}

/// That objects are written as objects and names as strings: one reader's statement must be every reader's.
fn check_shape<N: Notice>(value: &Value) -> Result<(), StatementError> {
    const OBJECTS: [&str; 5] = ["", "/subject/0", "/subject/0/digest", "/predicate", "/predicate/body"];
    const STRINGS: [&str; 2] = ["/predicate/network", "/predicate/signerRole"];
    let body = value.pointer("/predicate/body").unwrap_or(&Value::Null);
    let objects = OBJECTS.iter().filter_map(|pointer| value.pointer(pointer));
    let objects = objects.chain(N::OBJECTS.iter().filter_map(|pointer| body.pointer(pointer)));
    let lists = N::OBJECT_LISTS.iter().filter_map(|pointer| body.pointer(pointer)?.as_array());
    let objects = objects.chain(lists.flatten());
    let strings = STRINGS.iter().filter_map(|pointer| value.pointer(pointer));
    let strings = strings.chain(N::STRINGS.iter().filter_map(|pointer| body.pointer(pointer)));
    if objects.into_iter().all(Value::is_object)
        && strings.into_iter().all(|it| it.is_string() || it.is_null())
    {
        Ok(())
    } else {
        Err(StatementError::Malformed(
            "an object or a name is expected where something else stands".to_owned(),
        ))
    }
}
