//! What every command starts with: the profile, the connection, the session.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use poa_sdk::receipts::TrustRoot;
use poa_sdk::{Client, Endpoint, Session, TokenStore};

use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::output::Out;
use crate::profile::Profile;
use crate::units::Amount;

/// Bytes of an API key's file.
const MAX_KEY_BYTES: usize = 4 * 1024;
/// Bytes of an input or result that a message carries.
pub(crate) const MAX_INLINE_BYTES: usize = 128 * 1024;

/// The program with its common flags.
pub(crate) struct App {
    pub(crate) out: Out,
    pub(crate) profile: Profile,
    globals: Globals,
}

// === impl App ===

impl App {
    pub(crate) fn new(globals: Globals) -> Result<Self, Failure> {
        let profile = Profile::new(globals.home.as_deref(), &globals.profile)?;
        Ok(Self { out: Out::new(globals.json), profile, globals })
    }

    /// The address in use: the flag's, the profile's, the local one.
    pub(crate) fn endpoint(&self) -> Result<String, Failure> {
        if let Some(endpoint) = &self.globals.endpoint {
            return Ok(endpoint.trim_end_matches('/').to_owned());
        }
        let kept = self.profile.signed_in()?.map(|file| file.endpoint);
        Ok(kept.unwrap_or_else(|| Endpoint::LOCAL.to_owned()))
    }

    /// A connection without a session.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::connect(self.dial(self.endpoint()?)?)?)
    }

    /// An address with the flags for certificates and clear text.
    pub(crate) fn dial(&self, uri: String) -> Result<Endpoint, Failure> {
        let endpoint = Endpoint::new(uri);
        let endpoint = if self.globals.insecure { endpoint.insecure() } else { endpoint };
        match &self.globals.ca_cert {
            Some(path) => Ok(endpoint.with_ca(read_file(path, usize::MAX)?)),
            None => Ok(endpoint),
        }
    }

    /// The session of the profile, or of the API key.
    pub(crate) fn session(&self) -> Result<Session, Failure> {
        if let Some(path) = &self.globals.api_key_file {
            return Ok(self.client()?.with_api_key(secret_from(path)?));
        }
        let signed_in = self.profile.signed_in()?.ok_or_else(|| {
            Failure::new(Exit::NotSignedIn, "not signed in").hint("run `poa login`, or `poa register` first")
        })?;
        let endpoint = self.endpoint()?;
        if endpoint != signed_in.endpoint {
            let message = format!("this profile is signed in at {}, not at {endpoint}", signed_in.endpoint);
            return Err(Failure::new(Exit::NotSignedIn, message)
                .hint("run `poa login` there, or use another profile with --profile NAME"));
        }
        let store: Arc<dyn TokenStore> = Arc::new(self.profile.clone());
        Ok(self.client()?.session(signed_in.tokens, Some(store)))
    }

    /// The account of the profile's session; `None` where an API key acts, or nobody is signed in.
    pub(crate) fn account_id(&self) -> Result<Option<String>, Failure> {
        if self.globals.api_key_file.is_some() {
            return Ok(None);
        }
        Ok(self.profile.signed_in()?.map(|file| file.account_id))
    }

    /// The trust root: the file's, else the pinned one.
    pub(crate) fn trust_root(&self, file: Option<&Path>) -> Result<TrustRoot, Failure> {
        if let Some(path) = file {
            return Ok(TrustRoot::from_json(&read_file(path, usize::MAX)?)?);
        }
        self.profile.trust_root()?.ok_or_else(|| {
            Failure::new(Exit::Unverified, "there is no trust root, so there is nobody to believe")
                .hint("give one with --trust-root FILE, or pin the server's: run `poa login`")
        })
    }

    /// An amount from the command line in msat.
    pub(crate) fn msat(&self, amount: Amount) -> Result<i64, Failure> {
        amount.msat(self.globals.msat)
    }
}

/// Reads a file, or standard input for `-`, up to a size.
pub(crate) fn read_file(path: &Path, max_bytes: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::file(path, &error))?;
    if bytes.len() > max_bytes {
        let message = format!("{} has more than {max_bytes} bytes", path.display());
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(bytes)
}

/// Writes a file, or standard output for `-`.
pub(crate) fn write_file(out: Out, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if path == Path::new("-") {
        return out.bytes(bytes);
    }
    std::fs::write(path, bytes).map_err(|error| Failure::file(path, &error))
}

/// A secret that is the whole of a file.
pub(crate) fn secret_from(path: &Path) -> Result<String, Failure> {
    let text = String::from_utf8(read_file(path, MAX_KEY_BYTES)?)
        .map_err(|_| Failure::new(Exit::Usage, format!("{} is not text", path.display())))?;
    Ok(text.trim().to_owned())
}
