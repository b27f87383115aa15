//! What a diagnosis asks of an address, below the API: bare HTTP over the same transport and certificates.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use poa_common::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tonic::Status;
use tonic::body::Body;
use tonic::client::GrpcService as _;
use tonic::codegen::http::{Request, header};

use crate::endpoint::Endpoint;
use crate::error::Error;

/// Bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// A message without fields, in the frame that gRPC and grpc-web put around one: a flag and a length of 0.
const EMPTY_MESSAGE: &[u8] = &[0; 5];
/// The call that needs no account.
const SERVER_INFO: &str = "/poa.auth.v1.AuthService/GetServerInfo";

/// An answer of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The server's clock, in whole seconds, where it tells.
    pub date: Option<Timestamp>,
    /// The value of `content-type`, empty where there is none.
    pub content_type: String,
    /// The body, at most 64 KiB of it.
    pub body: Vec<u8>,
}

/// Asks a path of an address over HTTP/2, such as `/readyz` of an admin port.
///
/// # Errors
/// The address is malformed, nobody answers there within `patience`, or the answer is too large.
pub async fn http_get(endpoint: Endpoint, path: &str, patience: Duration) -> Result<HttpAnswer, Error> {
    let request = Request::get(uri(&endpoint, path)).body(Body::empty()).map_err(malformed)?;
    ask(&endpoint, request, patience).await
}

/// Asks the server for its facts as a browser would, by grpc-web.
///
/// # Errors
/// As [`http_get`].
pub async fn grpc_web(endpoint: Endpoint, patience: Duration) -> Result<HttpAnswer, Error> {
    let request = Request::post(uri(&endpoint, SERVER_INFO))
        .header(header::CONTENT_TYPE, "application/grpc-web+proto")
        .header("x-grpc-web", "1")
        .body(Body::new(Full::from(EMPTY_MESSAGE)))
        .map_err(malformed)?;
    ask(&endpoint, request, patience).await
}

async fn ask(endpoint: &Endpoint, request: Request<Body>, patience: Duration) -> Result<HttpAnswer, Error> {
    let mut channel = endpoint.channel()?;
    let asking = async {
        poll_fn(|context| channel.poll_ready(context)).await.map_err(|error| unreachable(&error))?;
        let answer = channel.call(request).await.map_err(|error| unreachable(&error))?;
        let (head, body) = answer.into_parts();
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        Ok(HttpAnswer {
            status: head.status.as_u16(),
            date: OffsetDateTime::parse(text(header::DATE), &Rfc2822).ok(),
            content_type: text(header::CONTENT_TYPE).to_owned(),
            body: body.map_err(|error| unreachable(&*error))?.to_bytes().to_vec(),
        })
    };
    let late = || Error::from(Status::deadline_exceeded("the server did not answer in time"));
    tokio::time::timeout(patience, asking).await.map_err(|_| late())?
}

fn uri(endpoint: &Endpoint, path: &str) -> String {
    format!("{}{path}", endpoint.uri().trim_end_matches('/'))
}

fn malformed(error: impl std::fmt::Display) -> Error {
    Error::Contract(format!("the request cannot be made: {error}"))
}

/// The last cause says most: that nobody listens, or what is wrong with a certificate.
fn unreachable(error: &(dyn StdError + 'static)) -> Error {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    Status::unavailable(last.to_string()).into()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_address_where_nobody_listens_is_unavailable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let endpoint = Endpoint::new(format!("http://{address}"));
        let gone = http_get(endpoint, "/", Duration::from_secs(10)).await.unwrap_err();
        assert_eq!(gone.code(), Some(tonic::Code::Unavailable), "{gone}");
    }

    #[test]
    fn the_date_of_http_is_read() {
        let date = OffsetDateTime::parse("Sun, 06 Nov 1994 08:49:37 GMT", &Rfc2822).unwrap();
        assert_eq!(date.unix_timestamp(), 784_111_777);
    }
}
