//! What verify() says of the agent that signed, of the log's keys and witnesses, and of parts that were paid.

use poa_common::{Msat, Timestamp};
use proof_of_agent::notice::KeyReason;
use proof_of_agent::{
    Bundle, CheckpointError, Digest, KeyState, Outcome, Policy, Position, SettlementKind, TrustLevel,
    TrustRoot, VerifyError, WorkReceived, WorkSubmitted, verify,
};
use time::Duration;

use crate::fixture::{LOG_GAP, NOW, World, submitted};
use crate::plan::{
    BUILD, NEW_ORIGIN, Plan, Story, did, moved, payment, ranges, receipt, refund, revocation, rotation,
    trust_root, trusted, version, version_stated, witnessed,
};

fn judged(bundle: &Bundle) -> Result<proof_of_agent::Verified, VerifyError> {
    verify(bundle, &trust_root(), &Policy::default(), NOW)
}

fn under(
    bundle: &Bundle,
    trusted: proof_of_agent::trust::Trusted,
) -> Result<proof_of_agent::Verified, VerifyError> {
    verify(bundle, &TrustRoot::of(trusted).unwrap(), &Policy::default(), NOW)
}

fn paid(world: &World) -> Plan {
    Plan::of(world, &world.paid())
}

/// The work names a build, of which a version is published in the log, or not.
fn with_build(world: &World, published: Option<proof_of_agent::AgentVersion>) -> Plan {
    let before = world.up_to_received(proof_of_agent::ReleasePolicy::OnAttestation)[..2].to_vec();
    let work = WorkSubmitted { build_digest: Some(Digest::of(BUILD)), ..submitted(&before[1]) };
    let story = Story::new(world, before).then(world.by_agent(), work);
    let received = WorkReceived { submission_log_index: LOG_GAP * 3 - 1, ..world.received() };
    let statements = story.then(world.by_platform(), received).statements;
    let mut plan = Plan::of(world, &statements);
    plan.version = published.map(|version| (version_stated(&version, 2), 1));
    plan
}

#[test]
fn the_state_of_the_agents_key_is_what_the_events_in_the_bundle_say() {
    let world = World::new();
    let state =
        |event| judged(&paid(&world).with_event(&world, &event, 18).bundle()).map(|it| it.agent_key_state);
    assert_eq!(judged(&paid(&world).bundle()).unwrap().agent_key_state, Some(KeyState::Active));
    let superseded = Ok(Some(KeyState::Superseded));
    assert_eq!(state(rotation(&world, KeyReason::Superseded, None)), superseded);
    assert_eq!(state(revocation(&world, KeyReason::Superseded, None)), superseded);
    for seconds in [-1, 0] {
        let since: Timestamp = NOW + Duration::seconds(seconds);
        let compromised = state(revocation(&world, KeyReason::Compromised, Some(since)));
        assert_eq!(compromised, Err(VerifyError::AgentKeyCompromised { since }));
    }
    let since = NOW + Duration::NANOSECOND;
    let later = state(revocation(&world, KeyReason::Compromised, Some(since)));
    assert_eq!(later, Ok(Some(KeyState::Compromised { since })));
    let open = judged(&receipt(&world, &world.paid()[..2])).unwrap();
    assert_eq!((open.agent_key_state, open.level), (None, TrustLevel::Key));
}

#[test]
fn an_event_of_another_agents_key_says_nothing_of_this_one() {
    let world = World::new();
    let mut other = revocation(&world, KeyReason::Compromised, Some(NOW));
    other.agent = crate::fixture::id(6);
    let verified = judged(&paid(&world).with_event(&world, &other, 18).bundle()).unwrap();
    assert_eq!(verified.agent_key_state, Some(KeyState::Active));
}

#[test]
fn work_under_a_key_that_no_event_introduced_is_refused() {
    let world = World::new();
    let missing = Err(VerifyError::NoKeyEvent { key: did(2) });
    let mut bundle = paid(&world).bundle();
    bundle.key_events.clear();
    assert_eq!(judged(&bundle), missing);
    // Logged when the work was there already, or just where it is.
    for place in [9, 10] {
        let mut plan = paid(&world);
        plan.events[0].1 = place;
        assert_eq!(judged(&plan.bundle()), missing);
    }
    // Another event than the one that the platform named, although it says the same.
    let mut plan = paid(&world);
    let nonce = proof_of_agent::Nonce::new([77; 16]);
    let network = poa_common::Network::Simulated;
    let again = proof_of_agent::NoticeStatement::new(
        network,
        crate::fixture::ORIGIN,
        did(1),
        nonce,
        &world.registration(),
    );
    plan.events[0].0 = again.unwrap();
    assert_eq!(judged(&plan.bundle()), missing);
}

#[test]
fn a_notice_that_is_not_what_it_must_be_is_refused() {
    let world = World::new();
    let bundle = with_build(&world, Some(version())).bundle();
    let refused = |edit: &dyn Fn(&mut Bundle)| {
        let mut bundle = bundle.clone();
        edit(&mut bundle);
        match judged(&bundle) {
            Err(VerifyError::Notice { notice, .. }) => notice,
            other => panic!("expected a notice to be refused, got {other:?}"),
        }
    };
    const EVENT: &str = "a key event of the agent";
    const VERSION: &str = "the agent's version";
    assert_eq!(refused(&|it| it.key_events[0].log_index = 4), EVENT);
    assert_eq!(refused(&|it| it.key_events[0].log_index = 99), EVENT);
    assert_eq!(refused(&|it| it.key_events[0].proof.clear()), EVENT);
    assert_eq!(refused(&|it| it.key_events[0].envelope = it.entries[0].envelope.clone()), EVENT);
    assert_eq!(refused(&|it| it.key_events[0] = it.agent_version.clone().unwrap()), EVENT);
    assert_eq!(refused(&|it| it.agent_version = Some(it.key_events[0].clone())), VERSION);
    let version_of = |it: &mut Bundle| it.agent_version.as_mut().unwrap().proof.clear();
    assert_eq!(refused(&version_of), VERSION);
    // Signed by no key of the agent that is in the bundle.
    assert_eq!(refused(&|it| it.key_events.clear()), VERSION);
    let mut plan = with_build(&world, None);
    plan.version = Some((version_stated(&version(), 14), 1));
    assert!(matches!(judged(&plan.bundle()), Err(VerifyError::Notice { notice: VERSION, .. })));
    // A key event outside the range of the receipt key that signed it.
    let key_range = proof_of_agent::trust::KeyInRange { key: did(1), from: 1, until: None };
    let late = proof_of_agent::trust::Trusted { receipt_keys: vec![key_range], ..trusted() };
    assert!(matches!(under(&bundle, late), Err(VerifyError::Notice { notice: EVENT, .. })));
}

#[test]
fn the_level_follows_from_what_is_shown() {
    let world = World::new();
    let level = |plan: &Plan, build: Option<Digest>| {
        let policy = Policy { reproduced_build: build, ..Policy::default() };
        let verified = verify(&plan.bundle(), &trust_root(), &policy, NOW).unwrap();
        (verified.level, verified.agent_version)
    };
    let named = Some("1.4.0".to_owned());
    let build = Some(Digest::of(BUILD));
    let published = with_build(&world, Some(version()));
    assert_eq!(level(&with_build(&world, None), build), (TrustLevel::Key, None));
    assert_eq!(level(&published, None), (TrustLevel::Published, named.clone()));
    assert_eq!(level(&published, Some(Digest::of(b"other"))), (TrustLevel::Published, named.clone()));
    assert_eq!(level(&published, build), (TrustLevel::Reproduced, named.clone()));
    // Without its source a version shows nothing, and a version of another build is not the run's.
    let closed = proof_of_agent::AgentVersion { source_ref: None, ..version() };
    assert_eq!(level(&with_build(&world, Some(closed)), build), (TrustLevel::Key, named));
    let other = proof_of_agent::AgentVersion { build_digest: Digest::of(b"other"), ..version() };
    assert_eq!(level(&with_build(&world, Some(other)), build), (TrustLevel::Key, None));
    for (wanted, name) in
        [(TrustLevel::Published, "L1"), (TrustLevel::Reproduced, "L2"), (TrustLevel::Tee, "L3")]
    {
        let policy = Policy { min_level: Some(wanted), ..Policy::default() };
        let result = verify(&published.bundle(), &trust_root(), &policy, NOW);
        let found = TrustLevel::Published;
        assert_eq!(result.is_ok(), wanted == found);
        if wanted != found {
            assert_eq!(result, Err(VerifyError::Level { wanted, found }));
        }
        assert_eq!(wanted.to_string(), name);
    }
}

#[test]
fn evidence_that_cannot_be_checked_is_not_passed_over() {
    let world = World::new();
    for plan in [with_build(&world, None), with_build(&world, Some(version()))] {
        let mut bundle = plan.bundle();
        bundle.tee_evidence = Some(b"evidence".to_vec());
        assert!(matches!(judged(&bundle), Err(VerifyError::Evidence(_))));
    }
}

#[test]
fn a_record_says_what_the_chain_says_or_the_receipt_is_refused() {
    let world = World::new();
    let bundle = paid(&world).bundle();
    let refused = |place: usize, edit: &dyn Fn(&mut Bundle)| {
        let mut bundle = bundle.clone();
        edit(&mut bundle);
        assert_eq!(judged(&bundle), Err(VerifyError::Record { place }));
    };
    refused(5, &|it| it.entries[5].record = None);
    refused(4, &|it| it.entries[4].record = it.entries[5].record);
    refused(1, &|it| it.entries[1].record = it.entries[5].record);
    refused(5, &|it| it.entries[5].record.as_mut().unwrap().facts.on_time = false);
    refused(5, &|it| it.entries[5].record.as_mut().unwrap().facts.agent = crate::fixture::id(6));
    refused(5, &|it| it.entries[5].record.as_mut().unwrap().facts.fee_bucket = 0);
}

#[test]
fn a_receipt_key_signs_within_its_range_alone() {
    let bundle = paid(&World::new()).bundle();
    assert!(under(&bundle, ranges(18)).is_ok());
    // Its last statement is at the place 17, the decision before it at 14.
    assert_eq!(under(&bundle, ranges(17)), Err(VerifyError::KeyRange { place: 5, key: did(1) }));
    assert_eq!(under(&bundle, ranges(14)), Err(VerifyError::KeyRange { place: 4, key: did(1) }));
    let world = World::new();
    let verdict = receipt(&world, &Story::received(&world).judged(0).statements);
    let arbiter = |from, until| {
        let arbiter_keys = vec![proof_of_agent::trust::KeyInRange { key: did(5), from, until }];
        under(&verdict, proof_of_agent::trust::Trusted { arbiter_keys, ..trusted() })
    };
    assert!(arbiter(17, Some(18)).is_ok());
    for (from, until) in [(0, Some(17)), (18, None)] {
        assert_eq!(arbiter(from, until), Err(VerifyError::KeyRange { place: 5, key: did(5) }));
    }
}

#[test]
fn as_many_witnesses_as_are_asked_for_have_seen_the_log() {
    let world = World::new();
    let seen = |places: &[usize]| Plan { seen_by: places.to_vec(), ..paid(&world) }.bundle();
    let verified = under(&seen(&[0, 1, 2]), witnessed(2)).unwrap();
    assert_eq!(verified.witnesses, 3);
    assert!(verified.checks.iter().any(|check| check.name == "witnesses"));
    let too_few = CheckpointError::NotWitnessed { quorum: 2, found: 1 };
    assert_eq!(under(&seen(&[1, 1]), witnessed(2)), Err(VerifyError::Checkpoint(too_few)));
    assert_eq!(under(&seen(&[1]), witnessed(0)).unwrap().witnesses, 1);
}

#[test]
fn a_receipt_from_before_the_log_was_moved_verifies_under_its_new_name() {
    let world = World::new();
    let plan = Plan { origin: NEW_ORIGIN, ..paid(&world) };
    let verified = under(&plan.bundle(), moved()).unwrap();
    assert_eq!(verified.origin, NEW_ORIGIN);
    let forgotten = proof_of_agent::trust::Trusted { prior_origins: vec![], ..moved() };
    assert_eq!(under(&plan.bundle(), forgotten), Err(VerifyError::Origin { place: 0 }));
    let old = CheckpointError::NoTrustedSignature;
    assert_eq!(judged(&plan.bundle()), Err(VerifyError::Checkpoint(old)));
}

#[test]
fn the_outcome_sums_all_parts() {
    let world = World::new();
    let captured = || {
        let part = payment(SettlementKind::Captured, 0, 0, 40_011, 0);
        Story::received(&world).decided(proof_of_agent::DecisionKind::AcceptedInPart).settled(part)
    };
    let outcome = |story: Story<'_>| {
        let verified = judged(&receipt(&world, &story.statements)).unwrap();
        assert_eq!(verified.captured, Msat::new(40_011));
        (verified.is_paid(), verified.outcome)
    };
    let msat = Msat::new;
    assert_eq!(outcome(captured()), (false, Outcome::Open(Position::Accepted)));
    let rest = payment(SettlementKind::Released, 40_011, 2_000, 60_988, 0);
    let released = captured().resubmitted().decided(proof_of_agent::DecisionKind::Accepted).settled(rest);
    let whole = Outcome::Paid { amount: msat(100_999), fee: msat(5_049), payee_net: msat(95_950), time: NOW };
    assert_eq!(outcome(released), (true, whole));
    let expired = captured().decided(proof_of_agent::DecisionKind::Expired).settled(refund(60_988));
    let part = Outcome::Split {
        amount: msat(40_011),
        fee: msat(2_000),
        payee_net: msat(38_011),
        refund: msat(60_988),
        time: NOW,
    };
    assert_eq!(outcome(expired), (false, part));
    let split = payment(SettlementKind::Split, 40_011, 2_000, 20_011, 40_977);
    let both = Outcome::Split {
        amount: msat(60_022),
        fee: msat(3_001),
        payee_net: msat(57_021),
        refund: msat(40_977),
        time: NOW,
    };
    assert_eq!(outcome(captured().resubmitted().judged(20_011).settled(split)), (false, both));
    let denied = captured().resubmitted().judged(0).settled(refund(60_988));
    assert_eq!(outcome(denied), (false, part));
}
