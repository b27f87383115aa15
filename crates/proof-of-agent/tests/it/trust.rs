//! The trust root's file.

use poa_common::Network;
use proof_of_agent::trust::MAX_TRUST_ROOT_BYTES;
use proof_of_agent::{TrustError, TrustRoot};
use serde_json::{Value, json};

use crate::fixture::{ORIGIN, World};

fn edited(edit: impl FnOnce(&mut Value)) -> Result<TrustRoot, TrustError> {
    let mut value: Value = serde_json::from_slice(&World::new().trust_root().to_json().unwrap()).unwrap();
    edit(&mut value);
    TrustRoot::from_json(&serde_json::to_vec(&value).unwrap())
}

#[test]
fn a_trust_root_reads_back_with_the_same_digest_however_it_is_indented() {
    let root = World::new().trust_root();
    assert_eq!(TrustRoot::from_json(&root.to_json().unwrap()), Ok(root.clone()));
    assert_eq!(edited(|_| {}).map(|read| read.digest()), Ok(root.digest()));
    assert_eq!((root.network(), root.origin()), (Network::Simulated, ORIGIN));
    let expiring = edited(|value| value["expires"] = json!("2030-01-01T00:00:00Z")).unwrap();
    assert!(expiring.expires().is_some());
    assert_ne!(expiring.digest(), root.digest());
}

#[test]
fn the_digest_is_that_of_the_file_as_written() {
    let root = World::new().trust_root();
    assert_eq!(root.digest(), proof_of_agent::Digest::of(&root.to_json().unwrap()));
}

#[test]
fn a_file_that_is_not_exactly_a_trust_root_is_refused() {
    let malformed = |result: Result<TrustRoot, TrustError>| {
        assert!(matches!(result, Err(TrustError::Malformed(_))), "{result:?}");
    };
    malformed(TrustRoot::from_json(b"{}"));
    malformed(edited(|value| value["witnesses"] = json!([])));
    malformed(edited(|value| value["network"] = json!("testnet")));
    malformed(edited(|value| value["receiptKeys"][0] = json!("did:web:example.org")));
    malformed(edited(|value| value["logKeys"][0] = json!("x")));
    malformed(edited(|value| value["expires"] = json!("soon")));
    malformed(edited(|value| drop(value.as_object_mut().unwrap().remove("origin"))));
    assert_eq!(edited(|value| value["version"] = json!(2)), Err(TrustError::UnknownVersion(2)));
    assert_eq!(edited(|value| value["logKeys"] = json!([])), Err(TrustError::Keys));
    assert_eq!(edited(|value| value["receiptKeys"] = json!([])), Err(TrustError::Keys));
    assert_eq!(edited(|value| value["origin"] = json!("other")), Err(TrustError::Keys));
    let many = |value: &mut Value| value["receiptKeys"] = json!(vec![value["receiptKeys"][0].clone(); 65]);
    assert_eq!(edited(many), Err(TrustError::Keys));
    assert_eq!(TrustRoot::from_json(&vec![b' '; MAX_TRUST_ROOT_BYTES + 1]), Err(TrustError::TooLarge));
}
