//! The methods, one file each: who calls, is the request well formed, one transaction, the answer.

mod callers;
pub(crate) mod convert;
mod mutation;
mod paging;

mod create_api_key;
mod exchange_api_key;
mod get_account;
mod get_agent;
mod get_jwks;
mod get_key_events;
mod get_server_info;
mod key_change;
mod list_agent_versions;
mod list_agents;
mod list_api_keys;
mod login;
mod logout;
mod publish_agent_version;
mod refresh_session;
mod register;
mod register_agent;
mod retire_agent;
mod revoke_agent_key;
mod revoke_api_key;
mod rotate_agent_key;
mod watch_agent_events;

use std::sync::Arc;

use futures_util::stream::BoxStream;
use poa_chassis::config::Limits;
use poa_proto::auth::v1::agent_service_server::{AgentService, AgentServiceServer};
use poa_proto::auth::v1::auth_internal_service_server::{AuthInternalService, AuthInternalServiceServer};
use poa_proto::auth::v1::auth_service_server::{AuthService, AuthServiceServer};
use poa_proto::auth::v1::{
    CreateApiKeyRequest, CreateApiKeyResponse, ExchangeApiKeyRequest, ExchangeApiKeyResponse,
    GetAccountRequest, GetAccountResponse, GetAgentRequest, GetAgentResponse, GetJwksRequest,
    GetJwksResponse, GetKeyEventsRequest, GetKeyEventsResponse, GetServerInfoRequest, GetServerInfoResponse,
    ListAgentVersionsRequest, ListAgentVersionsResponse, ListAgentsRequest, ListAgentsResponse,
    ListApiKeysRequest, ListApiKeysResponse, LoginRequest, LoginResponse, LogoutRequest, LogoutResponse,
    PublishAgentVersionRequest, PublishAgentVersionResponse, RefreshSessionRequest, RefreshSessionResponse,
    RegisterAgentRequest, RegisterAgentResponse, RegisterRequest, RegisterResponse, RetireAgentRequest,
    RetireAgentResponse, RevokeAgentKeyRequest, RevokeAgentKeyResponse, RevokeApiKeyRequest,
    RevokeApiKeyResponse, RotateAgentKeyRequest, RotateAgentKeyResponse, WatchAgentEventsRequest,
    WatchAgentEventsResponse,
};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::error::Error;
use crate::state::State;

/// The gRPC services of the service port.
pub(crate) const SERVICES: &[&str] =
    &["poa.auth.v1.AuthService", "poa.auth.v1.AgentService", "poa.auth.v1.AuthInternalService"];

/// All methods over one state.
#[derive(Clone, Debug)]
struct Rpc(Arc<State>);

/// The routes of the service port.
pub(crate) fn routes(state: Arc<State>, limits: &Limits) -> Routes {
    let rpc = Arc::new(Rpc(state));
    let (decode, encode) = (limits.decode_bytes, limits.encode_bytes);
    Routes::new(
        AuthServiceServer::from_arc(Arc::clone(&rpc))
            .max_decoding_message_size(decode)
            .max_encoding_message_size(encode),
    )
    .add_service(
        AgentServiceServer::from_arc(Arc::clone(&rpc))
            .max_decoding_message_size(decode)
            .max_encoding_message_size(encode),
    )
    .add_service(
        AuthInternalServiceServer::from_arc(rpc)
            .max_decoding_message_size(decode)
            .max_encoding_message_size(encode),
    )
}

fn answer<T>(outcome: Result<T, Error>) -> Result<Response<T>, Status> {
    outcome.map(Response::new).map_err(poa_chassis::status)
}

#[tonic::async_trait]
impl AuthService for Rpc {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        answer(register::handle(&self.0, request).await)
    }

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        answer(login::handle(&self.0, request).await)
    }

    async fn refresh_session(
        &self,
        request: Request<RefreshSessionRequest>,
    ) -> Result<Response<RefreshSessionResponse>, Status> {
        answer(refresh_session::handle(&self.0, request).await)
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        answer(logout::handle(&self.0, request).await)
    }

    async fn get_account(
        &self,
        request: Request<GetAccountRequest>,
    ) -> Result<Response<GetAccountResponse>, Status> {
        answer(get_account::handle(&self.0, request).await)
    }

    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyResponse>, Status> {
        answer(create_api_key::handle(&self.0, request).await)
    }

    async fn list_api_keys(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Result<Response<ListApiKeysResponse>, Status> {
        answer(list_api_keys::handle(&self.0, request).await)
    }

    async fn revoke_api_key(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Result<Response<RevokeApiKeyResponse>, Status> {
        answer(revoke_api_key::handle(&self.0, request).await)
    }

    async fn get_jwks(&self, _: Request<GetJwksRequest>) -> Result<Response<GetJwksResponse>, Status> {
        answer(get_jwks::handle(&self.0).await)
    }

    async fn get_server_info(
        &self,
        _: Request<GetServerInfoRequest>,
    ) -> Result<Response<GetServerInfoResponse>, Status> {
        Ok(Response::new(get_server_info::handle(&self.0)))
    }
}

#[tonic::async_trait]
impl AgentService for Rpc {
    async fn register_agent(
        &self,
        request: Request<RegisterAgentRequest>,
    ) -> Result<Response<RegisterAgentResponse>, Status> {
        answer(register_agent::handle(&self.0, request).await)
    }

    async fn get_agent(
        &self,
        request: Request<GetAgentRequest>,
    ) -> Result<Response<GetAgentResponse>, Status> {
        answer(get_agent::handle(&self.0, request).await)
    }

    async fn list_agents(
        &self,
        request: Request<ListAgentsRequest>,
    ) -> Result<Response<ListAgentsResponse>, Status> {
        answer(list_agents::handle(&self.0, request).await)
    }

    async fn retire_agent(
        &self,
        request: Request<RetireAgentRequest>,
    ) -> Result<Response<RetireAgentResponse>, Status> {
        answer(retire_agent::handle(&self.0, request).await)
    }

    async fn rotate_agent_key(
        &self,
        request: Request<RotateAgentKeyRequest>,
    ) -> Result<Response<RotateAgentKeyResponse>, Status> {
        answer(rotate_agent_key::handle(&self.0, request).await)
    }

    async fn revoke_agent_key(
        &self,
        request: Request<RevokeAgentKeyRequest>,
    ) -> Result<Response<RevokeAgentKeyResponse>, Status> {
        answer(revoke_agent_key::handle(&self.0, request).await)
    }

    async fn get_key_events(
        &self,
        request: Request<GetKeyEventsRequest>,
    ) -> Result<Response<GetKeyEventsResponse>, Status> {
        answer(get_key_events::handle(&self.0, request.into_inner()).await)
    }

    async fn publish_agent_version(
        &self,
        request: Request<PublishAgentVersionRequest>,
    ) -> Result<Response<PublishAgentVersionResponse>, Status> {
        answer(publish_agent_version::handle(&self.0, request).await)
    }

    async fn list_agent_versions(
        &self,
        request: Request<ListAgentVersionsRequest>,
    ) -> Result<Response<ListAgentVersionsResponse>, Status> {
        answer(list_agent_versions::handle(&self.0, request).await)
    }
}

#[tonic::async_trait]
impl AuthInternalService for Rpc {
    async fn exchange_api_key(
        &self,
        request: Request<ExchangeApiKeyRequest>,
    ) -> Result<Response<ExchangeApiKeyResponse>, Status> {
        answer(exchange_api_key::handle(&self.0, request).await)
    }

    type WatchAgentEventsStream = BoxStream<'static, Result<WatchAgentEventsResponse, Status>>;

    async fn watch_agent_events(
        &self,
        request: Request<WatchAgentEventsRequest>,
    ) -> Result<Response<Self::WatchAgentEventsStream>, Status> {
        answer(watch_agent_events::handle(&self.0, request).await)
    }
}
