//! In-toto statements of the receipt protocol: six kinds, one frame.
//!
//! A [`Statement`] keeps the exact bytes it was read from or built as; its digest is over those bytes. The
//! bytes of each kind are described in docs/protocol/receipts.md.

mod body;
mod check;
mod context;
mod wire;

use poa_common::{Network, TaskId};

pub use body::{
    AgentKeyState, Content, Criterion, Deadline, Decision, DecisionKind, Rail, ReleasePolicy, Settlement,
    SettlementKind, TermsAccepted, TermsOffered, WorkReceived, WorkSubmitted,
};
pub use check::{
    MAX_CAPABILITY_BYTES, MAX_CRITERIA, MAX_MEDIA_TYPE_BYTES, MAX_ORIGIN_BYTES, MAX_PATTERN_BYTES,
    MAX_SCHEMA_BYTES, MAX_TEXT_BYTES, MAX_TITLE_BYTES, MAX_TRANSFERS,
};
pub(crate) use check::{check_origin, excerpt};
pub use context::{Author, Context, Nonce, Role, Subject, SubjectName};

use crate::digest::Digest;
use crate::dsse::{PAYLOAD_TYPE, pae, statement_digest};
use crate::tlog::Slot;

/// The in-toto statement type.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The name space of the predicate types. A URN of a random UUID: unlike a domain or an e-mail address it
/// can be held by nobody else, now or later.
pub const TYPE_NAMESPACE: &str = "urn:uuid:6ebeb7d1-33c1-44dd-946e-1f07280a6e9f#";
/// The version of every predicate type.
pub const TYPE_VERSION: &str = "v1";
/// Bytes of one statement: its envelope, in base 64, then fits the 64 KiB that an RPC field carries. Inputs and
/// results stand in it by digest, so that only the criteria are long.
pub const MAX_STATEMENT_BYTES: usize = 47 * 1024;

/// The kind of a statement, in the order in which they occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What is asked and what is paid.
    TermsOffered,
    /// The agent takes the task.
    TermsAccepted,
    /// The agent hands in a result.
    WorkSubmitted,
    /// The platform has the result.
    WorkReceived,
    /// The result is accepted or rejected, or the task ends without one.
    Decision,
    /// The sats moved.
    Settlement,
}

/// What a statement says, by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// See [`TermsOffered`].
    TermsOffered(TermsOffered),
    /// See [`TermsAccepted`].
    TermsAccepted(TermsAccepted),
    /// See [`WorkSubmitted`].
    WorkSubmitted(WorkSubmitted),
    /// See [`WorkReceived`].
    WorkReceived(WorkReceived),
    /// See [`Decision`].
    Decision(Decision),
    /// See [`Settlement`].
    Settlement(Settlement),
}

/// One statement, well-formed by itself. Whether it is signed is the envelope's matter, whether it may
/// stand where it stands is the chain's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    payload: Vec<u8>,
    digest: Digest,
    subject: Subject,
    context: Context,
    body: Body,
}

/// Why bytes are not a statement, or why a statement cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Larger than [`MAX_STATEMENT_BYTES`].
    #[error("the statement is larger than {MAX_STATEMENT_BYTES} bytes")]
    TooLarge,
    /// Not JSON of the documented shape.
    #[error("the statement is malformed: {0}")]
    Malformed(String),
    /// `_type` is not that of an in-toto statement, version 1.
    #[error("`{0}` is not the in-toto statement type that this verifier knows")]
    UnknownStatementType(String),
    /// The predicate type is none of ours.
    #[error("the predicate type `{0}` is unknown")]
    UnknownType(String),
    /// The predicate type is ours, in a version that this verifier does not know.
    #[error("the predicate type `{0}` is of an unknown version: use a newer verifier")]
    UnknownVersion(String),
    /// A field breaks a rule of its kind.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field in its JSON spelling.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A statement of this kind is not signed in this role.
    #[error("a statement {kind} is not signed in the role {role}")]
    WrongRole {
        /// The kind of the statement.
        kind: Kind,
        /// The role that its signer claims.
        role: Role,
    },
}

// === impl Kind ===

impl Kind {
    /// All kinds, in order.
    pub const ALL: [Self; 6] = [
        Self::TermsOffered,
        Self::TermsAccepted,
        Self::WorkSubmitted,
        Self::WorkReceived,
        Self::Decision,
        Self::Settlement,
    ];

    /// The name that stands in the predicate type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TermsOffered => "TermsOffered",
            Self::TermsAccepted => "TermsAccepted",
            Self::WorkSubmitted => "WorkSubmitted",
            Self::WorkReceived => "WorkReceived",
            Self::Decision => "Decision",
            Self::Settlement => "Settlement",
        }
    }

    /// The number that stands in a log entry: 1 to 6.
    pub const fn number(self) -> u8 {
        match self {
            Self::TermsOffered => 1,
            Self::TermsAccepted => 2,
            Self::WorkSubmitted => 3,
            Self::WorkReceived => 4,
            Self::Decision => 5,
            Self::Settlement => 6,
        }
    }

    /// The kind of a log entry's number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The predicate type.
    pub fn type_uri(self) -> String {
        format!("{TYPE_NAMESPACE}{}/{TYPE_VERSION}", self.as_str())
    }

    /// The kind that a predicate type names.
    pub fn from_type_uri(uri: &str) -> Result<Self, StatementError> {
        let ours = uri.strip_prefix(TYPE_NAMESPACE).and_then(|rest| rest.split_once('/'));
        let named = ours.and_then(|(name, version)| {
            Self::ALL.into_iter().find(|kind| kind.as_str() == name).map(|kind| (kind, version))
        });
        match named {
            Some((kind, TYPE_VERSION)) => Ok(kind),
            Some(_) => Err(StatementError::UnknownVersion(check::excerpt(uri))),
            None => Err(StatementError::UnknownType(check::excerpt(uri))),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Statement ===

impl Statement {
    /// Reads a statement from its exact bytes and checks every rule that it can be held to by itself.
    pub fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        if payload.len() > MAX_STATEMENT_BYTES {
            return Err(StatementError::TooLarge);
        }
        let (subject, context, body) = wire::read(payload)?;
        Self::checked(payload.to_vec(), subject, context, body)
    }

    /// The first statement of a task: its terms.
    pub fn offer(
        task: TaskId,
        network: Network,
        origin: impl Into<String>,
        author: Author,
        terms: TermsOffered,
    ) -> Result<Self, StatementError> {
        let subject = Subject { name: SubjectName::Input, sha256: terms.input.sha256 };
        let context = Context::new(task, network, origin.into(), None, author);
        Self::build(subject, context, Body::TermsOffered(terms))
    }

    /// The statement that follows this one: same task, network and origin, this one as predecessor, and the
    /// right subject. Each [`TermsAccepted`] is a successor of the offer, whatever came in between.
    pub fn successor(&self, author: Author, body: impl Into<Body>) -> Result<Self, StatementError> {
        let body = body.into();
        let subject = if let Body::WorkSubmitted(work) = &body {
            Subject { name: SubjectName::Result, sha256: work.output.sha256 }
        } else if self.kind() == Kind::TermsOffered {
            Subject { name: SubjectName::Terms, sha256: self.digest }
        } else {
            self.subject
        };
        let origin = self.context.origin.clone();
        let context =
            Context::new(self.context.task, self.context.network, origin, Some(self.digest), author);
        Self::build(subject, context, body)
    }

    fn build(subject: Subject, context: Context, body: Body) -> Result<Self, StatementError> {
        let payload = wire::write(subject, &context, &body)?;
        if payload.len() > MAX_STATEMENT_BYTES {
            return Err(StatementError::TooLarge);
        }
        Self::checked(payload, subject, context, body)
    }

    fn checked(
        payload: Vec<u8>,
        subject: Subject,
        context: Context,
        body: Body,
    ) -> Result<Self, StatementError> {
        check::statement(subject, &context, &body)?;
        Ok(Self { digest: statement_digest(&payload), payload, subject, context, body })
    }

    /// The exact bytes: the payload of the envelope.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The bytes that are signed.
    pub fn pae(&self) -> Vec<u8> {
        pae(PAYLOAD_TYPE, &self.payload)
    }

    /// SHA-256 of the PAE: how the next statement, the log and the escrow's mandate name this one.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The place that the statement takes, and no other may: the first of its task, a claim of its terms by its number, the end of
    /// its task, or what follows its predecessor.
    pub fn slot(&self) -> Slot {
        if self.body.as_settlement().is_some_and(|settlement| settlement.kind != SettlementKind::Captured) {
            return Slot::end(&self.context.task);
        }
        match (&self.context.predecessor, self.body.as_terms_accepted()) {
            (None, _) => Slot::offer(&self.context.task),
            (Some(terms), Some(accepted)) => Slot::claim(terms, accepted.claim_number),
            (Some(predecessor), None) => Slot::next(predecessor),
        }
    }

    /// What the statement is about.
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// Task, network, origin, predecessor and signer.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// What it says.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The kind of what it says.
    pub fn kind(&self) -> Kind {
        self.body.kind()
    }
}
