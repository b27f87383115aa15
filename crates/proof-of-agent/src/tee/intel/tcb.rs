//! The verdict of Intel's lists on a machine.

use std::collections::BTreeSet;

use super::super::{TcbStatus, TeeError};
use super::TCB_INFO;
use super::lists::{Components, Level, ModuleIdentity, Svn, TcbInfo, equal_under};
use super::pck::Platform;
use super::quote::{Body, DomainReport};

/// A verdict with what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) status: TcbStatus,
    pub(super) advisories: Vec<String>,
}

/// The verdict on a machine, its TDX module if any, and its quoting enclave, taken together.
pub(super) fn verdict(
    info: &TcbInfo,
    qe: &Level<Svn>,
    platform: &Platform,
    body: &Body<'_>,
) -> Result<Verdict, TeeError> {
    let mut advisories: BTreeSet<&String> = qe.advisories.iter().collect();
    let status = match body {
        Body::Enclave(_) => {
            let level = level(info, platform, None)?;
            advisories.extend(&level.advisories);
            with_component(level.tcb_status, qe.tcb_status)
        }
        Body::Domain(report) => {
            check_module(info, report)?;
            let launched = domain_status(info, platform, report.tcb_svn, &mut advisories)?;
            let launched = with_component(launched, qe.tcb_status);
            match report.current_tcb_svn {
                None => launched,
                Some(svn) => {
                    let current = domain_status(info, platform, svn, &mut advisories)?;
                    with_update(launched, with_component(current, qe.tcb_status))
                }
            }
        }
    };
    Ok(Verdict { status, advisories: advisories.into_iter().cloned().collect() })
}

/// The first level that the machine reaches in every component.
fn level<'a>(
    info: &'a TcbInfo,
    platform: &Platform,
    domain: Option<&[u8; 16]>,
) -> Result<&'a Level<Components>, TeeError> {
    let reached = |needed: &Components| {
        let sgx = platform.components.iter().zip(&needed.sgx).all(|(found, needed)| found >= needed);
        let tdx = match (domain, &needed.tdx) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(found), Some(needed)) => {
                // From its first version on, the module is judged by its identity instead of the first two.
                let skipped = if module_version(found) > 0 { 2 } else { 0 };
                found.iter().zip(needed).skip(skipped).all(|(found, needed)| found >= needed)
            }
        };
        sgx && tdx && platform.pce_svn >= needed.pce_svn
    };
    info.tcb_levels.iter().find(|level| reached(&level.tcb)).ok_or(TeeError::TcbUnknown("firmware"))
}

/// The verdict on a machine with its TDX module, for one state of the firmware of a domain.
fn domain_status<'a>(
    info: &'a TcbInfo,
    platform: &Platform,
    svn: &[u8; 16],
    advisories: &mut BTreeSet<&'a String>,
) -> Result<TcbStatus, TeeError> {
    let level = level(info, platform, Some(svn))?;
    advisories.extend(&level.advisories);
    let Some(module) = module_identity(info, svn)? else {
        return Ok(level.tcb_status);
    };
    let [version, ..] = svn;
    let found = module.tcb_levels.iter().filter(|level| u16::from(*version) >= level.tcb.isvsvn);
    let module = found.max_by_key(|level| level.tcb.isvsvn).ok_or(TeeError::TcbUnknown("TDX module"))?;
    advisories.extend(&module.advisories);
    Ok(with_component(level.tcb_status, module.tcb_status))
}

const fn module_version(svn: &[u8; 16]) -> u8 {
    let [_, version, ..] = svn;
    *version
}

/// The identity of the module's version; none for a module from before there were versions.
fn module_identity<'a>(info: &'a TcbInfo, svn: &[u8; 16]) -> Result<Option<&'a ModuleIdentity>, TeeError> {
    let version = module_version(svn);
    if version == 0 {
        return Ok(None);
    }
    let name = format!("TDX_{version:02X}");
    let found = info.tdx_module_identities.iter().find(|it| it.id.eq_ignore_ascii_case(&name));
    found.map(Some).ok_or(TeeError::TdxModule("its version"))
}

/// Whether Intel signed the module, and it has the attributes that Intel lists.
fn check_module(info: &TcbInfo, report: &DomainReport<'_>) -> Result<(), TeeError> {
    let listed = match module_identity(info, report.tcb_svn)? {
        Some(identity) => &identity.module,
        None => {
            let missing = || TeeError::malformed(TCB_INFO, "it lists no TDX module");
            info.tdx_module.as_ref().ok_or_else(missing)?
        }
    };
    if *report.module_signer != **listed.mrsigner {
        return Err(TeeError::TdxModule("MRSIGNERSEAM"));
    }
    let beyond =
        report.module_attributes.iter().zip(listed.attributes_mask.iter()).any(|(it, mask)| it & !mask != 0);
    if beyond || !equal_under(report.module_attributes, &listed.attributes, &listed.attributes_mask) {
        return Err(TeeError::TdxModule("SEAMATTRIBUTES"));
    }
    Ok(())
}

/// A machine's verdict with that on a part of it. As Intel has it, a part counts only if it is outdated or
/// revoked.
const fn with_component(machine: TcbStatus, part: TcbStatus) -> TcbStatus {
    match (part, machine) {
        (TcbStatus::Revoked, _) => TcbStatus::Revoked,
        (TcbStatus::OutOfDate | TcbStatus::OutOfDateConfigurationNeeded, machine) => match machine {
            TcbStatus::UpToDate | TcbStatus::SwHardeningNeeded => TcbStatus::OutOfDate,
            TcbStatus::ConfigurationNeeded | TcbStatus::ConfigurationAndSwHardeningNeeded => {
                TcbStatus::OutOfDateConfigurationNeeded
            }
            TcbStatus::OutOfDate
            | TcbStatus::OutOfDateConfigurationNeeded
            | TcbStatus::RelaunchAdvised
            | TcbStatus::RelaunchAdvisedConfigurationNeeded
            | TcbStatus::Revoked => machine,
        },
        (
            TcbStatus::UpToDate
            | TcbStatus::SwHardeningNeeded
            | TcbStatus::ConfigurationNeeded
            | TcbStatus::ConfigurationAndSwHardeningNeeded
            | TcbStatus::RelaunchAdvised
            | TcbStatus::RelaunchAdvisedConfigurationNeeded,
            machine,
        ) => machine,
    }
}

/// The verdict on a domain that was launched on one firmware, while the machine has another by now.
fn with_update(launched: TcbStatus, current: TcbStatus) -> TcbStatus {
    use TcbStatus::{
        ConfigurationAndSwHardeningNeeded, ConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded,
        RelaunchAdvised, RelaunchAdvisedConfigurationNeeded, Revoked, SwHardeningNeeded, UpToDate,
    };
    match (launched, current) {
        (_, Revoked) => Revoked,
        (OutOfDate, UpToDate | SwHardeningNeeded) => RelaunchAdvised,
        (OutOfDate, ConfigurationNeeded | ConfigurationAndSwHardeningNeeded)
        | (
            OutOfDateConfigurationNeeded,
            UpToDate | SwHardeningNeeded | ConfigurationNeeded | ConfigurationAndSwHardeningNeeded,
        ) => RelaunchAdvisedConfigurationNeeded,
        (launched, _) => launched,
    }
}
