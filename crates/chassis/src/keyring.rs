//! A deployment's keys on disk: what a server may sign with, and whom it believes.
//!
//! | file | who needs it | what it is |
//! |---|---|---|
//! | `jwt.key` | auth | signs access tokens |
//! | `jwks.json` | all | the public keys of access tokens; auth writes it |
//! | `service-NAME.key` | that service | signs its service tokens |
//! | `services.json` | all | the public keys of the services |
//! | `NAME.secret` | that service | 32 random bytes: page tokens, derived secrets |
//! | `preimages.secret` | escrow | 32 random bytes: seals the preimages of hold invoices |
//! | `admin.token` | operators | the first admin credential |
//! | `admin.sha256` | all | its digest, by which a server knows it |
//!
//! Files are 0600, folders 0700. A key that is there is never replaced.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{SigningKey, VerifyingKey};
use poa_common::{Env, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::principal::Principal;
use crate::token;

/// The service that has a second secret, and what that one is for: it is kept apart from its database.
const SEALED: (&str, &str) = ("escrow", "preimages");
/// The operator's token.
const ADMIN_TOKEN: &str = "admin.token";
/// Its digest in hexadecimal, for servers that need not hold it.
const ADMIN_DIGEST: &str = "admin.sha256";
/// How often an unknown key id may make us read the key file again.
const RELOAD_EVERY: Duration = Duration::from_secs(1);
/// How long before its end a service token is replaced.
const SERVICE_TOKEN_MARGIN: Duration = Duration::from_secs(20);

/// What one server may sign with and whom it believes.
pub struct Keyring {
    dir: PathBuf,
    service: &'static str,
    audience: String,
    env: Env,
    signing_key: SigningKey,
    secret: [u8; 32],
    admin_digest: [u8; 32],
    access_keys: Published,
    service_keys: Published,
    tokens: Mutex<Vec<(&'static str, String, Timestamp)>>,
}

/// A key file that others write and we follow.
struct Published {
    path: PathBuf,
    keys: RwLock<Vec<(String, VerifyingKey)>>,
    read_at: Mutex<Option<Instant>>,
}

/// A JSON Web Key Set of Ed25519 keys (RFC 8037).
#[derive(Debug, Default, Serialize, Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    alg: String,
    #[serde(rename = "use")]
    usage: String,
    kid: String,
    x: String,
}

/// Makes whatever is missing of a deployment's keys.
pub fn provision(dir: &Path, services: &[&str], env: &Env) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let jwt = signing_key(&dir.join("jwt.key"), env)?;
    write_jwks(&dir.join("jwks.json"), &[(key_id(&jwt.verifying_key()), jwt.verifying_key())])?;
    let mut public = Vec::new();
    for service in services {
        let key = signing_key(&dir.join(format!("service-{service}.key")), env)?;
        public.push(((*service).to_owned(), key.verifying_key()));
        create(&dir.join(format!("{service}.secret")), || env.random::<32>().to_vec())?;
        if *service == SEALED.0 {
            create(&dir.join(format!("{}.secret", SEALED.1)), || env.random::<32>().to_vec())?;
        }
    }
    write_jwks(&dir.join("services.json"), &public)?;
    let admin = create(&dir.join(ADMIN_TOKEN), || {
        format!("poaadmin_{}\n", hex::encode(env.random::<32>())).into_bytes()
    })?;
    // Derived, so written anew each time.
    let digest = dir.join(ADMIN_DIGEST);
    let part = digest.with_extension(format!("part-{}", std::process::id()));
    write_private(&part, format!("{}\n", hex::encode(admin_digest(&admin))).as_bytes())?;
    fs::rename(&part, &digest)
}

/// What a server knows the operator's token by.
fn admin_digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token.trim_ascii()).into()
}

/// Reads a signing key (PKCS#8 PEM), or makes it where there is none.
pub fn signing_key(path: &Path, env: &Env) -> io::Result<SigningKey> {
    let made = || {
        let key = SigningKey::from_bytes(&env.random());
        key.to_pkcs8_pem(LineEnding::LF).map(|pem| pem.as_bytes().to_vec()).unwrap_or_default()
    };
    let pem = create(path, made)?;
    let text = std::str::from_utf8(&pem).map_err(|_| unusable(path))?;
    SigningKey::from_pkcs8_pem(text).map_err(|_| unusable(path))
}

/// The id under which a token key is published: the first 16 hex digits of its SHA-256.
pub fn key_id(key: &VerifyingKey) -> String {
    hex::encode(&Sha256::digest(key.as_bytes())[..8])
}

/// Writes a key set, whole or not at all.
pub fn write_jwks(path: &Path, keys: &[(String, VerifyingKey)]) -> io::Result<()> {
    let part = path.with_extension("part");
    fs::write(&part, jwks_json(keys))?;
    fs::rename(&part, path)
}

/// A key set as JSON.
pub fn jwks_json(keys: &[(String, VerifyingKey)]) -> String {
    let keys = keys
        .iter()
        .map(|(kid, key)| Jwk {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            alg: "EdDSA".to_owned(),
            usage: "sig".to_owned(),
            kid: kid.clone(),
            x: URL_SAFE_NO_PAD.encode(key.as_bytes()),
        })
        .collect();
    serde_json::to_string_pretty(&Jwks { keys }).unwrap_or_default()
}

/// Creates a file with what `content` makes, or reads the one that is there. Two starters agree on one file.
fn create(path: &Path, content: impl FnOnce() -> Vec<u8>) -> io::Result<Vec<u8>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    if !path.exists() {
        let part = path.with_extension(format!("part-{}", std::process::id()));
        write_private(&part, &content()).map_err(named)?;
        // A hard link fails where another starter was first: then theirs counts.
        let linked = fs::hard_link(&part, path);
        fs::remove_file(&part).map_err(named)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(named(error)),
            Ok(()) | Err(_) => {}
        }
    }
    fs::read(path).map_err(named)
}

/// Writes a file that its owner alone reads.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content).and_then(|()| file.sync_all())
}

/// Reads a file that must be there.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        let hint = "run `poa-mesh init` to make a deployment's keys";
        io::Error::new(error.kind(), format!("{}: {error}; {hint}", path.display()))
    })
}

/// The 32 bytes of `NAME.secret`.
fn read_secret(dir: &Path, name: &str) -> io::Result<[u8; 32]> {
    let path = dir.join(format!("{name}.secret"));
    read(&path)?.try_into().map_err(|_| unusable(&path))
}

fn unusable(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} holds no usable key", path.display()))
}

// === impl Keyring ===

impl Keyring {
    /// Opens the keys of one service. Everything must be there: see [`provision`].
    pub fn open(dir: &Path, service: &'static str, audience: &str, env: &Env) -> io::Result<Self> {
        let read = |name: String| read(&dir.join(name));
        let key_file = format!("service-{service}.key");
        let pem = read(key_file.clone())?;
        let signing_key = std::str::from_utf8(&pem)
            .ok()
            .and_then(|text| SigningKey::from_pkcs8_pem(text).ok())
            .ok_or_else(|| unusable(&dir.join(key_file)))?;
        let secret = read_secret(dir, service)?;
        // The token itself where it is there, as in a folder that all share: it is what an operator replaces.
        let token = dir.join(ADMIN_TOKEN);
        let admin_digest = if token.exists() {
            admin_digest(&read(ADMIN_TOKEN.to_owned())?)
        } else {
            let digest = hex::decode(read(ADMIN_DIGEST.to_owned())?.trim_ascii());
            let digest = digest.ok().and_then(|digest| digest.try_into().ok());
            digest.ok_or_else(|| unusable(&dir.join(ADMIN_DIGEST)))?
        };
        Ok(Self {
            service,
            audience: audience.to_owned(),
            env: env.clone(),
            signing_key,
            secret,
            admin_digest,
            access_keys: Published::new(dir.join("jwks.json")),
            service_keys: Published::new(dir.join("services.json")),
            tokens: Mutex::new(Vec::new()),
            dir: dir.to_owned(),
        })
    }

    /// The folder of the keys, for what a service keeps beside them.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The deployment's audience.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The service's own 32 secret bytes, for page tokens and derived secrets.
    pub fn secret(&self) -> [u8; 32] {
        self.secret
    }

    /// The 32 bytes of the secret that seals preimages, which escrow alone has.
    pub fn preimage_secret(&self) -> io::Result<[u8; 32]> {
        read_secret(&self.dir, SEALED.1)
    }

    /// Checks an account's access token.
    pub fn verify_access(&self, token: &str) -> Result<Principal, Error> {
        let (kid, kind) = token::peek(token)?;
        if kind != token::Kind::Access {
            return Err(Error::CredentialsInvalid { problem: "a service's, not an account's" });
        }
        let key =
            self.access_keys.find(&kid).ok_or(Error::CredentialsInvalid { problem: "of an unknown key" })?;
        token::verify_access(token, &key, &self.audience, self.env.now())
    }

    /// Checks another service's token; answers with its name.
    pub fn verify_service(&self, token: &str) -> Result<String, Error> {
        let (kid, kind) = token::peek(token)?;
        if kind != token::Kind::Service {
            return Err(Error::CredentialsInvalid { problem: "an account's, not a service's" });
        }
        let key =
            self.service_keys.find(&kid).ok_or(Error::CredentialsInvalid { problem: "of an unknown key" })?;
        token::verify_service(token, &key, &kid, self.service, self.env.now())
    }

    /// Whether a token is the operator's. Compares digests, so that time tells nothing of the secret.
    pub fn is_admin(&self, token: &str) -> bool {
        admin_digest(token.as_bytes()) == self.admin_digest
    }

    /// A token for calls to another service, made anew shortly before the last one ends.
    pub(crate) fn service_token(&self, callee: &'static str) -> Result<String, Error> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = token::SERVICE_LIFETIME.saturating_sub(SERVICE_TOKEN_MARGIN);
        // By the wall clock, which the callee reads too: after a jump, either way, the old token is worth nothing.
        let now = self.env.now();
        let is_fresh = |made: Timestamp| made <= now && now - made < fresh;
        if let Some((_, token, _)) = tokens.iter().find(|(name, _, made)| *name == callee && is_fresh(*made))
        {
            return Ok(token.clone());
        }
        let token = token::sign_service(&self.signing_key, self.service, callee, now)?;
        tokens.retain(|(name, _, _)| *name != callee);
        tokens.push((callee, token.clone(), now));
        Ok(token)
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring")
            .field("service", &self.service)
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

// === impl Published ===

impl Published {
    fn new(path: PathBuf) -> Self {
        Self { path, keys: RwLock::new(Vec::new()), read_at: Mutex::new(None) }
    }

    /// The key of an id; an unknown id makes us look at the file again, at most once a second.
    fn find(&self, kid: &str) -> Option<VerifyingKey> {
        self.known(kid).or_else(|| {
            self.reload();
            self.known(kid)
        })
    }

    fn known(&self, kid: &str) -> Option<VerifyingKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().find(|(id, _)| id == kid).map(|(_, key)| *key)
    }

    fn reload(&self) {
        let mut read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        if read_at.is_some_and(|at| at.elapsed() < RELOAD_EVERY) {
            return;
        }
        *read_at = Some(Instant::now());
        match read_jwks(&self.path) {
            Ok(keys) => *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys,
            Err(error) => tracing::error!(file = %self.path.display(), %error, "cannot read the key set"),
        }
    }
}

fn read_jwks(path: &Path) -> io::Result<Vec<(String, VerifyingKey)>> {
    let jwks: Jwks = serde_json::from_slice(&fs::read(path)?)?;
    let usable = jwks.keys.into_iter().filter_map(|jwk| {
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(&jwk.x).ok()?.try_into().ok()?;
        Some((jwk.kid, VerifyingKey::from_bytes(&bytes).ok()?))
    });
    Ok(usable.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_knows_the_operators_token_by_its_digest_and_without_either_does_not_start() {
        let (folder, env) = (tempfile::tempdir().unwrap(), crate::system::system_env());
        provision(folder.path(), &["auth"], &env).unwrap();
        let token = fs::read_to_string(folder.path().join(ADMIN_TOKEN)).unwrap();
        fs::remove_file(folder.path().join(ADMIN_TOKEN)).unwrap();
        let open = || Keyring::open(folder.path(), "auth", "test", &env);
        let keyring = open().unwrap();
        assert!(keyring.is_admin(token.trim()));
        assert!(!keyring.is_admin("poaadmin_00"));
        fs::write(folder.path().join(ADMIN_DIGEST), "00").unwrap();
        assert!(open().unwrap_err().to_string().contains(ADMIN_DIGEST));
        fs::remove_file(folder.path().join(ADMIN_DIGEST)).unwrap();
        assert!(open().unwrap_err().to_string().contains(ADMIN_DIGEST));
    }

    #[test]
    fn another_token_written_by_the_operator_counts_at_once_and_for_the_digest_from_the_next_init_on() {
        let (folder, env) = (tempfile::tempdir().unwrap(), crate::system::system_env());
        provision(folder.path(), &["auth"], &env).unwrap();
        fs::write(folder.path().join(ADMIN_TOKEN), "another secret\n").unwrap();
        let knows = || Keyring::open(folder.path(), "auth", "test", &env).unwrap().is_admin("another secret");
        assert!(knows());
        provision(folder.path(), &["auth"], &env).unwrap();
        fs::remove_file(folder.path().join(ADMIN_TOKEN)).unwrap();
        assert!(knows());
    }
}
