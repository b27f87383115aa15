//! The 32- and 33-byte values of Lightning as types of their own, so that a preimage is never taken for a
//! hash and never printed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The SHA-256 of a preimage. It names an invoice and the payment of it, for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PaymentHash([u8; 32]);

/// The secret whose hash an invoice carries. Whoever shows it has been paid; it is never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Preimage([u8; 32]);

/// A node's public key, compressed: its identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 33]);

/// Why a text is not one of these values: the length that was expected, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {bytes} bytes in hexadecimal")]
pub struct HexError {
    bytes: usize,
}

macro_rules! hex_bytes {
    ($name:ident, $bytes:literal) => {
        impl $name {
            /// The value from its bytes.
            pub const fn new(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// Lower-case hexadecimal.
            pub fn to_hex(&self) -> String {
                hex::encode(self.0)
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                let mut bytes = [0; $bytes];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| HexError { bytes: $bytes })?;
                Ok(Self(bytes))
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = HexError;

            fn try_from(bytes: &[u8]) -> Result<Self, HexError> {
                bytes.try_into().map(Self).map_err(|_| HexError { bytes: $bytes })
            }
        }

        impl TryFrom<String> for $name {
            type Error = HexError;

            fn try_from(text: String) -> Result<Self, HexError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_hex()
            }
        }
    };
}

hex_bytes!(PaymentHash, 32);
hex_bytes!(Preimage, 32);
hex_bytes!(NodeId, 33);

// === impl PaymentHash ===

impl fmt::Display for PaymentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for PaymentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl Preimage ===

impl Preimage {
    /// The hash that this preimage opens.
    pub fn hash(&self) -> PaymentHash {
        PaymentHash(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for Preimage {
    /// A preimage in a log would hand the money to a reader of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Preimage(…)")
    }
}

// === impl NodeId ===

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_preimage_is_an_error_and_never_a_panic() {
        let long = "00".repeat(33);
        for text in ["", "0", "zz", "00", &long, "é"] {
            assert_eq!(text.parse::<Preimage>(), Err(HexError { bytes: 32 }), "{text}");
        }
    }

    #[test]
    fn a_preimage_is_not_printed() {
        let preimage = Preimage::new([7; 32]);
        assert!(!format!("{preimage:?}").contains("07"));
    }
}
