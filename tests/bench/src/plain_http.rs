//! HTTP/1.1 with connections that are kept: the client of the monolith, of `/metrics`, and below grpc-web.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Failure;

/// A client that keeps its connections.
pub(crate) type Pool<B> = Client<HttpConnector, B>;

/// A client without connections yet.
pub(crate) fn pool<B>() -> Pool<B>
where
    B: http_body::Body + Send,
    B::Data: Send,
{
    let mut connector = HttpConnector::new();
    // Small messages must not wait for an acknowledgement (Nagle).
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// The body of an answer with status 200.
pub(crate) async fn get(address: &str, path: &str) -> Result<String, Failure> {
    let request = http::Request::get(format!("http://{address}{path}")).body(Full::new(Bytes::new()))?;
    let answer = pool().request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if status != http::StatusCode::OK {
        return Err(format!("{path}: {status}").into());
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Sends JSON with a bearer token and reads the JSON of an answer with status 2xx.
pub(crate) async fn post<A: DeserializeOwned>(
    client: &Pool<Full<Bytes>>,
    uri: String,
    token: &str,
    body: &impl Serialize,
) -> Result<A, Failure> {
    let request = http::Request::post(uri)
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(http::header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Full::new(Bytes::from(serde_json::to_vec(body)?)))?;
    let answer = client.request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(serde_json::from_slice(&body)?)
}
