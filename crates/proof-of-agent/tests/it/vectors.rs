//! The vectors in tests/vectors/liabilities: a verifier in any language reads the same files and says the same.
//!
//! They are what the code here makes; `POA_WRITE_VECTORS=1` writes them anew.

use std::path::{Path, PathBuf};

use poa_common::Msat;
use proof_of_agent::liabilities::PathStep;
use proof_of_agent::{BalanceProof, LiabilitiesError, TrustRoot, verify_balance};
use serde_json::{Value, json};

use crate::fixture::{NOW, id};
use crate::liabilities::Forge;

/// A vector: its name, the proof, and the class of the refusal; none where it holds.
type Vector = (&'static str, Vec<u8>, Option<&'static str>);

const BALANCES: [i64; 7] = [5, 1_000, 0, 70_000_000, 3, 999, 12];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/liabilities")
}

/// The class of a refusal, as docs/protocol/liabilities.md names it.
fn class(error: &LiabilitiesError) -> &'static str {
    match error {
        LiabilitiesError::Amount => "amount",
        LiabilitiesError::Place => "place",
        LiabilitiesError::PathLength => "pathLength",
        LiabilitiesError::OtherRoot => "otherRoot",
        LiabilitiesError::Malformed(_) => "malformed",
        LiabilitiesError::UnknownVersion(_) => "unknownVersion",
        LiabilitiesError::Limit(_) => "limit",
        LiabilitiesError::TrustRootExpired { .. } => "trustRootExpired",
        LiabilitiesError::Network { .. } => "network",
        LiabilitiesError::Origin => "origin",
        LiabilitiesError::OtherSnapshot => "otherSnapshot",
        LiabilitiesError::Envelope(_) => "envelope",
        LiabilitiesError::NotAReceiptKey(_) => "signer",
        LiabilitiesError::Checkpoint(_) => "checkpoint",
        LiabilitiesError::LogShrank { .. } => "logShrank",
        LiabilitiesError::NotInLog(_) => "notInLog",
    }
}

/// A sound proof, spoilt.
fn spoilt(edit: impl FnOnce(&mut BalanceProof)) -> Vec<u8> {
    let mut proof = Forge::new(&BALANCES, 3).logged().proof();
    edit(&mut proof);
    proof.to_json().unwrap()
}

/// A sound proof, spoilt in its JSON.
fn rewritten(edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let proof = Forge::new(&BALANCES, 3).logged().proof().to_json().unwrap();
    let mut value: Value = serde_json::from_slice(&proof).unwrap();
    edit(&mut value);
    serde_json::to_vec(&value).unwrap()
}

/// A proof whose statement is made by somebody else, or of something else, and logged all the same.
fn logged(edit: impl FnOnce(&mut Forge)) -> Vec<u8> {
    let mut forge = Forge::new(&BALANCES, 3);
    edit(&mut forge);
    forge.logged().proof().to_json().unwrap()
}

fn sound(balances: &[i64], place: usize) -> Vec<u8> {
    Forge::new(balances, place).logged().proof().to_json().unwrap()
}

fn vectors() -> Vec<Vector> {
    let mut vectors: Vec<Vector> = vec![
        ("one-account", sound(&[1_234], 0), None),
        ("first-of-seven", sound(&BALANCES, 0), None),
        ("middle-of-seven", sound(&BALANCES, 3), None),
        ("last-of-seven", sound(&BALANCES, 6), None),
        ("all-bitcoin", sound(&[Msat::SUPPLY.get() - 1, 1], 0), None),
    ];
    vectors.extend(spoilt_leaves());
    vectors.extend(spoilt_paths());
    vectors.extend(spoilt_statements());
    vectors.extend(spoilt_places_in_the_log());
    vectors.extend(spoilt_files());
    vectors
}

fn spoilt_leaves() -> [Vector; 5] {
    [
        (
            "balance-raised",
            spoilt(|it| it.balance_msat = Msat::new(it.balance_msat.get() + 1)),
            Some("otherRoot"),
        ),
        ("another-account", spoilt(|it| it.account = id(99)), Some("otherRoot")),
        ("another-salt", spoilt(|it| it.salt[31] ^= 1), Some("otherRoot")),
        ("another-place", spoilt(|it| it.leaf_index = 2), Some("otherRoot")),
        ("place-outside", spoilt(|it| it.leaf_index = 7), Some("place")),
    ]
}

fn spoilt_paths() -> [Vector; 8] {
    let sum = |step: &mut PathStep, by: i64| step.sum_msat = Msat::new(step.sum_msat.get() + by);
    [
        ("sum-of-a-step-raised", spoilt(|it| sum(&mut it.path[1], 1)), Some("otherRoot")),
        (
            "sum-shifted-between-steps",
            spoilt(|it| {
                sum(&mut it.path[1], 1);
                sum(&mut it.path[2], -1);
            }),
            Some("otherRoot"),
        ),
        (
            "balance-taken-from-a-step",
            spoilt(|it| {
                sum(&mut it.path[2], -1);
                it.balance_msat = Msat::new(it.balance_msat.get() + 1);
            }),
            Some("otherRoot"),
        ),
        ("hash-of-a-step", spoilt(|it| it.path[0].hash = it.path[1].hash), Some("otherRoot")),
        ("path-too-short", spoilt(|it| it.path.truncate(2)), Some("pathLength")),
        (
            "path-too-long",
            spoilt(|it| {
                let last = it.path[2];
                it.path.push(last);
            }),
            Some("pathLength"),
        ),
        ("sums-overflow", spoilt(|it| it.path[0].sum_msat = Msat::SUPPLY), Some("amount")),
        ("negative-sum", rewritten(|it| it["path"][0]["sumMsat"] = json!("-1")), Some("malformed")),
    ]
}

fn spoilt_statements() -> [Vector; 9] {
    [
        ("another-total", logged(|it| it.stated.liabilities = Msat::new(1)), Some("otherRoot")),
        ("another-root", logged(|it| it.stated.root = proof_of_agent::Digest::of(b"x")), Some("otherRoot")),
        ("another-count", logged(|it| it.stated.leaf_count = 4), Some("pathLength")),
        ("another-snapshot", logged(|it| it.stated.snapshot = id(71)), Some("otherSnapshot")),
        (
            "statement-of-another-network",
            logged(|it| it.network = poa_common::Network::Regtest),
            Some("network"),
        ),
        ("statement-of-another-log", logged(|it| it.origin = "simulated.poa/11ee"), Some("origin")),
        ("signed-by-a-stranger", logged(|it| it.signer = 8), Some("signer")),
        (
            "broken-signature",
            rewritten(|it| {
                let other = Forge::new(&[1], 0).logged().proof();
                it["envelope"]["signatures"] =
                    serde_json::to_value(&other.envelope).unwrap()["signatures"].clone();
            }),
            Some("envelope"),
        ),
        (
            "a-receipt-for-a-statement",
            spoilt(|it| it.envelope = Forge::new(&[1], 0).parts.envelope),
            Some("envelope"),
        ),
    ]
}

fn spoilt_places_in_the_log() -> [Vector; 6] {
    [
        ("another-log-index", spoilt(|it| it.log_index = 3), Some("notInLog")),
        ("log-index-outside", spoilt(|it| it.log_index = 5), Some("notInLog")),
        ("log-proof-changed", spoilt(|it| it.log_proof.reverse()), Some("notInLog")),
        ("log-proof-too-short", spoilt(|it| it.log_proof.truncate(2)), Some("notInLog")),
        (
            "checkpoint-changed",
            spoilt(|it| it.checkpoint = it.checkpoint.replacen("\n5\n", "\n6\n", 1)),
            Some("checkpoint"),
        ),
        (
            "checkpoint-of-a-stranger",
            spoilt(|it| {
                let checkpoint = proof_of_agent::Checkpoint::read_unverified(&it.checkpoint).unwrap();
                it.checkpoint = checkpoint.sign(&ed25519_dalek::SigningKey::from_bytes(&[8; 32])).unwrap();
            }),
            Some("checkpoint"),
        ),
    ]
}

fn spoilt_files() -> [Vector; 6] {
    [
        ("another-network", spoilt(|it| it.network = poa_common::Network::Mainnet), Some("network")),
        ("unknown-version", rewritten(|it| it["version"] = json!(2)), Some("unknownVersion")),
        ("unknown-field", rewritten(|it| it["more"] = json!(1)), Some("malformed")),
        (
            "missing-field",
            rewritten(|it| drop(it.as_object_mut().unwrap().remove("salt"))),
            Some("malformed"),
        ),
        ("amount-as-a-number", rewritten(|it| it["balanceMsat"] = json!(5)), Some("malformed")),
        ("amount-with-a-zero", rewritten(|it| it["balanceMsat"] = json!("05")), Some("malformed")),
    ]
}

/// What a verifier must say.
fn expected(proof: &[u8], class: Option<&str>) -> Value {
    let Some(class) = class else {
        let verified =
            verify_balance(&BalanceProof::from_json(proof).unwrap(), &trust_root(), 0, NOW).unwrap();
        return json!({
            "account": verified.account,
            "balanceMsat": verified.balance.to_string(),
            "liabilitiesMsat": verified.liabilities.to_string(),
            "leafCount": verified.leaf_count,
            "logSize": verified.log_size,
        });
    };
    json!({ "error": class })
}

fn trust_root() -> TrustRoot {
    Forge::new(&[1], 0).world.trust_root()
}

/// The files as they must be.
fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = vec![(folder().join("trust-root.json"), trust_root().to_json().unwrap())];
    let mut index = Vec::new();
    for (name, proof, class) in vectors() {
        let mut entry = json!({ "file": format!("{name}.json") });
        entry["expected"] = expected(&proof, class);
        index.push(entry);
        files.push((folder().join(format!("{name}.json")), proof));
    }
    let mut index =
        serde_json::to_vec_pretty(&json!({ "trustRoot": "trust-root.json", "vectors": index })).unwrap();
    index.push(b'\n');
    files.push((folder().join("index.json"), index));
    files
}

#[test]
fn every_vector_is_judged_as_its_index_says() {
    if std::env::var_os("POA_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        for (path, bytes) in files() {
            std::fs::write(path, bytes).unwrap();
        }
    }
    let root = TrustRoot::from_json(&std::fs::read(folder().join("trust-root.json")).unwrap()).unwrap();
    let index: Value = serde_json::from_slice(&std::fs::read(folder().join("index.json")).unwrap()).unwrap();
    let vectors = index["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), self::vectors().len());
    for vector in vectors {
        let file = vector["file"].as_str().unwrap();
        let bytes = std::fs::read(folder().join(file)).unwrap();
        let judged = BalanceProof::from_json(&bytes).and_then(|proof| verify_balance(&proof, &root, 0, NOW));
        match judged {
            Ok(_) => assert_eq!(vector["expected"], expected(&bytes, None), "{file}"),
            Err(error) => assert_eq!(vector["expected"]["error"], class(&error), "{file}: {error}"),
        }
    }
}

#[test]
fn the_vectors_are_what_the_code_makes() {
    // As JSON: the order of the members is the library's, and may be another in another build.
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    for (path, bytes) in files() {
        assert!(read(&std::fs::read(&path).unwrap()) == read(&bytes), "{}", path.display());
    }
}
