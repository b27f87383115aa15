//! One request and one bounded answer. Nothing here knows what an answer means.

use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};

/// An answer about one thing. The longest real one is an invoice with its hints, below 4 KiB.
pub(super) const ONE: usize = 64 << 10;
/// An answer of a page of rows, each with its invoice.
pub(super) const PAGE: usize = 16 << 20;

/// Whether connections are kept for the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    /// They are.
    Connections,
    /// Each request makes its own: one that fails to connect was certainly not sent.
    Nothing,
}

/// A client of one phoenixd, with one of its passwords.
#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    base: Url,
    password: SecretString,
    timeout: Duration,
}

/// An answer, whatever it says.
pub(super) struct Reply {
    /// Its status.
    pub(super) status: StatusCode,
    /// All of its body.
    pub(super) body: Vec<u8>,
}

/// Why there is no answer. Says neither address nor body.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// There was no connection: the request was certainly not sent.
    #[error("phoenixd cannot be reached")]
    NotReached(#[source] reqwest::Error),
    /// The request may have been carried out.
    #[error("phoenixd did not answer")]
    Broken(#[source] reqwest::Error),
    /// The answer is longer than any real one.
    #[error("phoenixd's answer is longer than {limit} bytes")]
    TooLong {
        /// What was read at most.
        limit: usize,
    },
}

// === impl Http ===

impl Http {
    pub(super) fn new(
        client: reqwest::Client,
        base: Url,
        password: &SecretString,
        timeout: Duration,
    ) -> Self {
        Self { client, base, password: password.clone(), timeout }
    }

    /// Asks. The path is relative, and has nothing in it that needs escaping.
    pub(super) async fn get(&self, path: &str, limit: usize) -> Result<Reply, HttpError> {
        let request = self.client.get(self.url(path)).timeout(self.timeout);
        self.send(request, limit).await
    }

    /// Sends a form whose values need no escaping, and waits so long at most.
    pub(super) async fn post(&self, path: &str, form: String, timeout: Duration) -> Result<Reply, HttpError> {
        let form = self
            .client
            .post(self.url(path))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .body(form)
            .timeout(timeout);
        self.send(form, ONE).await
    }

    /// How long an answer may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        url
    }

    async fn send(&self, request: RequestBuilder, limit: usize) -> Result<Reply, HttpError> {
        // phoenixd looks at the password and ignores the name. reqwest keeps the header out of what it prints.
        let request = request.basic_auth("", Some(self.password.expose_secret()));
        let mut response = request.send().await.map_err(HttpError::from)?;
        let status = response.status();
        let mut body = Vec::new();
        // What the server says of the length is not believed.
        while let Some(chunk) = response.chunk().await.map_err(HttpError::from)? {
            if chunk.len() > limit - body.len() {
                return Err(HttpError::TooLong { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, body })
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Http").field(&self.base.as_str()).finish()
    }
}

// === impl HttpError ===

impl HttpError {
    /// Whether the request certainly never left.
    pub(super) fn certainly_not_sent(&self) -> bool {
        match self {
            Self::NotReached(_) => true,
            Self::Broken(_) | Self::TooLong { .. } => false,
        }
    }
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() { Self::NotReached(error) } else { Self::Broken(error) }
    }
}
