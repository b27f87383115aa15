//! Second spellings: what a reader of JSON may take for the same file, and other readers do not.

use proof_of_agent::{BalanceProof, Bundle, Envelope, TrustRoot};
use serde_json::{Value, json};

use crate::fixture::World;
use crate::liabilities::Forge;

/// Every object of a file as the array of its fields, one after the other, and every name in it as an object.
fn respelt(value: &Value) -> Vec<Value> {
    let mut spellings = Vec::new();
    match value {
        Value::Object(fields) => {
            spellings.push(Value::Array(fields.values().cloned().collect()));
            for (name, field) in fields {
                for other in respelt(field) {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), other);
                    spellings.push(Value::Object(fields));
                }
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                for other in respelt(item) {
                    let mut items = items.clone();
                    items[place] = other;
                    spellings.push(Value::Array(items));
                }
            }
        }
        Value::String(text) => spellings.push(json!({ text: null })),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    spellings
}

fn is_read_in_one_spelling(file: &[u8], fields: &[&str], is_read: &dyn Fn(&[u8]) -> bool) {
    assert!(is_read(file));
    let value: Value = serde_json::from_slice(file).unwrap();
    let spellings = respelt(&value);
    assert!(spellings.len() > 5);
    for other in spellings {
        assert!(!is_read(&serde_json::to_vec(&other).unwrap()), "{:.300}", other.to_string());
    }
    // The fields in the order in which they are declared: what serde reads by itself.
    let in_order: Value = fields.iter().map(|name| value[name].clone()).collect();
    assert!(!is_read(&serde_json::to_vec(&in_order).unwrap()));
}

#[test]
fn a_bundle_is_read_in_one_spelling() {
    let world = World::new();
    let bundle = world.bundle(&world.paid());
    let is_read = |bytes: &[u8]| Bundle::from_json(bytes).is_ok();
    let fields = ["version", "network", "task", "entries", "keyEvents", "agentVersion", "checkpoint"];
    is_read_in_one_spelling(&bundle.to_json().unwrap(), &fields, &is_read);
    let mut value = serde_json::to_value(&bundle).unwrap();
    let entry = &value["entries"][5];
    value["entries"][5] = json!([entry["envelope"], entry["logIndex"], entry["proof"], entry["record"]]);
    assert!(!is_read(&serde_json::to_vec(&value).unwrap()));
}

#[test]
fn an_envelope_is_read_in_one_spelling() {
    let world = World::new();
    let envelope = world.sign(&world.paid()[0]).to_json();
    let is_read = |bytes: &[u8]| Envelope::from_json(bytes).is_ok();
    is_read_in_one_spelling(&envelope, &["payloadType", "payload", "signatures"], &is_read);
    let mut value: Value = serde_json::from_slice(&envelope).unwrap();
    let signature = &value["signatures"][0];
    value["signatures"][0] = json!([signature["keyid"], signature["sig"]]);
    assert!(!is_read(&serde_json::to_vec(&value).unwrap()));
}

#[test]
fn a_trust_root_is_read_in_one_spelling() {
    let root = World::new().trust_root().to_json().unwrap();
    let is_read = |bytes: &[u8]| TrustRoot::from_json(bytes).is_ok();
    is_read_in_one_spelling(&root, &["version", "revision", "network", "origin"], &is_read);
    let mut value: Value = serde_json::from_slice(&root).unwrap();
    let key = &value["receiptKeys"][0];
    value["receiptKeys"][0] = json!([key["key"], key["from"], null]);
    assert!(!is_read(&serde_json::to_vec(&value).unwrap()));
}

#[test]
fn a_proof_of_a_balance_is_read_in_one_spelling() {
    let proof = Forge::new(&[5, 7, 9], 1).logged().proof().to_json().unwrap();
    let is_read = |bytes: &[u8]| BalanceProof::from_json(bytes).is_ok();
    let fields = ["version", "network", "snapshot", "account", "balanceMsat", "salt", "leafIndex", "path"];
    is_read_in_one_spelling(&proof, &fields, &is_read);
    let mut value: Value = serde_json::from_slice(&proof).unwrap();
    let step = value["path"][0].as_object().unwrap().clone();
    value["path"][0] = step.into_iter().map(|(_, field)| field).collect();
    assert!(!is_read(&serde_json::to_vec(&value).unwrap()));
}
