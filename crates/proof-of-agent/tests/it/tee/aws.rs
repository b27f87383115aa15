//! Nitro documents of a made-up AWS.

use ciborium::Value;
use poa_common::Timestamp;
use proof_of_agent::tee::{
    Collateral, Evidence, Measurement, TeeError, TeePolicy, TeeRoots, Vendor, VerifiedEvidence, verify,
};
use time::Duration;

use super::authority::{Certified, Key, Wanted};
use super::{YEARS, check, check_at, expect, flips, other_report_data, report_data};
use crate::fixture::NOW;

const CHAIN: &str = "the Nitro document's chain";

/// An enclave of a made-up AWS, before it attests.
struct Enclave {
    root: Certified,
    middle: Certified,
    leaf: Wanted<'static>,
    made: Timestamp,
    registers: Vec<(u64, Vec<u8>)>,
    user_data: Value,
    algorithm: i64,
}

impl Enclave {
    fn new() -> Self {
        let root = Certified::root("aws.test", Key::p384(1));
        let middle = root.issue(&Wanted::ca("zone.aws.test", 2), Key::p384(2));
        let mut leaf = Wanted::leaf("i-0.aws.test", 3);
        (leaf.not_before, leaf.not_after) = (NOW - Duration::HOUR, NOW + Duration::HOUR * 2);
        Self {
            root,
            middle,
            leaf,
            made: NOW - Duration::MINUTE,
            registers: (0_u8..16).map(|index| (u64::from(index), vec![index + 1; 48])).collect(),
            user_data: Value::Bytes(report_data().as_bytes().to_vec()),
            algorithm: -35,
        }
    }

    fn roots(&self) -> TeeRoots {
        TeeRoots { aws: vec![self.root.fingerprint()], ..TeeRoots::none() }
    }

    fn payload(&self, leaf: &Certified) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        let milliseconds = i64::try_from(self.made.unix_timestamp_nanos() / 1_000_000).unwrap();
        let registers =
            self.registers.iter().map(|(index, value)| (Value::from(*index), Value::Bytes(value.clone())));
        Value::Map(vec![
            (text("module_id"), text("i-0-enc0")),
            (text("digest"), text("SHA384")),
            (text("timestamp"), Value::from(milliseconds)),
            (text("pcrs"), Value::Map(registers.collect())),
            (text("certificate"), Value::Bytes(leaf.der.clone())),
            (
                text("cabundle"),
                Value::Array([&self.root, &self.middle].map(|it| Value::Bytes(it.der.clone())).to_vec()),
            ),
            (text("public_key"), Value::Null),
            (text("user_data"), self.user_data.clone()),
            (text("nonce"), Value::Null),
        ])
    }

    fn evidence(&self) -> Evidence {
        let leaf = self.middle.issue(&self.leaf, Key::p384(3));
        let protected = cbor(&Value::Map(vec![(Value::from(1), Value::from(self.algorithm))]));
        let payload = cbor(&self.payload(&leaf));
        let signed = cbor(&Value::Array(vec![
            Value::Text("Signature1".to_owned()),
            Value::Bytes(protected.clone()),
            Value::Bytes(Vec::new()),
            Value::Bytes(payload.clone()),
        ]));
        let document = cbor(&Value::Array(vec![
            Value::Bytes(protected),
            Value::Map(Vec::new()),
            Value::Bytes(payload),
            Value::Bytes(leaf.key.sign_fixed(&signed)),
        ]));
        Evidence { document, collateral: Collateral::AwsNitro }
    }

    fn check(&self) -> Result<VerifiedEvidence, TeeError> {
        check(&self.evidence(), &self.roots())
    }
}

fn cbor(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_document_that_is_bound_to_the_receipt_verifies() {
    let enclave = Enclave::new();
    let file = enclave.evidence().to_json().unwrap();
    let evidence = Evidence::from_json(&file).unwrap();
    let build: Measurement = [[1; 48], [2; 48], [3; 48]].map(hex::encode).concat().parse().unwrap();
    let (builds, policy) = ([build.clone()], TeePolicy::default());
    let verified = verify(&evidence, &enclave.roots(), &expect(Some(&builds)), &policy, NOW).unwrap();
    assert_eq!((verified.vendor, verified.measurement), (Vendor::AwsNitro, build));
    assert_eq!((verified.tcb_status, verified.snp_tcb), (None, None));
    assert_eq!(verified.valid_until - verified.valid_from, policy.max_nitro_age);
    // The tag is allowed, and AWS leaves it out.
    let tagged = Evidence { document: [vec![0xd2], evidence.document].concat(), ..evidence };
    assert!(check(&tagged, &enclave.roots()).is_ok());
}

#[test]
fn a_document_of_another_receipt_or_build_is_refused() {
    let mut enclave = Enclave::new();
    let other: Measurement = [[1; 48], [2; 48], [4; 48]].map(hex::encode).concat().parse().unwrap();
    let policy = TeePolicy::default();
    let refused = verify(&enclave.evidence(), &enclave.roots(), &expect(Some(&[other])), &policy, NOW);
    assert!(matches!(refused, Err(TeeError::WrongMeasurement { .. })));
    for user_data in [
        Value::Null,
        Value::Bytes(other_report_data().as_bytes().to_vec()),
        // Exactly the 32 bytes: not the field of other vendors.
        Value::Bytes(report_data().field().to_vec()),
    ] {
        enclave.user_data = user_data;
        assert_eq!(enclave.check(), Err(TeeError::WrongReportData));
    }
}

#[test]
fn an_enclave_in_debug_mode_is_refused() {
    let mut enclave = Enclave::new();
    enclave.registers.iter_mut().take(3).for_each(|(_, value)| value.fill(0));
    assert!(matches!(enclave.check(), Err(TeeError::Debug(_))));
}

#[test]
fn a_document_out_of_its_time_is_refused() {
    let mut enclave = Enclave::new();
    let document = "the Nitro document";
    let from = enclave.made;
    let (evidence, roots) = (enclave.evidence(), enclave.roots());
    // Its milliseconds are whole.
    let early = check_at(&evidence, &roots, from - Duration::SECOND);
    assert!(matches!(early, Err(TeeError::NotYetValid { what, .. }) if what == document));
    let late = check_at(&evidence, &roots, from + YEARS);
    assert!(matches!(late, Err(TeeError::Expired { what, .. }) if what == document));
    // The chain is held against the document's own time.
    enclave.made = NOW - Duration::HOUR * 3;
    assert!(matches!(enclave.check(), Err(TeeError::NotYetValid { what: CHAIN, .. })));
    enclave.made = NOW - Duration::MINUTE;
    enclave.leaf.not_after = NOW - Duration::MINUTE * 2;
    assert!(matches!(enclave.check(), Err(TeeError::Expired { what: CHAIN, .. })));
}

#[test]
fn a_chain_to_another_root_is_refused() {
    let mut enclave = Enclave::new();
    let found = enclave.root.fingerprint();
    let refused = Err(TeeError::WrongRoot { vendor: Vendor::AwsNitro, found });
    assert_eq!(check(&enclave.evidence(), &TeeRoots::published()), refused);
    // A certificate of the right name that another root made.
    let roots = enclave.roots();
    enclave.middle =
        Certified::root("aws.test", Key::p384(9)).issue(&Wanted::ca("zone.aws.test", 2), Key::p384(2));
    assert_eq!(check(&enclave.evidence(), &roots), Err(TeeError::BadSignature(CHAIN)));
    enclave.middle =
        Certified::root("aws.other", Key::p384(1)).issue(&Wanted::ca("zone.aws.test", 2), Key::p384(2));
    assert!(matches!(check(&enclave.evidence(), &roots), Err(TeeError::WrongCertificate { .. })));
}

#[test]
fn a_document_of_another_shape_is_refused() {
    let mut enclave = Enclave { algorithm: -7, ..Enclave::new() };
    assert!(matches!(enclave.check(), Err(TeeError::Malformed { .. })));
    enclave.algorithm = -35;
    let whole = enclave.registers.clone();
    enclave.registers.push((1, vec![7; 48]));
    assert!(matches!(enclave.check(), Err(TeeError::Malformed { .. })), "a register twice");
    enclave.registers = whole[1..].to_vec();
    assert!(matches!(enclave.check(), Err(TeeError::Malformed { .. })), "no register 0");
    let document = Enclave::new().evidence().document;
    for document in [Vec::new(), vec![0x9f; 20_000], document[..100].to_vec(), [document, vec![0]].concat()] {
        let evidence = Evidence { document, collateral: Collateral::AwsNitro };
        assert!(matches!(check(&evidence, &enclave.roots()), Err(TeeError::Malformed { .. })));
    }
}

#[test]
fn a_flipped_bit_of_a_document_is_refused_or_changes_nothing() {
    let enclave = Enclave::new();
    flips(&enclave.evidence(), 9, |evidence| check(evidence, &enclave.roots()));
}
