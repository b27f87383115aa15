//! What a verifier demands, and what it learns.

use std::fmt;

use poa_common::Timestamp;
use serde::{Deserialize, Serialize};
use time::Duration;

use super::{Measurement, ReportData, TeeError, Vendor};

/// The vendor's verdict on the firmware of an Intel machine. AMD and AWS publish none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TcbStatus {
    /// Nothing is missing.
    UpToDate,
    /// The program itself must mitigate what the advisories say.
    SwHardeningNeeded,
    /// A setting of the machine is not the safe one.
    ConfigurationNeeded,
    /// Both of the above.
    ConfigurationAndSwHardeningNeeded,
    /// The firmware is outdated.
    OutOfDate,
    /// Outdated, and a setting is not the safe one.
    OutOfDateConfigurationNeeded,
    /// TDX 1.5: the machine has been updated since the domain was launched. Launching it again cures it.
    RelaunchAdvised,
    /// The same, and a setting is not the safe one.
    RelaunchAdvisedConfigurationNeeded,
    /// The keys of the machine are compromised. No policy accepts this.
    Revoked,
}

/// The versions of an AMD machine's firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnpTcb {
    /// Firmware management controller, from Turin on; 0 before.
    pub fmc: u8,
    /// Boot loader.
    pub boot_loader: u8,
    /// Operating system of the security processor.
    pub tee: u8,
    /// SEV-SNP firmware.
    pub snp: u8,
    /// Microcode.
    pub microcode: u8,
}

/// The least firmware that is accepted of a generation of AMD's processors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MinimumSnpTcb {
    /// The generation as the certificate has it, up to a hyphen: `Milan`, `Genoa`, `Turin`.
    pub product: String,
    /// The least version of each component.
    pub tcb: SnpTcb,
}

/// What a verifier demands beyond genuineness. The default is the strictest verdict of Intel, no minimum for
/// AMD, and a day for Nitro documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeePolicy {
    /// Verdicts that are accepted beside [`TcbStatus::UpToDate`].
    pub accepted: Vec<TcbStatus>,
    /// The least firmware of AMD machines: AMD publishes no verdict, so that whoever verifies sets it. A
    /// generation that is not listed is not held to any.
    pub minimum_snp: Vec<MinimumSnpTcb>,
    /// How long before the time in question a Nitro document may have been made. The keys of Nitro documents
    /// live for hours, and the document itself says when it was made.
    pub max_nitro_age: Duration,
}

/// What the evidence must be about.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The receipt's report data.
    pub report_data: ReportData,
    /// The builds that may have run. Without, any may.
    pub measurements: Option<&'a [Measurement]>,
}

/// Genuine evidence: the vendor's hardware says so. What it is about is still to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// Which technology.
    pub vendor: Vendor,
    /// What the program inside asked to be signed: 64 bytes, of Nitro whatever `user_data` holds, none if it
    /// is absent.
    pub report_data: Vec<u8>,
    /// What ran.
    pub measurement: Measurement,
    /// Intel's verdict on the machine's firmware; none from AMD and AWS.
    pub tcb_status: Option<TcbStatus>,
    /// The firmware of an AMD machine.
    pub snp_tcb: Option<SnpTcb>,
    /// The advisories that Intel names for the machine's firmware, sorted.
    pub advisories: Vec<String>,
    /// The same evidence verifies from here …
    pub valid_from: Timestamp,
    /// … to here.
    pub valid_until: Timestamp,
}

/// Genuine evidence that is about the receipt and the build that were expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedEvidence {
    /// Which technology.
    pub vendor: Vendor,
    /// What ran.
    pub measurement: Measurement,
    /// Whether the measurement was compared with expected ones.
    pub measurement_expected: bool,
    /// Intel's verdict on the machine's firmware; none from AMD and AWS.
    pub tcb_status: Option<TcbStatus>,
    /// The firmware of an AMD machine.
    pub snp_tcb: Option<SnpTcb>,
    /// The advisories that Intel names for the machine's firmware, sorted.
    pub advisories: Vec<String>,
    /// The same evidence verifies from here …
    pub valid_from: Timestamp,
    /// … to here.
    pub valid_until: Timestamp,
}

// === impl TcbStatus ===

impl TcbStatus {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UpToDate => "upToDate",
            Self::SwHardeningNeeded => "swHardeningNeeded",
            Self::ConfigurationNeeded => "configurationNeeded",
            Self::ConfigurationAndSwHardeningNeeded => "configurationAndSwHardeningNeeded",
            Self::OutOfDate => "outOfDate",
            Self::OutOfDateConfigurationNeeded => "outOfDateConfigurationNeeded",
            Self::RelaunchAdvised => "relaunchAdvised",
            Self::RelaunchAdvisedConfigurationNeeded => "relaunchAdvisedConfigurationNeeded",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for TcbStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl SnpTcb ===

impl SnpTcb {
    /// The first component that is below `minimum`.
    pub(super) fn below(self, minimum: Self) -> Result<(), TeeError> {
        let components = [
            ("firmware management controller", self.fmc, minimum.fmc),
            ("boot loader", self.boot_loader, minimum.boot_loader),
            ("security processor", self.tee, minimum.tee),
            ("SEV-SNP firmware", self.snp, minimum.snp),
            ("microcode", self.microcode, minimum.microcode),
        ];
        match components.into_iter().find(|(_, found, minimum)| found < minimum) {
            Some((component, found, minimum)) => Err(TeeError::TcbBelowMinimum { component, found, minimum }),
            None => Ok(()),
        }
    }
}

// === impl TeePolicy ===

impl TeePolicy {
    /// Whether a verdict of Intel's is accepted.
    pub(super) fn check_status(&self, status: TcbStatus, advisories: &[String]) -> Result<(), TeeError> {
        let accepted = match status {
            TcbStatus::UpToDate => true,
            TcbStatus::Revoked => false,
            TcbStatus::SwHardeningNeeded
            | TcbStatus::ConfigurationNeeded
            | TcbStatus::ConfigurationAndSwHardeningNeeded
            | TcbStatus::OutOfDate
            | TcbStatus::OutOfDateConfigurationNeeded
            | TcbStatus::RelaunchAdvised
            | TcbStatus::RelaunchAdvisedConfigurationNeeded => self.accepted.contains(&status),
        };
        if accepted { Ok(()) } else { Err(TeeError::TcbStatus { status, advisories: advisories.to_vec() }) }
    }
}

impl Default for TeePolicy {
    fn default() -> Self {
        Self { accepted: Vec::new(), minimum_snp: Vec::new(), max_nitro_age: Duration::DAY }
    }
}
