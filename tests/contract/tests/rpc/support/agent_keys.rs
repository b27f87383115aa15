//! What an agent's keys sign for the requests that are about them.

use std::path::Path;

use poa_proto::auth::v1 as auth;
use poa_sdk::receipts::notice::{KeyChange, KeyReason, TeeMeasurement};
use poa_sdk::receipts::{AgentVersion, Digest, TrustRoot};
use poa_sdk::{AgentKey, Build};

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

pub(super) fn trust_root(path: &Path) -> TrustRoot {
    TrustRoot::from_json(&std::fs::read(path).expect("a trust root")).expect("a trust root")
}

/// The signed statement of a version that has not been published.
pub(crate) fn version(world: &World, agent: &auth::Agent, key: &AgentKey) -> Vec<u8> {
    let build = Build { digest: Digest::of(b"a build"), source_ref: None };
    version_of(world, agent, key, build, Vec::new())
}

/// The same of a build that was measured.
pub(crate) fn version_of(
    world: &World,
    agent: &auth::Agent,
    key: &AgentKey,
    build: Build,
    measurements: Vec<TeeMeasurement>,
) -> Vec<u8> {
    let trust_root = trust_root(&world.key("trust-root.json"));
    let version = AgentVersion {
        agent: agent.agent_id.parse().expect("an agent's id"),
        version: word(&world.env),
        build_digest: build.digest,
        build_size: 7,
        source_ref: build.source_ref,
        measurements,
        published_time: world.env.now(),
    };
    let (_, envelope) = key.sign_version(&world.env, &trust_root, &version).expect("a statement");
    envelope.to_json()
}
