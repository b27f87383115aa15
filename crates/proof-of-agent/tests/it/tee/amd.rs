//! SEV-SNP reports of a made-up AMD.

use poa_common::Timestamp;
use proof_of_agent::tee::{
    AmdCollateral, Collateral, Der, Evidence, Measurement, MinimumSnpTcb, SnpTcb, TeeError, TeePolicy,
    TeeRoots, Vendor, verify,
};
use rcgen::CustomExtension;
use time::Duration;

use super::authority::{Certified, Key, Wanted, integer};
use super::{YEARS, check, check_at, expect, flips, other_report_data, report_data};
use crate::fixture::NOW;

const ARC: [u64; 7] = [1, 3, 6, 1, 4, 1, 3704];
const MEASUREMENT: [u8; 48] = [0x5a; 48];
const CHIP: [u8; 64] = [0xc1; 64];

/// A machine of a made-up AMD, before it reports.
struct Machine {
    ark: Certified,
    ask: Certified,
    vcek: Wanted<'static>,
    version: u32,
    family: u8,
    policy: u64,
    flags: u32,
    reported_tcb: [u8; 8],
    chip: [u8; 64],
    report_data: [u8; 64],
    crl: Option<Vec<u8>>,
}

fn arc(rest: &[u64]) -> Vec<u64> {
    [&ARC[..], rest].concat()
}

/// The extensions of a VCEK of this firmware and chip.
fn extensions(product: &str, tcb: SnpTcb, chip: &[u8]) -> Vec<CustomExtension> {
    let name = [&[0x16, u8::try_from(product.len()).unwrap()], product.as_bytes()].concat();
    vec![
        CustomExtension::from_oid_content(&arc(&[1, 2]), name),
        integer(&arc(&[1, 3, 1]), tcb.boot_loader),
        integer(&arc(&[1, 3, 2]), tcb.tee),
        integer(&arc(&[1, 3, 3]), tcb.snp),
        integer(&arc(&[1, 3, 8]), tcb.microcode),
        integer(&arc(&[1, 3, 9]), tcb.fmc),
        CustomExtension::from_oid_content(&arc(&[1, 4]), chip.to_vec()),
    ]
}

const TCB: SnpTcb = SnpTcb { fmc: 0, boot_loader: 4, tee: 1, snp: 24, microcode: 219 };

impl Machine {
    fn new() -> Self {
        let ark = Certified::root("ARK-Test", Key::p384(1));
        let ask = ark.issue(&Wanted::ca("SEV-Test", 2), Key::p384(2));
        Self {
            ark,
            ask,
            vcek: Wanted::leaf("SEV-VCEK", 3).with(extensions("Milan-B0", TCB, &CHIP)),
            version: 2,
            family: 0,
            policy: 0x3_0000,
            flags: 0,
            reported_tcb: [4, 1, 0, 0, 0, 0, 24, 219],
            chip: CHIP,
            report_data: report_data().field(),
            crl: None,
        }
    }

    fn roots(&self) -> TeeRoots {
        TeeRoots { amd: vec![self.ark.fingerprint()], ..TeeRoots::none() }
    }

    fn evidence(&self) -> Evidence {
        let mut report = vec![0; 0x4a0];
        let mut put = |place: usize, bytes: &[u8]| report[place..place + bytes.len()].copy_from_slice(bytes);
        put(0, &self.version.to_le_bytes());
        put(0x08, &self.policy.to_le_bytes());
        put(0x34, &1_u32.to_le_bytes());
        put(0x48, &self.flags.to_le_bytes());
        put(0x50, &self.report_data);
        put(0x90, &MEASUREMENT);
        put(0x180, &self.reported_tcb);
        put(0x188, &[self.family]);
        put(0x1a0, &self.chip);
        let vcek = self.ask.issue(&self.vcek, Key::p384(3));
        let signature = vcek.key.sign_fixed(&report[..0x2a0]);
        for (place, number) in [0x2a0, 0x2a0 + 72].into_iter().zip(signature.chunks(48)) {
            for (offset, byte) in number.iter().rev().enumerate() {
                report[place + offset] = *byte;
            }
        }
        let certificates = [&vcek.der, &self.ask.der, &self.ark.der].map(|der| Der(der.clone())).to_vec();
        let collateral = AmdCollateral { certificates, crl: self.crl.clone() };
        Evidence { document: report, collateral: Collateral::AmdSevSnp(collateral) }
    }

    fn check(&self) -> Result<proof_of_agent::tee::VerifiedEvidence, TeeError> {
        check(&self.evidence(), &self.roots())
    }
}

#[test]
fn a_report_that_is_bound_to_the_receipt_verifies() {
    let machine = Machine::new();
    let file = machine.evidence().to_json().unwrap();
    let evidence = Evidence::open(&file, &proof_of_agent::Digest::of(&file)).unwrap();
    let build: Measurement = hex::encode(MEASUREMENT).parse().unwrap();
    let builds = [build.clone()];
    let policy = TeePolicy::default();
    let verified = verify(&evidence, &machine.roots(), &expect(Some(&builds)), &policy, NOW).unwrap();
    assert_eq!((verified.vendor, &verified.measurement), (Vendor::AmdSevSnp, &build));
    assert!(verified.measurement_expected);
    assert_eq!((verified.tcb_status, verified.snp_tcb), (None, Some(TCB)));
    // The same answer at both ends of the span, and none beyond.
    let roots = machine.roots();
    for (time, fits) in [
        (verified.valid_from, true),
        (verified.valid_until, true),
        (verified.valid_from - Duration::SECOND, false),
        (verified.valid_until + Duration::SECOND, false),
    ] {
        assert_eq!(check_at(&evidence, &roots, time).is_ok(), fits, "{time}");
    }
}

#[test]
fn a_report_of_another_receipt_or_build_is_refused() {
    let mut machine = Machine::new();
    let other: Measurement = hex::encode([0x5b; 48]).parse().unwrap();
    let (roots, policy) = (machine.roots(), TeePolicy::default());
    let refused = verify(&machine.evidence(), &roots, &expect(Some(&[other])), &policy, NOW);
    assert_eq!(refused, Err(TeeError::WrongMeasurement { found: hex::encode(MEASUREMENT).parse().unwrap() }));
    machine.report_data = other_report_data().field();
    assert_eq!(machine.check(), Err(TeeError::WrongReportData));
    // The half after the report data is zero, too.
    machine.report_data = report_data().field();
    machine.report_data[63] = 1;
    assert_eq!(machine.check(), Err(TeeError::WrongReportData));
}

#[test]
fn a_guest_that_may_be_debugged_is_refused() {
    let machine = Machine { policy: 0xb_0000, ..Machine::new() };
    assert!(matches!(machine.check(), Err(TeeError::Debug(_))));
}

#[test]
fn a_root_that_is_not_pinned_is_refused() {
    let machine = Machine::new();
    let found = machine.ark.fingerprint();
    let refused = Err(TeeError::WrongRoot { vendor: Vendor::AmdSevSnp, found });
    assert_eq!(check(&machine.evidence(), &TeeRoots::published()), refused);
    assert_eq!(check(&machine.evidence(), &TeeRoots::none()), refused);
    // Pinned for another vendor is not pinned.
    let elsewhere = TeeRoots { intel: vec![found], aws: vec![found], ..TeeRoots::none() };
    assert_eq!(check(&machine.evidence(), &elsewhere), refused);
}

#[test]
fn certificates_and_lists_out_of_their_time_are_refused() {
    let mut machine = Machine::new();
    let (evidence, roots) = (machine.evidence(), machine.roots());
    assert!(matches!(check_at(&evidence, &roots, NOW + YEARS), Err(TeeError::Expired { .. })));
    assert!(matches!(check_at(&evidence, &roots, NOW - YEARS), Err(TeeError::NotYetValid { .. })));
    let list = |from: Timestamp, until: Timestamp| machine.ark.revoke_at(&[], from, until);
    let (old, new) = (list(NOW - YEARS, NOW - Duration::DAY), list(NOW + Duration::DAY, NOW + YEARS));
    machine.crl = Some(old);
    assert!(matches!(machine.check(), Err(TeeError::Expired { what: "AMD's CRL", .. })));
    machine.crl = Some(new);
    assert!(matches!(machine.check(), Err(TeeError::NotYetValid { what: "AMD's CRL", .. })));
}

#[test]
fn a_revoked_ask_is_refused() {
    let mut machine = Machine::new();
    machine.crl = Some(machine.ark.revoke(&[9]));
    assert!(machine.check().is_ok());
    machine.crl = Some(machine.ark.revoke(&[9, 2]));
    let serial = "02".to_owned();
    assert_eq!(machine.check(), Err(TeeError::Revoked { what: "the chain of the VCEK or VLEK", serial }));
    // A list of somebody else says nothing.
    machine.crl = Some(Certified::root("ARK-Test", Key::p384(7)).revoke(&[]));
    assert_eq!(machine.check(), Err(TeeError::BadSignature("AMD's CRL")));
    machine.crl = Some(Certified::root("Other", Key::p384(7)).revoke(&[]));
    assert!(matches!(machine.check(), Err(TeeError::WrongCertificate { .. })));
}

#[test]
fn a_certificate_of_other_firmware_or_another_chip_is_refused() {
    let machine = Machine { reported_tcb: [4, 1, 0, 0, 0, 0, 25, 219], ..Machine::new() };
    assert!(matches!(machine.check(), Err(TeeError::WrongPlatform(_))));
    let mut machine = Machine { chip: [0xc2; 64], ..Machine::new() };
    assert!(matches!(machine.check(), Err(TeeError::WrongPlatform(_))));
    // A machine that hides its id is known by its firmware and key alone.
    (machine.chip, machine.flags) = ([0; 64], 0b10);
    assert!(machine.check().is_ok());
}

#[test]
fn the_key_must_be_of_the_kind_that_the_report_names() {
    let mut machine = Machine { flags: 0b100, chip: [0; 64], ..Machine::new() };
    assert!(matches!(machine.check(), Err(TeeError::WrongCertificate { .. })));
    machine.vcek.name = "SEV-VLEK";
    assert!(machine.check().is_ok());
    machine.flags = 0b1_1100;
    assert!(matches!(machine.check(), Err(TeeError::Malformed { .. })));
}

#[test]
fn the_firmware_of_a_turin_stands_in_another_order() {
    let tcb = SnpTcb { fmc: 1, boot_loader: 2, tee: 3, snp: 4, microcode: 77 };
    let mut machine =
        Machine { version: 3, family: 0x1a, reported_tcb: [1, 2, 3, 4, 0, 0, 0, 77], ..Machine::new() };
    machine.vcek = Wanted::leaf("SEV-VCEK", 3).with(extensions("Turin", tcb, &CHIP[..8]));
    assert!(
        matches!(machine.check(), Err(TeeError::WrongPlatform(_))),
        "its id has 8 bytes, and zeros after"
    );
    machine.chip[8..].fill(0);
    assert_eq!(machine.check().unwrap().snp_tcb, Some(tcb));
}

#[test]
fn firmware_below_the_policys_minimum_is_refused() {
    let machine = Machine::new();
    let policy = |product: &str, tcb| TeePolicy {
        minimum_snp: vec![MinimumSnpTcb { product: product.to_owned(), tcb }],
        ..TeePolicy::default()
    };
    let check =
        |policy: &TeePolicy| verify(&machine.evidence(), &machine.roots(), &expect(None), policy, NOW);
    assert!(check(&policy("Milan", TCB)).is_ok());
    let more = SnpTcb { microcode: 220, ..TCB };
    assert!(check(&policy("Genoa", more)).is_ok());
    let refused = TeeError::TcbBelowMinimum { component: "microcode", found: 219, minimum: 220 };
    assert_eq!(check(&policy("Milan", more)), Err(refused));
}

#[test]
fn an_intermediate_that_is_no_ca_is_refused() {
    let mut machine = Machine::new();
    machine.ask = machine.ark.issue(&Wanted::leaf("SEV-Test", 2), Key::p384(2));
    assert!(matches!(machine.check(), Err(TeeError::WrongCertificate { .. })));
    // One of the right name that the root did not sign.
    let stranger = Certified::root("ARK-Test", Key::p384(8));
    machine.ask = stranger.issue(&Wanted::ca("SEV-Test", 2), Key::p384(2));
    assert_eq!(machine.check(), Err(TeeError::BadSignature("the chain of the VCEK or VLEK")));
}

#[test]
fn a_report_of_an_unknown_version_is_refused() {
    for version in [0, 1, 6, u32::MAX] {
        let machine = Machine { version, ..Machine::new() };
        assert!(matches!(machine.check(), Err(TeeError::UnknownVersion { .. })), "{version}");
    }
}

#[test]
fn a_flipped_bit_of_a_report_is_refused_or_changes_nothing() {
    let machine = Machine::new();
    flips(&machine.evidence(), 5, |evidence| check(evidence, &machine.roots()));
}
