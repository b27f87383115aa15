//! One certificate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poa_common::Timestamp;
use x509_cert::der::asn1::{ObjectIdentifier, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{AnyRef, Decode as _, Reader as _, SliceReader};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::name::Name;
use x509_cert::time::Time;

use super::super::TeeError;
use super::super::evidence::{MAX_CERTIFICATE_BYTES, MAX_CERTIFICATES, limit};
use super::super::keys::PublicKey;
use crate::digest::Digest;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// A certificate with its own bytes, which are what is hashed and verified.
#[derive(Clone, Debug)]
pub(in crate::tee) struct Certificate {
    what: &'static str,
    signed: Vec<u8>,
    fingerprint: Digest,
    parsed: x509_cert::Certificate,
    key: PublicKey,
}

// === impl Certificate ===

impl Certificate {
    pub(in crate::tee) fn from_der(what: &'static str, der: &[u8]) -> Result<Self, TeeError> {
        limit(what, der.len(), MAX_CERTIFICATE_BYTES)?;
        let parsed = x509_cert::Certificate::from_der(der).map_err(|it| TeeError::malformed(what, it))?;
        let signed = first_element(der).map_err(|it| TeeError::malformed(what, it))?.to_vec();
        let key = PublicKey::read(what, parsed.tbs_certificate().subject_public_key_info())?;
        Ok(Self { what, signed, fingerprint: Digest::of(der), parsed, key })
    }

    /// The certificates of a PEM text, in order. Nothing but white space may stand between them.
    pub(in crate::tee) fn from_pem(what: &'static str, text: &str) -> Result<Vec<Self>, TeeError> {
        let mut certificates = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let parts = rest.strip_prefix(BEGIN).and_then(|rest| rest.split_once(END));
            let (body, after) = parts.ok_or_else(|| TeeError::malformed(what, "it is no PEM certificate"))?;
            let body: String = body.split_ascii_whitespace().collect();
            let der = STANDARD.decode(body).map_err(|error| TeeError::malformed(what, error))?;
            certificates.push(Self::from_der(what, &der)?);
            if certificates.len() > MAX_CERTIFICATES {
                let limit = MAX_CERTIFICATES * MAX_CERTIFICATE_BYTES;
                return Err(TeeError::TooLarge { part: what, limit });
            }
            rest = after.trim_start();
        }
        Ok(certificates)
    }

    pub(in crate::tee) const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// SHA-256 of the DER.
    pub(in crate::tee) const fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    pub(in crate::tee) fn subject(&self) -> &Name {
        self.parsed.tbs_certificate().subject()
    }

    pub(in crate::tee) fn issuer(&self) -> &Name {
        self.parsed.tbs_certificate().issuer()
    }

    /// The serial number's bytes in hexadecimal digits.
    pub(in crate::tee) fn serial(&self) -> String {
        hex::encode(self.serial_bytes())
    }

    pub(super) fn serial_bytes(&self) -> &[u8] {
        self.parsed.tbs_certificate().serial_number().as_bytes()
    }

    /// The only common name of the subject.
    pub(in crate::tee) fn common_name(&self) -> Option<&str> {
        common_name(self.subject())
    }

    pub(in crate::tee) fn validity(&self) -> Result<(Timestamp, Timestamp), TeeError> {
        let validity = self.parsed.tbs_certificate().validity();
        Ok((moment(self.what, &validity.not_before)?, moment(self.what, &validity.not_after)?))
    }

    /// The value of an extension that stands at most once.
    pub(in crate::tee) fn extension(&self, id: ObjectIdentifier) -> Result<Option<&[u8]>, TeeError> {
        let extensions = self.parsed.tbs_certificate().extensions().into_iter().flatten();
        let mut found = extensions.filter(|extension| extension.extn_id == id);
        let first = found.next().map(|extension| extension.extn_value.as_bytes());
        if found.next().is_some() {
            return Err(TeeError::malformed(self.what, format!("the extension {id} stands twice")));
        }
        Ok(first)
    }

    pub(super) fn is_signed_by(&self, issuer: &Self) -> bool {
        let algorithm = self.parsed.signature_algorithm();
        let same = algorithm == self.parsed.tbs_certificate().signature();
        let signature = self.parsed.signature().as_bytes();
        same && signature.is_some_and(|it| issuer.key.verifies(algorithm, &self.signed, it))
    }

    /// Whether this is a CA's certificate that allows `below` CAs between it and the end of the chain.
    pub(super) fn check_may_issue(&self, below: usize) -> Result<(), &'static str> {
        let constraints: BasicConstraints = self.decoded(BASIC_CONSTRAINTS)?.ok_or("its issuer is no CA")?;
        if !constraints.ca {
            return Err("its issuer is no CA");
        }
        if constraints.path_len_constraint.is_some_and(|length| usize::from(length) < below) {
            return Err("the chain is longer than its issuer allows");
        }
        let usage: KeyUsage = self.decoded(KEY_USAGE)?.ok_or("its issuer may not sign certificates")?;
        if usage.key_cert_sign() { Ok(()) } else { Err("its issuer may not sign certificates") }
    }

    pub(super) fn may_sign_lists(&self) -> bool {
        let usage: Result<Option<KeyUsage>, _> = self.decoded(KEY_USAGE);
        usage.ok().flatten().is_some_and(|usage| usage.crl_sign())
    }

    /// Refuses a critical extension that is not understood here.
    pub(super) fn check_extensions(&self) -> Result<(), &'static str> {
        let known = |id| [BASIC_CONSTRAINTS, KEY_USAGE].contains(&id);
        let mut extensions = self.parsed.tbs_certificate().extensions().into_iter().flatten();
        if extensions.any(|extension| extension.critical && !known(extension.extn_id)) {
            return Err("it has a critical extension that is not understood");
        }
        Ok(())
    }

    fn decoded<'a, T: x509_cert::der::Decode<'a>>(
        &'a self,
        id: ObjectIdentifier,
    ) -> Result<Option<T>, &'static str> {
        let value = self.extension(id).map_err(|_| "an extension stands twice")?;
        value.map(|value| T::from_der(value).map_err(|_| "an extension is malformed")).transpose()
    }
}

/// The first element of an outer sequence, as it stands: the part that is signed.
pub(super) fn first_element(der: &[u8]) -> x509_cert::der::Result<&[u8]> {
    let outer = AnyRef::from_der(der)?;
    SliceReader::new(outer.value())?.tlv_bytes()
}

pub(super) fn moment(what: &'static str, time: &Time) -> Result<Timestamp, TeeError> {
    let seconds = time.to_unix_duration().as_secs();
    let seconds = i64::try_from(seconds).map_err(|error| TeeError::malformed(what, error))?;
    Timestamp::from_unix_timestamp(seconds).map_err(|error| TeeError::malformed(what, error))
}

fn common_name(name: &Name) -> Option<&str> {
    let mut found = name.iter().filter(|attribute| attribute.oid == COMMON_NAME);
    let value = &found.next()?.value;
    if found.next().is_some() {
        return None;
    }
    let utf8 = value.decode_as::<Utf8StringRef<'_>>().map(|text| text.as_str());
    utf8.or_else(|_| value.decode_as::<PrintableStringRef<'_>>().map(|text| text.as_str())).ok()
}
