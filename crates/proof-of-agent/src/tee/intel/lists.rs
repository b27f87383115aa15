//! Intel's signed lists: the TCB info of a kind of machine, and the identity of the quoting enclave.
//!
//! They are read after their signatures held, so that fields that are not needed here are passed over.

use std::borrow::Cow;
use std::ops::Deref;

use poa_common::Timestamp;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::super::{TcbStatus, TeeError, Vendor};
use super::quote::EnclaveReport;
use super::{QE_IDENTITY, TCB_INFO};
use crate::json;

/// The versions that are read. The two newest of the QE identity differ in what is not read here.
const TCB_INFO_VERSION: u32 = 3;
const QE_IDENTITY_VERSIONS: [u32; 2] = [2, 3];

/// The firmware of one kind of machine.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TcbInfo {
    id: String,
    #[serde(with = "json::utc")]
    pub(super) issue_date: Timestamp,
    #[serde(with = "json::utc")]
    pub(super) next_update: Timestamp,
    pub(super) fmspc: Hex,
    pub(super) pce_id: Hex,
    #[serde(default)]
    pub(super) tdx_module: Option<Module>,
    #[serde(default)]
    pub(super) tdx_module_identities: Vec<ModuleIdentity>,
    pub(super) tcb_levels: Vec<Level<Components>>,
}

/// The quoting enclave.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QeIdentity {
    id: String,
    #[serde(with = "json::utc")]
    pub(super) issue_date: Timestamp,
    #[serde(with = "json::utc")]
    pub(super) next_update: Timestamp,
    miscselect: Hex,
    miscselect_mask: Hex,
    attributes: Hex,
    attributes_mask: Hex,
    mrsigner: Hex,
    isvprodid: u16,
    tcb_levels: Vec<Level<Svn>>,
}

/// The TDX module, before it had versions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Module {
    pub(super) mrsigner: Hex,
    pub(super) attributes: Hex,
    pub(super) attributes_mask: Hex,
}

/// One version of the TDX module.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModuleIdentity {
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) module: Module,
    pub(super) tcb_levels: Vec<Level<Svn>>,
}

/// A verdict, and what a machine needs at least to get it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Level<T> {
    pub(super) tcb: T,
    #[serde(deserialize_with = "status")]
    pub(super) tcb_status: TcbStatus,
    #[serde(default, rename = "advisoryIDs")]
    pub(super) advisories: Vec<String>,
}

/// The version of one thing.
#[derive(Debug, Deserialize)]
pub(super) struct Svn {
    pub(super) isvsvn: u16,
}

/// The versions of a machine's firmware. Larger is compared first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Components {
    #[serde(rename = "sgxtcbcomponents", deserialize_with = "versions")]
    pub(super) sgx: [u8; 16],
    #[serde(rename = "pcesvn")]
    pub(super) pce_svn: u16,
    #[serde(default, rename = "tdxtcbcomponents", deserialize_with = "optional_versions")]
    pub(super) tdx: Option<[u8; 16]>,
}

/// Bytes that Intel writes as hexadecimal digits, in either case.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hex(Vec<u8>);

/// The field that says how to read the rest.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

// === impl TcbInfo ===

impl TcbInfo {
    pub(super) fn read(vendor: Vendor, text: &str) -> Result<Self, TeeError> {
        let malformed = |error| TeeError::malformed(TCB_INFO, error);
        let Versioned { version } = serde_json::from_str(text).map_err(malformed)?;
        if version != TCB_INFO_VERSION {
            return Err(TeeError::UnknownVersion { part: TCB_INFO, found: u64::from(version) });
        }
        let mut info: Self = serde_json::from_str(text).map_err(malformed)?;
        let expected = if vendor == Vendor::IntelTdx { "TDX" } else { "SGX" };
        if info.id != expected {
            return Err(TeeError::WrongPlatform(TCB_INFO));
        }
        // The first level that a machine reaches is its verdict, whatever order they are written in.
        info.tcb_levels.sort_by(|one, other| other.tcb.cmp(&one.tcb));
        Ok(info)
    }
}

// === impl QeIdentity ===

impl QeIdentity {
    pub(super) fn read(vendor: Vendor, text: &str) -> Result<Self, TeeError> {
        let malformed = |error| TeeError::malformed(QE_IDENTITY, error);
        let Versioned { version } = serde_json::from_str(text).map_err(malformed)?;
        if !QE_IDENTITY_VERSIONS.contains(&version) {
            return Err(TeeError::UnknownVersion { part: QE_IDENTITY, found: u64::from(version) });
        }
        let mut identity: Self = serde_json::from_str(text).map_err(malformed)?;
        let expected = if vendor == Vendor::IntelTdx { "TD_QE" } else { "QE" };
        if identity.id != expected {
            return Err(TeeError::QeIdentity("its id"));
        }
        identity.tcb_levels.sort_by_key(|level| std::cmp::Reverse(level.tcb.isvsvn));
        Ok(identity)
    }

    /// Whether this is the enclave, and the level of its version.
    pub(super) fn check(&self, report: &EnclaveReport<'_>) -> Result<&Level<Svn>, TeeError> {
        if *report.mr_signer != **self.mrsigner {
            return Err(TeeError::QeIdentity("MRSIGNER"));
        }
        if report.product != self.isvprodid {
            return Err(TeeError::QeIdentity("ISVPRODID"));
        }
        if !equal_under(report.misc_select, &self.miscselect, &self.miscselect_mask) {
            return Err(TeeError::QeIdentity("MISCSELECT"));
        }
        if report.is_debug() || !equal_under(report.attributes, &self.attributes, &self.attributes_mask) {
            return Err(TeeError::QeIdentity("ATTRIBUTES"));
        }
        let level = self.tcb_levels.iter().find(|level| report.svn >= level.tcb.isvsvn);
        level.ok_or(TeeError::TcbUnknown("quoting enclave"))
    }
}

/// Whether `found` equals `expected` in the bits of `mask`, all being of the same length.
pub(super) fn equal_under(found: &[u8], expected: &[u8], mask: &[u8]) -> bool {
    let lengths = found.len() == expected.len() && found.len() == mask.len();
    let bytes = found.iter().zip(expected).zip(mask);
    lengths && bytes.into_iter().all(|((found, expected), mask)| found & mask == expected & mask)
}

// === impl Hex ===

impl Deref for Hex {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        hex::decode(text.as_bytes()).map(Self).map_err(D::Error::custom)
    }
}

/// A verdict by Intel's name. One that Intel does not write today is an error, not a guess.
fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TcbStatus, D::Error> {
    let text = <Cow<'de, str>>::deserialize(deserializer)?;
    match &*text {
        "UpToDate" => Ok(TcbStatus::UpToDate),
        "SWHardeningNeeded" => Ok(TcbStatus::SwHardeningNeeded),
        "ConfigurationNeeded" => Ok(TcbStatus::ConfigurationNeeded),
        "ConfigurationAndSWHardeningNeeded" => Ok(TcbStatus::ConfigurationAndSwHardeningNeeded),
        "OutOfDate" => Ok(TcbStatus::OutOfDate),
        "OutOfDateConfigurationNeeded" => Ok(TcbStatus::OutOfDateConfigurationNeeded),
        "Revoked" => Ok(TcbStatus::Revoked),
        other => Err(D::Error::custom(format!("the unknown status {other}"))),
    }
}

/// Sixteen objects, of each of which the version is read.
fn versions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 16], D::Error> {
    #[derive(Deserialize)]
    struct Component {
        svn: u8,
    }
    let components = Vec::<Component>::deserialize(deserializer)?;
    let versions: Vec<u8> = components.into_iter().map(|component| component.svn).collect();
    versions.try_into().map_err(|_| D::Error::custom("expected 16 components"))
}

fn optional_versions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 16]>, D::Error> {
    versions(deserializer).map(Some)
}
