//! The pinned roots of the vendors.

use serde::{Deserialize, Serialize};

use super::{TeeError, Vendor};
use crate::digest::Digest;

/// Roots per vendor: AMD has one for each generation of its processors, and the others one.
const MAX_ROOTS: usize = 16;

/// Intel SGX Root CA, valid from 21 May 2018 to 31 December 2049: of SGX and TDX.
const INTEL: [u8; 32] = *b"\x44\xa0\x19\x6b\x2b\x99\xf8\x89\xb8\xe1\x49\xe9\x5b\x80\x7a\x35\
\x0e\x74\x24\x96\x43\x99\xe8\x85\xa7\xcb\xb8\xcc\xfa\xb6\x74\xd3";
/// AMD ARK-Milan.
const AMD_MILAN: [u8; 32] = *b"\x69\xd0\x63\xb4\x53\x44\xd2\x6a\x2e\x94\xe1\xf4\x21\x0d\xe4\x9e\
\xf5\x55\x30\x82\x87\xd4\xc1\x74\x44\x5c\x95\x63\x9a\x54\x0b\xcd";
/// AMD ARK-Genoa.
const AMD_GENOA: [u8; 32] = *b"\x4c\x65\x98\xd1\x9c\x18\x71\x9c\x5d\xfd\x4a\x7d\x33\x5f\x67\x4e\
\x5b\xfe\x1d\x8f\x80\x0c\xea\x2c\xf2\x70\xc1\x0d\x10\x3d\xb2\xf1";
/// AMD ARK-Turin.
const AMD_TURIN: [u8; 32] = *b"\x1f\x08\x41\x61\xa4\x4b\xb6\xd9\x37\x78\xa9\x04\x87\x7d\x48\x19\
\xca\xfa\x5d\x05\xef\x41\x93\xb2\xde\xd9\xdd\x9c\x73\xdd\x3f\x6a";
/// AWS Nitro Enclaves root G1, valid from 28 October 2019 to 28 October 2049.
const AWS: [u8; 32] = *b"\x64\x1a\x03\x21\xa3\xe2\x44\xef\xe4\x56\x46\x31\x95\xd6\x06\x31\
\x7e\xd7\xcd\xcc\x3c\x17\x56\xe0\x98\x93\xf3\xc6\x8f\x79\xbb\x5b";

/// The vendors' roots that a verifier believes: SHA-256 of each root certificate's DER. They belong in the
/// trust root, so that whoever verifies decides on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TeeRoots {
    /// Of SGX and TDX.
    pub intel: Vec<Digest>,
    /// Of SEV-SNP.
    pub amd: Vec<Digest>,
    /// Of Nitro Enclaves.
    pub aws: Vec<Digest>,
}

// === impl TeeRoots ===

impl TeeRoots {
    /// No roots: every evidence is refused.
    pub const fn none() -> Self {
        Self { intel: Vec::new(), amd: Vec::new(), aws: Vec::new() }
    }

    /// The roots that the vendors publish in 2026: Intel's SGX Root CA, AMD's ARK of Milan, Genoa and Turin,
    /// and the AWS Nitro Enclaves root G1. A default to write a trust root from, not one to verify with unseen.
    pub fn published() -> Self {
        Self {
            intel: vec![Digest::new(INTEL)],
            amd: vec![Digest::new(AMD_MILAN), Digest::new(AMD_GENOA), Digest::new(AMD_TURIN)],
            aws: vec![Digest::new(AWS)],
        }
    }

    /// The roots for one technology.
    pub fn of(&self, vendor: Vendor) -> &[Digest] {
        match vendor {
            Vendor::IntelSgx | Vendor::IntelTdx => &self.intel,
            Vendor::AmdSevSnp => &self.amd,
            Vendor::AwsNitro => &self.aws,
        }
    }

    /// Checks the number of roots, for whoever reads them from a file.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn check_limits(&self) -> Result<(), TeeError> {
        let counted = [&self.intel, &self.amd, &self.aws].iter().all(|roots| roots.len() <= MAX_ROOTS);
        let limit = MAX_ROOTS * Digest::LENGTH;
        if counted { Ok(()) } else { Err(TeeError::TooLarge { part: "the list of roots", limit }) }
    }
}
