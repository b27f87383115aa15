//! What a signed-in client shows with each call: an API key, or a session that renews itself.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use poa_common::{Env, Timestamp};
use poa_proto::auth::v1::Tokens;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OwnedMutexGuard};
use zeroize::Zeroizing;

use crate::client::Client;
use crate::error::Error;
use crate::times::from_time;

/// How long before its end an access token is renewed: more than a call takes and clocks differ.
const RENEW_BEFORE: time::Duration = time::Duration::seconds(45);

/// The tokens of one session. Its `Debug` shows none of them; its JSON does, so that a program can keep them in a
/// file that nobody else reads.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionTokens {
    access_token: String,
    #[serde(with = "time::serde::timestamp::milliseconds")]
    access_expire_time: Timestamp,
    refresh_token: String,
    #[serde(with = "time::serde::timestamp::milliseconds")]
    refresh_expire_time: Timestamp,
    session_id: String,
}

/// Where a program keeps its session between two runs. Several processes may share one store: a refresh happens under
/// its lock, and whoever comes second takes what the first has saved.
pub trait TokenStore: Send + Sync + 'static {
    /// Takes the store's lock, waiting for it. Dropping the guard frees it. Called on a thread that may block.
    fn lock(&self) -> Result<StoreGuard, StoreError>;

    /// Reads what is kept; `None` where somebody signed out meanwhile.
    fn load(&self) -> Result<Option<SessionTokens>, StoreError>;

    /// Keeps the successor.
    fn save(&self, tokens: &SessionTokens) -> Result<(), StoreError>;
}

/// A store's lock, freed when dropped.
pub type StoreGuard = Box<dyn Any + Send>;

/// A session could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[error("the session cannot be kept: {0}")]
pub struct StoreError(pub String);

/// What goes into the `authorization` header.
pub(crate) enum Credentials {
    ApiKey(Zeroizing<String>),
    Session(Renewing),
}

/// A session whose tokens are renewed by one caller at a time.
pub(crate) struct Renewing {
    current: Arc<Mutex<SessionTokens>>,
    store: Option<Arc<dyn TokenStore>>,
}

// === impl SessionTokens ===

impl SessionTokens {
    /// Takes the tokens out of an answer.
    pub(crate) fn from_answer(tokens: Option<Tokens>) -> Result<Self, Error> {
        let missing = || Error::Contract("the tokens are incomplete".to_owned());
        let tokens = tokens.ok_or_else(missing)?;
        let time =
            |time: Option<prost_types::Timestamp>| time.as_ref().and_then(from_time).ok_or_else(missing);
        if tokens.access_token.is_empty() || tokens.refresh_token.is_empty() {
            return Err(missing());
        }
        Ok(Self {
            access_expire_time: time(tokens.access_expire_time)?,
            refresh_expire_time: time(tokens.refresh_expire_time)?,
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            session_id: tokens.session_id,
        })
    }

    /// The session's id.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// When the session ends unless it is used before.
    pub fn refresh_expire_time(&self) -> Timestamp {
        self.refresh_expire_time
    }

    pub(crate) fn refresh_token(&self) -> &str {
        &self.refresh_token
    }

    fn is_fresh(&self, env: &Env) -> bool {
        self.access_expire_time - RENEW_BEFORE > env.now()
    }
}

impl fmt::Debug for SessionTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTokens").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}

// === impl Credentials ===

impl Credentials {
    pub(crate) fn session(tokens: SessionTokens, store: Option<Arc<dyn TokenStore>>) -> Self {
        Self::Session(Renewing { current: Arc::new(Mutex::new(tokens)), store })
    }

    /// What to show now: a session's access token is renewed first where it is about to end.
    pub(crate) async fn bearer(&self, client: &Client) -> Result<Zeroizing<String>, Error> {
        match self {
            Self::ApiKey(key) => Ok(key.clone()),
            Self::Session(session) => {
                let mut current = session.lock().await;
                if !current.is_fresh(client.env()) {
                    current = session.renew(current, client).await?;
                }
                Ok(Zeroizing::new(current.access_token.clone()))
            }
        }
    }

    /// Whether there is something newer to show than `refused`, after the server did not want that.
    pub(crate) async fn replace(&self, refused: &str, client: &Client) -> Result<bool, Error> {
        match self {
            Self::ApiKey(_) => Ok(false),
            Self::Session(session) => {
                let mut current = session.lock().await;
                if current.access_token == refused {
                    current = session.renew(current, client).await?;
                }
                Ok(current.access_token != refused)
            }
        }
    }

    /// The tokens as they are now; `None` for an API key.
    pub(crate) async fn tokens(&self) -> Option<SessionTokens> {
        match self {
            Self::ApiKey(_) => None,
            Self::Session(session) => Some(session.lock().await.clone()),
        }
    }
}

// === impl Renewing ===

impl Renewing {
    async fn lock(&self) -> OwnedMutexGuard<SessionTokens> {
        Arc::clone(&self.current).lock_owned().await
    }

    /// Renews the tokens, on a task of its own: a caller that is dropped meanwhile would lose the successor, and the
    /// next one would show a spent token, which ends the session.
    async fn renew(
        &self,
        mut current: OwnedMutexGuard<SessionTokens>,
        client: &Client,
    ) -> Result<OwnedMutexGuard<SessionTokens>, Error> {
        let (store, client) = (self.store.clone(), client.clone());
        let renewing = tokio::spawn(async move {
            trade(&mut current, store, &client).await?;
            Ok(current)
        });
        renewing.await.map_err(|error| StoreError(error.to_string()))?
    }
}

/// Trades the refresh token, unless another process that shares the store has done so.
async fn trade(
    current: &mut SessionTokens,
    store: Option<Arc<dyn TokenStore>>,
    client: &Client,
) -> Result<(), Error> {
    let Some(store) = store else {
        *current = client.refresh(current.refresh_token()).await?;
        return Ok(());
    };
    let lock = Arc::clone(&store);
    let guard = tokio::task::spawn_blocking(move || lock.lock())
        .await
        .map_err(|error| StoreError(error.to_string()))??;
    let kept = store.load()?.ok_or_else(|| StoreError("somebody signed out meanwhile".to_owned()))?;
    if kept != *current && kept.is_fresh(client.env()) {
        *current = kept;
    } else {
        *current = client.refresh(kept.refresh_token()).await?;
        store.save(current)?;
    }
    drop(guard);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stay_out_of_debug_output_and_survive_their_json() {
        let time = Some(prost_types::Timestamp { seconds: 1_900_000_000, nanos: 0 });
        let tokens = SessionTokens::from_answer(Some(Tokens {
            access_token: "secret-a".to_owned(),
            access_expire_time: time,
            refresh_token: "secret-r".to_owned(),
            refresh_expire_time: time,
            session_id: "sess_1".to_owned(),
        }))
        .unwrap();
        assert!(!format!("{tokens:?}").contains("secret"));
        let json = serde_json::to_string(&tokens).unwrap();
        assert_eq!(serde_json::from_str::<SessionTokens>(&json).unwrap(), tokens);
    }

    #[test]
    fn incomplete_tokens_are_refused() {
        assert!(SessionTokens::from_answer(None).is_err());
        assert!(SessionTokens::from_answer(Some(Tokens::default())).is_err());
    }
}
