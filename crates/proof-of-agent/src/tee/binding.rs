//! What binds evidence to a receipt: the report data, and the measurement of what ran.

use std::fmt;

use super::{TeeError, Vendor};
use crate::did::DidKey;
use crate::digest::Digest;

/// Separates this hash from every other hash of the same parts. A line feed ends it.
const DOMAIN: &[u8] = b"proof-of-agent tee v1\n";
/// Bytes of the report data field of a quote or report.
pub(super) const FIELD_BYTES: usize = 64;
/// The longest measurement in bytes: five registers of TDX.
const MAX_MEASUREMENT_BYTES: usize = 240;

/// What must stand in the evidence: 32 bytes that only this result of this agent for this task has.
///
/// In SGX, TDX and SEV-SNP they fill the first half of the 64 bytes of report data, and zeros the second. In
/// a Nitro document they are the `user_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportData([u8; ReportData::LENGTH]);

/// The registers that say what ran, one after another: 32 bytes of SGX, 240 of TDX, 48 of SEV-SNP, 144 of
/// Nitro. Its text is lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Measurement(Vec<u8>);

// === impl ReportData ===

impl ReportData {
    /// Bytes of a report data.
    pub const LENGTH: usize = 32;

    /// The report data of a result: `acceptance` is the digest of the accepted terms' statement, `output` the
    /// SHA-256 of the result, `agent` the key that signs the submission.
    pub fn of(acceptance: &Digest, output: &Digest, agent: &DidKey) -> Self {
        let digest = Digest::of_parts(&[DOMAIN, acceptance.as_ref(), output.as_ref(), agent.as_bytes()]);
        Self(*digest.as_bytes())
    }

    /// The 32 bytes, as a Nitro document carries them.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// The 64 bytes, as a quote or report carries them.
    pub fn field(&self) -> [u8; FIELD_BYTES] {
        let mut field = [0; FIELD_BYTES];
        for (to, from) in field.iter_mut().zip(self.0) {
            *to = from;
        }
        field
    }

    /// Whether `found`, the whole report data of a document of `vendor`, is this.
    pub(super) fn matches(&self, vendor: Vendor, found: &[u8]) -> bool {
        match vendor {
            Vendor::IntelSgx | Vendor::IntelTdx | Vendor::AmdSevSnp => found == self.field(),
            Vendor::AwsNitro => found == self.0,
        }
    }
}

// === impl Measurement ===

impl Measurement {
    /// The measurement from the bytes of its registers.
    pub(super) fn of(registers: &[&[u8]]) -> Self {
        Self(registers.concat())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The length in bytes of a vendor's measurement.
    pub const fn length(vendor: Vendor) -> usize {
        match vendor {
            Vendor::IntelSgx => 32,
            Vendor::IntelTdx => MAX_MEASUREMENT_BYTES,
            Vendor::AmdSevSnp => 48,
            Vendor::AwsNitro => 144,
        }
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Measurement {
    type Err = TeeError;

    /// Reads lower-case hexadecimal digits of a length that some vendor's measurement has.
    fn from_str(text: &str) -> Result<Self, TeeError> {
        const PART: &str = "the measurement";
        if text.len() > 2 * MAX_MEASUREMENT_BYTES {
            return Err(TeeError::TooLarge { part: PART, limit: MAX_MEASUREMENT_BYTES });
        }
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(TeeError::malformed(PART, "upper-case digits"));
        }
        let bytes = hex::decode(text).map_err(|error| TeeError::malformed(PART, error))?;
        if !Vendor::ALL.iter().any(|vendor| Self::length(*vendor) == bytes.len()) {
            return Err(TeeError::malformed(PART, format!("{} bytes are of no vendor", bytes.len())));
        }
        Ok(Self(bytes))
    }
}

impl serde::Serialize for Measurement {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Measurement {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::json::from_text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_data_is_the_documented_hash() {
        let agent = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
        let agent = DidKey::of(&agent);
        let (acceptance, output) = (Digest::new([1; 32]), Digest::new([2; 32]));
        let mut bytes = b"proof-of-agent tee v1".to_vec();
        bytes.push(0x0a);
        bytes.extend([1; 32]);
        bytes.extend([2; 32]);
        bytes.extend(agent.as_bytes());
        let data = ReportData::of(&acceptance, &output, &agent);
        assert_eq!(data.as_bytes(), Digest::of(&bytes).as_bytes());
        assert_eq!(data.field(), *[*data.as_bytes(), [0; 32]].concat());
        // The parts are not interchangeable.
        assert_ne!(data, ReportData::of(&output, &acceptance, &agent));
    }

    #[test]
    fn a_measurement_has_one_spelling() {
        let text = "0a".repeat(48);
        let read: Measurement = text.parse().unwrap();
        assert_eq!(read.to_string(), text);
        for wrong in [text.to_uppercase(), text[2..].to_owned(), "zz".repeat(48), String::new()] {
            assert!(matches!(wrong.parse::<Measurement>(), Err(TeeError::Malformed { .. })), "{wrong}");
        }
        assert!(matches!("00".repeat(241).parse::<Measurement>(), Err(TeeError::TooLarge { .. })));
    }
}
