//! The part of X.509 that the vendors use: chains that are given whole, in order, with the root last.
//!
//! A chain is never built or searched for. Source: RFC 5280.

mod certificate;
mod crl;

use super::evidence::MAX_CERTIFICATES;
use super::window::Window;
use super::{TeeError, Vendor};
use crate::digest::Digest;

pub(super) use certificate::Certificate;
pub(super) use crl::Crl;

/// Certificates of a chain, the subject first and the root last.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// What the chain is called in an error.
    what: &'static str,
    certificates: Vec<Certificate>,
}

// === impl Chain ===

impl Chain {
    /// A chain of exactly `length` certificates; of at least two if `length` is `None`.
    pub(super) fn new(
        what: &'static str,
        certificates: Vec<Certificate>,
        length: Option<usize>,
    ) -> Result<Self, TeeError> {
        let found = certificates.len();
        let fits = length.map_or((2..=MAX_CERTIFICATES).contains(&found), |length| found == length);
        if fits {
            Ok(Self { what, certificates })
        } else {
            Err(TeeError::WrongCertificate { what, reason: "the chain has too few or too many certificates" })
        }
    }

    /// The certificate that the chain is about.
    pub(super) fn leaf(&self) -> Result<&Certificate, TeeError> {
        self.certificates.first().ok_or(TeeError::WrongCertificate { what: self.what, reason: "it is empty" })
    }

    /// The certificate at a place, counted from the leaf.
    pub(super) fn at(&self, place: usize) -> Result<&Certificate, TeeError> {
        let missing = TeeError::WrongCertificate { what: self.what, reason: "the chain is too short" };
        self.certificates.get(place).ok_or(missing)
    }

    /// The last certificate.
    pub(super) fn root(&self) -> Result<&Certificate, TeeError> {
        self.certificates.last().ok_or(TeeError::WrongCertificate { what: self.what, reason: "it is empty" })
    }

    /// Checks, in this order: the root is pinned; each certificate names the next as its issuer, the next may
    /// issue it, and has signed it; all are valid at the time in question.
    ///
    /// The root's own signature is not looked at: its fingerprint says more.
    pub(super) fn verify(
        &self,
        vendor: Vendor,
        roots: &[Digest],
        window: &mut Window,
    ) -> Result<(), TeeError> {
        let found = self.root()?.fingerprint();
        if !roots.contains(&found) {
            return Err(TeeError::WrongRoot { vendor, found });
        }
        let wrong = |reason| TeeError::WrongCertificate { what: self.what, reason };
        let issuers = self.certificates.iter().skip(1);
        for (below, (subject, issuer)) in self.certificates.iter().zip(issuers).enumerate() {
            if subject.issuer() != issuer.subject() {
                return Err(wrong("it names another issuer"));
            }
            issuer.check_may_issue(below).map_err(wrong)?;
            if !subject.is_signed_by(issuer) {
                return Err(TeeError::BadSignature(self.what));
            }
        }
        for certificate in &self.certificates {
            certificate.check_extensions().map_err(wrong)?;
            let (from, until) = certificate.validity()?;
            window.require(self.what, from, until)?;
        }
        Ok(())
    }

    /// Refuses the certificate at `place` if its issuer's list, which must be valid, has it.
    pub(super) fn check_not_revoked(&self, place: usize, crl: &Crl) -> Result<(), TeeError> {
        let certificate = self.at(place)?;
        if crl.lists(certificate) {
            return Err(TeeError::Revoked { what: self.what, serial: certificate.serial() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::tee::TeeRoots;

    const TURIN: &str = include_str!("../../../../../tests/vectors/tee/amd-turin-chain.pem");
    const GENOA: &str = include_str!("../../../../../tests/vectors/tee/amd-genoa-chain.pem");

    fn verify(pem: &str, length: usize) -> Result<(), TeeError> {
        let certificates = Certificate::from_pem("a chain", pem)?;
        let mut window = Window::at(datetime!(2026-01-01 00:00 UTC));
        let roots = TeeRoots::published();
        Chain::new("a chain", certificates, Some(length))?.verify(Vendor::AmdSevSnp, &roots.amd, &mut window)
    }

    #[test]
    fn amds_chains_of_every_generation_end_in_a_published_root() {
        // Of these generations there is no report to test with, but their certificates are public.
        assert_eq!(verify(TURIN, 3), Ok(()));
        assert_eq!(verify(GENOA, 2), Ok(()));
    }

    #[test]
    fn a_changed_signature_of_rsa_is_refused() {
        let certificates: Vec<&str> = TURIN.split_inclusive("-----END CERTIFICATE-----\n").collect();
        let [vcek, ask, ark] = certificates[..] else { panic!("three certificates") };
        // The last line of a certificate is the end of its signature.
        for other in ["A", "B", "C"] {
            let lines: Vec<&str> = vcek.lines().collect();
            let line = lines[lines.len() - 3];
            let changed = vcek.replace(line, &format!("{other}{}", &line[1..]));
            let expected = if changed == vcek { Ok(()) } else { Err(TeeError::BadSignature("a chain")) };
            assert_eq!(verify(&[&changed, ask, ark].concat(), 3), expected);
        }
        let swapped = verify(&[ask, vcek, ark].concat(), 3);
        assert!(matches!(swapped, Err(TeeError::WrongCertificate { .. })));
        let text = verify(&[vcek, "text", ask, ark].concat(), 3);
        assert!(matches!(text, Err(TeeError::Malformed { .. })));
    }
}
