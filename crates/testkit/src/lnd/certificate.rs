//! The certificate of the stand-in, in either of the shapes that a real node's has.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// Which certificate the node shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LndCertificate {
    /// As lnd makes it: P-256, signed by itself, and an authority by its own word.
    SelfSigned,
    /// A server's, signed by an authority that nobody else knows.
    SignedByAuthority,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(super) struct Pem {
    pub(super) certificate: String,
    pub(super) key: String,
}

// === impl LndCertificate ===

impl LndCertificate {
    pub(super) fn make(self) -> Pem {
        let key = KeyPair::generate().expect("a key");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("valid names");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = match self {
            Self::SelfSigned => {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.self_signed(&key)
            }
            Self::SignedByAuthority => {
                let authority_key = KeyPair::generate().expect("a key");
                let mut authority = CertificateParams::new(Vec::new()).expect("no names");
                authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
                params.signed_by(&key, &Issuer::new(authority, authority_key))
            }
        };
        Pem { certificate: certificate.expect("a certificate").pem(), key: key.serialize_pem() }
    }
}
