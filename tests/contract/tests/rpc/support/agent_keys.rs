//! What an agent's keys sign for the requests that are about them.

use poa_proto::auth::v1 as auth;
use poa_sdk::AgentKey;
use poa_sdk::receipts::notice::{KeyChange, KeyReason};
use poa_sdk::receipts::{AgentVersion, Digest, TrustRoot};

use super::story::word;
use super::world::World;

/// The first change of an agent's key after its registration.
pub(crate) fn change(agent: &auth::Agent, key: &AgentKey, new: Option<&AgentKey>) -> KeyChange {
    KeyChange {
        agent: agent.agent_id.parse().expect("an agent's id"),
        sequence: 2,
        key: key.did(),
        new_key: new.map(AgentKey::did),
        reason: KeyReason::Superseded,
        compromised_since: None,
    }
}

/// The signed statement of a version that has not been published.
pub(crate) fn version(world: &World, agent: &auth::Agent, key: &AgentKey) -> Vec<u8> {
    let file = std::fs::read(world.key("trust-root.json")).expect("a trust root");
    let trust_root = TrustRoot::from_json(&file).expect("a trust root");
    let version = AgentVersion {
        agent: agent.agent_id.parse().expect("an agent's id"),
        version: word(&world.env),
        build_digest: Digest::of(b"a build"),
        build_size: 7,
        source_ref: None,
        measurements: Vec::new(),
        published_time: world.env.now(),
    };
    let (_, envelope) = key.sign_version(&world.env, &trust_root, &version).expect("a statement");
    envelope.to_json()
}
