//! Evidence of trusted execution: that a certain program, and no other, made a result, by the word of the
//! hardware that it ran in.
//!
//! A submission names the digest of an [`Evidence`] file. [`verify`] checks it offline against the vendor's
//! pinned root: Intel SGX and TDX quotes, AMD SEV-SNP reports, AWS Nitro documents. Everything is decided from
//! the arguments. The file and the checks are described in docs/protocol/tee.md.

mod binding;
mod error;
mod evidence;
mod intel;
mod keys;
mod nitro;
mod policy;
mod reader;
mod roots;
mod rsa;
mod snp;
mod window;
mod x509;

use poa_common::Timestamp;

pub use binding::{Measurement, ReportData};
pub use error::TeeError;
pub use evidence::{
    AmdCollateral, Collateral, Der, Evidence, IntelCollateral, MAX_CERTIFICATE_BYTES, MAX_CERTIFICATES,
    MAX_CRL_BYTES, MAX_DOCUMENT_BYTES, MAX_EVIDENCE_BYTES, MAX_TEXT_BYTES, Vendor,
};
pub use policy::{Authenticated, Expected, MinimumSnpTcb, SnpTcb, TcbStatus, TeePolicy, VerifiedEvidence};
pub use roots::TeeRoots;
use window::Window;

/// Whether the evidence is genuine at `time`: made by the vendor's hardware, outside of debugging, on firmware
/// that the policy accepts. What it is about is not compared with anything: [`verify`] does both.
///
/// # Errors
/// All but `WrongDigest`, `WrongReportData` and `WrongMeasurement`.
pub fn authenticate(
    evidence: &Evidence,
    roots: &TeeRoots,
    policy: &TeePolicy,
    time: Timestamp,
) -> Result<Authenticated, TeeError> {
    evidence.check_limits()?;
    let vendor = evidence.vendor();
    let (document, roots, window) = (&evidence.document, roots.of(vendor), Window::at(time));
    match &evidence.collateral {
        Collateral::IntelSgx(collateral) | Collateral::IntelTdx(collateral) => {
            intel::authenticate(vendor, document, collateral, roots, policy, window)
        }
        Collateral::AmdSevSnp(collateral) => snp::authenticate(document, collateral, roots, policy, window),
        Collateral::AwsNitro => nitro::authenticate(document, roots, policy, window),
    }
}

/// Whether the evidence is genuine at `time`, and about the receipt and the builds that are expected. Pure: the
/// same arguments give the same answer, offline, for ever.
///
/// `time` is the moment that the question is about: for a receipt, when the platform logged the result.
///
/// # Errors
/// One variant per check.
pub fn verify(
    evidence: &Evidence,
    roots: &TeeRoots,
    expected: &Expected<'_>,
    policy: &TeePolicy,
    time: Timestamp,
) -> Result<VerifiedEvidence, TeeError> {
    let genuine = authenticate(evidence, roots, policy, time)?;
    if !expected.report_data.matches(genuine.vendor, &genuine.report_data) {
        return Err(TeeError::WrongReportData);
    }
    if expected.measurements.is_some_and(|builds| !builds.contains(&genuine.measurement)) {
        return Err(TeeError::WrongMeasurement { found: genuine.measurement });
    }
    Ok(VerifiedEvidence {
        vendor: genuine.vendor,
        measurement: genuine.measurement,
        measurement_expected: expected.measurements.is_some(),
        tcb_status: genuine.tcb_status,
        snp_tcb: genuine.snp_tcb,
        advisories: genuine.advisories,
        valid_from: genuine.valid_from,
        valid_until: genuine.valid_until,
    })
}
