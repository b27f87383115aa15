//! The public keys of vendors, and the signatures that they make.

use p256::ecdsa::signature::Verifier as _;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode as _, Encode as _, Reader as _, SliceReader};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::{TeeError, rsa};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");

/// The parameters that AMD's certificates use: SHA-384, MGF1 with SHA-384, a salt of 48 bytes. Older
/// certificates also spell out the default trailer.
const PSS_SHA384_PARAMETERS: [&str; 2] = [
    "3034a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d06096086480165030402020500\
     a203020130",
    "3039a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d06096086480165030402020500\
     a203020130a303020101",
];

/// A public key of a certificate.
#[derive(Clone, Debug)]
pub(super) enum PublicKey {
    /// ECDSA with SHA-256.
    P256(p256::ecdsa::VerifyingKey),
    /// ECDSA with SHA-384.
    P384(p384::ecdsa::VerifyingKey),
    /// RSASSA-PSS with SHA-384.
    Rsa(Box<rsa::PublicKey>),
}

// === impl PublicKey ===

impl PublicKey {
    pub(super) fn read(part: &'static str, info: &SubjectPublicKeyInfoOwned) -> Result<Self, TeeError> {
        let key = info.subject_public_key.as_bytes();
        let key = key.ok_or_else(|| TeeError::malformed(part, "its key is not whole bytes"))?;
        if info.algorithm.oid == RSA {
            return rsa_key(part, key).map(Box::new).map(Self::Rsa);
        }
        let parameters = info.algorithm.parameters.as_ref();
        let curve = parameters.and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok());
        let wrong = |_| TeeError::malformed(part, "its key is no point of the curve");
        match (info.algorithm.oid, curve) {
            (EC_PUBLIC_KEY, Some(P256)) => {
                p256::ecdsa::VerifyingKey::from_sec1_bytes(key).map(Self::P256).map_err(wrong)
            }
            (EC_PUBLIC_KEY, Some(P384)) => {
                p384::ecdsa::VerifyingKey::from_sec1_bytes(key).map(Self::P384).map_err(wrong)
            }
            _ => Err(TeeError::malformed(part, "its key is of a kind that no vendor uses")),
        }
    }

    /// Whether `signature` is this key's over `message`, by the algorithm that a certificate or revocation list
    /// names. The algorithm follows from the key; another one does not verify.
    pub(super) fn verifies(
        &self,
        algorithm: &AlgorithmIdentifierOwned,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        match self {
            Self::P256(key) if algorithm.oid == ECDSA_SHA256 => {
                p256::ecdsa::Signature::from_der(signature).is_ok_and(|it| key.verify(message, &it).is_ok())
            }
            Self::P384(key) if algorithm.oid == ECDSA_SHA384 => {
                p384::ecdsa::Signature::from_der(signature).is_ok_and(|it| key.verify(message, &it).is_ok())
            }
            Self::Rsa(key) if algorithm.oid == RSA_PSS && is_pss_sha384(algorithm) => {
                key.verifies_pss_sha384(message, signature)
            }
            Self::P256(_) | Self::P384(_) | Self::Rsa(_) => false,
        }
    }

    /// Whether `signature`, the two numbers of 32 bytes big-endian, is this P-256 key's over `message`.
    pub(super) fn verifies_p256(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(key) => {
                p256::ecdsa::Signature::from_slice(signature).is_ok_and(|it| key.verify(message, &it).is_ok())
            }
            Self::P384(_) | Self::Rsa(_) => false,
        }
    }

    /// Whether `signature`, the two numbers of 48 bytes big-endian, is this P-384 key's over `message`.
    pub(super) fn verifies_p384(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P384(key) => {
                p384::ecdsa::Signature::from_slice(signature).is_ok_and(|it| key.verify(message, &it).is_ok())
            }
            Self::P256(_) | Self::Rsa(_) => false,
        }
    }
}

fn is_pss_sha384(algorithm: &AlgorithmIdentifierOwned) -> bool {
    let parameters = algorithm.parameters.as_ref().and_then(|parameters| parameters.to_der().ok());
    parameters.is_some_and(|parameters| PSS_SHA384_PARAMETERS.contains(&hex::encode(parameters).as_str()))
}

/// `RSAPublicKey`: a sequence of modulus and exponent.
fn rsa_key(part: &'static str, der: &[u8]) -> Result<rsa::PublicKey, TeeError> {
    let malformed = |error: x509_cert::der::Error| TeeError::malformed(part, error);
    let mut reader = SliceReader::new(der).map_err(malformed)?;
    let (modulus, exponent) = reader
        .sequence(|fields| {
            Ok::<_, x509_cert::der::Error>((UintRef::decode(fields)?, UintRef::decode(fields)?))
        })
        .map_err(malformed)?;
    if !reader.is_finished() {
        return Err(TeeError::malformed(part, "bytes follow its RSA key"));
    }
    rsa::PublicKey::new(modulus.as_bytes(), exponent.as_bytes())
        .ok_or_else(|| TeeError::malformed(part, "its RSA key is not of 4096 bits with the exponent 65537"))
}
