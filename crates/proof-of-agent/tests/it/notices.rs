//! Notices: key events and versions of agents, their frame, and the texts that keys sign.

use ed25519_dalek::Signer as _;
use poa_common::Network;
use proof_of_agent::notice::{
    Authority, KeyChange, KeyEventKind, KeyProof, KeyReason, MAX_MEASUREMENTS, MAX_VERSION_BYTES, Notice,
    TeeMeasurement, registration_text,
};
use proof_of_agent::tlog::{EntryKind, LogEntry, Slot};
use proof_of_agent::{AgentVersion, Digest, EnvelopeError, KeyEvent, Nonce, NoticeStatement, StatementError};
use serde_json::{Value, json};

use crate::fixture::{NOW, ORIGIN, World, id};
use crate::plan::{did, key, revocation, rotation, version, version_stated};

fn stated(event: &KeyEvent) -> Result<NoticeStatement<KeyEvent>, StatementError> {
    NoticeStatement::new(Network::Simulated, ORIGIN, did(1), Nonce::new([1; 16]), event)
}

fn version_of(version: &AgentVersion) -> Result<NoticeStatement<AgentVersion>, StatementError> {
    NoticeStatement::new(Network::Simulated, ORIGIN, did(2), Nonce::new([1; 16]), version)
}

fn invalid<T: std::fmt::Debug>(field: &'static str, result: Result<T, StatementError>) {
    match result {
        Err(StatementError::Invalid { field: found, .. }) => assert_eq!(found, field),
        other => panic!("expected {field} to be refused, got {other:?}"),
    }
}

fn edited(pointer: &str, to: Value) -> Result<NoticeStatement<KeyEvent>, StatementError> {
    let statement = stated(&World::new().registration()).unwrap();
    let mut value: Value = serde_json::from_slice(statement.payload()).unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Object(map) if to.is_null() => drop(map.remove(name)),
        Value::Object(map) => drop(map.insert(name.to_owned(), to)),
        other => *other.pointer_mut(&format!("/{name}")).unwrap() = to,
    }
    NoticeStatement::parse(&serde_json::to_vec(&value).unwrap())
}

#[test]
fn every_event_of_a_key_reads_back_and_takes_its_place() {
    let world = World::new();
    for event in [
        world.registration(),
        rotation(&world, KeyReason::Superseded, None),
        rotation(&world, KeyReason::Compromised, Some(NOW)),
        revocation(&world, KeyReason::Superseded, None),
        revocation(&world, KeyReason::Compromised, Some(NOW)),
    ] {
        let statement = stated(&event).unwrap();
        assert_eq!(statement.notice(), &event);
        assert_eq!(
            (statement.network(), statement.origin(), statement.signer()),
            (Network::Simulated, ORIGIN, did(1))
        );
        let envelope = statement.sign(&key(1)).unwrap();
        assert_eq!(NoticeStatement::<KeyEvent>::open(&envelope), Ok(statement.clone()));
        let entry = LogEntry::of_notice::<KeyEvent>(&envelope).unwrap();
        assert_eq!(
            (entry.kind, entry.statement, entry.record),
            (EntryKind::KeyEvent, statement.digest(), None)
        );
        assert_eq!(entry.slot, Slot::key_event(&id(5), event.sequence));
    }
}

#[test]
fn the_texts_that_keys_sign_are_those_of_the_documentation() {
    let hex = |seed: u8| hex::encode(did(seed).as_bytes());
    assert_eq!(
        registration_text(&id(2), &did(2)),
        format!("poa.auth.v1.RegisterAgent\nacct_00000000000000000000000002\n{}", hex(2))
    );
    let change = |new_key, reason, compromised_since| {
        KeyChange { agent: id(5), sequence: 3, key: did(2), new_key, reason, compromised_since }.text()
    };
    let agent = "agent_00000000000000000000000005";
    assert_eq!(
        change(Some(did(8)), KeyReason::Superseded, None),
        format!("poa.auth.v1.RotateAgentKey\n{agent}\n3\n{}\n{}\nsuperseded\n", hex(2), hex(8))
    );
    assert_eq!(
        change(None, KeyReason::Compromised, Some(NOW)),
        format!(
            "poa.auth.v1.RevokeAgentKey\n{agent}\n3\n{}\ncompromised\n2026-01-02T03:04:05.678901Z",
            hex(2)
        )
    );
}

#[test]
fn an_event_says_which_key_it_ended_and_why() {
    let world = World::new();
    assert_eq!(world.registration().ended(), None);
    assert_eq!(world.registration().change(), None);
    let rotated = rotation(&world, KeyReason::Compromised, Some(NOW));
    assert_eq!(rotated.ended(), Some((did(2), KeyReason::Compromised)));
    assert_eq!(rotated.change().unwrap().new_key, Some(did(8)));
    let revoked = revocation(&world, KeyReason::Superseded, None);
    assert_eq!(revoked.ended(), Some((did(2), KeyReason::Superseded)));
    assert_eq!(revoked.change().unwrap().new_key, None);
}

#[test]
fn an_event_that_breaks_a_rule_is_refused() {
    let world = World::new();
    let first = || world.registration();
    let rotated = || rotation(&world, KeyReason::Superseded, None);
    let revoked = || revocation(&world, KeyReason::Compromised, Some(NOW));
    let proof = || Some(KeyProof::new([0; 64]));
    for (field, event) in [
        ("sequence", KeyEvent { sequence: 0, ..first() }),
        ("sequence", KeyEvent { sequence: 2, ..first() }),
        ("sequence", KeyEvent { sequence: 1, ..rotated() }),
        ("previousKey", KeyEvent { previous_key: Some(did(8)), ..first() }),
        ("previousKey", KeyEvent { previous_key: None, ..rotated() }),
        ("previousKey", KeyEvent { previous_key: Some(did(8)), ..rotated() }),
        ("previousKey", KeyEvent { previous_key: Some(did(8)), ..revoked() }),
        ("reason", KeyEvent { reason: Some(KeyReason::Superseded), ..first() }),
        ("reason", KeyEvent { reason: None, ..rotated() }),
        ("compromisedSince", KeyEvent { compromised_since: Some(NOW), ..rotated() }),
        ("compromisedSince", KeyEvent { compromised_since: None, ..revoked() }),
        ("authority", KeyEvent { authority: Authority::Owner, ..first() }),
        ("authorisation", KeyEvent { authorisation: proof(), ..first() }),
        ("authorisation", KeyEvent { authorisation: None, ..rotated() }),
        ("authorisation", KeyEvent { authorisation: proof(), ..revoked() }),
        ("keyProof", KeyEvent { key_proof: None, ..first() }),
        ("keyProof", KeyEvent { key_proof: None, ..rotated() }),
        ("keyProof", KeyEvent { key_proof: proof(), ..revoked() }),
        // Signatures that do not hold for what the event says.
        ("keyProof", KeyEvent { key_proof: proof(), ..first() }),
        ("keyProof", KeyEvent { account: id(9), ..first() }),
        ("keyProof", KeyEvent { key: did(9), ..first() }),
        ("keyProof", KeyEvent { authorisation: proof(), ..rotated() }),
        ("keyProof", KeyEvent { agent: id(9), ..rotated() }),
        ("keyProof", KeyEvent { sequence: 3, ..rotated() }),
    ] {
        invalid(field, stated(&event));
    }
    // The owner rotates without the old key; the new one has signed all the same.
    let mut by_owner = KeyEvent { authority: Authority::Owner, authorisation: None, ..rotated() };
    let text = by_owner.change().unwrap().text();
    by_owner.key_proof = Some(KeyProof::new(key(8).sign(text.as_bytes()).to_bytes()));
    assert!(stated(&by_owner).is_ok());
    assert_eq!(by_owner.kind, KeyEventKind::Rotated);
}

#[test]
fn a_version_reads_back_and_takes_its_place() {
    let measured = TeeMeasurement { vendor: "awsNitro".to_owned(), value: "ab".repeat(48) };
    let full = AgentVersion { measurements: vec![measured; MAX_MEASUREMENTS], ..version() };
    for version in [version(), full, AgentVersion { source_ref: None, ..version() }] {
        let envelope = version_of(&version).unwrap().sign(&key(2)).unwrap();
        let read = NoticeStatement::<AgentVersion>::open(&envelope).unwrap();
        assert_eq!(read.notice(), &version);
        let entry = LogEntry::of_notice::<AgentVersion>(&envelope).unwrap();
        assert_eq!((entry.kind, entry.slot), (EntryKind::AgentVersion, Slot::agent_version(&id(5), "1.4.0")));
    }
}

#[test]
fn a_version_that_breaks_a_rule_is_refused() {
    let measured = |vendor: &str, value: String| {
        let measurement = TeeMeasurement { vendor: vendor.to_owned(), value };
        AgentVersion { measurements: vec![measurement], ..version() }
    };
    let named = |name: &str| AgentVersion { version: name.to_owned(), ..version() };
    let source = |text: String| AgentVersion { source_ref: Some(text), ..version() };
    let good = TeeMeasurement { vendor: "intelTdx".to_owned(), value: "00".repeat(32) };
    for (field, version) in [
        ("version", named("")),
        ("version", named("1 4")),
        ("version", named("1.4\n")),
        ("version", named("\u{e4}")),
        ("version", named(&"x".repeat(MAX_VERSION_BYTES + 1))),
        ("buildSize", AgentVersion { build_size: 1 << 53, ..version() }),
        ("sourceRef", source(String::new())),
        ("sourceRef", source("x".repeat(4 * 1024 + 1))),
        ("measurements", AgentVersion { measurements: vec![good; MAX_MEASUREMENTS + 1], ..version() }),
        ("measurements", measured("intelTdx", "00".repeat(31))),
        ("measurements", measured("intelTdx", "00".repeat(241))),
        ("measurements", measured("intelTdx", "0".repeat(65))),
        ("measurements", measured("intelTdx", "AB".repeat(32))),
        ("measurements", measured("", "00".repeat(32))),
        ("measurements", measured("intel tdx", "00".repeat(32))),
        ("measurements", measured(&"x".repeat(33), "00".repeat(32))),
    ] {
        invalid(field, version_of(&version));
    }
    assert!(version_of(&named(&"x".repeat(MAX_VERSION_BYTES))).is_ok());
}

#[test]
fn a_frame_that_breaks_a_rule_is_refused() {
    let other = Digest::of(b"other").to_string();
    invalid("subject", edited("/subject", json!([])));
    invalid("subject", edited("/subject/0/name", json!("build")));
    invalid("subject", edited("/subject/0/digest/sha256", json!(other)));
    invalid("logOrigin", edited("/predicate/logOrigin", json!("a b")));
    invalid("signerRole", edited("/predicate/signerRole", json!("agent")));
    let namespace = proof_of_agent::statement::TYPE_NAMESPACE;
    let typed = |uri: &str| edited("/predicateType", json!(uri)).unwrap_err();
    let newer = format!("{namespace}KeyEvent/v2");
    assert_eq!(typed(&newer), StatementError::UnknownVersion(newer.clone()));
    let version = format!("{namespace}AgentVersion/v1");
    assert_eq!(typed(&version), StatementError::UnknownType(version.clone()));
    let frame = edited("/_type", json!("x")).unwrap_err();
    assert_eq!(frame, StatementError::UnknownStatementType("x".to_owned()));
    for (pointer, to) in [
        ("/predicate/network", json!({ "simulated": null })),
        ("/predicate/body/kind", json!({ "registered": null })),
        ("/predicate/body/authority", json!({ "key": null })),
        ("/subject/0", json!(["key", { "sha256": other }])),
        ("/predicate/body/eventTime", json!("2026-01-02T03:04:05+00:00")),
        ("/predicate/body/keyProof", json!("AAA")),
        ("/predicate/body/key", Value::Null),
        ("/predicate/nonce", json!("01")),
    ] {
        let result = edited(pointer, to);
        assert!(matches!(result, Err(StatementError::Malformed(_))), "{pointer}: {result:?}");
    }
    let large = vec![b' '; proof_of_agent::statement::MAX_STATEMENT_BYTES + 1];
    assert_eq!(NoticeStatement::<KeyEvent>::parse(&large), Err(StatementError::TooLarge));
    assert!(edited("/predicate/body/mood", json!("good")).is_ok());
}

#[test]
fn a_field_of_a_notice_that_stands_twice_is_malformed() {
    let payload = stated(&World::new().registration()).unwrap().payload().to_vec();
    let text = String::from_utf8(payload).unwrap();
    for field in ["\"sequence\":1", "\"signerRole\":\"platform\"", "\"kind\":\"registered\""] {
        let twice = text.replacen(field, &format!("{field},{field}"), 1);
        assert_ne!(twice, text);
        let result = NoticeStatement::<KeyEvent>::parse(twice.as_bytes());
        assert!(matches!(result, Err(StatementError::Malformed(_))), "{field}");
    }
}

#[test]
fn a_notice_is_signed_by_who_it_names_and_is_no_other_kind_of_statement() {
    let world = World::new();
    let statement = stated(&world.registration()).unwrap();
    assert_eq!(statement.sign(&key(2)), Err(EnvelopeError::WrongKey(did(1))));
    let envelope = statement.sign(&key(1)).unwrap();
    let unknown = |error: EnvelopeError| {
        assert!(matches!(error, EnvelopeError::Statement(StatementError::UnknownType(_))), "{error:?}");
    };
    unknown(NoticeStatement::<AgentVersion>::open(&envelope).unwrap_err());
    unknown(envelope.open().unwrap_err());
    unknown(NoticeStatement::<KeyEvent>::open(&world.sign(&world.paid()[0])).unwrap_err());
    let other = version_stated(&version(), 2).sign(&key(2)).unwrap();
    unknown(LogEntry::of_notice::<KeyEvent>(&other).unwrap_err());
    let text = String::from_utf8(envelope.to_json()).unwrap().replacen("\"sig\":\"", "\"sig\":\"AAAA", 1);
    let broken = proof_of_agent::Envelope::from_json(text.as_bytes()).unwrap();
    assert_eq!(NoticeStatement::<KeyEvent>::open(&broken), Err(EnvelopeError::BadSignature(did(1))));
}

// === Slots ===

#[test]
fn a_slot_is_the_hash_of_its_documented_content() {
    let terms = Digest::of(b"terms");
    let of = |parts: &[&[u8]]| Digest::of_parts(&[&[b"poa.slot.v1/".as_slice()], parts].concat());
    let agent = b"agent_00000000000000000000000005\n".as_slice();
    for (slot, expected) in [
        (Slot::offer(&id(7)), of(&[b"offer\ntask_00000000000000000000000007"])),
        (Slot::claim(&terms, 258), of(&[b"claim\n", terms.as_bytes(), &[0, 0, 1, 2]])),
        (Slot::next(&terms), of(&[b"next\n", terms.as_bytes()])),
        (Slot::key_event(&id(5), 12), of(&[b"key\n", agent, b"12"])),
        (Slot::agent_version(&id(5), "1.4.0"), of(&[b"version\n", agent, b"1.4.0"])),
        (Slot::liabilities(&id(7)), of(&[b"liabilities\nliab_00000000000000000000000007"])),
    ] {
        assert_eq!(slot.digest(), &expected);
        assert_eq!(Slot::from_digest(expected), slot);
    }
}

#[test]
fn two_statements_that_cannot_both_be_said_take_one_slot_and_all_others_their_own() {
    let world = World::new();
    let paid = world.paid();
    let mut slots: Vec<Slot> = paid.iter().map(proof_of_agent::Statement::slot).collect();
    let twins = [
        world.offer(proof_of_agent::ReleasePolicy::OnAcceptance),
        world.accept(&paid[0], 1),
        world.submit(&paid[1], &paid[1]),
        world.receive(&paid[2], 9),
        world.decide(&paid[3], proof_of_agent::DecisionKind::Rejected),
        world.settle(&paid[4], proof_of_agent::SettlementKind::Refunded),
    ];
    for (twin, slot) in twins.iter().zip(&slots) {
        assert_eq!(twin.slot(), *slot);
    }
    slots.push(world.accept(&paid[0], 2).slot());
    slots.push(world.registration().slot());
    slots.push(rotation(&world, KeyReason::Superseded, None).slot());
    slots.push(version().slot());
    slots.sort();
    slots.dedup();
    assert_eq!(slots.len(), 10);
}
