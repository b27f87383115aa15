//! An AWS Nitro enclave that is made up: its documents are those of AWS, byte for byte, but the root that vouches for them is
//! its own. Whoever pins that root believes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ciborium::Value;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};

/// ECDSA with SHA-384 over P-384, by COSE's number.
const ES384: i64 = -35;
/// Platform configuration registers of a document.
const REGISTERS: u8 = 16;
/// Bytes of one register.
const REGISTER_BYTES: usize = 48;

/// An enclave, its measurement and the root that vouches for it.
#[derive(Debug)]
pub struct NitroEnclave {
    root: Vec<u8>,
    leaf: Vec<u8>,
    key: EcdsaKeyPair,
}

// === impl NitroEnclave ===

impl NitroEnclave {
    /// A new one, with certificates of the two days around `now`.
    pub fn new(now: OffsetDateTime) -> Self {
        let certificate = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.not_before = now - Duration::DAY;
            params.not_after = now + Duration::DAY;
            params
        };
        let pair = || KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("a key pair");
        let (root_key, leaf_key) = (pair(), pair());
        let mut root = certificate("nitro.test");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root_der = root.self_signed(&root_key).expect("a root").der().to_vec();
        let issuer = Issuer::from_params(&root, &root_key);
        let leaf = certificate("enclave.nitro.test").signed_by(&leaf_key, &issuer).expect("a certificate");
        let key = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P384_SHA384_FIXED_SIGNING,
            leaf_key.serialized_der(),
            &SystemRandom::new(),
        );
        Self { root: root_der, leaf: leaf.der().to_vec(), key: key.expect("the key of the certificate") }
    }

    /// SHA-256 of the root certificate, in hexadecimal: what a trust root pins.
    pub fn root_sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.root))
    }

    /// What runs in it, in hexadecimal: the first three registers.
    pub fn measurement(&self) -> String {
        (0..3).map(|index| hex::encode(register(index))).collect()
    }

    /// The evidence file for these report data, made at `now`.
    pub fn evidence(&self, report_data: &[u8; 32], now: OffsetDateTime) -> Vec<u8> {
        let protected = cbor(&Value::Map(vec![(Value::from(1), Value::from(ES384))]));
        let payload = cbor(&self.payload(report_data, now));
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
        let signed = cbor(&Value::Array(vec![
            Value::Text("Signature1".to_owned()),
            bytes(&protected),
            bytes(&[]),
            bytes(&payload),
        ]));
        let signature = self.key.sign(&SystemRandom::new(), &signed).expect("a signature");
        let document = cbor(&Value::Array(vec![
            bytes(&protected),
            Value::Map(Vec::new()),
            bytes(&payload),
            bytes(signature.as_ref()),
        ]));
        let file =
            serde_json::json!({ "version": 1, "vendor": "awsNitro", "document": STANDARD.encode(document) });
        file.to_string().into_bytes()
    }

    fn payload(&self, report_data: &[u8; 32], now: OffsetDateTime) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        let milliseconds = now.unix_timestamp_nanos() / 1_000_000;
        let registers = (0..REGISTERS).map(|index| (Value::from(index), Value::Bytes(register(index))));
        Value::Map(vec![
            (text("module_id"), text("i-0-enc0")),
            (text("digest"), text("SHA384")),
            (text("timestamp"), Value::from(i64::try_from(milliseconds).expect("a time of this age"))),
            (text("pcrs"), Value::Map(registers.collect())),
            (text("certificate"), Value::Bytes(self.leaf.clone())),
            (text("cabundle"), Value::Array(vec![Value::Bytes(self.root.clone())])),
            (text("public_key"), Value::Null),
            (text("user_data"), Value::Bytes(report_data.to_vec())),
            (text("nonce"), Value::Null),
        ])
    }
}

fn register(index: u8) -> Vec<u8> {
    vec![index.saturating_add(1); REGISTER_BYTES]
}

fn cbor(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("CBOR in memory");
    bytes
}
