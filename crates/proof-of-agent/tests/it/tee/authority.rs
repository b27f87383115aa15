//! Certificates and revocation lists of a vendor that is made up, over ECDSA with P-256 or P-384.

use p256::ecdsa::signature::Signer as _;
use poa_common::Timestamp;
use proof_of_agent::Digest;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName,
    DnType, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SerialNumber,
    SignatureAlgorithm,
};
use time::Duration;

use crate::fixture::NOW;

/// A key that is made from one byte.
#[derive(Clone)]
pub(super) enum Key {
    P256(p256::ecdsa::SigningKey, Vec<u8>),
    P384(p384::ecdsa::SigningKey, Vec<u8>),
}

/// A certificate with its key.
#[derive(Clone)]
pub(super) struct Certified {
    pub(super) key: Key,
    pub(super) der: Vec<u8>,
    params: CertificateParams,
}

/// What a certificate is to say.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) serial: u8,
    pub(super) ca: bool,
    pub(super) extensions: Vec<CustomExtension>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

// === impl Key ===

impl Key {
    pub(super) fn p256(seed: u8) -> Self {
        let key = p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap();
        let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Self::P256(key, point)
    }

    pub(super) fn p384(seed: u8) -> Self {
        let key = p384::ecdsa::SigningKey::from_slice(&[seed; 48]).unwrap();
        let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Self::P384(key, point)
    }

    /// The two numbers of the public point.
    pub(super) fn point(&self) -> &[u8] {
        &self.der_bytes()[1..]
    }

    /// The two numbers of a signature, big-endian.
    pub(super) fn sign_fixed(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key, _) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Self::P384(key, _) => {
                let signature: p384::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
        }
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::P256(_, point) | Self::P384(_, point) => point,
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Self::P256(..) => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::P384(..) => &rcgen::PKCS_ECDSA_P384_SHA384,
        }
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(match self {
            Self::P256(key, _) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_der().as_bytes().to_vec()
            }
            Self::P384(key, _) => {
                let signature: p384::ecdsa::Signature = key.sign(message);
                signature.to_der().as_bytes().to_vec()
            }
        })
    }
}

// === impl Certified ===

impl Certified {
    pub(super) fn root(name: &str, key: Key) -> Self {
        let params = Wanted::ca(name, 1).params();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { key, der, params }
    }

    pub(super) fn issue(&self, wanted: &Wanted<'_>, key: Key) -> Self {
        let params = wanted.params();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let der = params.signed_by(&key, &issuer).unwrap().der().to_vec();
        Self { key, der, params }
    }

    /// A revocation list that names these serial numbers, of the week around [`NOW`].
    pub(super) fn revoke(&self, serials: &[u8]) -> Vec<u8> {
        self.revoke_at(serials, NOW - Duration::DAY, NOW + Duration::DAY * 6)
    }

    pub(super) fn revoke_at(
        &self,
        serials: &[u8],
        this_update: Timestamp,
        next_update: Timestamp,
    ) -> Vec<u8> {
        let entry = |serial: &u8| RevokedCertParams {
            serial_number: SerialNumber::from(u64::from(*serial)),
            revocation_time: this_update,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update,
            next_update,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&Issuer::from_params(&self.params, &self.key)).unwrap().der().to_vec()
    }

    pub(super) fn fingerprint(&self) -> Digest {
        Digest::of(&self.der)
    }

    pub(super) fn pem(&self) -> String {
        use base64::Engine as _;
        let body = base64::engine::general_purpose::STANDARD.encode(&self.der);
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    }
}

// === impl Wanted ===

impl<'a> Wanted<'a> {
    pub(super) fn ca(name: &'a str, serial: u8) -> Self {
        Self { ca: true, ..Self::leaf(name, serial) }
    }

    /// A certificate of the two years around [`NOW`].
    pub(super) fn leaf(name: &'a str, serial: u8) -> Self {
        let year = Duration::days(365);
        Self {
            name,
            serial,
            ca: false,
            extensions: Vec::new(),
            not_before: NOW - year,
            not_after: NOW + year,
        }
    }

    pub(super) fn with(self, extensions: Vec<CustomExtension>) -> Self {
        Self { extensions, ..self }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.name);
        params.serial_number = Some(SerialNumber::from(u64::from(self.serial)));
        (params.not_before, params.not_after) = (self.not_before, self.not_after);
        params.custom_extensions.clone_from(&self.extensions);
        if self.ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        }
        params
    }
}

/// An extension with an integer of one byte in DER.
pub(super) fn integer(id: &[u64], value: u8) -> CustomExtension {
    CustomExtension::from_oid_content(id, der_integer(value))
}

pub(super) fn der_integer(value: u8) -> Vec<u8> {
    if value < 0x80 { vec![2, 1, value] } else { vec![2, 2, 0, value] }
}
