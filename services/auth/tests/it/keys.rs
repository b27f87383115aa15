//! RotateAgentKey, RevokeAgentKey, GetKeyEvents, PublishAgentVersion, ListAgentVersions.

use ed25519_dalek::{Signer as _, SigningKey};
use poa_common::{AgentId, Timestamp};
use poa_proto::auth::v1::{
    Agent, AgentVersion as Published, GetKeyEventsRequest, KeyEvent, KeyReason, ListAgentVersionsRequest,
    PublishAgentVersionRequest, RegisterAgentRequest, RevokeAgentKeyRequest, RotateAgentKeyRequest, agent,
    key_event,
};
use proof_of_agent::notice::{KeyChange, KeyReason as Reason};
use proof_of_agent::{AgentVersion, DidKey, Digest, Nonce, NoticeStatement};
use tonic::{Code, Status};

use crate::support::{Server, User, bad_fields, refusal, server, with};

/// An agent and the key that signs for it.
struct Worker {
    agent: Agent,
    key: SigningKey,
}

async fn worker(server: &Server, user: &User) -> Worker {
    let key = SigningKey::from_bytes(&server.env.random());
    let did = DidKey::of(&key);
    let account = user.account.account_id.parse().unwrap();
    let text = proof_of_agent::notice::registration_text(&account, &did);
    let request = RegisterAgentRequest {
        public_key: did.as_bytes().to_vec(),
        key_proof: key.sign(text.as_bytes()).to_bytes().to_vec(),
        ..server.agent_request(user, "Worker")
    };
    let answer = server.agents().register_agent(with(&user.tokens.access_token, request)).await.unwrap();
    Worker { agent: answer.into_inner().agent.unwrap(), key }
}

impl Worker {
    fn change(&self, sequence: u32, new_key: Option<&SigningKey>, since: Option<Timestamp>) -> KeyChange {
        KeyChange {
            agent: self.agent.agent_id.parse().unwrap(),
            sequence,
            key: DidKey::of(&self.key),
            new_key: new_key.map(DidKey::of),
            reason: if since.is_some() { Reason::Compromised } else { Reason::Superseded },
            compromised_since: since,
        }
    }

    /// A rotation that the old key asks for.
    fn rotation(&self, server: &Server, sequence: u32, new: &SigningKey) -> RotateAgentKeyRequest {
        let text = self.change(sequence, Some(new), None).text();
        RotateAgentKeyRequest {
            request_id: server.request_id(),
            agent_id: self.agent.agent_id.clone(),
            sequence: i32::try_from(sequence).unwrap(),
            public_key: DidKey::of(new).as_bytes().to_vec(),
            reason: KeyReason::Superseded.into(),
            compromised_since: None,
            key_proof: new.sign(text.as_bytes()).to_bytes().to_vec(),
            authorisation: self.key.sign(text.as_bytes()).to_bytes().to_vec(),
        }
    }

    fn version(&self, server: &Server, name: &str, build: &[u8]) -> PublishAgentVersionRequest {
        let version = AgentVersion {
            agent: self.agent.agent_id.parse().unwrap(),
            version: name.to_owned(),
            build_digest: Digest::of(build),
            build_size: 11,
            source_ref: Some("https://example.org/agent".to_owned()),
            measurements: Vec::new(),
            published_time: server.env.now(),
        };
        let nonce = Nonce::new(server.env.random());
        let network = poa_common::Network::Simulated;
        let statement =
            NoticeStatement::new(network, "log.example", DidKey::of(&self.key), nonce, &version).unwrap();
        let envelope = statement.sign(&self.key).unwrap().to_json();
        PublishAgentVersionRequest { request_id: server.request_id(), envelope }
    }
}

async fn rotate(server: &Server, token: &str, request: RotateAgentKeyRequest) -> Result<Agent, Status> {
    Ok(server.agents().rotate_agent_key(with(token, request)).await?.into_inner().agent.unwrap())
}

async fn revoke(server: &Server, token: &str, request: RevokeAgentKeyRequest) -> Result<Agent, Status> {
    Ok(server.agents().revoke_agent_key(with(token, request)).await?.into_inner().agent.unwrap())
}

async fn publish(
    server: &Server,
    user: &User,
    request: PublishAgentVersionRequest,
) -> Result<Published, Status> {
    let request = with(&user.tokens.access_token, request);
    Ok(server.agents().publish_agent_version(request).await?.into_inner().version.unwrap())
}

async fn events(server: &Server, user: &User, agent: &Agent) -> Vec<KeyEvent> {
    let request = GetKeyEventsRequest { agent_id: agent.agent_id.clone() };
    let request = with(&user.tokens.access_token, request);
    server.agents().get_key_events(request).await.unwrap().into_inner().events
}

#[tokio::test]
async fn a_key_is_rotated_by_itself_once_and_its_history_is_public() {
    let server = server().await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    let worker = worker(&server, &ada).await;
    let new = SigningKey::from_bytes(&server.env.random());
    let request = worker.rotation(&server, 2, &new);
    let token = &ada.tokens.access_token;
    let rotated = rotate(&server, token, request.clone()).await.unwrap();
    assert_eq!(rotated.public_key, DidKey::of(&new).as_bytes());
    assert_eq!((rotated.key_sequence, rotated.key_state()), (2, agent::KeyState::Active));
    // A lost answer: the same again, and nothing more.
    assert_eq!(rotate(&server, token, request).await.unwrap(), rotated);
    let history = events(&server, &eve, &rotated).await;
    let kinds: Vec<_> = history.iter().map(KeyEvent::kind).collect();
    assert_eq!(kinds, [key_event::Kind::Registered, key_event::Kind::Rotated]);
    assert_eq!(history[1].previous_key, DidKey::of(&worker.key).as_bytes());
    assert!(!history[1].by_owner && history[1].authorisation.len() == 64);

    // The old key asks for nothing more, and nobody else takes it.
    let other = SigningKey::from_bytes(&server.env.random());
    let stale = refusal(rotate(&server, token, worker.rotation(&server, 2, &other)).await);
    assert_eq!(stale, (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let again = refusal(rotate(&server, token, worker.rotation(&server, 3, &other)).await);
    assert_eq!(again.1, "SIGNATURE_INVALID");
    let now = Worker { agent: rotated, key: new };
    let back = refusal(rotate(&server, token, now.rotation(&server, 3, &worker.key)).await);
    assert_eq!(back.1, "AGENT_KEY_TAKEN");
}

#[tokio::test]
async fn without_the_old_keys_signature_the_owner_alone_rotates() {
    let server = server().await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    let worker = worker(&server, &ada).await;
    let new = SigningKey::from_bytes(&server.env.random());
    let request = RotateAgentKeyRequest { authorisation: Vec::new(), ..worker.rotation(&server, 2, &new) };
    let bound = server.token(|claims| {
        claims.sub = ada.account.account_id.parse().unwrap();
        claims.agent = Some(worker.agent.agent_id.parse::<AgentId>().unwrap());
    });
    assert_eq!(refusal(rotate(&server, &bound, request.clone()).await).1, "AUDIENCE_MISMATCH");
    let foreign = rotate(&server, &eve.tokens.access_token, request.clone()).await;
    assert_eq!(refusal(foreign).1, "RESOURCE_NOT_FOUND");
    // The agent's own key may, over the same API key.
    let other = SigningKey::from_bytes(&server.env.random());
    let by_key = rotate(&server, &bound, worker.rotation(&server, 2, &other)).await.unwrap();
    assert_eq!(by_key.key_sequence, 2);
    let now = Worker { agent: by_key, key: other };
    let mut request = RotateAgentKeyRequest { authorisation: Vec::new(), ..now.rotation(&server, 3, &new) };
    request.key_proof[5] ^= 1;
    let token = &ada.tokens.access_token;
    assert_eq!(refusal(rotate(&server, token, request.clone()).await).1, "SIGNATURE_INVALID");
    request.key_proof[5] ^= 1;
    rotate(&server, token, request).await.unwrap();
    let history = events(&server, &ada, &now.agent).await;
    assert!(history[2].by_owner && history[2].authorisation.is_empty());
}

#[tokio::test]
async fn a_revoked_key_signs_nothing_until_the_owner_gives_the_agent_another() {
    let server = server().await;
    let ada = server.sign_up("ada").await;
    let worker = worker(&server, &ada).await;
    let token = &ada.tokens.access_token;
    let since = server.env.now();
    let request = RevokeAgentKeyRequest {
        request_id: server.request_id(),
        agent_id: worker.agent.agent_id.clone(),
        sequence: 2,
        reason: KeyReason::Compromised.into(),
        compromised_since: Some(prost_types::Timestamp { seconds: since.unix_timestamp(), nanos: 0 }),
        authorisation: Vec::new(),
    };
    let without = RevokeAgentKeyRequest { compromised_since: None, ..request.clone() };
    assert_eq!(bad_fields(revoke(&server, token, without).await), ["compromised_since"]);
    let superseded = RevokeAgentKeyRequest { reason: KeyReason::Superseded.into(), ..request.clone() };
    assert_eq!(bad_fields(revoke(&server, token, superseded).await), ["compromised_since"]);
    let none = RevokeAgentKeyRequest { reason: 0, ..request.clone() };
    assert_eq!(bad_fields(revoke(&server, token, none).await)[0], "reason");
    let revoked = revoke(&server, token, request).await.unwrap();
    assert_eq!((revoked.key_sequence, revoked.key_state()), (2, agent::KeyState::Revoked));

    let version = worker.version(&server, "1.0.0", b"build");
    assert_eq!(refusal(publish(&server, &ada, version).await).1, "SIGNATURE_INVALID");
    let new = SigningKey::from_bytes(&server.env.random());
    assert_eq!(
        refusal(rotate(&server, token, worker.rotation(&server, 3, &new)).await).1,
        "SIGNATURE_INVALID",
        "a thief who has the key gives the agent no other"
    );
    let by_owner = RotateAgentKeyRequest { authorisation: Vec::new(), ..worker.rotation(&server, 3, &new) };
    let renewed = rotate(&server, token, by_owner).await.unwrap();
    assert_eq!((renewed.key_sequence, renewed.key_state()), (3, agent::KeyState::Active));
}

#[tokio::test]
async fn a_version_is_published_once_under_its_name_and_signed_with_the_agents_key() {
    let server = server().await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    let worker = worker(&server, &ada).await;
    assert_eq!((worker.agent.trust_level.as_str(), worker.agent.version.as_str()), ("L0", ""));
    let request = worker.version(&server, "1.0.0", b"build");
    let published = publish(&server, &ada, request.clone()).await.unwrap();
    assert_eq!(published.build_digest, Digest::of(b"build").to_vec());
    // The same statement under another request is the same version.
    let again = PublishAgentVersionRequest { request_id: server.request_id(), ..request.clone() };
    assert_eq!(publish(&server, &ada, again).await.unwrap(), published);
    let other = worker.version(&server, "1.0.0", b"another build");
    assert_eq!(
        refusal(publish(&server, &ada, other).await),
        (Code::AlreadyExists, "VERSION_TAKEN".to_owned())
    );
    let theirs = worker.version(&server, "2.0.0", b"build");
    assert_eq!(refusal(publish(&server, &eve, theirs).await).1, "RESOURCE_NOT_FOUND");
    let stranger = Worker { key: SigningKey::from_bytes(&server.env.random()), agent: worker.agent.clone() };
    let forged = stranger.version(&server, "2.0.0", b"build");
    assert_eq!(refusal(publish(&server, &ada, forged).await).1, "SIGNATURE_INVALID");
    let nonsense = PublishAgentVersionRequest { request_id: server.request_id(), envelope: b"{}".to_vec() };
    assert_eq!(bad_fields(publish(&server, &ada, nonsense).await), ["envelope"]);
    publish(&server, &ada, worker.version(&server, "1.1.0", b"build")).await.unwrap();

    let request = ListAgentVersionsRequest {
        page_size: 1,
        page_token: String::new(),
        agent_id: worker.agent.agent_id.clone(),
    };
    let token = &eve.tokens.access_token;
    let first = server.agents().list_agent_versions(with(token, request.clone())).await.unwrap().into_inner();
    assert_eq!(first.versions[0].version, "1.1.0");
    let rest = ListAgentVersionsRequest { page_token: first.next_page_token, ..request };
    let rest = server.agents().list_agent_versions(with(token, rest)).await.unwrap().into_inner();
    assert_eq!((rest.versions, rest.next_page_token), (vec![published], String::new()));
    let shown = poa_proto::auth::v1::GetAgentRequest { agent_id: worker.agent.agent_id };
    let shown = server.agents().get_agent(with(token, shown)).await.unwrap().into_inner().agent.unwrap();
    assert_eq!((shown.trust_level.as_str(), shown.version.as_str()), ("L1", "1.1.0"));
}
