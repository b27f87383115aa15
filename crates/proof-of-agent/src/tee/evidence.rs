//! The evidence file.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::TeeError;
use crate::digest::Digest;
use crate::json;

/// Bytes of an evidence file. A real one has 2 to 40 KiB.
pub const MAX_EVIDENCE_BYTES: usize = 256 * 1024;
/// Bytes of a quote, report or document. A Nitro document has at most 16 KiB, a quote about 5.
pub const MAX_DOCUMENT_BYTES: usize = 32 * 1024;
/// Bytes of a chain of certificates or a signed statement of Intel's, as text.
pub const MAX_TEXT_BYTES: usize = 48 * 1024;
/// Bytes of one certificate.
pub const MAX_CERTIFICATE_BYTES: usize = 8 * 1024;
/// Bytes of one revocation list.
pub const MAX_CRL_BYTES: usize = 48 * 1024;
/// Certificates of a chain.
pub const MAX_CERTIFICATES: usize = 8;
/// The version of the file that this verifier reads.
const VERSION: u32 = 1;

/// A technology of trusted execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Vendor {
    /// Intel SGX: a DCAP quote of version 3.
    IntelSgx,
    /// Intel TDX: a DCAP quote of version 4 or 5.
    IntelTdx,
    /// AMD SEV-SNP: an attestation report of version 2 or later.
    AmdSevSnp,
    /// AWS Nitro Enclaves: an attestation document.
    AwsNitro,
}

/// The file whose SHA-256 a submission names as its TEE evidence. Nothing in it is verified before
/// [`verify`](super::verify) says so.
///
/// Unknown fields are an error: a field with a typing error must not pass for one that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The quote, report or document as the hardware wrote it.
    pub document: Vec<u8>,
    /// The technology, with what its vendor publishes to verify the document.
    pub collateral: Collateral,
}

/// What is needed beside the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collateral {
    /// Of SGX.
    IntelSgx(Box<IntelCollateral>),
    /// Of TDX.
    IntelTdx(Box<IntelCollateral>),
    /// Of SEV-SNP.
    AmdSevSnp(AmdCollateral),
    /// Nitro documents hold their own chain.
    AwsNitro,
}

/// What Intel's provisioning service answers for a machine. Texts are kept as they were served, since they
/// are signed byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IntelCollateral {
    /// The object `tcbInfo`, as the service wrote it.
    pub tcb_info: String,
    /// Its signature: 128 hexadecimal digits.
    pub tcb_info_signature: String,
    /// The signer's certificate and the root, in PEM.
    pub tcb_info_issuer_chain: String,
    /// The object `enclaveIdentity`, as the service wrote it.
    pub qe_identity: String,
    /// Its signature: 128 hexadecimal digits.
    pub qe_identity_signature: String,
    /// The signer's certificate and the root, in PEM.
    pub qe_identity_issuer_chain: String,
    /// The revocation list of the CA that issued the machine's certificate, in DER. That CA is in the machine's
    /// chain, so that the list needs none of its own.
    #[serde(with = "json::base64_bytes")]
    pub pck_crl: Vec<u8>,
    /// The revocation list of the root, in DER.
    #[serde(with = "json::base64_bytes")]
    pub root_ca_crl: Vec<u8>,
    /// The machine's certificate, its CA and the root, in PEM, for a quote that does not carry them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pck_certificate_chain: Option<String>,
}

/// What AMD's key distribution service answers for a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AmdCollateral {
    /// The certificates in DER: the VCEK or VLEK, the ASK or ASVK, the ARK.
    pub certificates: Vec<Der>,
    /// The revocation list of the ARK, in DER.
    #[serde(default, with = "json::optional_base64_bytes", skip_serializing_if = "Option::is_none")]
    pub crl: Option<Vec<u8>>,
}

/// The DER of a certificate; base 64 in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Der(#[serde(with = "json::base64_bytes")] pub Vec<u8>);

/// The file's JSON.
#[derive(Serialize, Deserialize)]
#[serde(tag = "vendor", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
enum File {
    IntelSgx {
        version: u32,
        #[serde(with = "json::base64_bytes")]
        document: Vec<u8>,
        collateral: Box<IntelCollateral>,
    },
    IntelTdx {
        version: u32,
        #[serde(with = "json::base64_bytes")]
        document: Vec<u8>,
        collateral: Box<IntelCollateral>,
    },
    AmdSevSnp {
        version: u32,
        #[serde(with = "json::base64_bytes")]
        document: Vec<u8>,
        collateral: AmdCollateral,
    },
    AwsNitro {
        version: u32,
        #[serde(with = "json::base64_bytes")]
        document: Vec<u8>,
    },
}

/// The one field that every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

const PART: &str = "the evidence";

// === impl Vendor ===

impl Vendor {
    /// Every technology.
    pub const ALL: [Self; 4] = [Self::IntelSgx, Self::IntelTdx, Self::AmdSevSnp, Self::AwsNitro];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IntelSgx => "intelSgx",
            Self::IntelTdx => "intelTdx",
            Self::AmdSevSnp => "amdSevSnp",
            Self::AwsNitro => "awsNitro",
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Evidence ===

impl Evidence {
    /// Reads a file of which a receipt names the digest.
    ///
    /// # Errors
    /// `WrongDigest`, and as [`Evidence::from_json`].
    pub fn open(bytes: &[u8], digest: &Digest) -> Result<Self, TeeError> {
        let found = Digest::of(bytes);
        if found != *digest {
            return Err(TeeError::WrongDigest { expected: *digest, found });
        }
        Self::from_json(bytes)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// `TooLarge`, `Malformed`, `UnknownVersion`.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TeeError> {
        limit(PART, bytes.len(), MAX_EVIDENCE_BYTES)?;
        let malformed = |error: serde_json::Error| TeeError::malformed(PART, error);
        let Versioned { version } = serde_json::from_slice(bytes).map_err(malformed)?;
        if version != VERSION {
            return Err(TeeError::UnknownVersion { part: PART, found: u64::from(version) });
        }
        let evidence = match serde_json::from_slice(bytes).map_err(malformed)? {
            File::IntelSgx { document, collateral, .. } => {
                Self { document, collateral: Collateral::IntelSgx(collateral) }
            }
            File::IntelTdx { document, collateral, .. } => {
                Self { document, collateral: Collateral::IntelTdx(collateral) }
            }
            File::AmdSevSnp { document, collateral, .. } => {
                Self { document, collateral: Collateral::AmdSevSnp(collateral) }
            }
            File::AwsNitro { document, .. } => Self { document, collateral: Collateral::AwsNitro },
        };
        evidence.check_limits()?;
        Ok(evidence)
    }

    /// The file's JSON.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn to_json(&self) -> Result<Vec<u8>, TeeError> {
        self.check_limits()?;
        let (version, document) = (VERSION, self.document.clone());
        let file = match &self.collateral {
            Collateral::IntelSgx(it) => File::IntelSgx { version, document, collateral: it.clone() },
            Collateral::IntelTdx(it) => File::IntelTdx { version, document, collateral: it.clone() },
            Collateral::AmdSevSnp(it) => File::AmdSevSnp { version, document, collateral: it.clone() },
            Collateral::AwsNitro => File::AwsNitro { version, document },
        };
        let bytes = serde_json::to_vec(&file).map_err(|error| TeeError::malformed(PART, error))?;
        limit(PART, bytes.len(), MAX_EVIDENCE_BYTES)?;
        Ok(bytes)
    }

    /// The technology.
    pub const fn vendor(&self) -> Vendor {
        match self.collateral {
            Collateral::IntelSgx(_) => Vendor::IntelSgx,
            Collateral::IntelTdx(_) => Vendor::IntelTdx,
            Collateral::AmdSevSnp(_) => Vendor::AmdSevSnp,
            Collateral::AwsNitro => Vendor::AwsNitro,
        }
    }

    /// Holds every part to its limit, wherever the evidence came from.
    pub(super) fn check_limits(&self) -> Result<(), TeeError> {
        limit("the document", self.document.len(), MAX_DOCUMENT_BYTES)?;
        match &self.collateral {
            Collateral::IntelSgx(collateral) | Collateral::IntelTdx(collateral) => collateral.check_limits(),
            Collateral::AmdSevSnp(collateral) => collateral.check_limits(),
            Collateral::AwsNitro => Ok(()),
        }
    }
}

// === impl IntelCollateral ===

impl IntelCollateral {
    fn check_limits(&self) -> Result<(), TeeError> {
        limit("the TCB info", self.tcb_info.len(), MAX_TEXT_BYTES)?;
        limit("the TCB info's chain", self.tcb_info_issuer_chain.len(), MAX_TEXT_BYTES)?;
        limit("the QE identity", self.qe_identity.len(), MAX_TEXT_BYTES)?;
        limit("the QE identity's chain", self.qe_identity_issuer_chain.len(), MAX_TEXT_BYTES)?;
        limit("the PCK CRL", self.pck_crl.len(), MAX_CRL_BYTES)?;
        limit("the root CRL", self.root_ca_crl.len(), MAX_CRL_BYTES)?;
        let chain = self.pck_certificate_chain.as_deref().unwrap_or_default();
        limit("the PCK chain", chain.len(), MAX_TEXT_BYTES)
    }
}

// === impl AmdCollateral ===

impl AmdCollateral {
    fn check_limits(&self) -> Result<(), TeeError> {
        let whole = MAX_CERTIFICATES * MAX_CERTIFICATE_BYTES;
        limit("the list of certificates", self.certificates.len() * MAX_CERTIFICATE_BYTES, whole)?;
        limit("the CRL", self.crl.as_ref().map_or(0, Vec::len), MAX_CRL_BYTES)
    }
}

pub(super) fn limit(part: &'static str, found: usize, limit: usize) -> Result<(), TeeError> {
    if found > limit { Err(TeeError::TooLarge { part, limit }) } else { Ok(()) }
}
