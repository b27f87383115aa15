//! Tests of keys and of what they sign.

use std::fs;

use poa_common::{EscrowId, Msat, Network};
use proof_of_agent::notice::KeyReason;
use proof_of_agent::{Chain, Digest, LogKey, Rail, ReleasePolicy, TermsOffered};

use super::*;
use crate::env::system_env;

/// Terms signed by a platform key, and that key.
pub(crate) fn offer(env: &Env, task: TaskId) -> (Statement, Envelope, DidKey) {
    let platform = SigningKey::from_bytes(&env.random());
    let terms = TermsOffered {
        requester: env.new_id(),
        title: "Count the words".to_owned(),
        capability: Some("text.count".to_owned()),
        input: Content::of(b"one two", "text/plain"),
        criteria: Vec::new(),
        price_msat: Msat::new(10_000),
        fee_bps: 500,
        fee_msat: Msat::new(500),
        payee_net_msat: Msat::new(9_500),
        policy: ReleasePolicy::OnAcceptance,
        expires_in_seconds: 60,
        claim_seconds: 3,
        work_seconds: 60,
        review_seconds: 60,
        rail: Rail::Balance,
        escrow: env.new_id::<EscrowId>(),
        direct_agent: None,
        offered_time: env.now(),
    };
    let key = DidKey::of(&platform);
    let author = Author::platform_for_requester(key, Nonce::new(env.random()));
    let statement = Statement::offer(task, Network::Simulated, "simulated.poa/1", author, terms).unwrap();
    let envelope = Envelope::sign(&statement, &platform).unwrap();
    (statement, envelope, key)
}

#[test]
fn a_key_survives_its_file_and_others_cannot_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.pem");
    let key = AgentKey::generate(&system_env());
    key.save(&path).unwrap();
    assert_eq!(AgentKey::load(&path).unwrap().public_key(), key.public_key());
    assert!(fs::read_to_string(&path).unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(matches!(key.save(&path), Err(KeyError::File { .. })), "an existing key is never overwritten");
    assert!(!format!("{key:?}").contains(&hex::encode(key.signing.to_bytes())));
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.pem");
    AgentKey::generate(&system_env()).save(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(AgentKey::load(&path), Err(KeyError::Exposed(_))));
}

#[test]
fn a_file_that_is_not_a_key_is_refused() {
    assert!(matches!(AgentKey::from_pem("hello"), Err(KeyError::Malformed(_))));
}

#[test]
fn the_proof_of_a_registration_is_over_the_documented_text() {
    let key = AgentKey::generate(&system_env());
    let (account, other) = (system_env().new_id(), system_env().new_id());
    let text = format!("poa.auth.v1.RegisterAgent\n{account}\n{}", hex::encode(key.public_key()));
    assert!(key.did().verifies(text.as_bytes(), &key.registration_proof(&account)));
    assert!(!key.did().verifies(text.as_bytes(), &key.registration_proof(&other)));
}

#[test]
fn a_change_of_keys_is_signed_by_the_keys_that_it_is_about_and_no_others() {
    let env = system_env();
    let [old, new, other] = [(); 3].map(|()| AgentKey::generate(&env));
    let change = KeyChange {
        agent: env.new_id(),
        sequence: 2,
        key: old.did(),
        new_key: Some(new.did()),
        reason: KeyReason::Superseded,
        compromised_since: None,
    };
    for key in [&old, &new] {
        assert!(key.did().verifies(change.text().as_bytes(), &key.sign_change(&change).unwrap()));
    }
    assert!(matches!(other.sign_change(&change), Err(SigningError::Mismatch { field: "key", .. })));
    let revoked = KeyChange { new_key: None, ..change };
    assert!(old.sign_change(&revoked).is_ok());
    assert!(new.sign_change(&revoked).is_err());
}

#[test]
fn a_version_is_signed_for_the_log_that_the_caller_believes() {
    let env = system_env();
    let key = AgentKey::generate(&env);
    let log_key = LogKey::new("simulated.poa/1", key.did()).unwrap();
    let root =
        TrustRoot::new(Network::Simulated, "simulated.poa/1", vec![log_key], vec![key.did()], None).unwrap();
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
    assert_eq!(NoticeStatement::open(&envelope).unwrap(), statement);
    assert_eq!((statement.network(), statement.origin()), (Network::Simulated, "simulated.poa/1"));
    let unnamed = AgentVersion { version: "1 0".to_owned(), ..version };
    let refused = key.sign_version(&env, &root, &unnamed);
    assert!(matches!(
        refused,
        Err(SigningError::Statement(StatementError::Invalid { field: "version", .. }))
    ));
}

#[test]
fn what_the_agent_signs_continues_the_chain() {
    let env = system_env();
    let key = AgentKey::generate(&env);
    let task = env.new_id();
    let (terms, signed_terms, platform) = offer(&env, task);
    let acceptance = AcceptanceTerms { task, agent: env.new_id(), account: env.new_id(), claim_number: 1 };
    let (accepted, signed_acceptance) = key.accept(&env, terms.payload(), &acceptance).unwrap();
    let work = WorkDone {
        output: Content::of(b"2", "text/plain"),
        started: env.now(),
        finished: env.now(),
        build: None,
        evidence: None,
    };
    let submission = key.submit(&env, &accepted, &accepted, work).unwrap();
    let chain = Chain::replay([&signed_terms, &signed_acceptance, &submission], &[platform]).unwrap();
    assert_eq!(chain.len(), 3);
}

#[test]
fn terms_of_another_task_or_for_another_agent_are_not_signed() {
    let env = system_env();
    let key = AgentKey::generate(&env);
    let (terms, _, _) = offer(&env, env.new_id());
    let acceptance =
        AcceptanceTerms { task: env.new_id(), agent: env.new_id(), account: env.new_id(), claim_number: 1 };
    let refused = key.accept(&env, terms.payload(), &acceptance);
    assert!(matches!(refused, Err(SigningError::Mismatch { field: "task", .. })));
    assert!(matches!(key.accept(&env, b"{}", &acceptance), Err(SigningError::Terms(_))));
}
