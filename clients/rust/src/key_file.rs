//! Files of Ed25519 keys: PKCS #8 in PEM, their owner's alone, never overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use poa_common::Env;
use zeroize::Zeroizing;

/// Bytes of a key file: a PKCS #8 key in PEM has about 120.
const MAX_KEY_FILE_BYTES: u64 = 4 * 1024;

/// A key file cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the key file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than the owner may read the file.
    #[error("the key file {} can be read by others: run `chmod 600 {}`", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// The text is not an Ed25519 key in PKCS #8 PEM.
    #[error("not an Ed25519 private key in PKCS #8 PEM: {0}")]
    Malformed(String),
}

pub(crate) fn generate(env: &Env) -> SigningKey {
    SigningKey::from_bytes(&Zeroizing::new(env.random::<32>()))
}

pub(crate) fn from_pem(pem: &str) -> Result<SigningKey, KeyError> {
    SigningKey::from_pkcs8_pem(pem).map_err(|error| KeyError::Malformed(error.to_string()))
}

pub(crate) fn to_pem(key: &SigningKey) -> Result<Zeroizing<String>, KeyError> {
    let pair = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
    pair.to_pkcs8_pem(LineEnding::LF).map_err(|error| KeyError::Malformed(error.to_string()))
}

pub(crate) fn load(path: &Path) -> Result<SigningKey, KeyError> {
    let failed = |source| KeyError::File { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    if is_exposed(&metadata) {
        return Err(KeyError::Exposed(path.to_owned()));
    }
    if metadata.len() > MAX_KEY_FILE_BYTES {
        return Err(KeyError::Malformed("the file is too large for a key".to_owned()));
    }
    from_pem(&Zeroizing::new(fs::read_to_string(path).map_err(failed)?))
}

/// When this returns, the key outlives a crash of the machine.
pub(crate) fn save(key: &SigningKey, path: &Path) -> Result<(), KeyError> {
    let failed = |source| KeyError::File { path: path.to_owned(), source };
    let pem = to_pem(key)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    sync_folder(path).map_err(failed)
}

/// A file's name is kept by its folder.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn is_exposed(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &fs::Metadata) -> bool {
    false
}
