//! One revocation list.

use poa_common::Timestamp;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode as _;
use x509_cert::ext::Extension;

use super::super::TeeError;
use super::super::evidence::{MAX_CRL_BYTES, limit};
use super::super::window::Window;
use super::Certificate;
use super::certificate::{first_element, moment};

/// A list with its own bytes, which are what is verified.
#[derive(Clone, Debug)]
pub(in crate::tee) struct Crl {
    what: &'static str,
    signed: Vec<u8>,
    parsed: CertificateList,
}

// === impl Crl ===

impl Crl {
    /// Reads a list, and checks that `issuer` signed it and that it is valid at the time in question. A list
    /// without a date for its successor is refused: it would be valid for ever.
    pub(in crate::tee) fn verify(
        what: &'static str,
        der: &[u8],
        issuer: &Certificate,
        window: &mut Window,
    ) -> Result<Self, TeeError> {
        limit(what, der.len(), MAX_CRL_BYTES)?;
        let parsed = CertificateList::from_der(der).map_err(|it| TeeError::malformed(what, it))?;
        let signed = first_element(der).map_err(|it| TeeError::malformed(what, it))?.to_vec();
        let list = Self { what, signed, parsed };
        let tbs = &list.parsed.tbs_cert_list;
        if tbs.issuer != *issuer.subject() {
            return Err(TeeError::WrongCertificate { what, reason: "it is the list of another issuer" });
        }
        if !issuer.may_sign_lists() {
            return Err(TeeError::WrongCertificate { what, reason: "its issuer may not sign lists" });
        }
        if list.extensions().any(|extension| extension.critical) {
            return Err(TeeError::malformed(what, "it has a critical extension that is not understood"));
        }
        if !list.is_signed_by(issuer) {
            return Err(TeeError::BadSignature(what));
        }
        let (from, until) = list.validity()?;
        window.require(what, from, until)?;
        Ok(list)
    }

    /// Whether the list names the certificate. Since when does not matter: who holds a stolen key chooses the
    /// date.
    pub(super) fn lists(&self, certificate: &Certificate) -> bool {
        let revoked = self.parsed.tbs_cert_list.revoked_certificates.iter().flatten();
        revoked.into_iter().any(|entry| entry.serial_number.as_bytes() == certificate.serial_bytes())
    }

    fn validity(&self) -> Result<(Timestamp, Timestamp), TeeError> {
        let tbs = &self.parsed.tbs_cert_list;
        let next = tbs.next_update.as_ref();
        let next =
            next.ok_or_else(|| TeeError::malformed(self.what, "it does not say when the next is due"))?;
        Ok((moment(self.what, &tbs.this_update)?, moment(self.what, next)?))
    }

    fn is_signed_by(&self, issuer: &Certificate) -> bool {
        let algorithm = &self.parsed.signature_algorithm;
        let same = *algorithm == self.parsed.tbs_cert_list.signature;
        let signature = self.parsed.signature.as_bytes();
        same && signature.is_some_and(|it| issuer.key().verifies(algorithm, &self.signed, it))
    }

    /// The list's own extensions, and those of its entries.
    fn extensions(&self) -> impl Iterator<Item = &Extension> {
        let tbs = &self.parsed.tbs_cert_list;
        let entries = tbs.revoked_certificates.iter().flatten().flat_map(|entry| &entry.crl_entry_extensions);
        tbs.crl_extensions.iter().chain(entries).flatten()
    }
}
