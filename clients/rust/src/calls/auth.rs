//! The account, its API keys and its agents.

use poa_proto::auth::v1::agent_service_client::AgentServiceClient;
use poa_proto::auth::v1::auth_service_client::AuthServiceClient;
use poa_proto::auth::v1::{
    Account, Agent, AgentVersion, ApiKey, CreateApiKeyRequest, CreateApiKeyResponse, GetAccountRequest,
    GetAgentRequest, GetKeyEventsRequest, KeyEvent, KeyReason, ListAgentVersionsRequest,
    ListAgentVersionsResponse, ListAgentsRequest, ListAgentsResponse, ListApiKeysRequest,
    ListApiKeysResponse, PublishAgentVersionRequest, RegisterAgentRequest, RetireAgentRequest,
    RevokeAgentKeyRequest, RevokeAgentKeyResponse, RevokeApiKeyRequest, RotateAgentKeyRequest,
    RotateAgentKeyResponse,
};
use proof_of_agent::Envelope;
use proof_of_agent::notice::{KeyChange, KeyReason as Reason};

use super::{given, unary};
use crate::client::Session;
use crate::error::Error;
use crate::key::{AgentKey, expect};
use crate::times::to_time;

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
        let account = account.account_id.parse();
        let account = account.map_err(|error| Error::Contract(format!("`account_id`: {error}")))?;
        let request = RegisterAgentRequest {
            public_key: key.public_key().to_vec(),
            key_proof: key.registration_proof(&account).to_vec(),
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

    /// Puts `new_key` in the place of the key that the change names; its `new_key` is filled in. The old key signs too where it is
    /// given. Else the owner asks: signed in, or with an API key that is bound to no agent.
    ///
    /// # Errors
    /// `Signing` where `old_key` is not the key that the change names. The server refuses with ETAG_MISMATCH where the change has
    /// not the number of the agent's next event: the key was changed meanwhile, perhaps by an answer to this call that got lost.
    /// [`Session::agent`] says which key holds.
    pub async fn rotate_agent_key(
        &self,
        change: &KeyChange,
        new_key: &AgentKey,
        old_key: Option<&AgentKey>,
    ) -> Result<RotateAgentKeyResponse, Error> {
        let change = KeyChange { new_key: Some(new_key.did()), ..*change };
        let request = RotateAgentKeyRequest {
            request_id: String::new(),
            agent_id: change.agent.to_string(),
            sequence: sequence(&change),
            public_key: new_key.public_key().to_vec(),
            reason: reason(change.reason).into(),
            compromised_since: change.compromised_since.map(to_time),
            key_proof: new_key.sign_change(&change)?.to_vec(),
            authorisation: authorisation(&change, old_key)?,
        };
        unary!(self, mutate, AgentServiceClient, rotate_agent_key, request)
    }

    /// Revokes the key that the change names; its `new_key` is left out. The key signs where it is given; else the owner asks.
    ///
    /// # Errors
    /// As [`Session::rotate_agent_key`].
    pub async fn revoke_agent_key(
        &self,
        change: &KeyChange,
        key: Option<&AgentKey>,
    ) -> Result<RevokeAgentKeyResponse, Error> {
        let change = KeyChange { new_key: None, ..*change };
        let request = RevokeAgentKeyRequest {
            request_id: String::new(),
            agent_id: change.agent.to_string(),
            sequence: sequence(&change),
            reason: reason(change.reason).into(),
            compromised_since: change.compromised_since.map(to_time),
            authorisation: authorisation(&change, key)?,
        };
        unary!(self, mutate, AgentServiceClient, revoke_agent_key, request)
    }

    /// What became of an agent's keys, oldest first, as the server says: [`crate::KeyHistory`] checks it.
    pub async fn key_events(&self, agent_id: &str) -> Result<Vec<KeyEvent>, Error> {
        let request = GetKeyEventsRequest { agent_id: agent_id.to_owned() };
        Ok(unary!(self, read, AgentServiceClient, get_key_events, request)?.events)
    }

    /// Publishes a version that [`AgentKey::sign_version`] has signed. It cannot be taken back.
    ///
    /// # Errors
    /// The server refuses with VERSION_TAKEN where the name stands for another statement, SIGNATURE_INVALID where the key is not
    /// the agent's any more, FIELDS_INVALID where the statement is for another log.
    pub async fn publish_agent_version(&self, envelope: &Envelope) -> Result<AgentVersion, Error> {
        let request = PublishAgentVersionRequest { request_id: String::new(), envelope: envelope.to_json() };
        let answer = unary!(self, mutate, AgentServiceClient, publish_agent_version, request)?;
        given(answer.version, "version")
    }

    /// Lists an agent's versions, newest first, as the server says: [`crate::KeyHistory::check_version`] checks each.
    pub async fn agent_versions(
        &self,
        request: ListAgentVersionsRequest,
    ) -> Result<ListAgentVersionsResponse, Error> {
        unary!(self, read, AgentServiceClient, list_agent_versions, request)
    }
}

/// A number that the contract does not have is one that the server refuses.
fn sequence(change: &KeyChange) -> i32 {
    i32::try_from(change.sequence).unwrap_or(i32::MAX)
}

fn reason(reason: Reason) -> KeyReason {
    match reason {
        Reason::Superseded => KeyReason::Superseded,
        Reason::Compromised => KeyReason::Compromised,
    }
}

/// The signature of the key that signs no more; empty where the owner asks.
fn authorisation(change: &KeyChange, key: Option<&AgentKey>) -> Result<Vec<u8>, Error> {
    let Some(key) = key else { return Ok(Vec::new()) };
    expect("key", &key.did(), &change.key)?;
    Ok(key.sign_change(change)?.to_vec())
}
