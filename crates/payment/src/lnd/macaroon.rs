//! The macaroons: read from files, sent with each call. What each is for is in [`poa_common::lnd`].

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::{fmt, fs, io};

use secrecy::{ExposeSecret, SecretString};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};
use zeroize::Zeroizing;

/// The metadata key that LND reads.
const METADATA_KEY: &str = "macaroon";
/// A binary macaroon begins with its version.
const VERSION: u8 = 2;
/// No real macaroon is longer: one for every method of a node has about 8,000 bytes.
const MAX_BYTES: u64 = 64 * 1_024;
/// What a group or others may do with a file.
const OTHERS: u32 = 0o077;

/// A secret that the node takes as permission. Sent with each call, never printed.
#[derive(Clone)]
pub(super) struct Macaroon {
    hex: SecretString,
}

// === impl Macaroon ===

impl Macaroon {
    /// Reads a macaroon as `lncli bakemacaroon --save_to` writes it. One that others can read is taken, with a warning.
    pub(super) fn read(file: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(file)?;
        if metadata.permissions().mode() & OTHERS != 0 {
            tracing::warn!(file = %file.display(), "others than its owner can use this macaroon: chmod 600");
        }
        if metadata.len() > MAX_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than any macaroon"));
        }
        let bytes = Zeroizing::new(fs::read(file)?);
        if bytes.first() != Some(&VERSION) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a binary macaroon of version 2"));
        }
        Ok(Self { hex: hex::encode(bytes.as_slice()).into() })
    }
}

impl fmt::Debug for Macaroon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Macaroon(…)")
    }
}

impl Interceptor for Macaroon {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let mut value: MetadataValue<Ascii> = self
            .hex
            .expose_secret()
            .parse()
            .map_err(|_| Status::internal("hexadecimal text is always a metadata value"))?;
        value.set_sensitive(true);
        request.metadata_mut().insert(METADATA_KEY, value);
        Ok(request)
    }
}
