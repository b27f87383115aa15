//! The vectors in tests/vectors/receipts: a verifier in any language reads the same files and says the same.
//!
//! They are what the code here makes; `POA_WRITE_VECTORS=1` writes them anew.

mod bundle_bytes;
mod class;
mod encodings;
mod noticed;
mod recorded;
mod sound;
mod spoilt_bodies;
mod spoilt_bundles;
mod spoilt_chains;
mod spoilt_events;
mod spoilt_links;
mod spoilt_roles;
mod spoilt_statements;
mod spoilt_versions;
mod statement_bytes;
mod trust_roots;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use poa_common::Timestamp;
use proof_of_agent::{Bundle, Policy, TrustRoot, verify};
use serde_json::{Value, json};

use crate::fixture::NOW;

/// A bundle, and what a verifier needs to judge it.
pub(super) struct Vector {
    name: &'static str,
    bundle: Vec<u8>,
    /// The name of the trust root; see [`trust_roots`].
    root: &'static str,
    policy: Policy,
    time: Timestamp,
    /// The class of the refusal; none where it verifies.
    refused: Option<&'static str>,
    /// The field that the refusal names, where the vector says which.
    field: Option<&'static str>,
}

impl Vector {
    fn of(name: &'static str, bundle: Bundle) -> Self {
        Self::written(name, bundle.to_json().unwrap())
    }

    fn written(name: &'static str, bundle: impl Into<Vec<u8>>) -> Self {
        let (root, policy) = ("plain", Policy::default());
        Self { name, bundle: bundle.into(), root, policy, time: NOW, refused: None, field: None }
    }

    fn under(self, root: &'static str) -> Self {
        Self { root, ..self }
    }

    fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    fn refused(self, class: &'static str) -> Self {
        Self { refused: Some(class), ..self }
    }

    fn about(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }

    fn file(&self) -> String {
        format!("{}/{}.json", if self.refused.is_some() { "spoilt" } else { "sound" }, self.name)
    }

    fn entry(&self, judged: &Value) -> Value {
        let mut entry = json!({
            "file": self.file(),
            "trustRoot": trust_roots::file(self.root),
            "expected": judged,
        });
        let policy = written(&self.policy);
        if policy != json!({}) {
            entry["policy"] = policy;
        }
        if self.time != NOW {
            entry["time"] = json!(rfc3339(self.time));
        }
        entry
    }

    fn judged(&self) -> Value {
        let root = TrustRoot::from_json(&trust_roots::bytes(self.root)).unwrap();
        judged(&self.bundle, &root, &self.policy, self.time)
    }
}

/// What the verifier says.
fn judged(bundle: &[u8], root: &TrustRoot, policy: &Policy, time: Timestamp) -> Value {
    let bundle = match Bundle::from_json(bundle) {
        Ok(bundle) => bundle,
        Err(error) => return json!({ "error": class::bundle(&error) }),
    };
    match verify(&bundle, root, policy, time) {
        Ok(verified) => json!({ "verified": verified }),
        Err(error) => class::refusal(&error),
    }
}

fn rfc3339(time: Timestamp) -> String {
    time.format(&time::format_description::well_known::Rfc3339).unwrap()
}

/// A policy as the index has it.
fn written(policy: &Policy) -> Value {
    let mut value = json!({});
    if policy.require_paid {
        value["requirePaid"] = json!(true);
    }
    if let Some(network) = policy.network {
        value["network"] = json!(network);
    }
    if policy.min_log_size > 0 {
        value["minLogSize"] = json!(policy.min_log_size);
    }
    if let Some(build) = policy.reproduced_build {
        value["reproducedBuild"] = json!(build);
    }
    if let Some(level) = policy.min_level {
        value["minLevel"] = json!(level);
    }
    value
}

/// A policy of the index.
fn read(value: &Value) -> Policy {
    let level = |level: &Value| {
        use proof_of_agent::TrustLevel::{Key, Published, Reproduced, Tee};
        [Key, Published, Reproduced, Tee].into_iter().find(|it| json!(it) == *level).unwrap()
    };
    Policy {
        require_paid: value["requirePaid"] == true,
        network: value.get("network").map(|it| serde_json::from_value(it.clone()).unwrap()),
        min_log_size: value["minLogSize"].as_u64().unwrap_or_default(),
        reproduced_build: value.get("reproducedBuild").map(|it| it.as_str().unwrap().parse().unwrap()),
        min_level: value.get("minLevel").map(level),
    }
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/receipts")
}

/// The same JSON with its members in the order of their names: the order of the library's may be another in another build.
pub(crate) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, &Value> = fields.iter().collect();
            fields.into_iter().map(|(name, field)| (name.clone(), sorted(field))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

pub(crate) fn pretty(value: &Value) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(&sorted(value)).unwrap();
    bytes.push(b'\n');
    bytes
}

pub(crate) fn is_writing() -> bool {
    std::env::var_os("POA_WRITE_VECTORS").is_some()
}

pub(crate) fn write(files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// All vectors, and what the verifier says of each. They are made once for all tests: each is many signatures.
static VECTORS: LazyLock<Vec<(Vector, Value)>> = LazyLock::new(|| {
    let mut vectors = sound::vectors();
    vectors.extend(spoilt_bundles::vectors());
    vectors.extend(spoilt_statements::vectors());
    vectors.extend(spoilt_chains::vectors());
    vectors.extend(spoilt_links::vectors());
    vectors.extend(spoilt_bodies::vectors());
    vectors.extend(spoilt_roles::vectors());
    vectors.extend(spoilt_events::vectors());
    vectors.extend(spoilt_versions::vectors());
    vectors.extend(bundle_bytes::vectors());
    vectors.extend(statement_bytes::vectors());
    vectors.extend(recorded::vectors());
    let judge = |vector: Vector| {
        let judged = vector.judged();
        (vector, judged)
    };
    vectors.into_iter().map(judge).collect()
});

/// The files as they must be.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = trust_roots::files();
    let entries: Vec<Value> = VECTORS.iter().map(|(vector, judged)| vector.entry(judged)).collect();
    let index = json!({
        "time": rfc3339(NOW),
        "trustRoots": trust_roots::entries(),
        "succeeding": trust_roots::succeeding(),
        "bundles": entries,
    });
    files.push(("index.json".to_owned(), pretty(&index)));
    files.extend(VECTORS.iter().map(|(vector, _)| (vector.file(), vector.bundle.clone())));
    files
}

#[test]
fn the_receipt_vectors_are_what_the_code_makes_and_are_judged_as_their_index_says() {
    let files = files();
    if is_writing() {
        write(&files);
    }
    for (name, bytes) in &files {
        let path = folder().join(name);
        assert!(std::fs::read(&path).unwrap() == *bytes, "{}", path.display());
    }
    let index: Value = serde_json::from_slice(&std::fs::read(folder().join("index.json")).unwrap()).unwrap();
    let time = |value: &Value| {
        Timestamp::parse(value.as_str().unwrap(), &time::format_description::well_known::Rfc3339).unwrap()
    };
    for vector in index["bundles"].as_array().unwrap() {
        let file = vector["file"].as_str().unwrap();
        let bundle = std::fs::read(folder().join(file)).unwrap();
        let root = std::fs::read(folder().join(vector["trustRoot"].as_str().unwrap())).unwrap();
        let root = TrustRoot::from_json(&root).unwrap();
        let at = time(vector.get("time").unwrap_or(&index["time"]));
        let policy = read(vector.get("policy").unwrap_or(&Value::Null));
        assert_eq!(judged(&bundle, &root, &policy, at), vector["expected"], "{file}");
    }
    nothing_lies_beside(&files);
}

/// No file that nothing makes: a verifier of another language would read it all the same.
fn nothing_lies_beside(files: &[(String, Vec<u8>)]) {
    let mut made: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    for part in ["sound", "spoilt", "trust-roots"] {
        for file in std::fs::read_dir(folder().join(part)).unwrap() {
            let name = format!("{part}/{}", file.unwrap().file_name().to_str().unwrap());
            assert!(made.remove(name.as_str()), "{name}");
        }
    }
    assert_eq!(made, BTreeSet::from(["index.json"]));
}

#[test]
fn each_receipt_vector_is_refused_for_the_reason_that_it_was_made_for() {
    let mut names = BTreeSet::new();
    let mut otherwise = Vec::new();
    for (vector, judged) in VECTORS.iter() {
        assert!(names.insert(vector.name), "{} stands twice", vector.name);
        let as_made = match vector.refused {
            Some(class) => {
                judged["error"] == class && vector.field.is_none_or(|field| judged["field"] == field)
            }
            None => judged["verified"].is_object(),
        };
        if !as_made {
            otherwise.push(format!(
                "{}: {judged:.200}, expected {:?} {:?}",
                vector.name, vector.refused, vector.field
            ));
        }
    }
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n"));
}

#[test]
fn each_class_of_refusal_that_a_bundle_can_show_has_a_vector() {
    let shown: BTreeSet<&str> = VECTORS.iter().filter_map(|(vector, _)| vector.refused).collect();
    let expected = BTreeSet::from([
        "agentKeyCompromised",
        "bundle.limit",
        "bundle.malformed",
        "bundle.unknownVersion",
        "chain.agentKeyCompromised",
        "chain.claimNumber",
        "chain.mismatch",
        "chain.noSuchCriterion",
        "chain.notAReceiptKey",
        "chain.notAnArbiterKey",
        "chain.order",
        "chain.policy",
        "chain.predecessor",
        "checkpoint.malformed",
        "checkpoint.noTrustedSignature",
        "checkpoint.notWitnessed",
        "checkpoint.note.badSignature",
        "checkpoint.note.malformed",
        "checkpoint.note.tooLarge",
        "empty",
        "envelope.badSignature",
        "envelope.payloadType",
        "envelope.signatures",
        "envelope.signerMissing",
        "envelope.statement.invalid",
        "envelope.statement.malformed",
        "envelope.statement.tooLarge",
        "envelope.statement.unknownStatementType",
        "envelope.statement.unknownType",
        "envelope.statement.unknownVersion",
        "envelope.statement.wrongRole",
        "evidence",
        "keyRange",
        "level",
        "logOrder",
        "logShrank",
        "network",
        "noKeyEvent",
        "noResult",
        "notInLog.wrongLength",
        "notInLog.wrongRoot",
        "notPaid",
        "notice",
        "origin",
        "otherInput",
        "otherResult",
        "pending",
        "record",
        "submissionIndex",
        "task",
        "trustRootExpired",
    ]);
    assert_eq!(shown, expected);
}
