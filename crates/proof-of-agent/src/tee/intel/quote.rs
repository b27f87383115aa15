//! The layout of a quote.

use super::super::keys::PublicKey;
use super::super::reader::Reader;
use super::super::{Measurement, TeeError, Vendor};

const QUOTE: &str = "the quote";
/// The versions of quotes: of SGX, of TDX, and of TDX with a typed body.
const VERSION_SGX: u16 = 3;
const VERSION_TDX: u16 = 4;
const VERSION_TYPED: u16 = 5;
const TEE_TYPE_SGX: u32 = 0;
const TEE_TYPE_TDX: u32 = 0x81;
/// ECDSA with P-256.
const KEY_TYPE: u16 = 2;
/// Intel, as the vendor of the quoting enclave.
const INTEL: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
const HEADER_BYTES: usize = 48;
const SGX_BODY_BYTES: usize = 384;
const TD10_BODY_BYTES: usize = 584;
const TD15_BODY_BYTES: usize = 648;
/// A body of TDX 1.5 with fields after it that are not read here.
const TD15_EXTENDED_MIN_BYTES: usize = TD15_BODY_BYTES;
const TYPE_TD10: u16 = 2;
const TYPE_TD15: u16 = 3;
const TYPE_TD15_EXTENDED: u16 = 4;
/// Certification data: a chain in PEM, or the quoting enclave's report and certification data of its own.
const CERTIFICATION_CHAIN: u16 = 5;
const CERTIFICATION_NESTED: u16 = 6;
/// The attribute of an SGX enclave that allows debugging.
const SGX_DEBUG: u8 = 1 << 1;
/// The attributes of a TDX domain that allow debugging or profiling: the whole first byte.
const TD_UNTRUSTED: u64 = 0xff;
/// All attributes that TDX 1.5 has. What one means that came later is not known here.
const TD_KNOWN: u64 = 0xc000_0000_f87f_00ff;
const TD_SERVICE_EXTENDED: u64 = 1 << 17;
const TD_SEPT_VE_DISABLE: u64 = 1 << 28;
const TD_MIGRATABLE: u64 = 1 << 29;

/// A quote, taken apart.
#[derive(Debug)]
pub(super) struct Quote<'a> {
    signed: &'a [u8],
    signature: &'a [u8; 64],
    pub(super) body: Body<'a>,
    pub(super) attestation_key: &'a [u8; 64],
    pub(super) qe_report: EnclaveReport<'a>,
    pub(super) qe_report_signature: &'a [u8; 64],
    pub(super) qe_auth_data: &'a [u8],
    pub(super) certification: Certification<'a>,
}

/// What the quote is about.
#[derive(Debug)]
pub(super) enum Body<'a> {
    /// An SGX enclave.
    Enclave(EnclaveReport<'a>),
    /// A TDX domain.
    Domain(DomainReport<'a>),
}

/// The report of an SGX enclave.
#[derive(Debug)]
pub(super) struct EnclaveReport<'a> {
    pub(super) bytes: &'a [u8; SGX_BODY_BYTES],
    pub(super) misc_select: &'a [u8; 4],
    pub(super) attributes: &'a [u8; 16],
    pub(super) mr_enclave: &'a [u8],
    pub(super) mr_signer: &'a [u8; 32],
    pub(super) product: u16,
    pub(super) svn: u16,
    pub(super) report_data: &'a [u8],
}

/// The report of a TDX domain.
#[derive(Debug)]
pub(super) struct DomainReport<'a> {
    pub(super) tcb_svn: &'a [u8; 16],
    pub(super) module_signer: &'a [u8],
    pub(super) module_attributes: &'a [u8; 8],
    attributes: u64,
    mr_td: &'a [u8],
    registers: &'a [u8],
    report_data: &'a [u8],
    /// The firmware as it is now, of TDX 1.5.
    pub(super) current_tcb_svn: Option<&'a [u8; 16]>,
    service_domain: &'a [u8],
}

/// How the quote says which machine made it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Certification<'a> {
    /// By the chain of its certificate, in PEM.
    Chain(&'a [u8]),
    /// In another way, of this number.
    Other(u16),
}

// === impl Quote ===

impl<'a> Quote<'a> {
    pub(super) fn read(vendor: Vendor, document: &'a [u8]) -> Result<Self, TeeError> {
        let mut reader = Reader::new(QUOTE, document);
        let version = reader.u16()?;
        let key_type = reader.u16()?;
        let found = match (version, reader.u32()?) {
            (VERSION_SGX, TEE_TYPE_SGX) => Vendor::IntelSgx,
            (VERSION_TDX | VERSION_TYPED, TEE_TYPE_TDX) => Vendor::IntelTdx,
            _ => return Err(TeeError::UnknownVersion { part: QUOTE, found: u64::from(version) }),
        };
        if found != vendor {
            return Err(TeeError::WrongVendor(vendor));
        }
        if key_type != KEY_TYPE {
            return Err(TeeError::malformed(QUOTE, format!("the unknown kind of key {key_type}")));
        }
        reader.skip(4)?; // Versions of two enclaves, of which the certificates say more.
        if *reader.array()? != INTEL {
            return Err(TeeError::malformed(QUOTE, "its quoting enclave is not Intel's"));
        }
        reader.skip(20)?; // User data.
        let body = Body::read(version, &mut reader)?;
        let signed = document.len().checked_sub(reader.rest().len()).and_then(|end| document.get(..end));
        let signed = signed.filter(|signed| signed.len() > HEADER_BYTES);
        let signed = signed.ok_or_else(|| TeeError::malformed(QUOTE, "it ends early"))?;
        let mut signature_data = Reader::new(QUOTE, reader.prefixed_u32()?);
        if reader.rest().iter().any(|byte| *byte != 0) {
            return Err(TeeError::malformed(QUOTE, "something follows its signature"));
        }
        let signature = signature_data.array()?;
        let attestation_key = signature_data.array()?;
        if version != VERSION_SGX {
            let kind = signature_data.u16()?;
            if kind != CERTIFICATION_NESTED {
                return Err(TeeError::malformed(QUOTE, format!("certification data of the kind {kind}")));
            }
            let nested = signature_data.prefixed_u32()?;
            finished(&signature_data)?;
            signature_data = Reader::new(QUOTE, nested);
        }
        let qe_report = EnclaveReport::read(&mut signature_data)?;
        let qe_report_signature = signature_data.array()?;
        let qe_auth_data = signature_data.prefixed_u16()?;
        let certification = Certification::read(&mut signature_data)?;
        finished(&signature_data)?;
        Ok(Self {
            signed,
            signature,
            body,
            attestation_key,
            qe_report,
            qe_report_signature,
            qe_auth_data,
            certification,
        })
    }

    /// Whether the quoting enclave's key signed header and body.
    pub(super) fn is_signed(&self) -> bool {
        let mut point = vec![0x04];
        point.extend_from_slice(self.attestation_key);
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point);
        key.is_ok_and(|key| PublicKey::P256(key).verifies_p256(self.signed, self.signature))
    }

    /// Refuses what can be looked into, and what is not isolated as it should be.
    pub(super) fn check_configuration(&self) -> Result<(), TeeError> {
        match &self.body {
            Body::Enclave(report) => report.check_debug(),
            Body::Domain(report) => report.check_configuration(),
        }
    }
}

// === impl Body ===

impl<'a> Body<'a> {
    fn read(version: u16, reader: &mut Reader<'a>) -> Result<Self, TeeError> {
        if version == VERSION_SGX {
            return EnclaveReport::read(reader).map(Self::Enclave);
        }
        if version == VERSION_TDX {
            return DomainReport::read(reader.take(TD10_BODY_BYTES)?, false).map(Self::Domain);
        }
        let kind = reader.u16()?;
        let body = reader.prefixed_u32()?;
        let (fits, current) = match kind {
            TYPE_TD10 => (body.len() == TD10_BODY_BYTES, false),
            TYPE_TD15 => (body.len() == TD15_BODY_BYTES, true),
            TYPE_TD15_EXTENDED => (body.len() > TD15_EXTENDED_MIN_BYTES, true),
            _ => {
                let part = "the body of the quote";
                return Err(TeeError::UnknownVersion { part, found: u64::from(kind) });
            }
        };
        if !fits {
            return Err(TeeError::malformed(QUOTE, format!("a body of {} bytes", body.len())));
        }
        DomainReport::read(body, current).map(Self::Domain)
    }

    /// The 64 bytes that the program inside chose.
    pub(super) const fn report_data(&self) -> &'a [u8] {
        match self {
            Self::Enclave(report) => report.report_data,
            Self::Domain(report) => report.report_data,
        }
    }

    /// MRENCLAVE, or MRTD and the four run-time registers.
    pub(super) fn measurement(&self) -> Measurement {
        match self {
            Self::Enclave(report) => Measurement::of(&[report.mr_enclave]),
            Self::Domain(report) => Measurement::of(&[report.mr_td, report.registers]),
        }
    }
}

// === impl EnclaveReport ===

impl<'a> EnclaveReport<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, TeeError> {
        let bytes: &'a [u8; SGX_BODY_BYTES] = reader.array()?;
        let mut fields = Reader::new(QUOTE, bytes);
        fields.skip(16)?; // Firmware versions, of which the certificate says more.
        let misc_select = fields.array()?;
        fields.skip(28)?;
        let attributes = fields.array()?;
        let mr_enclave = fields.take(32)?;
        fields.skip(32)?;
        let mr_signer = fields.array()?;
        fields.skip(96)?;
        let (product, svn) = (fields.u16()?, fields.u16()?);
        fields.skip(60)?;
        let report_data = fields.rest();
        Ok(Self { bytes, misc_select, attributes, mr_enclave, mr_signer, product, svn, report_data })
    }

    pub(super) const fn is_debug(&self) -> bool {
        let [first, ..] = self.attributes;
        *first & SGX_DEBUG != 0
    }

    fn check_debug(&self) -> Result<(), TeeError> {
        if self.is_debug() {
            Err(TeeError::Debug("the attribute DEBUG of the SGX enclave is set"))
        } else {
            Ok(())
        }
    }
}

// === impl DomainReport ===

impl<'a> DomainReport<'a> {
    /// Reads a body, with the fields of TDX 1.5 if `current`.
    fn read(body: &'a [u8], current: bool) -> Result<Self, TeeError> {
        let mut fields = Reader::new(QUOTE, body);
        let tcb_svn = fields.array()?;
        fields.skip(48)?; // The module's measurement: its signer and version are looked at instead.
        let module_signer = fields.take(48)?;
        let module_attributes = fields.array()?;
        let attributes = fields.u64()?;
        fields.skip(8)?; // Processor features.
        let mr_td = fields.take(48)?;
        fields.skip(3 * 48)?; // Configuration and owner, which whoever starts the domain chooses.
        let registers = fields.take(4 * 48)?;
        let report_data = fields.take(64)?;
        let (current_tcb_svn, service_domain) =
            if current { (Some(fields.array()?), fields.take(48)?) } else { (None, &[][..]) };
        Ok(Self {
            tcb_svn,
            module_signer,
            module_attributes,
            attributes,
            mr_td,
            registers,
            report_data,
            current_tcb_svn,
            service_domain,
        })
    }

    fn check_configuration(&self) -> Result<(), TeeError> {
        let has = |bits| self.attributes & bits != 0;
        if has(TD_UNTRUSTED) {
            return Err(TeeError::Debug("an attribute of the TDX domain allows debugging or profiling"));
        }
        if has(!TD_KNOWN) {
            return Err(TeeError::UnsafeConfiguration("an attribute of the TDX domain is not known"));
        }
        if has(TD_MIGRATABLE) {
            return Err(TeeError::UnsafeConfiguration("the TDX domain may be moved by a service domain"));
        }
        if has(TD_SERVICE_EXTENDED) || self.service_domain.iter().any(|byte| *byte != 0) {
            return Err(TeeError::UnsafeConfiguration("the TDX domain has a service domain"));
        }
        if !has(TD_SEPT_VE_DISABLE) {
            return Err(TeeError::UnsafeConfiguration("SEPT_VE_DISABLE of the TDX domain is not set"));
        }
        Ok(())
    }
}

// === impl Certification ===

impl<'a> Certification<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, TeeError> {
        let kind = reader.u16()?;
        let data = reader.prefixed_u32()?;
        Ok(if kind == CERTIFICATION_CHAIN { Self::Chain(data) } else { Self::Other(kind) })
    }
}

fn finished(reader: &Reader<'_>) -> Result<(), TeeError> {
    if reader.rest().is_empty() {
        Ok(())
    } else {
        Err(TeeError::malformed(QUOTE, "a part of its signature is longer than it should be"))
    }
}
