//! Any method of a node, called with an empty message.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

/// A refusal is sent at once; a stream that says nothing for so long was allowed.
const SILENCE: Duration = Duration::from_secs(2);

/// A connection with one macaroon.
pub(crate) struct Raw {
    channel: Channel,
    macaroon: MetadataValue<Ascii>,
}

/// What the node says to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The macaroon allows it, whatever the call itself gives.
    Allowed,
    /// It does not.
    Denied,
}

// === impl Raw ===

impl Raw {
    pub(crate) async fn connect(rpc: &str, macaroon: &[u8]) -> Self {
        let endpoint = Endpoint::from_shared(format!("https://{rpc}")).unwrap();
        let tls = endpoint.tls_config_with_verifier(ClientTlsConfig::new(), Arc::new(Anybody)).unwrap();
        let hex: String = macaroon.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { channel: tls.connect().await.unwrap(), macaroon: hex.parse().unwrap() }
    }

    /// Calls a method with an empty message.
    pub(crate) async fn call(&self, method: &str) -> Answer {
        let first = tokio::time::timeout(SILENCE, self.first(method)).await;
        match first {
            Ok(Err(status)) if status.message() == "permission denied" => Answer::Denied,
            Ok(_) | Err(_) => Answer::Allowed,
        }
    }

    async fn first(&self, method: &str) -> Result<(), Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.unwrap();
        let mut request = Request::new(());
        request.metadata_mut().insert("macaroon", self.macaroon.clone());
        // The answer to a unary call is a stream of one.
        let answer = client.server_streaming(request, method.parse().unwrap(), Nothing).await?;
        answer.into_inner().message().await.map(drop)
    }
}

/// An empty message, and any answer without a look at it.
#[derive(Clone, Copy, Default)]
struct Nothing;

impl Codec for Nothing {
    type Encode = ();
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Nothing {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for Nothing {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = from.remaining();
        Ok(Some(from.copy_to_bytes(length)))
    }
}

/// Takes any certificate: whom this speaks to is not what is looked at here.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
