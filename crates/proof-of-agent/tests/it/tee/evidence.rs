//! The evidence file: its shape, its limits, and the pinned roots.

use proof_of_agent::Digest;
use proof_of_agent::tee::{
    AmdCollateral, Collateral, Der, Evidence, MAX_CERTIFICATES, MAX_DOCUMENT_BYTES, MAX_EVIDENCE_BYTES,
    TeeError, TeeRoots, Vendor,
};
use serde_json::{Value, json};

fn nitro() -> Evidence {
    Evidence { document: vec![1, 2, 3], collateral: Collateral::AwsNitro }
}

fn read(value: &Value) -> Result<Evidence, TeeError> {
    Evidence::from_json(&serde_json::to_vec(value).unwrap())
}

#[test]
fn a_file_reads_back_and_is_held_to_the_receipts_digest() {
    let file = nitro().to_json().unwrap();
    assert_eq!(
        String::from_utf8(file.clone()).unwrap(),
        r#"{"vendor":"awsNitro","version":1,"document":"AQID"}"#
    );
    let digest = Digest::of(&file);
    assert_eq!(Evidence::open(&file, &digest), Ok(nitro()));
    let found = Digest::of(&[file, b" ".to_vec()].concat());
    let spaced = [nitro().to_json().unwrap(), b" ".to_vec()].concat();
    assert_eq!(Evidence::open(&spaced, &digest), Err(TeeError::WrongDigest { expected: digest, found }));
}

#[test]
fn vendors_have_stable_names() {
    let names = ["intelSgx", "intelTdx", "amdSevSnp", "awsNitro"];
    for (vendor, name) in Vendor::ALL.into_iter().zip(names) {
        assert_eq!((vendor.name(), vendor.to_string()), (name, name.to_owned()));
        assert_eq!(serde_json::to_value(vendor).unwrap(), json!(name));
    }
}

#[test]
fn a_file_of_another_shape_is_refused() {
    let good = json!({ "version": 1, "vendor": "awsNitro", "document": "AQID" });
    assert!(read(&good).is_ok());
    type Edit = fn(&mut Value);
    let edits: [Edit; 7] = [
        |it| it["more"] = json!(1),
        |it| it["collateral"] = json!({}),
        |it| it["vendor"] = json!("awsnitro"),
        |it| it["vendor"] = json!("amdSevSnp"),
        |it| it["document"] = json!("AQI"),
        |it| it["document"] = json!([1, 2, 3]),
        |it| it["version"] = json!("1"),
    ];
    for (place, edit) in edits.into_iter().enumerate() {
        let mut value = good.clone();
        edit(&mut value);
        assert!(matches!(read(&value), Err(TeeError::Malformed { .. })), "edit {place}");
    }
    let twice = br#"{"version":1,"vendor":"awsNitro","document":"AQID","document":"AQID"}"#;
    assert!(matches!(Evidence::from_json(twice), Err(TeeError::Malformed { .. })));
    // Whatever else a newer version has.
    let newer = json!({ "version": 2, "technology": "x" });
    assert_eq!(read(&newer), Err(TeeError::UnknownVersion { part: "the evidence", found: 2 }));
}

#[test]
fn every_part_has_a_limit() {
    let too_large = |result| matches!(result, Err(TeeError::TooLarge { .. }));
    assert!(too_large(Evidence::from_json(&vec![b' '; MAX_EVIDENCE_BYTES + 1])));
    let large = Evidence { document: vec![0; MAX_DOCUMENT_BYTES + 1], ..nitro() };
    assert!(matches!(large.to_json(), Err(TeeError::TooLarge { .. })));
    let at = crate::fixture::NOW;
    let authenticate = |it: &Evidence| {
        proof_of_agent::tee::authenticate(it, &TeeRoots::published(), &Default::default(), at)
            .map(|_| it.clone())
    };
    assert!(too_large(authenticate(&large)));
    let certificates = vec![Der(Vec::new()); MAX_CERTIFICATES + 1];
    let collateral = Collateral::AmdSevSnp(AmdCollateral { certificates, crl: None });
    assert!(too_large(authenticate(&Evidence { collateral, ..nitro() })));
}

#[test]
fn roots_are_read_from_a_trust_roots_json_and_bounded() {
    let roots = TeeRoots::published();
    let text = serde_json::to_string(&roots).unwrap();
    assert_eq!(serde_json::from_str::<TeeRoots>(&text).unwrap(), roots);
    assert!(roots.check_limits().is_ok());
    let many = TeeRoots { amd: vec![Digest::of(b""); 17], ..TeeRoots::none() };
    assert!(matches!(many.check_limits(), Err(TeeError::TooLarge { .. })));
    assert!(serde_json::from_str::<TeeRoots>(r#"{"intel":[],"amd":[]}"#).is_err());
}
