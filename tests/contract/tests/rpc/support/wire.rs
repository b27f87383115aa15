//! A client for any method: the bytes of a request in, the bytes of the first answer out.

use std::collections::BTreeMap;
use std::time::Duration;

use poa_proto::{Audience, Method};
use prost::bytes::{Buf as _, BufMut as _};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::status::Refusal;

/// How long an answer may take on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(30);
/// After how long a stream without a message counts as accepted: it has nothing to tell yet.
const SILENCE: Duration = Duration::from_secs(2);
/// How often a call that is refused for the moment is sent again.
const TRIES: usize = 40;
/// How long to wait before it is.
const PAUSE: Duration = Duration::from_millis(100);

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    /// Nobody in particular.
    None,
    /// The bearer of a token.
    Bearer(String),
}

/// Which way a call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// As its audience goes: public methods through the gateway, internal ones at the server, the operators' at its admin
    /// port.
    Usual,
    /// Through the gateway.
    Gateway,
    /// At the port of the server that has it.
    Server,
    /// At the admin port of the server that has it.
    Admin,
}

/// Connections of one test to every server of a mesh.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    /// By the name of the server: its port, its admin port.
    channels: BTreeMap<&'static str, (Channel, Channel)>,
}

/// Messages as they are.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

// === impl Wire ===

impl Wire {
    /// Connects when it is first used.
    pub(crate) fn new(servers: &BTreeMap<&'static str, (String, String)>) -> Self {
        let open = |address: &str| {
            let endpoint = Endpoint::from_shared(address.to_owned()).expect("an address");
            endpoint.connect_lazy()
        };
        let channels = servers.iter().map(|(name, (service, admin))| (*name, (open(service), open(admin))));
        Self { channels: channels.collect() }
    }

    /// Calls a method the usual way. What is refused for the moment is sent again, as a client does.
    pub(crate) async fn call(
        &self,
        method: &'static Method,
        credentials: &Credentials,
        request: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        for _ in 1..TRIES {
            match self.call_on(Route::Usual, method, credentials, request).await {
                Err(refusal) if refusal.code == Code::Unavailable => tokio::time::sleep(PAUSE).await,
                answer => return answer,
            }
        }
        self.call_on(Route::Usual, method, credentials, request).await
    }

    /// Calls a method once, on a way of one's own.
    pub(crate) async fn call_on(
        &self,
        route: Route,
        method: &'static Method,
        credentials: &Credentials,
        request: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let answer = self.send(self.channel(route, method), method, credentials, request);
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let answer = answer.unwrap_or_else(|_| panic!("{} does not answer within {PATIENCE:?}", method.path));
        answer.map_err(|status| Refusal::read(method, &status))
    }

    fn channel(&self, route: Route, method: &Method) -> Channel {
        let route = match (route, method.audience) {
            (Route::Usual, Audience::Public) => Route::Gateway,
            (Route::Usual, Audience::Internal) => Route::Server,
            (Route::Usual, Audience::Admin) => Route::Admin,
            (own, _) => own,
        };
        let name = if route == Route::Gateway { "gateway" } else { server_of(method) };
        let (service, admin) =
            self.channels.get(name).unwrap_or_else(|| panic!("no server has {}", method.path));
        if route == Route::Admin { admin.clone() } else { service.clone() }
    }

    async fn send(
        &self,
        channel: Channel,
        method: &'static Method,
        credentials: &Credentials,
        request: &[u8],
    ) -> Result<Vec<u8>, Status> {
        let mut request = Request::new(request.to_vec());
        if let Credentials::Bearer(token) = credentials {
            let value = format!("Bearer {token}").parse().expect("a header value");
            request.metadata_mut().insert("authorization", value);
        }
        let mut grpc = Grpc::new(channel);
        grpc.ready().await.expect("a connection");
        let path = method.path.parse().expect("a path");
        let mut messages = grpc.server_streaming(request, path, Raw).await?.into_inner();
        if method.server_streaming {
            return match tokio::time::timeout(SILENCE, messages.message()).await {
                Ok(first) => Ok(first?.unwrap_or_default()),
                Err(_silent) => Ok(Vec::new()),
            };
        }
        let answer = messages.message().await?.unwrap_or_default();
        let more = messages.message().await?;
        assert!(more.is_none(), "{} answers twice", method.path);
        Ok(answer)
    }
}

/// The server that has a method: `poa.task.v1.TaskService` is task's.
pub(crate) fn server_of(method: &Method) -> &'static str {
    method.service().split('.').nth(1).unwrap_or_default()
}

// === impl Raw ===

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut message);
        Ok(Some(message))
    }
}
