//! SGX and TDX quotes of a made-up Intel.

use proof_of_agent::tee::{
    Evidence, IntelCollateral, Measurement, TcbStatus, TeeError, TeePolicy, TeeRoots, Vendor,
    VerifiedEvidence, verify,
};
use serde_json::json;
use time::Duration;

use super::authority::{Certified, Key, Wanted};
use super::intel_rig::{MR_ENCLAVE, MR_TD, REGISTERS, Rig, level, svn_level};
use super::{YEARS, check, check_at, expect, flips, other_report_data};
use crate::fixture::NOW;

const BOTH: [Vendor; 2] = [Vendor::IntelSgx, Vendor::IntelTdx];

fn sgx() -> Rig {
    Rig::new(Vendor::IntelSgx)
}

fn tdx() -> Rig {
    Rig::new(Vendor::IntelTdx)
}

impl Rig {
    fn check(&self) -> Result<VerifiedEvidence, TeeError> {
        check(&self.evidence(), &self.roots())
    }

    /// Accepts every verdict that can be accepted.
    fn check_leniently(&self) -> Result<VerifiedEvidence, TeeError> {
        let accepted = vec![
            TcbStatus::SwHardeningNeeded,
            TcbStatus::ConfigurationNeeded,
            TcbStatus::ConfigurationAndSwHardeningNeeded,
            TcbStatus::OutOfDate,
            TcbStatus::OutOfDateConfigurationNeeded,
            TcbStatus::RelaunchAdvised,
            TcbStatus::RelaunchAdvisedConfigurationNeeded,
            TcbStatus::Revoked,
        ];
        let policy = TeePolicy { accepted, ..TeePolicy::default() };
        verify(&self.evidence(), &self.roots(), &expect(None), &policy, NOW)
    }

    fn collateral(&self, edit: impl FnOnce(&mut IntelCollateral)) -> Result<VerifiedEvidence, TeeError> {
        let mut evidence = self.evidence();
        match &mut evidence.collateral {
            proof_of_agent::tee::Collateral::IntelSgx(it) | proof_of_agent::tee::Collateral::IntelTdx(it) => {
                edit(it)
            }
            _ => unreachable!("a rig of Intel"),
        }
        check(&evidence, &self.roots())
    }
}

#[test]
fn quotes_that_are_bound_to_the_receipt_verify() {
    let domain = [&MR_TD[..], &REGISTERS].concat();
    for (rig, registers) in [
        (sgx(), MR_ENCLAVE.to_vec()),
        (tdx(), domain.clone()),
        (Rig { version: 5, body_kind: 2, ..tdx() }, domain.clone()),
        (Rig { version: 5, body_kind: 3, ..tdx() }, domain),
    ] {
        let evidence = Evidence::from_json(&rig.evidence().to_json().unwrap()).unwrap();
        let build: Measurement = hex::encode(registers).parse().unwrap();
        let (builds, policy) = ([build.clone()], TeePolicy::default());
        let verified = verify(&evidence, &rig.roots(), &expect(Some(&builds)), &policy, NOW).unwrap();
        assert_eq!((verified.vendor, verified.measurement), (rig.vendor, build));
        assert_eq!((verified.tcb_status, verified.advisories), (Some(TcbStatus::UpToDate), Vec::new()));
        // The revocation lists are the first to expire.
        assert_eq!((verified.valid_until - NOW).whole_days(), 5);
    }
}

#[test]
fn a_quote_of_another_receipt_or_build_is_refused() {
    for vendor in BOTH {
        let mut rig = Rig::new(vendor);
        let other: Measurement = "00".repeat(Measurement::length(vendor)).parse().unwrap();
        let policy = TeePolicy::default();
        let refused = verify(&rig.evidence(), &rig.roots(), &expect(Some(&[other])), &policy, NOW);
        assert!(matches!(refused, Err(TeeError::WrongMeasurement { .. })));
        rig.report_data = other_report_data().field();
        assert_eq!(rig.check(), Err(TeeError::WrongReportData));
    }
}

#[test]
fn what_can_be_looked_into_is_refused() {
    let mut enclave = sgx();
    enclave.attributes[0] |= 2;
    assert!(matches!(enclave.check(), Err(TeeError::Debug(_))));
    for bit in 0..8 {
        let domain = Rig { td_attributes: 1 << 28 | 1 << bit, ..tdx() };
        assert!(matches!(domain.check(), Err(TeeError::Debug(_))), "bit {bit}");
    }
}

#[test]
fn a_domain_that_others_may_move_or_serve_is_refused() {
    let attributes = [0, 1 << 28 | 1 << 29, 1 << 28 | 1 << 17, 1 << 28 | 1 << 40];
    for td_attributes in attributes {
        let domain = Rig { td_attributes, ..tdx() };
        assert!(matches!(domain.check(), Err(TeeError::UnsafeConfiguration(_))), "{td_attributes:x}");
    }
    let domain = Rig { version: 5, service_domain: [1; 48], ..tdx() };
    assert!(matches!(domain.check(), Err(TeeError::UnsafeConfiguration(_))));
}

#[test]
fn a_root_that_is_not_pinned_is_refused() {
    for vendor in BOTH {
        let rig = Rig::new(vendor);
        let refused = Err(TeeError::WrongRoot { vendor, found: rig.root.fingerprint() });
        assert_eq!(check(&rig.evidence(), &TeeRoots::published()), refused);
    }
    // All chains end in the same root, even if another is pinned, too.
    let (mut rig, other) = (sgx(), Certified::root("Intel SGX Root CA", Key::p256(9)));
    let roots = TeeRoots { intel: vec![rig.root.fingerprint(), other.fingerprint()], ..TeeRoots::none() };
    rig.signer = other.issue(&Wanted::leaf("Intel SGX TCB Signing", 3), Key::p256(3));
    let mut evidence = rig.evidence();
    if let proof_of_agent::tee::Collateral::IntelSgx(collateral) = &mut evidence.collateral {
        collateral.tcb_info_issuer_chain = [rig.signer.pem(), other.pem()].concat();
    }
    assert!(matches!(check(&evidence, &roots), Err(TeeError::WrongRoot { .. })));
}

#[test]
fn revoked_certificates_are_refused() {
    let revoked = |rig: &Rig, serial: &str| match rig.check() {
        Err(TeeError::Revoked { serial: found, .. }) => assert_eq!(found, serial),
        other => panic!("{other:?}"),
    };
    let mut rig = sgx();
    rig.pck_crl = rig.pck_ca.revoke(&[4]);
    revoked(&rig, "04");
    let mut rig = sgx();
    rig.root_crl = rig.root.revoke(&[2]);
    revoked(&rig, "02");
    rig.root_crl = rig.root.revoke(&[3]);
    revoked(&rig, "03");
    // The list of the wrong CA does not do.
    rig.root_crl = rig.pck_ca.revoke(&[]);
    assert!(matches!(rig.check(), Err(TeeError::WrongCertificate { .. })));
}

#[test]
fn collateral_out_of_its_time_is_refused() {
    let rig = sgx();
    let (evidence, roots) = (rig.evidence(), rig.roots());
    assert!(matches!(check_at(&evidence, &roots, NOW + YEARS), Err(TeeError::Expired { .. })));
    assert!(matches!(check_at(&evidence, &roots, NOW - YEARS), Err(TeeError::NotYetValid { .. })));
    for (field, what) in [("tcb_info", "the TCB info"), ("qe_identity", "the QE identity")] {
        let edited = |from: &str, until: &str| {
            let mut rig = sgx();
            let list = if field == "tcb_info" { &mut rig.tcb_info } else { &mut rig.qe_identity };
            (list["issueDate"], list["nextUpdate"]) = (json!(from), json!(until));
            rig.check()
        };
        let old = edited("2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z");
        assert!(matches!(old, Err(TeeError::Expired { what: it, .. }) if it == what));
        let new = edited("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z");
        assert!(matches!(new, Err(TeeError::NotYetValid { what: it, .. }) if it == what));
    }
    let mut rig = sgx();
    rig.pck_crl = rig.pck_ca.revoke_at(&[], NOW - YEARS, NOW - Duration::DAY);
    assert!(matches!(rig.check(), Err(TeeError::Expired { what: "the CRL of the PCK CA", .. })));
}

#[test]
fn another_quoting_enclave_is_refused() {
    let mut attributes = sgx().qe_attributes;
    attributes[0] |= 2;
    for (rig, field) in [
        (Rig { qe_signer: [0x50; 32], ..sgx() }, "MRSIGNER"),
        (Rig { qe_attributes: attributes, ..sgx() }, "ATTRIBUTES"),
        (Rig { qe_attributes: [0; 16], ..sgx() }, "ATTRIBUTES"),
    ] {
        assert_eq!(rig.check(), Err(TeeError::QeIdentity(field)));
    }
    let mut rig = sgx();
    rig.qe_identity["isvprodid"] = json!(2);
    assert_eq!(rig.check(), Err(TeeError::QeIdentity("ISVPRODID")));
    rig.qe_identity["id"] = json!("TD_QE");
    assert_eq!(rig.check(), Err(TeeError::QeIdentity("its id")));
    assert_eq!(Rig { qe_svn: 5, ..sgx() }.check(), Err(TeeError::TcbUnknown("quoting enclave")));
}

#[test]
fn the_verdict_is_that_of_the_first_level_reached_and_the_policy_decides() {
    let verdict = |rig: &Rig| rig.check_leniently().map(|verified| verified.tcb_status);
    let old = Rig { machine_svn: 4, ..sgx() };
    let advisories = vec!["INTEL-SA-00001".to_owned(), "INTEL-SA-00002".to_owned()];
    assert_eq!(old.check(), Err(TeeError::TcbStatus { status: TcbStatus::OutOfDate, advisories }));
    assert_eq!(verdict(&old), Ok(Some(TcbStatus::OutOfDate)));
    assert_eq!(Rig { machine_svn: 2, ..sgx() }.check(), Err(TeeError::TcbUnknown("firmware")));
    // The order in which the levels are written does not matter.
    let mut rig = sgx();
    rig.tcb_info["tcbLevels"].as_array_mut().unwrap().reverse();
    assert!(rig.check().is_ok());
    // An outdated quoting enclave makes the machine outdated.
    assert_eq!(verdict(&Rig { qe_svn: 7, ..sgx() }), Ok(Some(TcbStatus::OutOfDate)));
    for (name, status) in [
        ("SWHardeningNeeded", TcbStatus::SwHardeningNeeded),
        ("ConfigurationNeeded", TcbStatus::ConfigurationNeeded),
        ("ConfigurationAndSWHardeningNeeded", TcbStatus::ConfigurationAndSwHardeningNeeded),
        ("OutOfDateConfigurationNeeded", TcbStatus::OutOfDateConfigurationNeeded),
    ] {
        rig.tcb_info["tcbLevels"] = json!([level(5, name, &[])]);
        assert_eq!(rig.check(), Err(TeeError::TcbStatus { status, advisories: Vec::new() }));
        assert_eq!(verdict(&rig), Ok(Some(status)));
    }
    // No policy accepts keys that are known to others.
    rig.tcb_info["tcbLevels"] = json!([level(5, "Revoked", &[])]);
    assert!(matches!(rig.check_leniently(), Err(TeeError::TcbStatus { status: TcbStatus::Revoked, .. })));
    rig.tcb_info["tcbLevels"] = json!([level(5, "Splendid", &[])]);
    assert!(matches!(rig.check_leniently(), Err(TeeError::Malformed { .. })));
}

#[test]
fn a_tdx_module_is_judged_by_its_version() {
    assert_eq!(Rig { module_signer: [0; 48], ..tdx() }.check(), Err(TeeError::TdxModule("MRSIGNERSEAM")));
    let mut rig = tdx();
    rig.tcb_svn[1] = 6;
    assert_eq!(rig.check(), Err(TeeError::TdxModule("its version")));
    rig.tcb_svn = [5; 16];
    rig.tcb_svn[0] = 3;
    let status = TcbStatus::OutOfDate;
    assert_eq!(rig.check(), Err(TeeError::TcbStatus { status, advisories: Vec::new() }));
    rig.tcb_svn[0] = 1;
    assert_eq!(rig.check(), Err(TeeError::TcbUnknown("TDX module")));
    // Before there were versions, the list's only module counts, and every component.
    rig.tcb_svn = [5; 16];
    rig.tcb_svn[1] = 0;
    rig.tcb_info["tcbLevels"][0]["tcb"]["tdxtcbcomponents"][1]["svn"] = json!(0);
    assert!(rig.check().is_ok());
    rig.tcb_svn[0] = 4;
    assert!(matches!(rig.check(), Err(TeeError::TcbUnknown(_) | TeeError::TcbStatus { .. })));
}

#[test]
fn a_domain_launched_before_an_update_must_be_launched_again() {
    let mut launched = [5; 16];
    launched[0] = 3;
    let rig = Rig { version: 5, tcb_svn: launched, ..tdx() };
    let status = TcbStatus::RelaunchAdvised;
    assert_eq!(rig.check(), Err(TeeError::TcbStatus { status, advisories: Vec::new() }));
    assert_eq!(rig.check_leniently().unwrap().tcb_status, Some(status));
    let rig = Rig { current_tcb_svn: launched, ..rig };
    let status = TcbStatus::OutOfDate;
    assert_eq!(rig.check(), Err(TeeError::TcbStatus { status, advisories: Vec::new() }));
}

#[test]
fn lists_of_another_machine_or_technology_are_refused() {
    let rig = Rig { fmspc: [1; 6], ..sgx() };
    assert!(matches!(rig.check(), Err(TeeError::WrongPlatform(_))));
    let mut rig = sgx();
    rig.tcb_info["id"] = json!("TDX");
    assert!(matches!(rig.check(), Err(TeeError::WrongPlatform(_))));
    rig.tcb_info["version"] = json!(4);
    assert!(matches!(rig.check(), Err(TeeError::UnknownVersion { .. })));
    rig.qe_identity["version"] = json!(1);
    rig.tcb_info = sgx().tcb_info;
    assert!(matches!(rig.check(), Err(TeeError::UnknownVersion { .. })));
    // The evidence says SGX, and the document is of TDX.
    let evidence = Evidence { document: tdx().evidence().document, ..sgx().evidence() };
    assert_eq!(check(&evidence, &sgx().roots()), Err(TeeError::WrongVendor(Vendor::IntelSgx)));
}

#[test]
fn what_was_changed_after_it_was_signed_is_refused() {
    let rig = sgx();
    let list = |it: &mut IntelCollateral| it.tcb_info = it.tcb_info.replace("UpToDate", "Uptodate");
    assert_eq!(rig.collateral(list), Err(TeeError::BadSignature("the TCB info")));
    let list = |it: &mut IntelCollateral| it.qe_identity.push(' ');
    assert_eq!(rig.collateral(list), Err(TeeError::BadSignature("the QE identity")));
    let list = |it: &mut IntelCollateral| it.tcb_info_signature = "00".repeat(64);
    assert_eq!(rig.collateral(list), Err(TeeError::BadSignature("the TCB info")));
    let list = |it: &mut IntelCollateral| {
        let last = it.pck_crl.len() - 1;
        it.pck_crl[last] ^= 1;
    };
    assert_eq!(rig.collateral(list), Err(TeeError::BadSignature("the CRL of the PCK CA")));
    let mut evidence = rig.evidence();
    for (place, part) in [
        (100, "the quote"),
        (48 + 384 + 4 + 10, "the quote"),
        (48 + 384 + 4 + 64 + 10, "the quote's key"),
        (48 + 384 + 4 + 128 + 10, "the quoting enclave's report"),
        (48 + 384 + 4 + 128 + 384 + 10, "the quoting enclave's report"),
    ] {
        evidence.document[place] ^= 1;
        assert_eq!(check(&evidence, &rig.roots()), Err(TeeError::BadSignature(part)), "byte {place}");
        evidence.document[place] ^= 1;
    }
}

#[test]
fn a_certificate_signs_only_what_its_name_is_for() {
    let rig = Rig { pck_name: "Intel SGX TCB Signing", ..sgx() };
    assert!(matches!(rig.check(), Err(TeeError::WrongCertificate { .. })));
    let mut rig = sgx();
    rig.signer = rig.root.issue(&Wanted::leaf("Intel SGX PCK Certificate", 3), Key::p256(3));
    assert!(matches!(rig.check(), Err(TeeError::WrongCertificate { .. })));
    let rig = sgx();
    let list = |it: &mut IntelCollateral| it.tcb_info_issuer_chain = rig.root.pem();
    assert!(matches!(rig.collateral(list), Err(TeeError::WrongCertificate { .. })));
}

#[test]
fn a_flipped_bit_of_a_quote_is_refused_or_changes_nothing() {
    for vendor in BOTH {
        let rig = Rig::new(vendor);
        flips(&rig.evidence(), 7, |evidence| check(evidence, &rig.roots()));
    }
}

#[test]
fn an_unread_version_of_a_quote_is_refused() {
    let rig = Rig { version: 5, body_kind: 7, ..tdx() };
    assert!(matches!(rig.check(), Err(TeeError::UnknownVersion { .. })));
    let rig = Rig { version: 6, ..tdx() };
    assert!(matches!(rig.check(), Err(TeeError::UnknownVersion { .. })));
    let mut rig = sgx();
    rig.qe_identity["tcbLevels"] = json!([svn_level(8, "OutOfDate")]);
    assert!(matches!(rig.check(), Err(TeeError::TcbStatus { .. })));
}
