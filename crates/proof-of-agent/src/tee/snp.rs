//! AMD SEV-SNP attestation reports.
//!
//! Source: SEV Secure Nested Paging Firmware ABI Specification (document 56860), and the specification of the
//! VCEK certificate (document 57230).

use x509_cert::der::Decode as _;
use x509_cert::der::asn1::{Ia5StringRef, ObjectIdentifier};

use super::evidence::AmdCollateral;
use super::reader::Reader;
use super::window::Window;
use super::x509::{Certificate, Chain, Crl};
use super::{Authenticated, Measurement, SnpTcb, TeeError, TeePolicy, Vendor};
use crate::digest::Digest;

/// Bytes of a report, and of the part of it that is signed.
const REPORT_BYTES: usize = 0x4a0;
const SIGNED_BYTES: usize = 0x2a0;
/// Bytes that each of the two numbers of a signature takes, little-endian; P-384 needs 48 of them.
const NUMBER_FIELD_BYTES: usize = 72;
const NUMBER_BYTES: usize = 48;
/// Reports before version 2 were never in production machines.
const MIN_VERSION: u32 = 2;
/// Newer versions put more into reserved fields, and have kept every field that is read here.
const MAX_VERSION: u32 = 5;
/// ECDSA with P-384 and SHA-384.
const ALGORITHM: u32 = 1;
/// Guest policy: the bit that is always set, and the one that allows debugging.
const POLICY_RESERVED_ONE: u64 = 1 << 17;
const POLICY_DEBUG: u64 = 1 << 19;
/// Flags: the chip's id is not told; which key signed.
const FLAG_MASK_CHIP_KEY: u32 = 1 << 1;
const FLAG_SIGNING_KEY_SHIFT: u32 = 2;
const FLAG_SIGNING_KEY_MASK: u32 = 0b111;
/// From this processor family on, the versions of the firmware stand in another order.
const FAMILY_TURIN: u8 = 0x1a;
/// Bytes of the chip's id that a Turin has; the rest is zero.
const TURIN_CHIP_ID_BYTES: usize = 8;
const CHIP_ID_BYTES: usize = 64;
/// The tag and length of an octet string of 64 bytes, which newer certificates have around the chip's id.
const WRAPPED_CHIP_ID: [u8; 2] = [0x04, 0x40];

const PRODUCT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.2");
const BOOT_LOADER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.1");
const TEE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.2");
const SNP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.3");
const MICROCODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.8");
const FMC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.9");
const HARDWARE_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.4");

const REPORT: &str = "the SEV-SNP report";
const CHAIN: &str = "the chain of the VCEK or VLEK";
const LEAF: &str = "the VCEK or VLEK";
const CRL: &str = "AMD's CRL";

/// Which key signed a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SigningKey {
    /// A key of this chip and firmware.
    Vcek,
    /// A key of this cloud and firmware.
    Vlek,
}

/// What is read of a report.
#[derive(Debug)]
struct Report<'a> {
    policy: u64,
    mask_chip_key: bool,
    signing_key: SigningKey,
    report_data: &'a [u8],
    measurement: &'a [u8],
    reported_tcb: [u8; 8],
    turin: bool,
    chip_id: &'a [u8; CHIP_ID_BYTES],
    signed: &'a [u8],
    signature: [u8; 2 * NUMBER_BYTES],
}

/// Checks, in this order: the report's layout; the chain to a pinned root; the revocation list, if there is one;
/// the report's signature; that the certificate is of the report's chip and firmware; that debugging is off;
/// that the firmware is not below the policy's minimum.
pub(super) fn authenticate(
    document: &[u8],
    collateral: &AmdCollateral,
    roots: &[Digest],
    policy: &TeePolicy,
    mut window: Window,
) -> Result<Authenticated, TeeError> {
    let report = Report::read(document)?;
    let certificates: Result<Vec<_>, _> =
        collateral.certificates.iter().map(|it| Certificate::from_der(CHAIN, &it.0)).collect();
    let chain = Chain::new(CHAIN, certificates?, Some(3))?;
    chain.verify(Vendor::AmdSevSnp, roots, &mut window)?;
    if let Some(crl) = &collateral.crl {
        // AMD publishes the list of the ARK, which names intermediate certificates; an ASK signs no list.
        let crl = Crl::verify(CRL, crl, chain.root()?, &mut window)?;
        chain.check_not_revoked(1, &crl)?;
    }
    let leaf = chain.leaf()?;
    report.check_role(leaf)?;
    if !leaf.key().verifies_p384(report.signed, &report.signature) {
        return Err(TeeError::BadSignature(REPORT));
    }
    let tcb = report.tcb();
    check_certificate(&report, tcb, leaf)?;
    if report.policy & POLICY_DEBUG != 0 {
        return Err(TeeError::Debug("the guest policy of SEV-SNP allows it"));
    }
    let product = product(leaf)?;
    if let Some(minimum) = policy.minimum_snp.iter().find(|minimum| minimum.product == product) {
        tcb.below(minimum.tcb)?;
    }
    let (valid_from, valid_until) = window.span();
    Ok(Authenticated {
        vendor: Vendor::AmdSevSnp,
        report_data: report.report_data.to_vec(),
        measurement: Measurement::of(&[report.measurement]),
        tcb_status: None,
        snp_tcb: Some(tcb),
        advisories: Vec::new(),
        valid_from,
        valid_until,
    })
}

// === impl Report ===

impl<'a> Report<'a> {
    fn read(document: &'a [u8]) -> Result<Self, TeeError> {
        if document.len() != REPORT_BYTES {
            let reason = format!("{} bytes instead of {REPORT_BYTES}", document.len());
            return Err(TeeError::malformed(REPORT, reason));
        }
        let signed = Reader::new(REPORT, document).take(SIGNED_BYTES)?;
        let mut reader = Reader::new(REPORT, document);
        let version = reader.u32()?;
        if !(MIN_VERSION..=MAX_VERSION).contains(&version) {
            return Err(TeeError::UnknownVersion { part: REPORT, found: u64::from(version) });
        }
        reader.skip(4)?; // Guest SVN.
        let policy = reader.u64()?;
        if policy & POLICY_RESERVED_ONE == 0 {
            return Err(TeeError::malformed(REPORT, "bit 17 of its policy is not set"));
        }
        reader.skip(16 + 16 + 4)?; // Family, image, privilege level.
        let algorithm = reader.u32()?;
        if algorithm != ALGORITHM {
            return Err(TeeError::malformed(REPORT, format!("the unknown signature algorithm {algorithm}")));
        }
        reader.skip(8 + 8)?; // Current firmware, platform information.
        let flags = reader.u32()?;
        let signing_key = match (flags >> FLAG_SIGNING_KEY_SHIFT) & FLAG_SIGNING_KEY_MASK {
            0 => SigningKey::Vcek,
            1 => SigningKey::Vlek,
            other => return Err(TeeError::malformed(REPORT, format!("it is signed by no key ({other})"))),
        };
        reader.skip(4)?;
        let report_data = reader.take(64)?;
        let measurement = reader.take(48)?;
        reader.skip(32 + 48 + 48 + 32 + 32)?; // Host data, id keys, report ids.
        let reported_tcb = *reader.array()?;
        let [family] = *reader.array()?;
        reader.skip(23)?;
        let chip_id = reader.array()?;
        let mut rest = Reader::new(REPORT, document);
        rest.skip(SIGNED_BYTES)?;
        let (r, s) = (number(rest.array()?)?, number(rest.array()?)?);
        if rest.rest().iter().any(|byte| *byte != 0) {
            return Err(TeeError::malformed(REPORT, "something follows its signature"));
        }
        let mut signature = [0; 2 * NUMBER_BYTES];
        for (to, from) in signature.iter_mut().zip(r.into_iter().chain(s)) {
            *to = from;
        }
        Ok(Self {
            policy,
            mask_chip_key: flags & FLAG_MASK_CHIP_KEY != 0,
            signing_key,
            report_data,
            measurement,
            reported_tcb,
            // Before version 3 the family was not told, and there was no Turin.
            turin: version > MIN_VERSION && family >= FAMILY_TURIN,
            chip_id,
            signed,
            signature,
        })
    }

    /// The certificate must be of the kind of key that the report says has signed it.
    fn check_role(&self, leaf: &Certificate) -> Result<(), TeeError> {
        let expected = match self.signing_key {
            SigningKey::Vcek => "SEV-VCEK",
            SigningKey::Vlek => "SEV-VLEK",
        };
        if leaf.common_name() == Some(expected) {
            return Ok(());
        }
        Err(TeeError::WrongCertificate { what: LEAF, reason: "it is not of the key that signed the report" })
    }

    fn tcb(&self) -> SnpTcb {
        if self.turin {
            let [fmc, boot_loader, tee, snp, _, _, _, microcode] = self.reported_tcb;
            SnpTcb { fmc, boot_loader, tee, snp, microcode }
        } else {
            let [boot_loader, tee, _, _, _, _, snp, microcode] = self.reported_tcb;
            SnpTcb { fmc: 0, boot_loader, tee, snp, microcode }
        }
    }
}

/// A number of a signature, little-endian in its field, as 48 bytes big-endian.
fn number(field: &[u8; NUMBER_FIELD_BYTES]) -> Result<[u8; NUMBER_BYTES], TeeError> {
    let (low, high) = field.split_at(NUMBER_BYTES);
    if high.iter().any(|byte| *byte != 0) {
        return Err(TeeError::malformed(REPORT, "a number of its signature is too large"));
    }
    let mut number = [0; NUMBER_BYTES];
    for (to, from) in number.iter_mut().zip(low.iter().rev()) {
        *to = *from;
    }
    Ok(number)
}

/// The certificate is made for one state of the firmware and, if it is a VCEK, one chip.
fn check_certificate(report: &Report<'_>, tcb: SnpTcb, leaf: &Certificate) -> Result<(), TeeError> {
    let component = |id| -> Result<u8, TeeError> {
        let value =
            leaf.extension(id)?.ok_or_else(|| TeeError::malformed(LEAF, format!("no extension {id}")))?;
        u8::from_der(value).map_err(|error| TeeError::malformed(LEAF, error))
    };
    let fmc = if report.turin { component(FMC)? } else { 0 };
    let (boot_loader, tee) = (component(BOOT_LOADER)?, component(TEE)?);
    let (snp, microcode) = (component(SNP)?, component(MICROCODE)?);
    if tcb != (SnpTcb { fmc, boot_loader, tee, snp, microcode }) {
        return Err(TeeError::WrongPlatform("the firmware in the VCEK or VLEK"));
    }
    match report.signing_key {
        SigningKey::Vlek => Ok(()),
        // The report then has zeros instead of the id.
        SigningKey::Vcek if report.mask_chip_key => Ok(()),
        SigningKey::Vcek => check_chip(report, leaf),
    }
}

fn check_chip(report: &Report<'_>, leaf: &Certificate) -> Result<(), TeeError> {
    let id = leaf.extension(HARDWARE_ID)?.ok_or_else(|| TeeError::malformed(LEAF, "no hardware id"))?;
    let id = match id.strip_prefix(&WRAPPED_CHIP_ID) {
        Some(inner) if inner.len() == CHIP_ID_BYTES => inner,
        Some(_) | None => id,
    };
    let (found, rest) =
        report.chip_id.split_at(if report.turin { TURIN_CHIP_ID_BYTES } else { CHIP_ID_BYTES });
    let whole = id == report.chip_id || (id == found && rest.iter().all(|byte| *byte == 0));
    if whole { Ok(()) } else { Err(TeeError::WrongPlatform("the chip in the VCEK")) }
}

/// The generation of the processor, such as `Milan` of `Milan-B0`.
fn product(leaf: &Certificate) -> Result<String, TeeError> {
    let value = leaf.extension(PRODUCT_NAME)?.ok_or_else(|| TeeError::malformed(LEAF, "no product name"))?;
    let name = Ia5StringRef::from_der(value).map_err(|error| TeeError::malformed(LEAF, error))?;
    Ok(name.as_str().split('-').next().unwrap_or_default().to_owned())
}
