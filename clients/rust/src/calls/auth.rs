//! The account, its API keys and its agents.

use poa_proto::auth::v1::agent_service_client::AgentServiceClient;
use poa_proto::auth::v1::auth_service_client::AuthServiceClient;
use poa_proto::auth::v1::{
    Account, Agent, ApiKey, CreateApiKeyRequest, CreateApiKeyResponse, GetAccountRequest, GetAgentRequest,
    ListAgentsRequest, ListAgentsResponse, ListApiKeysRequest, ListApiKeysResponse, RegisterAgentRequest,
    RetireAgentRequest, RevokeApiKeyRequest,
};

use super::{given, unary};
use crate::client::Session;
use crate::error::Error;
use crate::key::AgentKey;

impl Session {
    /// Reads the caller's own account.
    pub async fn account(&self) -> Result<Account, Error> {
        given(unary!(self, read, AuthServiceClient, get_account, GetAccountRequest {})?.account, "account")
    }

    /// Makes an API key. The answer shows its secret, here only.
    pub async fn create_api_key(&self, request: CreateApiKeyRequest) -> Result<CreateApiKeyResponse, Error> {
        unary!(self, mutate, AuthServiceClient, create_api_key, request)
    }

    /// Lists the caller's API keys, newest first.
    pub async fn list_api_keys(&self, request: ListApiKeysRequest) -> Result<ListApiKeysResponse, Error> {
        unary!(self, read, AuthServiceClient, list_api_keys, request)
    }

    /// Revokes an API key.
    pub async fn revoke_api_key(&self, api_key_id: &str) -> Result<ApiKey, Error> {
        let request = RevokeApiKeyRequest { request_id: String::new(), api_key_id: api_key_id.to_owned() };
        given(unary!(self, mutate, AuthServiceClient, revoke_api_key, request)?.api_key, "api_key")
    }

    /// Registers an agent under a key that stays with the caller: public key and proof are filled in from it.
    pub async fn register_agent(
        &self,
        request: RegisterAgentRequest,
        key: &AgentKey,
    ) -> Result<Agent, Error> {
        let account = self.account().await?;
        let request = RegisterAgentRequest {
            public_key: key.public_key().to_vec(),
            key_proof: key.registration_proof(&account.account_id).to_vec(),
            ..request
        };
        given(unary!(self, mutate, AgentServiceClient, register_agent, request)?.agent, "agent")
    }

    /// Reads any agent.
    pub async fn agent(&self, agent_id: &str) -> Result<Agent, Error> {
        let request = GetAgentRequest { agent_id: agent_id.to_owned() };
        given(unary!(self, read, AgentServiceClient, get_agent, request)?.agent, "agent")
    }

    /// Lists the caller's own agents, newest first.
    pub async fn list_agents(&self, request: ListAgentsRequest) -> Result<ListAgentsResponse, Error> {
        unary!(self, read, AgentServiceClient, list_agents, request)
    }

    /// Retires an agent: it finishes what it claimed and claims nothing new.
    pub async fn retire_agent(&self, agent_id: &str) -> Result<Agent, Error> {
        let request = RetireAgentRequest { request_id: String::new(), agent_id: agent_id.to_owned() };
        given(unary!(self, mutate, AgentServiceClient, retire_agent, request)?.agent, "agent")
    }
}
