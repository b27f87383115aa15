//! Why evidence was refused: one variant per cause, each with what to do about it.

use poa_common::Timestamp;

use super::{Measurement, TcbStatus, Vendor};
use crate::digest::Digest;

/// Why evidence was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TeeError {
    /// A part does not have its documented form.
    #[error("{part} is malformed ({reason}): make the evidence again from what the vendor's tools wrote")]
    Malformed {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A part is of a version or kind that this verifier does not read.
    #[error("{part} is of the unknown version {found}: use a newer verifier")]
    UnknownVersion {
        /// Which part.
        part: &'static str,
        /// The version that it states.
        found: u64,
    },
    /// A part is larger than its limit.
    #[error("{part} is larger than {limit} bytes, so that it is not read")]
    TooLarge {
        /// Which part.
        part: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The file is not the one whose digest the receipt names.
    #[error(
        "the evidence has the digest {found}, and the receipt names {expected}: get the file of this receipt"
    )]
    WrongDigest {
        /// The digest in the receipt.
        expected: Digest,
        /// The digest of the file.
        found: Digest,
    },
    /// The document is of another technology than the evidence says.
    #[error("the document is not one of {0}: correct the evidence's vendor")]
    WrongVendor(Vendor),
    /// The chain of certificates does not end in a pinned root.
    #[error(
        "the certificates of {vendor} end in the root {found}, which is not pinned: do not believe this evidence, \
         unless you compared that fingerprint with the vendor's and added it to your trust root"
    )]
    WrongRoot {
        /// Whose root.
        vendor: Vendor,
        /// SHA-256 of the certificate that stands where the root should.
        found: Digest,
    },
    /// Something was no longer valid at the time in question.
    #[error(
        "{what} was valid until {until}: ask the agent for evidence with collateral of the receipt's time"
    )]
    Expired {
        /// What expired.
        what: &'static str,
        /// The last moment of its validity.
        until: Timestamp,
    },
    /// Something was not yet valid at the time in question.
    #[error("{what} is valid only from {from}: check the time at which you verify")]
    NotYetValid {
        /// What is not valid yet.
        what: &'static str,
        /// The first moment of its validity.
        from: Timestamp,
    },
    /// The vendor withdrew a certificate of the chain.
    #[error("the vendor revoked {what} with the serial number {serial}: do not believe this evidence")]
    Revoked {
        /// Which certificate.
        what: &'static str,
        /// Its serial number in lower-case hexadecimal digits.
        serial: String,
    },
    /// The environment can be looked into from outside.
    #[error(
        "the environment ran with debugging on ({0}): whoever runs it can read and change it; run it without"
    )]
    Debug(&'static str),
    /// The environment is configured so that its isolation is not what it seems.
    #[error(
        "the environment is not isolated as it should be ({0}): start it with the vendor's production settings"
    )]
    UnsafeConfiguration(&'static str),
    /// A signature does not hold, or a hash does not lead to what it covers.
    #[error("{0} does not verify: the evidence was changed, or was never made by the vendor's hardware")]
    BadSignature(&'static str),
    /// A certificate is not the kind that its place in the chain asks for.
    #[error(
        "{what} cannot stand where it does ({reason}): use the chain that the vendor supplies for this document"
    )]
    WrongCertificate {
        /// Which certificate.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The collateral or the certificate is of another machine, or of another firmware of it.
    #[error("{0} is not of the machine that made the document: fetch the collateral of this machine")]
    WrongPlatform(&'static str),
    /// The quoting enclave is not the one that the vendor names.
    #[error(
        "the quoting enclave is not Intel's ({0} differs from the QE identity): do not believe this evidence"
    )]
    QeIdentity(&'static str),
    /// The TDX module is not the one that the vendor names.
    #[error("the TDX module is not Intel's ({0} differs from the TCB info): do not believe this evidence")]
    TdxModule(&'static str),
    /// The machine's firmware is in a state that the policy does not accept.
    #[error(
        "the machine's firmware is {status} (advisories: {}): update it, or accept this state in the policy \
         after reading the advisories", list(.advisories)
    )]
    TcbStatus {
        /// The vendor's verdict.
        status: TcbStatus,
        /// The advisories that the vendor names for it.
        advisories: Vec<String>,
    },
    /// The vendor's list has no entry for firmware as old as the machine's.
    #[error("the machine's {0} is older than anything that the vendor lists: update it")]
    TcbUnknown(&'static str),
    /// The firmware of an AMD machine is below what the policy asks for.
    #[error(
        "the machine's {component} has the version {found}, and the policy asks for {minimum}: update it"
    )]
    TcbBelowMinimum {
        /// Which component.
        component: &'static str,
        /// Its version.
        found: u8,
        /// The least version that the policy accepts.
        minimum: u8,
    },
    /// The evidence does not name this receipt.
    #[error("the evidence was not made for this receipt: its report data differs from the receipt's")]
    WrongReportData,
    /// Another program ran than was expected.
    #[error(
        "the environment measured {found}, which is not an expected build: compare it with the agent's release"
    )]
    WrongMeasurement {
        /// What was measured.
        found: Measurement,
    },
}

// === impl TeeError ===

impl TeeError {
    pub(super) fn malformed(part: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Malformed { part, reason: reason.to_string() }
    }
}

fn list(advisories: &[String]) -> String {
    if advisories.is_empty() { "none".to_owned() } else { advisories.join(", ") }
}
