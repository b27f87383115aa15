//! The JSON of statements: the frame that in-toto defines, and our predicate in it.

use poa_common::{Network, TaskId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check::excerpt;
use super::context::{Context, Nonce, Role, Subject, SubjectName};
use super::{
    Body, Decision, Kind, STATEMENT_TYPE, Settlement, StatementError, TermsAccepted, TermsOffered,
    WorkReceived, WorkSubmitted,
};
use crate::did::DidKey;
use crate::digest::Digest;

/// What decides how the rest is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(rename = "_type")]
    statement_type: String,
    predicate_type: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<B> {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<WireSubject>,
    predicate_type: String,
    predicate: Predicate<B>,
}

#[derive(Serialize, Deserialize)]
struct WireSubject {
    name: SubjectName,
    digest: DigestSet,
}

/// In-toto allows several algorithms side by side; this one counts.
#[derive(Serialize, Deserialize)]
struct DigestSet {
    sha256: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<B> {
    task: TaskId,
    network: Network,
    log_origin: String,
    nonce: Nonce,
    #[serde(skip_serializing_if = "Option::is_none")]
    predecessor: Option<Digest>,
    signer: DidKey,
    signer_role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<Role>,
    body: B,
}

/// Reads the frame first and then the body of the kind that it names.
pub(super) fn read(payload: &[u8]) -> Result<(Subject, Context, Body), StatementError> {
    let head: Head = json(payload)?;
    if head.statement_type != STATEMENT_TYPE {
        return Err(StatementError::UnknownStatementType(excerpt(&head.statement_type)));
    }
    let kind = Kind::from_type_uri(&head.predicate_type)?;
    shape(payload)?;
    match kind {
        Kind::TermsOffered => read_as::<TermsOffered>(payload),
        Kind::TermsAccepted => read_as::<TermsAccepted>(payload),
        Kind::WorkSubmitted => read_as::<WorkSubmitted>(payload),
        Kind::WorkReceived => read_as::<WorkReceived>(payload),
        Kind::Decision => read_as::<Decision>(payload),
        Kind::Settlement => read_as::<Settlement>(payload),
    }
}

/// Refuses the second spellings that serde reads and other readers do not: a struct as the array of its fields, and
/// the name of a case as an object. One reader's statement must be every reader's.
fn shape(payload: &[u8]) -> Result<(), StatementError> {
    const OBJECTS: [&str; 7] = [
        "",
        "/subject/0",
        "/subject/0/digest",
        "/predicate",
        "/predicate/body",
        "/predicate/body/input",
        "/predicate/body/output",
    ];
    const STRINGS: [&str; 9] = [
        "/subject/0/name",
        "/predicate/network",
        "/predicate/signerRole",
        "/predicate/onBehalfOf",
        "/predicate/body/policy",
        "/predicate/body/rail",
        "/predicate/body/kind",
        "/predicate/body/deadline",
        "/predicate/body/agentKeyState",
    ];
    let value: Value = json(payload)?;
    let found = |pointer: &&str| value.pointer(pointer);
    let objects = OBJECTS.iter().filter_map(found).all(Value::is_object);
    let strings = STRINGS.iter().filter_map(found).all(|it| it.is_string() || it.is_null());
    // A criterion is an object with an object in it.
    let criteria = value.pointer("/predicate/body/criteria").and_then(Value::as_array);
    let criteria = criteria.into_iter().flatten().all(|criterion| {
        criterion.as_object().is_some_and(|criterion| criterion.values().all(Value::is_object))
    });
    if objects && strings && criteria {
        Ok(())
    } else {
        Err(StatementError::Malformed(
            "an object or a name is expected where something else stands".to_owned(),
        ))
    }
}

fn read_as<B: DeserializeOwned + Into<Body>>(
    payload: &[u8],
) -> Result<(Subject, Context, Body), StatementError> {
    let wire: Wire<B> = json(payload)?;
    let [subject] = <[WireSubject; 1]>::try_from(wire.subject)
        .map_err(|_| StatementError::Invalid { field: "subject", problem: "expected exactly one" })?;
    let subject = Subject { name: subject.name, sha256: subject.digest.sha256 };
    let predicate = wire.predicate;
    let context = Context {
        task: predicate.task,
        network: predicate.network,
        origin: predicate.log_origin,
        nonce: predicate.nonce,
        predecessor: predicate.predecessor,
        signer: predicate.signer,
        role: predicate.signer_role,
        on_behalf_of: predicate.on_behalf_of,
    };
    Ok((subject, context, predicate.body.into()))
}

fn json<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, StatementError> {
    serde_json::from_slice(payload).map_err(|error| StatementError::Malformed(error.to_string()))
}

pub(super) fn write(subject: Subject, context: &Context, body: &Body) -> Result<Vec<u8>, StatementError> {
    match body {
        Body::TermsOffered(it) => write_as(subject, context, body.kind(), it),
        Body::TermsAccepted(it) => write_as(subject, context, body.kind(), it),
        Body::WorkSubmitted(it) => write_as(subject, context, body.kind(), it),
        Body::WorkReceived(it) => write_as(subject, context, body.kind(), it),
        Body::Decision(it) => write_as(subject, context, body.kind(), it),
        Body::Settlement(it) => write_as(subject, context, body.kind(), it),
    }
}

fn write_as<B: Serialize>(
    subject: Subject,
    context: &Context,
    kind: Kind,
    body: &B,
) -> Result<Vec<u8>, StatementError> {
    let wire = Wire {
        statement_type: STATEMENT_TYPE.to_owned(),
        subject: vec![WireSubject { name: subject.name, digest: DigestSet { sha256: subject.sha256 } }],
        predicate_type: kind.type_uri(),
        predicate: Predicate {
            task: context.task,
            network: context.network,
            log_origin: context.origin.clone(),
            nonce: context.nonce,
            predecessor: context.predecessor,
            signer: context.signer,
            signer_role: context.role,
            on_behalf_of: context.on_behalf_of,
            body,
        },
    };
    serde_json::to_vec(&wire).map_err(|error| StatementError::Malformed(error.to_string()))
}
