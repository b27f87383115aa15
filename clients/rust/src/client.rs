//! The connection to a mesh, and a signed-in user of it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use poa_common::Env;
use poa_proto::auth::v1::auth_service_client::AuthServiceClient;
use poa_proto::auth::v1::{
    Account, GetServerInfoRequest, GetServerInfoResponse, LoginRequest, LogoutRequest, RegisterRequest,
};
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};
use zeroize::Zeroizing;

use crate::calls::RequestId;
use crate::credentials::{Credentials, SessionTokens, TokenStore};
use crate::endpoint::{Endpoint, EndpointError};
use crate::env::system_env;
use crate::error::Error;
use crate::retry::Attempts;

/// The time of one attempt of a call: more than the server's own limit of ten seconds, so that the server's answer,
/// which says more, comes first.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection to a mesh. Cheap to clone; all clones share one HTTP/2 connection.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    env: Env,
    /// The address, where what is sent there can be read on the way.
    in_clear: Option<Arc<str>>,
}

/// A signed-in user of a mesh. Cheap to clone; all clones share their tokens.
#[derive(Clone)]
pub struct Session {
    client: Client,
    credentials: Arc<Credentials>,
}

/// What signing up or in gives.
#[derive(Debug)]
pub struct SignedIn {
    /// The account.
    pub account: Account,
    /// Its session, ready for [`Client::session`].
    pub tokens: SessionTokens,
}

// === impl Client ===

impl Client {
    /// A client of the mesh at an address. It connects with its first call.
    pub fn connect(endpoint: impl Into<Endpoint>) -> Result<Self, Error> {
        Self::connect_with(endpoint, system_env())
    }

    /// The same with a clock and entropy of the caller's. Must be called inside a tokio runtime.
    pub fn connect_with(endpoint: impl Into<Endpoint>, env: Env) -> Result<Self, Error> {
        let endpoint = endpoint.into();
        let channel = endpoint.channel()?;
        let in_clear = endpoint.is_in_clear().then(|| endpoint.uri().into());
        Ok(Self { channel, env, in_clear })
    }

    /// The clock and the entropy in use.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// A channel to every service.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Whether passwords, keys and tokens may be sent to this mesh; every call that carries one asks. A program that
    /// lets a person type one asks before.
    ///
    /// # Errors
    /// The address is http and of another machine, and was not declared [`Endpoint::insecure`].
    pub fn check_secrets(&self) -> Result<(), Error> {
        match &self.in_clear {
            Some(uri) => Err(EndpointError::InClear { uri: uri.to_string() }.into()),
            None => Ok(()),
        }
    }

    /// Makes an account and signs it in.
    pub async fn register(&self, request: RegisterRequest) -> Result<SignedIn, Error> {
        self.check_secrets()?;
        let call = |channel, request| async move { AuthServiceClient::new(channel).register(request).await };
        let answer = self.mutate(None, request, call).await?;
        Self::signed_in(answer.account, answer.tokens)
    }

    /// Signs in.
    pub async fn login(&self, username: &str, password: &str) -> Result<SignedIn, Error> {
        self.check_secrets()?;
        let request = LoginRequest {
            request_id: String::new(),
            username: username.to_owned(),
            password: password.to_owned(),
        };
        let call = |channel, request| async move { AuthServiceClient::new(channel).login(request).await };
        let answer = self.mutate(None, request, call).await?;
        Self::signed_in(answer.account, answer.tokens)
    }

    fn signed_in(
        account: Option<Account>,
        tokens: Option<poa_proto::auth::v1::Tokens>,
    ) -> Result<SignedIn, Error> {
        let account = account.ok_or_else(|| Error::Contract("the account is missing".to_owned()))?;
        Ok(SignedIn { account, tokens: SessionTokens::from_answer(tokens)? })
    }

    /// A session from its tokens. With a store, renewed tokens are kept there.
    pub fn session(&self, tokens: SessionTokens, store: Option<Arc<dyn TokenStore>>) -> Session {
        Session { client: self.clone(), credentials: Arc::new(Credentials::session(tokens, store)) }
    }

    /// A session that shows an API key (`poak_…`).
    pub fn with_api_key(&self, key: impl Into<String>) -> Session {
        let key = Zeroizing::new(key.into());
        Session { client: self.clone(), credentials: Arc::new(Credentials::ApiKey(key)) }
    }

    /// What a client must know of the server: network, fee, limits and keys.
    pub async fn server_info(&self) -> Result<GetServerInfoResponse, Error> {
        let call =
            |channel, request| async move { AuthServiceClient::new(channel).get_server_info(request).await };
        self.read(None, GetServerInfoRequest {}, call).await
    }

    /// Ends the session of these tokens. Ending an ended one is fine.
    pub async fn logout(&self, tokens: &SessionTokens) -> Result<(), Error> {
        self.check_secrets()?;
        let request = LogoutRequest { refresh_token: tokens.refresh_token().to_owned() };
        let call = |channel, request| async move { AuthServiceClient::new(channel).logout(request).await };
        self.read(None, request, call).await.map(|_| ())
    }

    /// Calls a method that changes something: the request id is filled in where the caller left it empty, and stays the
    /// same over all attempts, so that nothing happens twice.
    pub(crate) async fn mutate<Q, A, F, Fut>(
        &self,
        credentials: Option<&Credentials>,
        mut request: Q,
        send: F,
    ) -> Result<A, Error>
    where
        Q: RequestId + Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        if request.request_id().is_empty() {
            *request.request_id() = new_request_id(&self.env);
        }
        self.read(credentials, request, send).await
    }

    /// Calls a method that is safe to repeat.
    pub(crate) async fn read<Q, A, F, Fut>(
        &self,
        credentials: Option<&Credentials>,
        request: Q,
        send: F,
    ) -> Result<A, Error>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        self.call(credentials, CALL_TIMEOUT, request, send).await
    }

    /// One call: attempts while the server is unavailable, and one renewal of a refused token.
    pub(crate) async fn call<Q, A, F, Fut>(
        &self,
        credentials: Option<&Credentials>,
        timeout: Duration,
        request: Q,
        send: F,
    ) -> Result<A, Error>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let mut attempts = Attempts::default();
        let mut renewed = false;
        loop {
            let mut message = Request::new(request.clone());
            message.set_timeout(timeout);
            let shown = self.authorise(credentials, &mut message).await?;
            let error = match send(self.channel.clone(), message).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => Error::from(status),
            };
            if error.is_stale_token() && !renewed && self.replaced(credentials, &shown).await? {
                renewed = true;
                continue;
            }
            match attempts.after(&error, &self.env) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    /// Opens a stream once; the caller opens it again.
    pub(crate) async fn open<Q, A, F, Fut>(
        &self,
        credentials: Option<&Credentials>,
        request: Q,
        send: F,
    ) -> Result<Streaming<A>, Error>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<Streaming<A>>, Status>>,
    {
        let mut renewed = false;
        loop {
            let mut message = Request::new(request.clone());
            let shown = self.authorise(credentials, &mut message).await?;
            let opening = tokio::time::timeout(CALL_TIMEOUT, send(self.channel.clone(), message)).await;
            let error = match opening {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => Error::from(status),
                Err(_) => Error::from(Status::deadline_exceeded("the stream did not open in time")),
            };
            if renewed || !error.is_stale_token() || !self.replaced(credentials, &shown).await? {
                return Err(error);
            }
            renewed = true;
        }
    }

    async fn authorise<Q>(
        &self,
        credentials: Option<&Credentials>,
        message: &mut Request<Q>,
    ) -> Result<Zeroizing<String>, Error> {
        let Some(credentials) = credentials else { return Ok(Zeroizing::default()) };
        self.check_secrets()?;
        let bearer = credentials.bearer(self).await?;
        let header = Zeroizing::new(format!("Bearer {}", bearer.as_str()));
        let mut value = tonic::metadata::MetadataValue::try_from(header.as_str()).map_err(|_| {
            Error::from(Status::unauthenticated("the API key or token holds characters that cannot be sent"))
        })?;
        value.set_sensitive(true);
        message.metadata_mut().insert("authorization", value);
        Ok(bearer)
    }

    async fn replaced(&self, credentials: Option<&Credentials>, refused: &str) -> Result<bool, Error> {
        match credentials {
            Some(credentials) => credentials.replace(refused, self).await,
            None => Ok(false),
        }
    }
}

// === impl Session ===

impl Session {
    /// The connection below.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The tokens as they are now; `None` where an API key is in use.
    pub async fn tokens(&self) -> Option<SessionTokens> {
        self.credentials.tokens().await
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        Some(&self.credentials)
    }
}

/// A UUIDv4: unguessable, and it says nothing of when or where.
pub(crate) fn new_request_id(env: &Env) -> String {
    uuid::Builder::from_random_bytes(env.random()).into_uuid().hyphenated().to_string()
}
