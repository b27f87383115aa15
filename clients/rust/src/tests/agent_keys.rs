//! Keys and versions of agents, as they go out.

use poa_common::Network;
use proof_of_agent::notice::{KeyChange, KeyReason};
use proof_of_agent::{AgentVersion, Digest, Envelope, LogKey, NoticeStatement, TrustRoot};
use tonic::{Code, Status};

use super::fake::{Fake, refuse};
use crate::{AgentKey, Error, SigningError, system_env};

fn change(old: &AgentKey) -> KeyChange {
    KeyChange {
        agent: system_env().new_id(),
        sequence: 2,
        key: old.did(),
        new_key: None,
        reason: KeyReason::Superseded,
        compromised_since: None,
    }
}

#[tokio::test]
async fn a_rotation_is_signed_by_both_keys_and_is_the_same_request_on_every_attempt() {
    let (fake, client, _serving) = Fake::start().await;
    fake.state().failures = [Status::unavailable("1")].into();
    let [old, new] = [(); 2].map(|()| AgentKey::generate(&system_env()));
    let change = change(&old);
    client.with_api_key("poak_1").rotate_agent_key(&change, &new, Some(&old)).await.unwrap();
    let sent = fake.state().rotations.clone();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1], "one request id, and the same signatures");
    assert_eq!(sent[0].request_id.len(), 36);
    let text = KeyChange { new_key: Some(new.did()), ..change }.text();
    assert!(new.did().verifies(text.as_bytes(), &sent[0].key_proof));
    assert!(old.did().verifies(text.as_bytes(), &sent[0].authorisation));
    assert_eq!(sent[0].public_key, new.public_key());
}

#[tokio::test]
async fn an_owner_rotates_and_revokes_without_the_old_key() {
    let (fake, client, _serving) = Fake::start().await;
    let [old, new] = [(); 2].map(|()| AgentKey::generate(&system_env()));
    let session = client.with_api_key("poak_1");
    session.rotate_agent_key(&change(&old), &new, None).await.unwrap();
    session.revoke_agent_key(&change(&old), None).await.unwrap();
    session.revoke_agent_key(&change(&old), Some(&old)).await.unwrap();
    assert!(fake.state().rotations[0].authorisation.is_empty());
    let revoked: Vec<usize> = fake.state().revocations.iter().map(|it| it.authorisation.len()).collect();
    assert_eq!(revoked, [0, 64]);
}

#[tokio::test]
async fn a_key_signs_no_change_of_another_key() {
    let (fake, client, _serving) = Fake::start().await;
    let [old, new, other] = [(); 3].map(|()| AgentKey::generate(&system_env()));
    let session = client.with_api_key("poak_1");
    let refused = session.rotate_agent_key(&change(&old), &new, Some(&other)).await;
    assert!(matches!(refused, Err(Error::Signing(SigningError::Mismatch { field: "key", .. }))));
    let refused = session.revoke_agent_key(&change(&old), Some(&other)).await;
    assert!(matches!(refused, Err(Error::Signing(SigningError::Mismatch { .. }))));
    assert!(fake.state().rotations.is_empty() && fake.state().revocations.is_empty());
}

#[tokio::test]
async fn a_version_is_published_as_it_was_signed() {
    let (fake, client, _serving) = Fake::start().await;
    let (env, key) = (system_env(), AgentKey::generate(&system_env()));
    let origin = "simulated.poa/1";
    let log_key = LogKey::new(origin, key.did()).unwrap();
    let root = TrustRoot::new(Network::Simulated, origin, vec![log_key], vec![key.did()], None).unwrap();
    let version = AgentVersion {
        agent: env.new_id(),
        version: "1.0.0".to_owned(),
        build_digest: Digest::of(b"archive"),
        build_size: 7,
        source_ref: None,
        measurements: Vec::new(),
        published_time: env.now(),
    };
    let (statement, envelope) = key.sign_version(&env, &root, &version).unwrap();
    let session = client.with_api_key("poak_1");
    session.publish_agent_version(&envelope).await.unwrap();
    let sent = fake.state().publications[0].clone();
    let opened = NoticeStatement::open(&Envelope::from_json(&sent.envelope).unwrap()).unwrap();
    assert_eq!(opened, statement);
    fake.state().failures = [refuse(Code::AlreadyExists, "VERSION_TAKEN")].into();
    let error = session.publish_agent_version(&envelope).await.unwrap_err();
    assert_eq!(error.reason(), "VERSION_TAKEN");
}
