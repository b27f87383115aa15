//! What one account keeps on this machine: its session, its trust root, its agent's key. Files are the owner's alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use poa_sdk::receipts::TrustRoot;
use poa_sdk::{SessionTokens, StoreError, StoreGuard, TokenStore};
use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};

/// Bytes of a profile's name: it is a folder's name.
const MAX_NAME_BYTES: usize = 64;

/// A profile's folder.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    folder: PathBuf,
}

/// Who is signed in, and where.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignedInFile {
    /// The tokens are shown to this server and no other.
    pub(crate) endpoint: String,
    pub(crate) username: String,
    pub(crate) account_id: String,
    pub(crate) tokens: SessionTokens,
}

// === impl Profile ===

impl Profile {
    /// The profile of a name below a home.
    pub(crate) fn new(home: Option<&Path>, name: &str) -> Result<Self, Failure> {
        let sound = (1..=MAX_NAME_BYTES).contains(&name.len())
            && !name.starts_with('.')
            && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if !sound {
            let message = format!("`{name}` is not a profile's name: letters, digits, `-`, `_` and `.`");
            return Err(Failure::new(Exit::Usage, message));
        }
        let home = home.map(Path::to_owned).or_else(default_home).ok_or_else(|| {
            Failure::new(Exit::Usage, "neither HOME nor XDG_CONFIG_HOME is set")
                .hint("say where with --home DIR")
        })?;
        Ok(Self { folder: home.join(name) })
    }

    /// The session, if somebody is signed in.
    pub(crate) fn signed_in(&self) -> Result<Option<SignedInFile>, Failure> {
        self.read_signed_in().map_err(|error| {
            Failure::new(Exit::NotSignedIn, format!("{}: {error}", self.session_path().display()))
                .hint("run `poa login`")
        })
    }

    pub(crate) fn save_signed_in(&self, file: &SignedInFile) -> Result<(), Failure> {
        let path = self.session_path();
        self.write_signed_in(file).map_err(|error| Failure::file(&path, &error))
    }

    pub(crate) fn forget_signed_in(&self) -> Result<(), Failure> {
        let path = self.session_path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::file(&path, &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The pinned trust root, if there is one.
    pub(crate) fn trust_root(&self) -> Result<Option<TrustRoot>, Failure> {
        let path = self.trust_root_path();
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(TrustRoot::from_json(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::file(&path, &error)),
        }
    }

    pub(crate) fn save_trust_root(&self, root: &TrustRoot) -> Result<(), Failure> {
        let path = self.trust_root_path();
        self.write(&path, &root.to_json()?).map_err(|error| Failure::file(&path, &error))
    }

    pub(crate) fn trust_root_path(&self) -> PathBuf {
        self.folder.join("trust-root.json")
    }

    /// The key that `agent` commands use where none is named.
    pub(crate) fn agent_key_path(&self) -> PathBuf {
        self.folder.join("agent.pem")
    }

    /// What `log audit` remembers.
    pub(crate) fn audit_path(&self) -> PathBuf {
        self.folder.join("audit")
    }

    /// Makes the folder, for files that are written elsewhere in the program.
    pub(crate) fn make_folder(&self) -> Result<(), Failure> {
        self.make().map_err(|error| Failure::file(&self.folder, &error))
    }

    /// The folder and the files in it that are nobody else's.
    pub(crate) fn private_paths(&self) -> [PathBuf; 3] {
        [self.folder.clone(), self.session_path(), self.agent_key_path()]
    }

    fn session_path(&self) -> PathBuf {
        self.folder.join("session.json")
    }

    fn read_signed_in(&self) -> io::Result<Option<SignedInFile>> {
        match fs::read(self.session_path()) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write_signed_in(&self, file: &SignedInFile) -> io::Result<()> {
        self.write(&self.session_path(), &serde_json::to_vec_pretty(file)?)
    }

    fn make(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.folder)
    }

    /// Writes beside the file and renames, so that a crash leaves the old or the new one.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.make()?;
        // Its file is the owner's alone from the start.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map(|_| ()).map_err(|error| error.error)
    }
}

impl TokenStore for Profile {
    fn lock(&self) -> Result<StoreGuard, StoreError> {
        let open = || -> io::Result<File> {
            self.make()?;
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(self.folder.join("session.lock"))?;
            file.lock()?;
            Ok(file)
        };
        let file = open().map_err(|error| StoreError(error.to_string()))?;
        Ok(Box::new(file))
    }

    fn load(&self) -> Result<Option<SessionTokens>, StoreError> {
        let file = self.read_signed_in().map_err(|error| StoreError(error.to_string()))?;
        Ok(file.map(|file| file.tokens))
    }

    fn save(&self, tokens: &SessionTokens) -> Result<(), StoreError> {
        let kept = self.read_signed_in().map_err(|error| StoreError(error.to_string()))?;
        // Signed out meanwhile: the tokens are not brought back.
        let Some(kept) = kept else { return Ok(()) };
        let file = SignedInFile { tokens: tokens.clone(), ..kept };
        self.write_signed_in(&file).map_err(|error| StoreError(error.to_string()))
    }
}

/// `$XDG_CONFIG_HOME/proof-of-agent`, else `~/.config/proof-of-agent`.
fn default_home() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    config.map(|config| config.join("proof-of-agent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(access: &str) -> SessionTokens {
        let json = serde_json::json!({
            "accessToken": access, "accessExpireTime": 1_900_000_000_000_i64,
            "refreshToken": "r", "refreshExpireTime": 1_900_000_000_000_i64, "sessionId": "sess_1",
        });
        serde_json::from_value(json).unwrap()
    }

    fn signed_in() -> SignedInFile {
        SignedInFile {
            endpoint: "http://localhost:3000".to_owned(),
            username: "alice".to_owned(),
            account_id: "acct_1".to_owned(),
            tokens: tokens("a"),
        }
    }

    #[test]
    fn a_session_survives_its_file_which_is_the_owners_alone() {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile::new(Some(home.path()), "alice").unwrap();
        assert!(profile.signed_in().unwrap().is_none());
        profile.save_signed_in(&signed_in()).unwrap();
        assert_eq!(profile.signed_in().unwrap().unwrap().username, "alice");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&profile.session_path()), 0o600);
            assert_eq!(mode(&profile.folder), 0o700);
        }
        profile.forget_signed_in().unwrap();
        profile.forget_signed_in().unwrap();
        assert!(profile.signed_in().unwrap().is_none());
    }

    #[test]
    fn renewed_tokens_are_kept_and_not_brought_back_after_signing_out() {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile::new(Some(home.path()), "alice").unwrap();
        profile.save_signed_in(&signed_in()).unwrap();
        let guard = profile.lock().unwrap();
        profile.save(&tokens("b")).unwrap();
        drop(guard);
        assert_eq!(profile.load().unwrap(), Some(tokens("b")));
        profile.forget_signed_in().unwrap();
        profile.save(&tokens("c")).unwrap();
        assert_eq!(profile.load().unwrap(), None);
    }

    #[test]
    fn a_name_that_leaves_the_home_is_refused() {
        for name in ["", "..", "../x", "a/b", ".hidden"] {
            assert!(Profile::new(Some(Path::new("/tmp")), name).is_err(), "{name}");
        }
    }
}
