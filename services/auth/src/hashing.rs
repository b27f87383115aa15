//! Passwords: argon2id, as wide as the cores and with a short queue.
//!
//! One hash takes 64 MiB and tens of milliseconds on purpose, so a flood of sign-ins is the cheapest way to take a
//! server down. At most one hash per core runs, a few wait, and the next caller hears OVERLOADED at once: memory
//! and everybody else's latency stay bounded.

use std::sync::Arc;
use std::time::Instant;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use poa_chassis::BuildError;
use poa_common::Env;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::config::HashingConfig;
use crate::error::{Error, internal};
use crate::metrics;

/// The most requests that may wait for a hash, whatever the configuration says.
const MAX_QUEUE: usize = 32;
/// Below this memory, in KiB, a stolen table of hashes is cheap to guess: OWASP's smallest choice for argon2id.
const OWASP_MEMORY_KIB: u32 = 19_456;

/// Hashes and checks passwords.
#[derive(Clone, Debug)]
pub(crate) struct Hasher {
    params: Params,
    /// One permit per hash that runs.
    running: Arc<Semaphore>,
    /// One permit per hash that runs or waits.
    admitted: Arc<Semaphore>,
    /// The hash that is checked where there is no account: no password fits it.
    stand_in: Arc<str>,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether it is the password.
    pub(crate) matches: bool,
    /// Whether the stored hash has other parameters than a new one would.
    pub(crate) outdated: bool,
}

// === impl Hasher ===

impl Hasher {
    /// A hasher; computes one hash, so that wrong parameters show at start.
    pub(crate) fn new(config: &HashingConfig, env: &Env) -> Result<Self, BuildError> {
        let params = Params::new(config.memory_kib, config.passes, config.lanes, None)
            .map_err(|error| format!("hashing: {error}"))?;
        if config.memory_kib < OWASP_MEMORY_KIB {
            tracing::warn!(
                config.memory_kib,
                "password hashing is weaker than any deployment should have it"
            );
        }
        let cores = std::thread::available_parallelism()?.get();
        let parallel = if config.parallel == 0 { cores } else { config.parallel };
        let stand_in = compute(&params, &env.random::<32>(), &env.random())?;
        Ok(Self {
            params,
            running: Arc::new(Semaphore::new(parallel)),
            admitted: Arc::new(Semaphore::new(parallel.saturating_add(config.queue.min(MAX_QUEUE)))),
            stand_in: stand_in.into(),
        })
    }

    /// The PHC string of a new password.
    pub(crate) async fn hash(&self, password: Zeroizing<String>, salt: [u8; 16]) -> Result<String, Error> {
        let params = self.params.clone();
        self.run(move || compute(&params, password.as_bytes(), &salt)).await?.map_err(internal)
    }

    /// Checks a password against a stored hash. Without one it takes the same time and does not match.
    pub(crate) async fn verify(
        &self,
        password: Zeroizing<String>,
        stored: Option<&str>,
    ) -> Result<Verdict, Error> {
        let known = stored.is_some();
        let hash = stored.unwrap_or(&self.stand_in).to_owned();
        let params = self.params.clone();
        let verdict =
            self.run(move || check(&params, password.as_bytes(), &hash)).await?.map_err(internal)?;
        Ok(Verdict { matches: verdict.matches && known, ..verdict })
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let Ok(admission) = Arc::clone(&self.admitted).try_acquire_owned() else {
            metrics::hash_refused();
            return Err(poa_chassis::Error::Overloaded.into());
        };
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(internal)?;
        // The permits go along: a caller who hangs up does not make room before its hash has ended.
        let hashed = poa_chassis::off_thread(move || {
            let _held = (admission, turn);
            metrics::hash_began();
            let began = Instant::now();
            let done = work();
            metrics::hash_ended(began.elapsed());
            done
        });
        Ok(hashed.await?)
    }
}

fn argon2(params: &Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
}

fn compute(params: &Params, password: &[u8], salt: &[u8; 16]) -> Result<String, String> {
    let hash: PasswordHash =
        argon2(params).hash_password_with_salt(password, salt).map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

fn check(params: &Params, password: &[u8], stored: &str) -> Result<Verdict, String> {
    let hash = PasswordHash::new(stored).map_err(|error| format!("a stored password hash: {error}"))?;
    let stored = Params::try_from(&hash).map_err(|error| format!("a stored password hash: {error}"))?;
    let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
    let matches = match argon2(params).verify_password(password, &hash) {
        Ok(()) => true,
        Err(argon2::password_hash::Error::PasswordInvalid) => false,
        Err(error) => return Err(error.to_string()),
    };
    Ok(Verdict { matches, outdated: cost(&stored) != cost(params) })
}

#[cfg(test)]
mod tests {
    use super::*;

    use poa_common::ServiceError as _;

    fn hasher(parallel: usize, queue: usize) -> Hasher {
        let config = HashingConfig { memory_kib: 8, passes: 1, parallel, queue, ..HashingConfig::default() };
        Hasher::new(&config, &poa_testkit::env(1).0).unwrap()
    }

    fn password(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_alone() {
        let hasher = hasher(1, 1);
        let hash = hasher.hash(password("correct horse"), [7; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        let good = hasher.verify(password("correct horse"), Some(&hash)).await.unwrap();
        assert_eq!(good, Verdict { matches: true, outdated: false });
        assert!(!hasher.verify(password("correct house"), Some(&hash)).await.unwrap().matches);
        assert!(!hasher.verify(password("correct horse"), None).await.unwrap().matches);
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_still_matches_and_is_outdated() {
        let hash = hasher(1, 1).hash(password("correct horse"), [7; 16]).await.unwrap();
        let config = HashingConfig { memory_kib: 16, passes: 2, ..HashingConfig::default() };
        let stronger = Hasher::new(&config, &poa_testkit::env(2).0).unwrap();
        let verdict = stronger.verify(password("correct horse"), Some(&hash)).await.unwrap();
        assert_eq!(verdict, Verdict { matches: true, outdated: true });
    }

    #[tokio::test]
    async fn one_more_than_the_queue_holds_is_refused_at_once_and_the_others_are_served() {
        let hasher = hasher(1, MAX_QUEUE);
        // The one core is taken, by a test that holds its permits.
        let turn = Arc::clone(&hasher.running).acquire_owned().await.unwrap();
        let admission = Arc::clone(&hasher.admitted).acquire_owned().await.unwrap();
        let waiting: Vec<_> = (0..MAX_QUEUE)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { hasher.hash(password("correct horse"), [7; 16]).await })
            })
            .collect();
        poa_testkit::eventually(std::time::Duration::from_secs(10), "the queue is full", async || {
            hasher.admitted.available_permits() == 0
        })
        .await;
        let refused = hasher.hash(password("one too many"), [7; 16]).await.unwrap_err();
        assert_eq!(refused.reason(), "OVERLOADED");
        drop((turn, admission));
        for hash in waiting {
            assert!(hash.await.unwrap().is_ok());
        }
    }

    #[tokio::test]
    async fn without_an_account_a_hash_with_the_same_parameters_is_checked_in_the_same_queue() {
        let hasher = hasher(1, 0);
        let hash = hasher.hash(password("correct horse"), [7; 16]).await.unwrap();
        let parameters = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(parameters(&hash), parameters(&hasher.stand_in));
        let _taken = Arc::clone(&hasher.admitted).acquire_owned().await.unwrap();
        let refused = hasher.verify(password("correct horse"), None).await.unwrap_err();
        assert_eq!(refused.reason(), "OVERLOADED");
    }

    #[test]
    fn the_queue_is_never_longer_than_its_bound() {
        let hasher = hasher(2, 10_000);
        assert_eq!(hasher.admitted.available_permits(), 2 + MAX_QUEUE);
    }
}
