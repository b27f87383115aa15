//! TLS to the node: the certificate in a file is the only one that is trusted.
//!
//! LND's own certificate is self-signed and says that it is an authority, which rustls refuses as a server's. So nothing is
//! derived from it: the server must show exactly the certificate of the file, and prove with its signature that it has the
//! key. A name or a date then adds nothing. A certificate that an authority has signed is pinned in the same way.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// The certificate of a file. The file is read for each handshake, so that a node that has made a new one is trusted as soon
/// as its file is there.
pub(super) struct Pin {
    file: PathBuf,
    algorithms: WebPkiSupportedAlgorithms,
}

// === impl Pin ===

impl Pin {
    /// Pins the first certificate of a PEM file, which must be there and readable.
    pub(super) fn new(file: &Path) -> io::Result<Self> {
        read(file)?;
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        Ok(Self { file: file.to_owned(), algorithms })
    }
}

fn read(file: &Path) -> io::Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(&std::fs::read(file)?).map_err(io::Error::other)
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pin").field(&self.file).finish()
    }
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = read(&self.file).map_err(|error| {
            Error::General(format!("the pinned certificate {} cannot be read: {error}", self.file.display()))
        })?;
        if pinned.as_ref() == end_entity.as_ref() {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
