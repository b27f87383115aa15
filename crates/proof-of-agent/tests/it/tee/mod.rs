//! Evidence of trusted execution: real samples of each vendor, and vendors that the tests make up.

mod amd;
mod authority;
mod aws;
mod evidence;
mod intel;
mod intel_rig;
mod receipt;
mod samples;

use poa_common::Timestamp;
use proof_of_agent::tee::{
    Evidence, Expected, Measurement, ReportData, TeeError, TeePolicy, TeeRoots, VerifiedEvidence,
};
use proof_of_agent::{DidKey, Digest, tee};
use time::Duration;

use crate::fixture::NOW;

/// What the made-up vendors' evidence is bound to.
fn report_data() -> ReportData {
    let agent = DidKey::of(&ed25519_dalek::SigningKey::from_bytes(&[2; 32]));
    ReportData::of(&Digest::of(b"acceptance"), &Digest::of(b"output"), &agent)
}

/// The report data of another result of the same agent.
fn other_report_data() -> ReportData {
    let agent = DidKey::of(&ed25519_dalek::SigningKey::from_bytes(&[2; 32]));
    ReportData::of(&Digest::of(b"acceptance"), &Digest::of(b"another output"), &agent)
}

fn expect(measurements: Option<&[Measurement]>) -> Expected<'_> {
    Expected { report_data: report_data(), measurements }
}

/// Verifies at [`NOW`], with the default policy.
fn check(evidence: &Evidence, roots: &TeeRoots) -> Result<VerifiedEvidence, TeeError> {
    check_at(evidence, roots, NOW)
}

fn check_at(evidence: &Evidence, roots: &TeeRoots, time: Timestamp) -> Result<VerifiedEvidence, TeeError> {
    tee::verify(evidence, roots, &expect(None), &TeePolicy::default(), time)
}

/// Whatever single bit of a document is flipped, the answer is a refusal or the same. One bit of every
/// `step`-th byte is flipped, another one each time: a step of 1 passes, too, and takes a minute.
fn flips(evidence: &Evidence, step: usize, check: impl Fn(&Evidence) -> Result<VerifiedEvidence, TeeError>) {
    let genuine = check(evidence).unwrap();
    for (turn, place) in (0..evidence.document.len()).step_by(step).enumerate() {
        let mut flipped = evidence.clone();
        flipped.document[place] ^= 1 << (turn % 8);
        if let Ok(answer) = check(&flipped) {
            assert_eq!(answer, genuine, "byte {place}");
        }
    }
}

/// Long enough for every collateral of these tests to have expired, and to be not yet valid.
const YEARS: Duration = Duration::days(4_000);
