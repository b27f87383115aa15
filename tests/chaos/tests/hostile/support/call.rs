//! gRPC calls by hand over a real HTTP/2 connection: any path, any headers, any bytes.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use tokio::net::TcpStream;
use tonic::Code;

/// No server may take longer over anything: its own longest unary call is ten seconds.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How often a call that met a rate limit is made again.
const ATTEMPTS: usize = 40;
/// How long it waits in between.
const PAUSE: Duration = Duration::from_millis(250);

/// One request, as hostile as the test wants it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) authority: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Vec<u8>,
    /// Whether the request's end is sent.
    pub(crate) ends: bool,
}

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The HTTP status; 0 where the stream or the connection was reset.
    pub(crate) http: u16,
    /// The gRPC code, where there is one.
    pub(crate) code: Option<Code>,
    /// The reason of `ErrorInfo`.
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Why there was no answer.
    pub(crate) reset: String,
}

/// A connection, made anew where a server closed it.
pub(crate) struct Wire {
    address: SocketAddr,
    sender: Option<SendRequest<Bytes>>,
}

/// A message with its gRPC head.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}

/// A header from a name and any bytes that a header may hold.
pub(crate) fn header(name: &'static str, value: impl AsRef<[u8]>) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_ref()).expect("a header's bytes"))
}

/// The header of a token.
pub(crate) fn bearer(token: &str) -> (HeaderName, HeaderValue) {
    header("authorization", format!("Bearer {token}"))
}

// === impl Call ===

impl Call {
    /// An honest empty call, to be spoilt.
    pub(crate) fn to(path: impl Into<String>) -> Self {
        Self {
            method: Method::POST,
            path: path.into(),
            authority: "localhost".to_owned(),
            headers: vec![header("content-type", "application/grpc"), header("te", "trailers")],
            body: framed(b""),
            ends: true,
        }
    }

    pub(crate) fn with(mut self, header: (HeaderName, HeaderValue)) -> Self {
        self.headers.push(header);
        self
    }

    /// Instead of the header of this name.
    pub(crate) fn but(mut self, header: (HeaderName, HeaderValue)) -> Self {
        self.headers.retain(|(name, _)| *name != header.0);
        self.with(header)
    }

    pub(crate) fn body(self, body: Vec<u8>) -> Self {
        Self { body, ..self }
    }

    fn request(&self) -> Request<()> {
        let uri = format!("http://{}{}", self.authority, self.path);
        let mut request =
            Request::builder().method(self.method.clone()).uri(uri).body(()).expect("a request");
        for (name, value) in &self.headers {
            request.headers_mut().append(name.clone(), value.clone());
        }
        request
    }
}

// === impl Wire ===

impl Wire {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self { address, sender: None }
    }

    /// Makes a call; again and again while the answer is that there were too many.
    ///
    /// # Panics
    /// Where the server does not answer at all within [`ANSWER_WITHIN`].
    pub(crate) async fn call(&mut self, call: &Call) -> Answer {
        for _ in 0..ATTEMPTS {
            let answer = tokio::time::timeout(ANSWER_WITHIN, self.attempt(call)).await;
            let answer = answer.unwrap_or_else(|_| panic!("no answer to {call:?}"));
            if answer.reason != "RATE_LIMITED" {
                return answer;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("the rate limit never lets {} pass", call.path)
    }

    /// Makes a call once.
    pub(crate) async fn attempt(&mut self, call: &Call) -> Answer {
        match self.exchange(call).await {
            Ok(answer) => answer,
            Err(error) => {
                self.sender = None;
                Answer { reset: error.to_string(), ..Answer::default() }
            }
        }
    }

    async fn exchange(&mut self, call: &Call) -> Result<Answer, h2::Error> {
        let sender = match self.sender.take() {
            Some(sender) => sender.ready().await,
            None => connected(self.address).await?.ready().await,
        };
        // A server may have closed an old connection in between.
        let mut sender = match sender {
            Ok(sender) => sender,
            Err(_closed) => connected(self.address).await?.ready().await?,
        };
        let (response, mut body) = sender.send_request(call.request(), false)?;
        self.sender = Some(sender);
        let sending = async {
            // A server that has its answer stops listening: that is no error of the exchange.
            let _refused = send(&mut body, &call.body, call.ends).await;
            if !call.ends {
                std::future::pending::<()>().await;
            }
        };
        let receiving = async {
            let response = response.await?;
            let (head, mut stream) = response.into_parts();
            let mut answer =
                Answer { http: head.status.as_u16(), headers: head.headers, ..Answer::default() };
            while let Some(data) = stream.data().await {
                let data = data?;
                let _released = stream.flow_control().release_capacity(data.len());
                answer.body.extend_from_slice(&data);
            }
            let trailers = stream.trailers().await?;
            answer.read_status(trailers.as_ref());
            Ok(answer)
        };
        tokio::pin!(sending, receiving);
        tokio::select! {
            answer = &mut receiving => answer,
            () = &mut sending => receiving.await,
        }
    }
}

async fn connected(address: SocketAddr) -> Result<SendRequest<Bytes>, h2::Error> {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("a socket option");
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(async move {
        let _closed = connection.await;
    });
    Ok(sender)
}

async fn send(body: &mut h2::SendStream<Bytes>, bytes: &[u8], ends: bool) -> Result<(), h2::Error> {
    let mut rest = Bytes::copy_from_slice(bytes);
    while !rest.is_empty() {
        body.reserve_capacity(rest.len());
        let Some(room) = poll_fn(|cx| body.poll_capacity(cx)).await else { return Ok(()) };
        let part = rest.split_to(room?.min(rest.len()));
        body.send_data(part, false)?;
    }
    if ends { body.send_data(Bytes::new(), true) } else { Ok(()) }
}

// === impl Answer ===

impl Answer {
    fn read_status(&mut self, trailers: Option<&HeaderMap>) {
        let status = trailers
            .and_then(tonic::Status::from_header_map)
            .or_else(|| tonic::Status::from_header_map(&self.headers));
        if let Some(status) = status {
            let failure = poa_chassis::failure(&status);
            self.code = Some(status.code());
            self.reason = failure.reason;
            self.message = failure.message;
        }
    }

    /// Whether it is an answer that a bug would give.
    pub(crate) fn is_a_bug(&self) -> bool {
        self.http >= 500 || matches!(self.code, Some(Code::Internal | Code::Unknown | Code::DataLoss))
    }

    /// An error that tells the caller what it did wrong: a code of these, with a reason of the registry.
    #[track_caller]
    pub(crate) fn expect_refused(&self, codes: &[Code], what: &str) {
        let code = self.code.unwrap_or(Code::Ok);
        assert!(codes.contains(&code), "{what}: expected one of {codes:?}: {self:?}");
        // tonic's own, before anything of ours: no such method, no such compression.
        let named = !self.reason.is_empty() || code == Code::Unimplemented;
        assert!(named, "{what}: no reason: {self:?}");
    }
}
