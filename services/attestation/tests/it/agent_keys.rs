//! Agents' keys and versions: what auth tells of them enters the log, appends keep to it, and receipts show it.

use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use poa_proto::attestation::v1::GetReceiptBundleRequest;
use poa_proto::auth::v1::{KeyEvent, KeyReason, agent_event, key_event};
use poa_testkit::eventually;
use proof_of_agent::notice::{KeyChange, KeyReason as Reason};
use proof_of_agent::{
    AgentKeyState, AgentVersion, Bundle, DidKey, Digest, KeyState, Nonce, NoticeStatement, Policy,
    TrustLevel, VerifyError, verify,
};

use crate::fixture::{Cast, Play, notices, opened, refusal};
use crate::server::{Deployment, ORIGIN, Replica, SOON};

/// Another key takes the place of the cast's, by the key itself. Answers with the cast as it is then.
async fn rotate(deployment: &Deployment, cast: &Cast, sequence: u32) -> Cast {
    let new = SigningKey::from_bytes(&deployment.env.random());
    let change = KeyChange {
        agent: cast.agent_id,
        sequence,
        key: DidKey::of(&cast.key),
        new_key: Some(DidKey::of(&new)),
        reason: Reason::Superseded,
        compromised_since: None,
    };
    let event = KeyEvent {
        public_key: DidKey::of(&new).as_bytes().to_vec(),
        previous_key: change.key.as_bytes().to_vec(),
        kind: key_event::Kind::Rotated.into(),
        reason: KeyReason::Superseded.into(),
        authorisation: cast.key.sign(change.text().as_bytes()).to_bytes().to_vec(),
        key_proof: new.sign(change.text().as_bytes()).to_bytes().to_vec(),
        ..event(cast, sequence)
    };
    deployment.auth.key_event(agent_event::Kind::KeyRotated, event, &DidKey::of(&new));
    notices(deployment, i64::from(sequence)).await;
    Cast { key: new, ..cast.clone() }
}

/// The owner reports the cast's key as compromised, since a moment ago or later.
async fn compromise(deployment: &Deployment, cast: &Cast, sequence: u32, seconds: i64) {
    let since = deployment.env.now() + time::Duration::seconds(seconds);
    let since = prost_types::Timestamp { seconds: since.unix_timestamp(), nanos: 0 };
    let event = KeyEvent {
        public_key: DidKey::of(&cast.key).as_bytes().to_vec(),
        kind: key_event::Kind::Revoked.into(),
        reason: KeyReason::Compromised.into(),
        compromised_since: Some(since),
        by_owner: true,
        ..event(cast, sequence)
    };
    deployment.auth.key_event(agent_event::Kind::KeyRevoked, event, &DidKey::of(&cast.key));
    notices(deployment, i64::from(sequence)).await;
}

fn event(cast: &Cast, sequence: u32) -> KeyEvent {
    KeyEvent {
        agent_id: cast.agent_id.to_string(),
        account_id: cast.payee.to_string(),
        sequence: i32::try_from(sequence).unwrap(),
        ..KeyEvent::default()
    }
}

/// The receipt of a task, once all of it is published, together with the log's first `size` entries.
async fn receipt(deployment: &Deployment, replica: &Replica, play: &Play, size: u64) -> Bundle {
    let mut client = deployment.as_anyone(replica.pipe());
    let mut found = None;
    eventually(SOON, "the receipt is published", async || {
        let request = GetReceiptBundleRequest { task_id: play.task.to_string() };
        let request = deployment.signed_in(play.cast.requester, request);
        let answer = client.get_receipt_bundle(request).await.unwrap().into_inner();
        let bundle = Bundle::from_json(&answer.bundle).unwrap();
        let reached = proof_of_agent::Checkpoint::read_unverified(&bundle.checkpoint).unwrap().size >= size;
        found = (answer.logged && reached).then_some(bundle);
        found.is_some()
    })
    .await;
    found.unwrap()
}

#[tokio::test]
async fn a_key_that_was_rotated_away_delivers_what_it_claimed_and_claims_nothing_new() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::logged(&deployment).await;
    let play = Play::new(&deployment, replica.pipe(), &cast);
    let offer = play.offer();
    play.platform(&offer).await.unwrap();
    let acceptance = play.accept(&offer, 1);
    play.agent(&acceptance).await.unwrap();
    let rotated = rotate(&deployment, &cast, 2).await;

    let late = Play::new(&deployment, replica.pipe(), &cast);
    let other = late.offer();
    late.platform(&other).await.unwrap();
    assert_eq!(refusal(late.agent(&late.accept(&other, 1)).await).0, "AGENT_NOT_ACTIVE");
    let anew = Play { cast: rotated, ..late.clone() };
    anew.agent(&anew.accept(&other, 1)).await.unwrap();

    let submission = play.submit(&acceptance, &acceptance);
    let received = opened(&play.agent(&submission).await.unwrap().countersignature.unwrap());
    let body = received.body().as_work_received().unwrap();
    assert_eq!((body.agent_key_state, body.agent_key), (AgentKeyState::Superseded, DidKey::of(&cast.key)));
    let bundle = receipt(&deployment, &replica, &play, 7).await;
    assert_eq!(bundle.key_events.len(), 2);
    let verified = verify(&bundle, &deployment.trust_root, &Policy::default(), deployment.env.now()).unwrap();
    assert_eq!(verified.agent_key_state, Some(KeyState::Superseded));
    replica.stop().await;
}

#[tokio::test]
async fn a_compromised_key_does_nothing_more_and_its_receipts_say_since_when() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::logged(&deployment).await;
    let play = Play::new(&deployment, replica.pipe(), &cast);
    play.paid().await;
    let open = Play::new(&deployment, replica.pipe(), &cast);
    let offer = open.offer();
    open.platform(&offer).await.unwrap();
    let acceptance = open.accept(&offer, 1);
    open.agent(&acceptance).await.unwrap();
    compromise(&deployment, &cast, 2, 3_600).await;
    let submission = open.submit(&acceptance, &acceptance);
    assert_eq!(refusal(open.agent(&submission).await).0, "AGENT_NOT_ACTIVE");

    let check =
        |bundle: &Bundle| verify(bundle, &deployment.trust_root, &Policy::default(), deployment.env.now());
    let bundle = receipt(&deployment, &replica, &play, 10).await;
    let verified = check(&bundle).unwrap();
    assert!(matches!(verified.agent_key_state, Some(KeyState::Compromised { .. })));
    // Without the events that came after, it was active as far as the bundle shows.
    let mut earlier = bundle.clone();
    earlier.key_events.truncate(1);
    assert_eq!(check(&earlier).unwrap().agent_key_state, Some(KeyState::Active));
    earlier.key_events.clear();
    assert_eq!(check(&earlier), Err(VerifyError::NoKeyEvent { key: DidKey::of(&cast.key) }));
    replica.stop().await;
}

#[tokio::test]
async fn work_that_was_received_after_the_key_was_compromised_does_not_verify() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::logged(&deployment).await;
    let play = Play::new(&deployment, replica.pipe(), &cast);
    play.paid().await;
    compromise(&deployment, &cast, 2, -3_600).await;
    let bundle = receipt(&deployment, &replica, &play, 8).await;
    let refused = verify(&bundle, &deployment.trust_root, &Policy::default(), deployment.env.now());
    assert!(matches!(refused, Err(VerifyError::AgentKeyCompromised { .. })), "{refused:?}");
    replica.stop().await;
}

#[tokio::test]
async fn a_key_event_that_does_not_follow_or_is_not_signed_changes_nothing() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::logged(&deployment).await;
    let new = SigningKey::from_bytes(&deployment.env.random());
    let forged = |sequence| KeyEvent {
        public_key: DidKey::of(&new).as_bytes().to_vec(),
        previous_key: DidKey::of(&cast.key).as_bytes().to_vec(),
        kind: key_event::Kind::Rotated.into(),
        reason: KeyReason::Superseded.into(),
        by_owner: true,
        key_proof: vec![7; 64],
        ..event(&cast, sequence)
    };
    deployment.auth.key_event(agent_event::Kind::KeyRotated, forged(2), &DidKey::of(&new));
    deployment.auth.key_event(agent_event::Kind::KeyRotated, event(&cast, 3), &DidKey::of(&new));
    // What comes after is followed: the agent is as it was.
    Cast::new(&deployment);
    notices(&deployment, 2).await;
    let play = Play::new(&deployment, replica.pipe(), &cast);
    play.paid().await;
    replica.stop().await;
}

#[tokio::test]
async fn a_receipt_that_names_a_published_build_shows_its_source() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::logged(&deployment).await;
    let build = Digest::of(b"the archive");
    let version = AgentVersion {
        agent: cast.agent_id,
        version: "1.0.0".to_owned(),
        build_digest: build,
        build_size: 11,
        source_ref: Some("https://example.org/agent@1.0.0".to_owned()),
        measurements: Vec::new(),
        published_time: deployment.env.now(),
    };
    let network = deployment.trust_root.network();
    let nonce = Nonce::new(deployment.env.random());
    let signer = DidKey::of(&cast.key);
    let statement = NoticeStatement::new(network, ORIGIN, signer, nonce, &version).unwrap();
    let envelope = statement.sign(&cast.key).unwrap().to_json();
    // Told twice, as after a cut: logged once.
    for _ in 0..2 {
        deployment.auth.publish(cast.agent_id, cast.payee, signer, envelope.clone());
    }
    notices(&deployment, 2).await;

    let play = Play::new(&deployment, replica.pipe(), &cast);
    play.paid_with(Some(build)).await;
    let bundle = receipt(&deployment, &replica, &play, 8).await;
    let check = |policy| verify(&bundle, &deployment.trust_root, &policy, deployment.env.now());
    let verified = check(Policy::default()).unwrap();
    assert_eq!((verified.level, verified.agent_version.as_deref()), (TrustLevel::Published, Some("1.0.0")));
    let reproduced = Policy { reproduced_build: Some(build), ..Policy::default() };
    assert_eq!(check(reproduced).unwrap().level, TrustLevel::Reproduced);
    let strict = Policy { min_level: Some(TrustLevel::Reproduced), ..Policy::default() };
    let (wanted, found) = (TrustLevel::Reproduced, TrustLevel::Published);
    assert_eq!(check(strict), Err(VerifyError::Level { wanted, found }));
    replica.stop().await;
}
