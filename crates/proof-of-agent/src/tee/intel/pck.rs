//! What a machine's certificate says of the machine.

use x509_cert::der::asn1::{ObjectIdentifier, OctetStringRef};
use x509_cert::der::{AnyRef, Decode as _, Reader as _, Result, SliceReader};

use super::super::TeeError;
use super::super::x509::Certificate;

const SGX: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1");
const TCB: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1.2");
const PCE_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1.3");
const FMSPC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1.4");
/// The arc of the 16 components of the firmware, of which the last number is 1 to 16, and of one more, 17.
const COMPONENTS: ObjectIdentifier = TCB;
const PCE_SVN: u32 = 17;

const PCK: &str = "the PCK certificate";

/// A machine: its kind, and its firmware when the certificate was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Platform {
    pub(super) fmspc: Vec<u8>,
    pub(super) pce_id: Vec<u8>,
    pub(super) components: [u8; 16],
    pub(super) pce_svn: u16,
}

// === impl Platform ===

impl Platform {
    pub(super) fn read(certificate: &Certificate) -> std::result::Result<Self, TeeError> {
        let missing = |what| TeeError::malformed(PCK, format!("it does not tell the machine's {what}"));
        let malformed = |error| TeeError::malformed(PCK, error);
        let extension = certificate.extension(SGX)?.ok_or_else(|| missing("kind"))?;
        let entries = entries(extension).map_err(malformed)?;
        let octets = |id| -> std::result::Result<Vec<u8>, TeeError> {
            let value: AnyRef<'_> = single(&entries, id).ok_or_else(|| missing("kind"))?;
            let octets = value.decode_as::<&OctetStringRef>().map_err(malformed)?;
            Ok(octets.as_bytes().to_vec())
        };
        let tcb = single(&entries, TCB).ok_or_else(|| missing("firmware"))?;
        let parts = entries_of(tcb.value()).map_err(malformed)?;
        let number = |part: u32| -> std::result::Result<u16, TeeError> {
            let id = COMPONENTS.push_arc(part).map_err(|error| TeeError::malformed(PCK, error))?;
            let value: AnyRef<'_> = single(&parts, id).ok_or_else(|| missing("firmware"))?;
            value.decode_as::<u16>().map_err(malformed)
        };
        let mut components = [0; 16];
        for (component, part) in components.iter_mut().zip(1..) {
            *component = u8::try_from(number(part)?).map_err(|error| TeeError::malformed(PCK, error))?;
        }
        Ok(Self { fmspc: octets(FMSPC)?, pce_id: octets(PCE_ID)?, components, pce_svn: number(PCE_SVN)? })
    }
}

type Entry<'a> = (ObjectIdentifier, AnyRef<'a>);

/// The pairs of an identifier and a value in a sequence.
fn entries(sequence: &[u8]) -> Result<Vec<Entry<'_>>> {
    entries_of(AnyRef::from_der(sequence)?.value())
}

fn entries_of(content: &[u8]) -> Result<Vec<Entry<'_>>> {
    let mut reader = SliceReader::new(content)?;
    let mut entries = Vec::new();
    while !reader.is_finished() {
        let pair = reader.sequence(|pair| {
            Ok::<_, x509_cert::der::Error>((ObjectIdentifier::decode(pair)?, AnyRef::decode(pair)?))
        })?;
        entries.push(pair);
    }
    Ok(entries)
}

/// The value of an identifier that stands exactly once.
fn single<'a>(entries: &[Entry<'a>], id: ObjectIdentifier) -> Option<AnyRef<'a>> {
    let mut found = entries.iter().filter(|(found, _)| *found == id);
    let (_, value) = found.next()?;
    if found.next().is_some() { None } else { Some(*value) }
}
