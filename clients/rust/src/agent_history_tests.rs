//! Tests of what is believed of an agent's keys and versions.

use poa_common::{AccountId, Env, Network};
use proof_of_agent::notice::KeyChange;
use proof_of_agent::{Digest, LogKey};

use super::*;
use crate::env::system_env;
use crate::key::AgentKey;
use crate::times::to_time;

/// An agent and what a server would show of it.
struct Story {
    env: Env,
    agent: AgentId,
    account: AccountId,
    events: Vec<api::KeyEvent>,
}

impl Story {
    fn new(first: &AgentKey) -> Self {
        let env = system_env();
        let (agent, account) = (env.new_id(), env.new_id());
        let registered = api::KeyEvent {
            agent_id: AgentId::to_string(&agent),
            account_id: AccountId::to_string(&account),
            sequence: 1,
            kind: Kind::Registered.into(),
            public_key: first.public_key().to_vec(),
            key_proof: first.registration_proof(&account).to_vec(),
            event_time: Some(to_time(env.now())),
            ..api::KeyEvent::default()
        };
        Self { env, agent, account, events: vec![registered] }
    }

    fn change(&self, old: &AgentKey, new: Option<&AgentKey>) -> KeyChange {
        KeyChange {
            agent: self.agent,
            sequence: u32::try_from(self.events.len() + 1).unwrap(),
            key: old.did(),
            new_key: new.map(AgentKey::did),
            reason: KeyReason::Superseded,
            compromised_since: None,
        }
    }

    fn then(&mut self, old: &AgentKey, new: Option<&AgentKey>, by_owner: bool) {
        let change = self.change(old, new);
        let signed = |key: &AgentKey| key.sign_change(&change).unwrap().to_vec();
        let event = api::KeyEvent {
            agent_id: self.agent.to_string(),
            account_id: self.account.to_string(),
            sequence: i32::try_from(change.sequence).unwrap(),
            kind: if new.is_some() { Kind::Rotated } else { Kind::Revoked }.into(),
            public_key: new.unwrap_or(old).public_key().to_vec(),
            previous_key: new.map(|_| old.public_key().to_vec()).unwrap_or_default(),
            reason: api::KeyReason::Superseded.into(),
            compromised_since: None,
            by_owner,
            authorisation: if by_owner { Vec::new() } else { signed(old) },
            key_proof: new.map(signed).unwrap_or_default(),
            event_time: Some(to_time(self.env.now())),
        };
        self.events.push(event);
    }

    fn history(&self) -> Result<KeyHistory, HistoryError> {
        KeyHistory::check(self.agent, &self.events)
    }

    fn problem(&self) -> String {
        self.history().unwrap_err().to_string()
    }
}

fn keys<const N: usize>() -> [AgentKey; N] {
    [(); N].map(|()| AgentKey::generate(&system_env()))
}

#[test]
fn a_key_lives_from_the_event_that_brought_it_to_the_one_that_ended_it() {
    let [first, second, third, stranger] = keys();
    let mut story = Story::new(&first);
    story.then(&first, Some(&second), false);
    story.then(&second, None, false);
    assert_eq!(story.history().unwrap().current(), None, "revoked, and no successor so far");
    story.then(&second, Some(&third), true);
    let history = story.history().unwrap();
    assert_eq!(history.current(), Some(third.did()));
    assert_eq!(history.events().len(), 4);
    let end = |sequence| KeyEnd { sequence, reason: KeyReason::Superseded, compromised_since: None };
    assert_eq!(history.life(first.did()), Some(KeyLife { from: 1, ended: Some(end(2)) }));
    assert_eq!(history.life(second.did()), Some(KeyLife { from: 2, ended: Some(end(3)) }));
    assert_eq!(history.life(third.did()), Some(KeyLife { from: 4, ended: None }));
    assert_eq!(history.life(stranger.did()), None);
}

#[test]
fn an_event_that_is_not_signed_by_whoever_it_says_does_not_hold() {
    let [first, second, thief] = keys();
    let mut story = Story::new(&first);
    story.then(&first, Some(&second), false);
    story.events[1].key_proof = thief.sign_change(&story.change(&thief, None)).unwrap().to_vec();
    assert!(story.problem().contains("the key event 2"), "{}", story.problem());
    let mut story = Story::new(&first);
    story.then(&first, Some(&second), false);
    story.events[1].public_key = thief.public_key().to_vec();
    assert!(story.history().is_err());
    story.events[1].authorisation.pop();
    assert!(story.problem().contains("64 bytes"), "{}", story.problem());
}

#[test]
fn events_follow_one_another_without_a_gap_and_are_of_the_keys_that_the_agent_had() {
    let [first, second, third] = keys();
    let mut story = Story::new(&first);
    story.then(&first, Some(&second), false);
    story.then(&second, Some(&third), false);
    let whole = story.events.clone();
    assert!(story.history().is_ok());
    story.events = vec![whole[0].clone(), whole[2].clone()];
    assert!(story.problem().contains("a gap"), "{}", story.problem());
    story.events = Vec::new();
    assert!(story.problem().contains("missing"), "{}", story.problem());
    story.events = whole[..1].to_vec();
    story.then(&third, Some(&second), false);
    assert!(story.problem().contains("did not have"), "{}", story.problem());
    story.events = whole[..1].to_vec();
    story.then(&first, None, false);
    story.then(&first, Some(&second), false);
    assert!(story.problem().contains("revoked"), "{}", story.problem());
    let other = KeyHistory::check(system_env().new_id(), &whole[..1]);
    assert!(other.unwrap_err().to_string().contains("another agent"));
}

fn root(origin: &str, key: &AgentKey) -> TrustRoot {
    let log_key = LogKey::new(origin, key.did()).unwrap();
    TrustRoot::new(Network::Simulated, origin, vec![log_key], vec![key.did()], None).unwrap()
}

#[test]
fn a_version_holds_where_a_key_of_the_agent_says_what_the_server_says() {
    let [first, second, thief] = keys();
    let mut story = Story::new(&first);
    let root = root("simulated.poa/1", &thief);
    let notice = AgentVersion {
        agent: story.agent,
        version: "1.0.0".to_owned(),
        build_digest: Digest::of(b"archive"),
        build_size: 7,
        source_ref: Some("git+ssh://example.org/agent@1".to_owned()),
        measurements: Vec::new(),
        published_time: story.env.now(),
    };
    let shown = |key: &AgentKey| {
        let (_, envelope) = key.sign_version(&story.env, &root, &notice).unwrap();
        api::AgentVersion {
            agent_id: notice.agent.to_string(),
            version: notice.version.clone(),
            build_digest: notice.build_digest.as_bytes().to_vec(),
            build_size: 7,
            source_ref: notice.source_ref.clone().unwrap(),
            envelope: envelope.to_json(),
            create_time: None,
        }
    };
    let (good, forged) = (shown(&first), shown(&thief));
    story.then(&first, Some(&second), false);
    let history = story.history().unwrap();
    let checked = history.check_version(&good, &root).unwrap();
    assert_eq!((checked.key.from, checked.key.ended.unwrap().sequence), (1, 2));
    let problem = |version: &api::AgentVersion, root: &TrustRoot| {
        history.check_version(version, root).unwrap_err().to_string()
    };
    assert!(problem(&forged, &root).contains("a key of the agent"));
    assert!(problem(&good, &self::root("simulated.poa/2", &thief)).contains("another log"));
    for changed in [
        api::AgentVersion { version: "1.0.1".to_owned(), ..good.clone() },
        api::AgentVersion { build_digest: vec![0; 32], ..good.clone() },
        api::AgentVersion { build_size: -1, ..good.clone() },
        api::AgentVersion { source_ref: String::new(), ..good.clone() },
    ] {
        assert!(problem(&changed, &root).contains("something else"), "{changed:?}");
    }
}
