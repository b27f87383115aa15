//! Receipt bundles as files.

use proof_of_agent::bundle::{MAX_BUNDLE_BYTES, MAX_ENTRIES, MAX_INLINE_BYTES};
use proof_of_agent::{Bundle, BundleError, Digest};
use serde_json::{Value, json};

use crate::fixture::{RESULT, World};

fn edited(edit: impl FnOnce(&mut Value)) -> Result<Bundle, BundleError> {
    let world = World::new();
    let mut value: Value = serde_json::from_slice(&world.bundle(&world.paid()).to_json().unwrap()).unwrap();
    edit(&mut value);
    Bundle::from_json(&serde_json::to_vec(&value).unwrap())
}

#[test]
fn a_bundle_reads_back() {
    let world = World::new();
    let mut bundle = world.bundle(&world.paid());
    assert_eq!(Bundle::from_json(&bundle.to_json().unwrap()), Ok(bundle.clone()));
    bundle.result = Some(RESULT.to_vec());
    assert_eq!(Bundle::from_json(&bundle.to_json().unwrap()), Ok(bundle));
}

#[test]
fn a_file_that_is_not_exactly_a_bundle_is_refused() {
    for result in [
        Bundle::from_json(b"{}"),
        edited(|value| value["reslut"] = json!("")),
        edited(|value| value["result"] = json!("?")),
        edited(|value| value["result"] = Value::Null),
        edited(|value| value["entries"][0]["more"] = json!(1)),
        edited(|value| value["entries"][0]["logIndex"] = json!(-1)),
        edited(|value| value["entries"][0]["proof"][0] = json!("00")),
        edited(|value| value["task"] = json!("acct_00000000000000000000000007")),
    ] {
        assert!(matches!(result, Err(BundleError::Malformed(_))), "{result:?}");
    }
    assert_eq!(edited(|value| value["version"] = json!(2)), Err(BundleError::UnknownVersion(2)));
    assert_eq!(Bundle::from_json(&vec![b' '; MAX_BUNDLE_BYTES + 1]), Err(BundleError::TooLarge));
}

#[test]
fn a_bundle_beyond_its_limits_is_neither_read_nor_written() {
    let many = |value: &mut Value| {
        value["entries"] = json!(vec![value["entries"][0].clone(); MAX_ENTRIES + 1]);
    };
    assert_eq!(edited(many), Err(BundleError::Limit("statements")));
    let long = |value: &mut Value| {
        value["entries"][0]["proof"] = json!(vec![Digest::of(b"").to_string(); 55]);
    };
    assert_eq!(edited(long), Err(BundleError::Limit("hashes in a proof")));
    let world = World::new();
    let mut bundle = world.bundle(&world.paid());
    bundle.input = Some(vec![0; MAX_INLINE_BYTES + 1]);
    assert_eq!(bundle.to_json(), Err(BundleError::Limit("inline bytes")));
}
