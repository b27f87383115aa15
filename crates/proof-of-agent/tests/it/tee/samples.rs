//! The vectors in tests/vectors/tee: real quotes, reports and documents of each vendor.

use std::path::{Path, PathBuf};

use poa_common::Timestamp;
use proof_of_agent::tee::{
    Authenticated, Collateral, Evidence, Expected, Measurement, TcbStatus, TeeError, TeePolicy, TeeRoots,
    authenticate, verify,
};
use serde::Deserialize;
use time::Duration;

use super::report_data;

/// Of the certificates of these samples, the shortest-lived are valid for this long at least. The collateral
/// is not.
const LONG_AFTER: Duration = Duration::days(365 * 30);

/// The list of vectors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    vectors: Vec<Vector>,
}

/// A sample, the time at which it is looked at, and what a verifier says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Vector {
    file: String,
    #[serde(with = "time::serde::rfc3339")]
    time: Timestamp,
    #[serde(default)]
    accepted: Vec<TcbStatus>,
    expected: Answer,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Answer {
    error: Option<String>,
    vendor: Option<String>,
    measurement: Option<String>,
    report_data: Option<String>,
    tcb_status: Option<TcbStatus>,
    advisories: Option<Vec<String>>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/tee")
}

fn vectors() -> Vec<(Vector, Evidence)> {
    let index = std::fs::read(folder().join("index.json")).unwrap();
    let index: Index = serde_json::from_slice(&index).unwrap();
    let read = |vector: Vector| {
        let evidence = Evidence::from_json(&std::fs::read(folder().join(&vector.file)).unwrap()).unwrap();
        (vector, evidence)
    };
    index.vectors.into_iter().map(read).collect()
}

fn policy(vector: &Vector) -> TeePolicy {
    TeePolicy { accepted: vector.accepted.clone(), ..TeePolicy::default() }
}

fn answer(vector: &Vector, evidence: &Evidence) -> Result<Authenticated, TeeError> {
    authenticate(evidence, &TeeRoots::published(), &policy(vector), vector.time)
}

/// The samples that verify.
fn sound() -> Vec<(Vector, Evidence)> {
    vectors().into_iter().filter(|(vector, _)| vector.expected.error.is_none()).collect()
}

/// The class of a refusal, as docs/protocol/tee.md names it.
pub(super) fn class(error: &TeeError) -> &'static str {
    match error {
        TeeError::Malformed { .. } => "malformed",
        TeeError::UnknownVersion { .. } => "unknownVersion",
        TeeError::TooLarge { .. } => "tooLarge",
        TeeError::WrongDigest { .. } => "wrongDigest",
        TeeError::WrongVendor(_) => "wrongVendor",
        TeeError::WrongRoot { .. } => "wrongRoot",
        TeeError::Expired { .. } => "expired",
        TeeError::NotYetValid { .. } => "notYetValid",
        TeeError::Revoked { .. } => "revoked",
        TeeError::Debug(_) => "debug",
        TeeError::UnsafeConfiguration(_) => "unsafeConfiguration",
        TeeError::BadSignature(_) => "badSignature",
        TeeError::WrongCertificate { .. } => "wrongCertificate",
        TeeError::WrongPlatform(_) => "wrongPlatform",
        TeeError::QeIdentity(_) => "qeIdentity",
        TeeError::TdxModule(_) => "tdxModule",
        TeeError::TcbStatus { .. } => "tcbStatus",
        TeeError::TcbUnknown(_) => "tcbUnknown",
        TeeError::TcbBelowMinimum { .. } => "tcbBelowMinimum",
        TeeError::WrongReportData => "wrongReportData",
        TeeError::WrongMeasurement { .. } => "wrongMeasurement",
    }
}

#[test]
fn every_sample_is_answered_as_the_index_says() {
    for (vector, evidence) in vectors() {
        let found = match answer(&vector, &evidence) {
            Ok(it) => Answer {
                error: None,
                vendor: Some(it.vendor.to_string()),
                measurement: Some(it.measurement.to_string()),
                report_data: Some(hex::encode(it.report_data)),
                tcb_status: it.tcb_status,
                advisories: Some(it.advisories),
            },
            Err(error) => Answer {
                error: Some(class(&error).to_owned()),
                vendor: None,
                measurement: None,
                report_data: None,
                tcb_status: None,
                advisories: None,
            },
        };
        assert_eq!(found, vector.expected, "{} at {}", vector.file, vector.time);
        let again = Evidence::from_json(&evidence.to_json().unwrap()).unwrap();
        assert_eq!(again, evidence);
    }
}

#[test]
fn a_sample_verifies_within_its_span_and_not_outside() {
    for (vector, evidence) in sound() {
        let genuine = answer(&vector, &evidence).unwrap();
        let at = |time| authenticate(&evidence, &TeeRoots::published(), &policy(&vector), time);
        assert_eq!(at(genuine.valid_from), Ok(genuine.clone()), "{}", vector.file);
        assert_eq!(at(genuine.valid_until), Ok(genuine.clone()), "{}", vector.file);
        let late = [genuine.valid_until + Duration::SECOND, vector.time + LONG_AFTER];
        let early = [genuine.valid_from - Duration::SECOND, vector.time - LONG_AFTER];
        for time in late {
            assert!(matches!(at(time), Err(TeeError::Expired { .. })), "{}", vector.file);
        }
        for time in early {
            assert!(matches!(at(time), Err(TeeError::NotYetValid { .. })), "{}", vector.file);
        }
    }
}

#[test]
fn a_sample_is_refused_under_roots_that_do_not_pin_its_vendors() {
    for (vector, evidence) in sound() {
        let refused = authenticate(&evidence, &TeeRoots::none(), &policy(&vector), vector.time);
        assert!(matches!(refused, Err(TeeError::WrongRoot { .. })), "{}", vector.file);
    }
}

#[test]
fn a_sample_is_bound_to_no_receipt_of_ours() {
    for (vector, evidence) in sound() {
        let expected = Expected { report_data: report_data(), measurements: None };
        let roots = TeeRoots::published();
        let refused = verify(&evidence, &roots, &expected, &policy(&vector), vector.time);
        assert_eq!(refused, Err(TeeError::WrongReportData), "{}", vector.file);
        let measured: Measurement = vector.expected.measurement.unwrap().parse().unwrap();
        assert_eq!(measured.as_bytes().len(), Measurement::length(evidence.vendor()));
    }
}

/// One bit of every so many bytes is flipped, another one each time: some hundred of the file, and more of the
/// document itself.
#[test]
fn a_flipped_bit_of_a_sample_is_refused_or_changes_nothing() {
    for (vector, evidence) in sound() {
        let genuine = answer(&vector, &evidence).unwrap();
        let file = evidence.to_json().unwrap();
        let step = file.len() / 100;
        for (turn, place) in (0..file.len()).step_by(step).enumerate() {
            let mut flipped = file.clone();
            flipped[place] ^= 1 << (turn % 8);
            let found = Evidence::from_json(&flipped).and_then(|it| answer(&vector, &it));
            assert!(found.is_err() || found == Ok(genuine.clone()), "{} byte {place}", vector.file);
        }
        let step = if evidence.document.len() < 2_000 { 9 } else { 47 };
        for (turn, place) in (0..evidence.document.len()).step_by(step).enumerate() {
            let mut flipped = evidence.clone();
            flipped.document[place] ^= 1 << (turn % 8);
            let found = answer(&vector, &flipped);
            assert!(found.is_err() || found == Ok(genuine.clone()), "{} byte {place}", vector.file);
        }
    }
}

#[test]
fn a_sample_with_anothers_collateral_is_refused() {
    let sound = sound();
    for (vector, evidence) in &sound {
        for (_, other) in sound.iter().filter(|(it, _)| it.file != vector.file) {
            let mixed = Evidence { document: evidence.document.clone(), ..other.clone() };
            let same = matches!(
                (&evidence.collateral, &mixed.collateral),
                (Collateral::AwsNitro, Collateral::AwsNitro)
            );
            assert!(same || answer(vector, &mixed).is_err(), "{}", vector.file);
        }
    }
}
