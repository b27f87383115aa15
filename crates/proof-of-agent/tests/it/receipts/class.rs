//! The classes of refusals, as tests/vectors/receipts/README.md names them.

use proof_of_agent::tlog::TlogError;
use proof_of_agent::{
    BundleError, ChainError, CheckpointError, EnvelopeError, NoteError, StatementError, TrustError,
    VerifyError,
};
use serde_json::{Value, json};

/// What a verifier says of a bundle that it refuses: the class, and the place and the field where there is one.
pub(super) fn refusal(error: &VerifyError) -> Value {
    let mut said = json!({ "error": verify(error) });
    if let Some(place) = place(error) {
        said["place"] = json!(place);
    }
    if let Some(field) = field(error) {
        said["field"] = json!(field);
    }
    said
}

pub(super) fn bundle(error: &BundleError) -> String {
    let class = match error {
        BundleError::TooLarge => "tooLarge",
        BundleError::Malformed(_) => "malformed",
        BundleError::UnknownVersion(_) => "unknownVersion",
        BundleError::Limit(_) => "limit",
    };
    format!("bundle.{class}")
}

pub(super) fn trust_root(error: &TrustError) -> &'static str {
    match error {
        TrustError::TooLarge => "tooLarge",
        TrustError::Malformed(_) => "malformed",
        TrustError::UnknownVersion(_) => "unknownVersion",
        TrustError::Keys => "keys",
        TrustError::Witnesses => "witnesses",
        TrustError::Range(_) => "range",
        TrustError::BadSignature(_) => "badSignature",
        TrustError::NotSigned { .. } => "notSigned",
        TrustError::OtherInstance => "otherInstance",
        TrustError::NotNewer { .. } => "notNewer",
    }
}

fn verify(error: &VerifyError) -> String {
    match error {
        VerifyError::TrustRootExpired { .. } => "trustRootExpired".to_owned(),
        VerifyError::Network { .. } => "network".to_owned(),
        VerifyError::Checkpoint(source) => format!("checkpoint.{}", checkpoint(source)),
        VerifyError::LogShrank { .. } => "logShrank".to_owned(),
        VerifyError::Empty => "empty".to_owned(),
        VerifyError::Envelope { source, .. } => format!("envelope.{}", envelope(source)),
        VerifyError::Origin { .. } => "origin".to_owned(),
        VerifyError::Task { .. } => "task".to_owned(),
        VerifyError::Pending { .. } => "pending".to_owned(),
        VerifyError::NotInLog { source, .. } => format!("notInLog.{}", tlog(source)),
        VerifyError::LogOrder { .. } => "logOrder".to_owned(),
        VerifyError::SubmissionIndex { .. } => "submissionIndex".to_owned(),
        VerifyError::KeyRange { .. } => "keyRange".to_owned(),
        VerifyError::Record { .. } => "record".to_owned(),
        VerifyError::Notice { .. } => "notice".to_owned(),
        VerifyError::NoKeyEvent { .. } => "noKeyEvent".to_owned(),
        VerifyError::AgentKeyCompromised { .. } => "agentKeyCompromised".to_owned(),
        VerifyError::Evidence(_) => "evidence".to_owned(),
        VerifyError::Level { .. } => "level".to_owned(),
        VerifyError::Chain { source, .. } => format!("chain.{}", chain(source)),
        VerifyError::OtherInput => "otherInput".to_owned(),
        VerifyError::OtherResult => "otherResult".to_owned(),
        VerifyError::NoResult => "noResult".to_owned(),
        VerifyError::NotPaid { .. } => "notPaid".to_owned(),
    }
}

fn place(error: &VerifyError) -> Option<usize> {
    match error {
        VerifyError::Envelope { place, .. }
        | VerifyError::Origin { place }
        | VerifyError::Task { place }
        | VerifyError::Pending { place }
        | VerifyError::NotInLog { place, .. }
        | VerifyError::LogOrder { place }
        | VerifyError::SubmissionIndex { place }
        | VerifyError::KeyRange { place, .. }
        | VerifyError::Record { place }
        | VerifyError::Chain { place, .. } => Some(*place),
        VerifyError::TrustRootExpired { .. }
        | VerifyError::Network { .. }
        | VerifyError::Checkpoint(_)
        | VerifyError::LogShrank { .. }
        | VerifyError::Empty
        | VerifyError::Notice { .. }
        | VerifyError::NoKeyEvent { .. }
        | VerifyError::AgentKeyCompromised { .. }
        | VerifyError::Evidence(_)
        | VerifyError::Level { .. }
        | VerifyError::OtherInput
        | VerifyError::OtherResult
        | VerifyError::NoResult
        | VerifyError::NotPaid { .. } => None,
    }
}

fn field(error: &VerifyError) -> Option<&'static str> {
    match error {
        VerifyError::Chain { source: ChainError::Mismatch { field, .. }, .. }
        | VerifyError::Envelope {
            source: EnvelopeError::Statement(StatementError::Invalid { field, .. }),
            ..
        } => Some(field),
        _ => None,
    }
}

fn checkpoint(error: &CheckpointError) -> String {
    match error {
        CheckpointError::Note(source) => format!("note.{}", note(source)),
        CheckpointError::Malformed(_) => "malformed".to_owned(),
        CheckpointError::NoTrustedSignature => "noTrustedSignature".to_owned(),
        CheckpointError::NotWitnessed { .. } => "notWitnessed".to_owned(),
    }
}

fn note(error: &NoteError) -> &'static str {
    match error {
        NoteError::TooLarge => "tooLarge",
        NoteError::Malformed(_) => "malformed",
        NoteError::BadSignature(_) => "badSignature",
        NoteError::BadKey => "badKey",
    }
}

fn envelope(error: &EnvelopeError) -> String {
    match error {
        EnvelopeError::TooLarge => "tooLarge".to_owned(),
        EnvelopeError::Malformed(_) => "malformed".to_owned(),
        EnvelopeError::Signatures => "signatures".to_owned(),
        EnvelopeError::PayloadType => "payloadType".to_owned(),
        EnvelopeError::Statement(source) => format!("statement.{}", statement(source)),
        EnvelopeError::SignerMissing(_) => "signerMissing".to_owned(),
        EnvelopeError::BadSignature(_) => "badSignature".to_owned(),
        EnvelopeError::WrongKey(_) => "wrongKey".to_owned(),
    }
}

fn statement(error: &StatementError) -> &'static str {
    match error {
        StatementError::TooLarge => "tooLarge",
        StatementError::Malformed(_) => "malformed",
        StatementError::UnknownStatementType(_) => "unknownStatementType",
        StatementError::UnknownType(_) => "unknownType",
        StatementError::UnknownVersion(_) => "unknownVersion",
        StatementError::Invalid { .. } => "invalid",
        StatementError::WrongRole { .. } => "wrongRole",
    }
}

fn chain(error: &ChainError) -> &'static str {
    match error {
        ChainError::Envelope { .. } => "envelope",
        ChainError::TooLong => "tooLong",
        ChainError::Order { .. } => "order",
        ChainError::Predecessor { .. } => "predecessor",
        ChainError::Mismatch { .. } => "mismatch",
        ChainError::ClaimNumber { .. } => "claimNumber",
        ChainError::NotAReceiptKey(_) => "notAReceiptKey",
        ChainError::NotAnArbiterKey(_) => "notAnArbiterKey",
        ChainError::AgentKeyCompromised => "agentKeyCompromised",
        ChainError::Policy => "policy",
        ChainError::NoSuchCriterion => "noSuchCriterion",
        ChainError::OtherTerms { .. } => "otherTerms",
        ChainError::NotApproved { .. } => "notApproved",
    }
}

fn tlog(error: &TlogError) -> &'static str {
    match error {
        TlogError::OutOfRange => "outOfRange",
        TlogError::MissingNode(_) => "missingNode",
        TlogError::WrongLength => "wrongLength",
        TlogError::WrongRoot => "wrongRoot",
    }
}
