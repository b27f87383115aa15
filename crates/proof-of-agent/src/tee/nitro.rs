//! AWS Nitro Enclaves attestation documents: a COSE_Sign1 over CBOR, with the chain of certificates inside.
//!
//! Source: <https://github.com/aws/aws-nitro-enclaves-nsm-api/blob/main/docs/attestation_process.md>, and RFC
//! 9052 for the signature.

use ciborium::Value;
use poa_common::Timestamp;

use super::window::Window;
use super::x509::{Certificate, Chain};
use super::{Authenticated, Measurement, TeeError, TeePolicy, Vendor};
use crate::digest::Digest;

const DOCUMENT: &str = "the Nitro document";
const CHAIN: &str = "the Nitro document's chain";
/// What a signature is over: text, protected header, no more data, payload.
const SIGNATURE_CONTEXT: &str = "Signature1";
/// The tag of a COSE_Sign1, which AWS leaves out.
const TAG_SIGN1: u64 = 18;
/// The header parameter of the algorithm, and ECDSA with SHA-384.
const HEADER_ALGORITHM: i64 = 1;
const ES384: i64 = -35;
/// The hash of the registers.
const REGISTER_HASH: &str = "SHA384";
const REGISTER_BYTES: usize = 48;
/// Registers that are measured: the image, its kernel and bootstrap, its application.
const MEASURED: [u64; 3] = [0, 1, 2];
/// Deeper than any document.
const MAX_DEPTH: usize = 8;

/// What is read of a payload.
#[derive(Debug)]
struct Payload {
    timestamp: Timestamp,
    registers: Vec<Vec<u8>>,
    certificate: Vec<u8>,
    bundle: Vec<Vec<u8>>,
    user_data: Vec<u8>,
}

/// The envelope: protected header, payload, signature.
#[derive(Debug)]
struct Envelope {
    protected: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// Checks, in this order: the layout; the document's age; the chain to a pinned root at the document's own
/// time; the signature; that the registers are not those of debugging.
pub(super) fn authenticate(
    document: &[u8],
    roots: &[Digest],
    policy: &TeePolicy,
    mut window: Window,
) -> Result<Authenticated, TeeError> {
    let envelope = Envelope::read(document)?;
    let payload = Payload::read(&envelope.payload)?;
    let until = payload.timestamp.checked_add(policy.max_nitro_age);
    let until = until.ok_or_else(|| TeeError::malformed(DOCUMENT, "its time is out of range"))?;
    window.require(DOCUMENT, payload.timestamp, until)?;
    // The bundle begins with the root and ends with the issuer of the certificate.
    let chain: Result<Vec<_>, _> = std::iter::once(&payload.certificate)
        .chain(payload.bundle.iter().rev())
        .map(|der| Certificate::from_der(CHAIN, der))
        .collect();
    let chain = Chain::new(CHAIN, chain?, None)?;
    chain.verify(Vendor::AwsNitro, roots, &mut Window::at(payload.timestamp))?;
    if !chain.leaf()?.key().verifies_p384(&envelope.signed()?, &envelope.signature) {
        return Err(TeeError::BadSignature(DOCUMENT));
    }
    if payload.registers.iter().all(|register| register.iter().all(|byte| *byte == 0)) {
        return Err(TeeError::Debug("all registers of the Nitro enclave are zero"));
    }
    let registers: Vec<&[u8]> = payload.registers.iter().map(Vec::as_slice).collect();
    let (valid_from, valid_until) = window.span();
    Ok(Authenticated {
        vendor: Vendor::AwsNitro,
        report_data: payload.user_data,
        measurement: Measurement::of(&registers),
        tcb_status: None,
        snp_tcb: None,
        advisories: Vec::new(),
        valid_from,
        valid_until,
    })
}

// === impl Envelope ===

impl Envelope {
    fn read(document: &[u8]) -> Result<Self, TeeError> {
        let fields = match cbor(document)? {
            Value::Tag(TAG_SIGN1, inner) => *inner,
            other => other,
        };
        let fields = fields.into_array().map_err(|_| malformed("it is no COSE_Sign1"))?;
        let fields: [Value; 4] = fields.try_into().map_err(|_| malformed("it is no COSE_Sign1"))?;
        let [protected, unprotected, payload, signature] = fields;
        if !unprotected.as_map().is_some_and(|map| map.is_empty()) {
            return Err(malformed("it has unprotected headers"));
        }
        let protected = bytes(protected)?;
        let header = cbor(&protected)?.into_map().map_err(|_| malformed("its header is no map"))?;
        let expected = [(Value::from(HEADER_ALGORITHM), Value::from(ES384))];
        if header != expected {
            return Err(malformed("its header names another algorithm than ES384"));
        }
        Ok(Self { protected, payload: bytes(payload)?, signature: bytes(signature)? })
    }

    /// The bytes that are signed.
    fn signed(&self) -> Result<Vec<u8>, TeeError> {
        let structure = Value::Array(vec![
            Value::from(SIGNATURE_CONTEXT),
            Value::Bytes(self.protected.clone()),
            Value::Bytes(Vec::new()),
            Value::Bytes(self.payload.clone()),
        ]);
        let mut signed = Vec::new();
        ciborium::into_writer(&structure, &mut signed).map_err(malformed)?;
        Ok(signed)
    }
}

// === impl Payload ===

impl Payload {
    fn read(payload: &[u8]) -> Result<Self, TeeError> {
        let mut fields = Fields::of(cbor(payload)?)?;
        if fields.take("digest")?.as_text() != Some(REGISTER_HASH) {
            return Err(malformed("its registers are not of SHA-384"));
        }
        if fields.take("module_id")?.as_text().is_none_or(str::is_empty) {
            return Err(malformed("it does not name its module"));
        }
        let milliseconds = fields.take("timestamp")?.into_integer().map_err(|_| malformed("no timestamp"))?;
        let nanoseconds = i128::from(milliseconds).checked_mul(1_000_000).ok_or_else(out_of_range)?;
        let timestamp = Timestamp::from_unix_timestamp_nanos(nanoseconds).map_err(|_| out_of_range())?;
        let registers = fields.take("pcrs")?.into_map().map_err(|_| malformed("its registers are no map"))?;
        let bundle =
            fields.take("cabundle")?.into_array().map_err(|_| malformed("its bundle is no array"))?;
        let user_data = match fields.take_optional("user_data")? {
            None | Some(Value::Null) => Vec::new(),
            Some(value) => bytes(value)?,
        };
        Ok(Self {
            timestamp,
            registers: measured(&registers)?,
            certificate: bytes(fields.take("certificate")?)?,
            bundle: bundle.into_iter().map(bytes).collect::<Result<_, _>>()?,
            user_data,
        })
    }
}

/// The registers 0, 1 and 2, each of which stands once.
fn measured(registers: &[(Value, Value)]) -> Result<Vec<Vec<u8>>, TeeError> {
    let register = |index: u64| {
        let mut found = registers.iter().filter(|(key, _)| *key == Value::from(index));
        let value = found.next().and_then(|(_, value)| value.as_bytes());
        let whole = value.filter(|value| value.len() == REGISTER_BYTES && found.next().is_none());
        whole.cloned().ok_or_else(|| malformed("a register is missing, stands twice or has not 48 bytes"))
    };
    MEASURED.into_iter().map(register).collect()
}

/// The fields of a map, each of which stands at most once.
struct Fields(Vec<(Value, Value)>);

// === impl Fields ===

impl Fields {
    fn of(value: Value) -> Result<Self, TeeError> {
        value.into_map().map(Self).map_err(|_| malformed("its payload is no map"))
    }

    fn take_optional(&mut self, name: &str) -> Result<Option<Value>, TeeError> {
        let is_it = |(key, _): &(Value, Value)| key.as_text() == Some(name);
        let Some(place) = self.0.iter().position(is_it) else {
            return Ok(None);
        };
        let (_, value) = self.0.swap_remove(place);
        if self.0.iter().any(is_it) {
            return Err(malformed(format!("{name} stands twice")));
        }
        Ok(Some(value))
    }

    fn take(&mut self, name: &str) -> Result<Value, TeeError> {
        self.take_optional(name)?.ok_or_else(|| malformed(format!("{name} is missing")))
    }
}

/// One value, with nothing after it.
fn cbor(mut input: &[u8]) -> Result<Value, TeeError> {
    let value = ciborium::de::from_reader_with_recursion_limit(&mut input, MAX_DEPTH).map_err(malformed)?;
    if input.is_empty() { Ok(value) } else { Err(malformed("something follows it")) }
}

fn bytes(value: Value) -> Result<Vec<u8>, TeeError> {
    value.into_bytes().map_err(|_| malformed("a part is no byte string"))
}

fn malformed(reason: impl std::fmt::Display) -> TeeError {
    TeeError::malformed(DOCUMENT, reason)
}

fn out_of_range() -> TeeError {
    malformed("its time is out of range")
}
