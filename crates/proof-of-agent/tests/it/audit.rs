//! An auditor follows an honest log, and finds each thing that a dishonest one does.

use poa_common::Network;
use proof_of_agent::audit::{Auditor, FindingKind, Next, Settled, State, StateError};
use proof_of_agent::notice::{AgentVersion, Authority, KeyEventKind, KeyReason};
use proof_of_agent::tlog::{self, LogEntry};
use proof_of_agent::{
    Checkpoint, DidKey, Digest, Envelope, KeyEvent, Nonce, NoticeStatement, TrustRoot, Witnesses,
};
use time::Duration;

use super::audit_log::{Log, auditor, change, honest, kinds};
use super::fixture::{NOW, ORIGIN, World, id};

#[test]
fn a_clean_log_of_thousands_of_entries_is_followed_in_steps_and_from_a_kept_state() {
    let (world, mut log) = (World::new(), Log::default());
    let root = world.trust_root();
    log.key_event(&world, &world.registration());
    let (statements, places) = log.paid_task(&world);
    log.fill(7_000);
    log.key_event(&world, &change(&world, 2, KeyEventKind::Rotated, KeyReason::Superseded));
    log.fill(500);
    let mut state = State::new(ORIGIN);
    for size in [1, 2, 255, 256, 257, 300, 4_096, 5_000, log.size()] {
        let mut auditor = Auditor::new(&root, state.clone());
        assert!(log.audit(&mut auditor, &world, size), "{size}");
        assert_eq!(auditor.take_findings(), [], "{size}");
        assert_eq!(auditor.begin(&log.note(&world, size)), Next::Same);
        assert_eq!(
            (auditor.state().size(), auditor.state().root()),
            (size, tlog::root(size, &log.nodes).unwrap())
        );
        state = State::decode(&auditor.state().encode(), ORIGIN).unwrap();
        assert_eq!(&state, auditor.state());
    }
    let mut auditor = Auditor::new(&root, state);
    let size = log.size();
    let bundle = log.bundle(&world, &statements, &places, 60);
    assert_eq!(auditor.places(&bundle), places);
    let settled = auditor.receipt("receipt.json", &bundle, |place| log.leaf(place, size), NOW);
    assert_eq!(settled, Settled::Yes);
    assert_eq!(auditor.proof_for(&bundle.checkpoint), Some(60));
    auditor.checkpoint("receipt.json", &bundle.checkpoint, Some(&log.proof(60, size)));
    auditor.checkpoint("the same", &log.note(&world, size), None);
    auditor.overdue(NOW + Duration::days(1));
    assert_eq!(auditor.take_findings(), []);
    assert_eq!((auditor.checked().receipts, auditor.checked().statements), (1, 6));
}

#[test]
fn a_log_that_replaces_an_entry_is_inconsistent_and_does_not_become_the_one_seen() {
    let (world, root) = (World::new(), World::new().trust_root());
    let (mut log, mut auditor) = (honest(&world), auditor(&root));
    log.audit(&mut auditor, &world, log.size());
    assert_eq!(auditor.take_findings(), []);
    let (seen, note) = (log.size(), auditor.state().note().to_owned());
    log.fill(20);
    let forged = log.rewritten(7, &Log::other(9_999));
    assert!(!forged.audit(&mut auditor, &world, forged.size()));
    let findings = auditor.take_findings();
    assert_eq!(findings[0].kind, FindingKind::Inconsistent);
    assert_eq!(findings[0].evidence[0].text, note);
    assert_eq!(findings[0].evidence[1].text, forged.note(&world, forged.size()));
    assert_eq!(auditor.state().size(), seen, "the honest tree stays the one that was seen");
    // The honest log goes on where it was.
    assert!(log.audit(&mut auditor, &world, log.size()));
    assert_eq!(auditor.take_findings(), []);
}

#[test]
fn two_trees_of_one_size_are_a_fork() {
    let (world, root) = (World::new(), World::new().trust_root());
    let log = honest(&world);
    let mut auditor = auditor(&root);
    log.audit(&mut auditor, &world, log.size());
    let forged = log.rewritten(3, &Log::other(9_999));
    assert_eq!(auditor.begin(&forged.note(&world, forged.size())), Next::Refused);
    assert_eq!(kinds(&mut auditor), [FindingKind::Fork]);
}

#[test]
fn entries_that_do_not_make_the_signed_tree_are_noticed_though_the_proof_holds() {
    let (world, root) = (World::new(), World::new().trust_root());
    let log = honest(&world);
    let mut auditor = auditor(&root);
    log.audit(&mut auditor, &world, 30);
    let forged = log.rewritten(35, &Log::other(9_999));
    auditor.begin(&log.note(&world, log.size()));
    auditor.feed(forged.shown(30, forged.size()));
    assert!(!auditor.finish(Some(&log.proof(30, log.size()))));
    assert_eq!(kinds(&mut auditor), [FindingKind::EntriesMismatch]);
    // Entries that are not shown.
    auditor.begin(&log.note(&world, log.size()));
    auditor.feed(log.shown(30, 31));
    assert!(!auditor.finish(Some(&log.proof(30, log.size()))));
    assert_eq!(kinds(&mut auditor), [FindingKind::Omission]);
    // A proof that does not hold beside entries that do.
    auditor.begin(&log.note(&world, log.size()));
    auditor.feed(log.shown(30, log.size()));
    assert!(auditor.finish(None));
    assert_eq!(kinds(&mut auditor), [FindingKind::Inconsistent]);
}

#[test]
fn a_log_that_goes_back_is_stale_where_it_proves_that_and_rolled_back_where_not() {
    let (world, root) = (World::new(), World::new().trust_root());
    let log = honest(&world);
    let mut auditor = auditor(&root);
    log.audit(&mut auditor, &world, log.size());
    let older = log.note(&world, 20);
    assert_eq!(auditor.begin(&older), Next::Older { size: 20 });
    auditor.older(&older, Some(&log.proof(20, log.size())));
    assert_eq!(kinds(&mut auditor), [FindingKind::StaleCheckpoint]);
    auditor.older(&older, None);
    assert_eq!(kinds(&mut auditor), [FindingKind::RolledBack]);
    let forged = log.rewritten(3, &Log::other(9_999)).note(&world, 21);
    auditor.older(&forged, Some(&log.proof(21, log.size())));
    assert_eq!(kinds(&mut auditor), [FindingKind::RolledBack]);
}

#[test]
fn a_checkpoint_that_is_not_signed_or_not_witnessed_is_told() {
    let (world, log) = (World::new(), honest(&World::new()));
    let plain = world.trust_root();
    let witness = proof_of_agent::WitnessKey::new("w.example/w", DidKey::of(&world.witness)).unwrap();
    let trusted = proof_of_agent::Trusted {
        witnesses: Witnesses { quorum: 1, keys: vec![witness.clone()] },
        ..plain.trusted().clone()
    };
    let root = TrustRoot::of(trusted).unwrap();
    let mut auditor = auditor(&root);
    assert!(log.audit(&mut auditor, &world, 10), "it goes on");
    assert_eq!(kinds(&mut auditor), [FindingKind::NotWitnessed]);
    let note = log.note(&world, 20);
    let text = note.split_once("\n\n").unwrap().0;
    let line = witness.cosign(&format!("{text}\n"), 1, &world.witness);
    auditor.begin(&format!("{note}{line}"));
    assert_eq!(kinds(&mut auditor), []);
    let signed_by_another = Checkpoint::read_unverified(&note).unwrap().sign(&world.agent).unwrap();
    assert_eq!(auditor.begin(&signed_by_another), Next::Refused);
    assert_eq!(auditor.begin("nothing"), Next::Refused);
    assert_eq!(kinds(&mut auditor), [FindingKind::BadCheckpoint, FindingKind::BadCheckpoint]);
}

#[test]
fn twins_are_found_within_a_run_and_across_runs() {
    let (world, root) = (World::new(), World::new().trust_root());
    let mut log = honest(&world);
    let twin = LogEntry { statement: Digest::of(b"other"), ..Log::other(5) };
    let first = log.push(&twin);
    let mut auditor = auditor(&root);
    log.audit(&mut auditor, &world, log.size());
    let findings = auditor.take_findings();
    assert_eq!((findings[0].kind, findings[0].log_index), (FindingKind::Twin, Some(first)), "{findings:?}");
    let state = State::decode(&auditor.state().encode(), ORIGIN).unwrap();
    let mut later = Auditor::new(&root, state);
    log.push(&LogEntry { statement: Digest::of(b"third"), ..Log::other(6) });
    log.audit(&mut later, &world, log.size());
    assert_eq!(kinds(&mut later), [FindingKind::Twin], "the old twins are not told again");
    assert_eq!(later.state().findings(), 2);
}

#[test]
fn a_withheld_a_changed_and_a_strangers_notice_are_told() {
    let (world, root) = (World::new(), World::new().trust_root());
    let mut log = honest(&world);
    let event = change(&world, 2, KeyEventKind::Rotated, KeyReason::Superseded);
    let envelope = world.stated(&event).sign(&world.platform).unwrap();
    let entry = LogEntry::of_notice::<KeyEvent>(&envelope).unwrap().encode();
    let audit = |entry: &[u8], envelope: Vec<u8>| {
        let (mut log, mut auditor) = (log.clone(), auditor(&root));
        log.push_bytes(entry.to_vec(), envelope);
        log.audit(&mut auditor, &world, log.size());
        kinds(&mut auditor)
    };
    assert_eq!(audit(&entry, envelope.to_json()), []);
    assert_eq!(audit(&entry, Vec::new()), [FindingKind::Omission]);
    assert_eq!(audit(&entry, b"{}".to_vec()), [FindingKind::BadNotice]);
    // Another statement of the same event, with a signature that holds.
    let other = NoticeStatement::new(
        Network::Simulated,
        ORIGIN,
        DidKey::of(&world.platform),
        Nonce::new([9; Nonce::LENGTH]),
        &event,
    );
    let other = other.unwrap().sign(&world.platform).unwrap();
    assert_eq!(audit(&entry, other.to_json()), [FindingKind::BadNotice]);
    // Signed by a key that is none of the platform's.
    let stranger = DidKey::of(&world.requester);
    let stranger =
        NoticeStatement::new(Network::Simulated, ORIGIN, stranger, Nonce::new([8; Nonce::LENGTH]), &event);
    let stranger = stranger.unwrap().sign(&world.requester).unwrap();
    let entry = LogEntry::of_notice::<KeyEvent>(&stranger).unwrap().encode();
    assert_eq!(audit(&entry, stranger.to_json()), [FindingKind::BadNotice]);
    log.fill(1);
}

#[test]
fn a_gap_and_an_event_of_another_key_are_told() {
    let (world, root) = (World::new(), World::new().trust_root());
    let audit = |events: &[KeyEvent]| {
        let (mut log, mut auditor) = (honest(&world), auditor(&root));
        for event in events {
            log.key_event(&world, event);
        }
        log.audit(&mut auditor, &world, log.size());
        kinds(&mut auditor)
    };
    let rotated = |sequence| change(&world, sequence, KeyEventKind::Rotated, KeyReason::Superseded);
    let revoked = |sequence| change(&world, sequence, KeyEventKind::Revoked, KeyReason::Compromised);
    assert_eq!(audit(&[revoked(2)]), []);
    assert_eq!(audit(&[rotated(3)]), [FindingKind::KeyEventGap]);
    assert_eq!(audit(&[rotated(2), revoked(3)]), [FindingKind::BadNotice], "the key was rotated away");
    assert_eq!(audit(&[revoked(2), rotated(3)]), [FindingKind::BadNotice], "a revoked key does not speak");
    let by_owner = KeyEvent { authority: Authority::Owner, authorisation: None, ..rotated(3) };
    assert_eq!(audit(&[revoked(2), by_owner]), []);
}

#[test]
fn a_version_that_no_key_of_the_agent_signed_is_told() {
    let (world, root) = (World::new(), World::new().trust_root());
    let audit = |key: &ed25519_dalek::SigningKey| {
        let version = AgentVersion {
            agent: id(5),
            version: "1.0".to_owned(),
            build_digest: Digest::of(b"build"),
            build_size: 5,
            source_ref: None,
            measurements: Vec::new(),
            published_time: NOW,
        };
        let nonce = Nonce::new([7; Nonce::LENGTH]);
        let statement =
            NoticeStatement::new(Network::Simulated, ORIGIN, DidKey::of(key), nonce, &version).unwrap();
        let envelope: Envelope = statement.sign(key).unwrap();
        let (mut log, mut auditor) = (honest(&world), auditor(&root));
        let entry = LogEntry::of_notice::<AgentVersion>(&envelope).unwrap();
        log.push_bytes(entry.encode(), envelope.to_json());
        log.audit(&mut auditor, &world, log.size());
        kinds(&mut auditor)
    };
    assert_eq!(audit(&world.agent), []);
    assert_eq!(audit(&world.requester), [FindingKind::BadNotice]);
}

#[test]
fn what_is_no_entry_and_a_record_that_cannot_be_are_told() {
    let (world, root) = (World::new(), World::new().trust_root());
    let mut log = honest(&world);
    let with_record = log.entries.iter().find_map(|(bytes, _)| LogEntry::decode(bytes).unwrap().record);
    log.push(&Log::other(77_777).with_record(with_record));
    log.push_bytes(vec![9; 100], Vec::new());
    let mut auditor = auditor(&root);
    log.audit(&mut auditor, &world, log.size());
    // The bundle of entries is none, either.
    let found = kinds(&mut auditor);
    assert_eq!(found, [FindingKind::BadRecord, FindingKind::BadEntry, FindingKind::TileMismatch]);
}

#[test]
fn a_wrong_tile_is_told_and_a_missing_one_too() {
    let (world, root) = (World::new(), World::new().trust_root());
    let mut log = Log::default();
    log.fill(600);
    let mut auditor = auditor(&root);
    log.audit(&mut auditor, &world, 600);
    assert_eq!(auditor.take_findings(), []);
    let tiles = auditor.tiles();
    assert_eq!(tiles.len(), 5);
    let forged = log.rewritten(599, &Log::other(1_000_000)).rewritten(400, &Log::other(1_000_001));
    for tile in &tiles {
        auditor.tile(tile, Some(&forged.tile(tile)));
        let told = kinds(&mut auditor);
        assert_eq!(told, [FindingKind::TileMismatch], "{tile}");
    }
    auditor.tile(&tiles[0], None);
    assert_eq!(kinds(&mut auditor), [FindingKind::Omission]);
}

#[test]
fn a_checkpoint_from_a_friend_shows_a_fork_and_one_that_is_ahead_a_stale_log() {
    let (world, root) = (World::new(), World::new().trust_root());
    let log = honest(&world);
    let mut auditor = auditor(&root);
    let size = log.size() - 5;
    log.audit(&mut auditor, &world, size);
    auditor.checkpoint("friend", &log.note(&world, 30), Some(&log.proof(30, size)));
    auditor.checkpoint("empty", &log.note(&world, 0), None);
    assert_eq!(auditor.take_findings(), []);
    let forged = log.rewritten(3, &Log::other(9_999));
    let note = forged.note(&world, 30);
    auditor.checkpoint("friend", &note, Some(&log.proof(30, size)));
    let findings = auditor.take_findings();
    assert_eq!(findings[0].kind, FindingKind::Fork);
    let evidence: Vec<&str> = findings[0].evidence.iter().map(|evidence| evidence.text.as_str()).collect();
    assert_eq!(evidence, [log.note(&world, size).as_str(), note.as_str()]);
    auditor.checkpoint("friend of the same size", &forged.note(&world, size), None);
    assert_eq!(kinds(&mut auditor), [FindingKind::Fork]);
    let ahead = log.note(&world, log.size());
    assert_eq!(auditor.checkpoint("ahead", &ahead, None), Settled::Ahead);
    assert_eq!(auditor.take_findings(), []);
    auditor.stale("ahead", &ahead);
    assert_eq!(kinds(&mut auditor), [FindingKind::StaleCheckpoint]);
    auditor.checkpoint(
        "foreign",
        &Checkpoint::read_unverified(&ahead).unwrap().sign(&world.agent).unwrap(),
        None,
    );
    assert_eq!(kinds(&mut auditor), [FindingKind::BadCheckpoint]);
}

#[test]
fn a_state_that_is_torn_unknown_or_of_another_log_is_refused() {
    let (world, root) = (World::new(), World::new().trust_root());
    let log = honest(&world);
    let mut auditor = auditor(&root);
    log.audit(&mut auditor, &world, log.size());
    let bytes = auditor.state().encode();
    assert!(State::decode(&bytes, ORIGIN).is_ok());
    for place in [13, 20, bytes.len() / 2, bytes.len() - 1] {
        let mut torn = bytes.clone();
        torn[place] ^= 1;
        assert_eq!(State::decode(&torn, ORIGIN), Err(StateError::Torn), "{place}");
    }
    assert_eq!(State::decode(&bytes[..bytes.len() - 7], ORIGIN), Err(StateError::Torn));
    assert_eq!(State::decode(b"{}", ORIGIN), Err(StateError::Unknown));
    let other = State::decode(&bytes, "another.poa/1");
    assert!(matches!(other, Err(StateError::OtherLog { .. })));
}

/// Prints figures: `cargo test --release -p proof-of-agent --test it audit::measure -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "it is what a measurement is for")]
fn measure_a_hundred_thousand_entries() {
    let (world, root) = (World::new(), World::new().trust_root());
    let mut log = Log::default();
    log.fill(100_000);
    let mut auditor = auditor(&root);
    let begun = std::time::Instant::now();
    log.audit(&mut auditor, &world, 100_000);
    let audited = begun.elapsed();
    let bytes = auditor.state().encode();
    let read = State::decode(&bytes, ORIGIN).is_ok();
    println!(
        "100,000 entries: {audited:?}; state {} bytes, written and read ({read}) after {:?}",
        bytes.len(),
        begun.elapsed()
    );
    assert_eq!(auditor.take_findings(), []);
}
