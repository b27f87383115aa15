//! Key events that are signed and logged, and break a rule of their own.

use proof_of_agent::KeyEvent;
use proof_of_agent::notice::{Authority, KeyReason};
use serde_json::{Value, json};
use time::Duration;

use super::Vector;
use super::noticed::{Raw, of_event, proof, proven, text_of};
use super::spoilt_statements::malleated;
use super::trust_roots::CHANGE;
use crate::fixture::{NOW, World, id};
use crate::plan::{did, revocation, rotation};

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = rules();
    vectors.extend(signatures());
    vectors.extend(texts());
    vectors.extend(frames());
    vectors.extend(signers());
    vectors
}

fn first() -> KeyEvent {
    World::new().registration()
}

fn rotated() -> KeyEvent {
    rotation(&World::new(), KeyReason::Superseded, None)
}

/// By the owner.
fn revoked() -> KeyEvent {
    revocation(&World::new(), KeyReason::Superseded, None)
}

fn revoked_by_the_key() -> KeyEvent {
    proven(KeyEvent { authority: Authority::Key, ..revoked() }, None, Some(2))
}

fn refused(name: &'static str, event: &KeyEvent) -> Vector {
    of_event(name, Raw::event(event)).refused("notice")
}

fn rules() -> Vec<Vector> {
    let rotation = |event| proven(event, Some(8), Some(2));
    let compromised = KeyEvent { reason: Some(KeyReason::Compromised), ..rotated() };
    let by_owner = KeyEvent { authority: Authority::Owner, ..rotated() };
    vec![
        refused("event-of-number-nothing", &KeyEvent { sequence: 0, ..first() }),
        refused("registration-of-number-two", &KeyEvent { sequence: 2, ..first() }),
        refused("rotation-of-number-one", &rotation(KeyEvent { sequence: 1, ..rotated() })),
        refused("registration-with-a-previous-key", &KeyEvent { previous_key: Some(did(8)), ..first() }),
        refused("rotation-without-a-previous-key", &KeyEvent { previous_key: None, ..rotated() }),
        refused("rotation-to-the-same-key", &proven(KeyEvent { key: did(2), ..rotated() }, Some(2), Some(2))),
        refused("revocation-with-a-previous-key", &KeyEvent { previous_key: Some(did(8)), ..revoked() }),
        refused("registration-with-a-reason", &KeyEvent { reason: Some(KeyReason::Superseded), ..first() }),
        refused("rotation-without-a-reason", &KeyEvent { reason: None, ..rotated() }),
        refused("revocation-without-a-reason", &KeyEvent { reason: None, ..revoked() }),
        refused(
            "superseded-since-a-moment",
            &rotation(KeyEvent { compromised_since: Some(NOW), ..rotated() }),
        ),
        refused("compromised-since-nobody-knows-when", &rotation(compromised)),
        refused("registration-by-the-owner", &KeyEvent { authority: Authority::Owner, ..first() }),
        refused("registration-with-an-authorisation", &proven(first(), Some(2), Some(2))),
        refused("rotation-by-the-key-without-its-signature", &proven(rotated(), Some(8), None)),
        refused("rotation-by-the-owner-with-the-keys-signature", &rotation(by_owner)),
        refused("revocation-by-the-key-without-its-signature", &proven(revoked_by_the_key(), None, None)),
        refused("revocation-by-the-owner-with-the-keys-signature", &proven(revoked(), None, Some(2))),
        refused("registration-without-a-proof", &proven(first(), None, None)),
        refused("rotation-without-a-proof", &proven(rotated(), None, Some(2))),
        refused("revocation-with-a-proof", &proven(revoked_by_the_key(), Some(2), Some(2))),
    ]
}

/// Signatures that are there, and do not hold for what the event says.
fn signatures() -> Vec<Vector> {
    let for_another = KeyEvent { account: id(9), ..first() };
    let bytes = |edit: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let own = first().key_proof.unwrap().as_bytes().to_vec();
        let engine = base64::engine::general_purpose::STANDARD;
        json!(base64::Engine::encode(&engine, edit(own)))
    };
    let spelt = |name, proof: Value| {
        of_event(name, Raw::event(&first()).with("/predicate/body/keyProof", proof)).refused("notice")
    };
    vec![
        refused(
            "registration-proof-for-another-account",
            &KeyEvent { key_proof: first().key_proof, ..for_another },
        ),
        refused("registration-proof-by-another-key", &proven(first(), Some(3), None)),
        refused("rotation-proof-by-the-previous-key", &proven(rotated(), Some(2), Some(2))),
        refused("rotation-authorised-by-the-new-key", &proven(rotated(), Some(8), Some(8))),
        refused("rotation-authorised-by-the-platform", &proven(rotated(), Some(8), Some(1))),
        refused("revocation-authorised-by-another-key", &proven(revoked_by_the_key(), None, Some(8))),
        refused("rotation-signed-for-another-number", &KeyEvent { sequence: 3, ..rotated() }),
        refused("rotation-signed-for-another-agent", &KeyEvent { agent: id(9), ..rotated() }),
        refused(
            "rotation-signed-for-another-reason",
            &KeyEvent { reason: Some(KeyReason::Compromised), compromised_since: Some(NOW), ..rotated() },
        ),
        refused(
            "rotation-signed-for-another-moment",
            &KeyEvent {
                compromised_since: Some(NOW + Duration::SECOND),
                ..rotation(&World::new(), KeyReason::Compromised, Some(NOW))
            },
        ),
        refused(
            "rotation-whose-new-key-signed-as-if-it-registered",
            &KeyEvent {
                key_proof: proven(KeyEvent { key: did(8), ..first() }, Some(8), None).key_proof,
                ..rotated()
            },
        ),
        refused(
            "revocation-signed-as-a-rotation",
            &KeyEvent { authorisation: rotated().authorisation, ..revoked_by_the_key() },
        ),
        spelt("registration-proof-too-short", bytes(&|it| it[..63].to_vec())),
        spelt("registration-proof-of-nothing", json!("")),
        spelt("registration-proof-with-s-plus-l", bytes(&|it| malleated(&it))),
    ]
}

/// The texts that keys sign have one spelling.
fn texts() -> Vec<Vector> {
    let signed = |event: KeyEvent, text: &str| KeyEvent {
        key_proof: Some(proof(8, text)),
        authorisation: Some(proof(2, text)),
        ..event
    };
    let superseded = text_of(&rotated());
    let since = |spelling: &str, signed_time: &str| {
        let event = rotation(&World::new(), KeyReason::Compromised, Some(NOW));
        let text = text_of(&event).replace("2026-01-02T03:04:05.678901Z", signed_time);
        assert!(text.ends_with(signed_time));
        Raw::event(&signed(event, &text)).with("/predicate/body/compromisedSince", json!(spelling))
    };
    let (long, short) = ("2026-01-02T03:04:05.100Z", "2026-01-02T03:04:05.1Z");
    let (zeros, none) = ("2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05Z");
    let (sixty, read) = ("2025-12-31T23:59:60Z", "2025-12-31T23:59:59.999999999Z");
    vec![
        refused(
            "text-without-its-last-line-break",
            &signed(rotated(), superseded.strip_suffix('\n').unwrap()),
        ),
        refused("text-with-a-line-break-more", &signed(rotated(), &format!("{superseded}\n"))),
        refused("text-with-carriage-returns", &signed(rotated(), &superseded.replace('\n', "\r\n"))),
        refused(
            "text-with-keys-as-names",
            &signed(rotated(), &superseded.replace(&hex::encode(did(2).as_bytes()), &did(2).to_string())),
        ),
        of_event("text-with-the-shortest-time", since(long, short)),
        of_event("text-with-the-time-at-length", since(long, long)).refused("notice"),
        of_event("text-without-a-fraction", since(zeros, none)),
        of_event("text-with-a-fraction-of-zeros", since(zeros, zeros)).refused("notice"),
        of_event("text-with-a-second-of-sixty-as-it-is-read", since(sixty, read)),
        of_event("text-with-a-second-of-sixty-as-it-is-written", since(sixty, sixty)).refused("notice"),
    ]
}

fn frames() -> Vec<Vector> {
    let frame = |name, pointer: &str, to: Value| {
        of_event(name, Raw::event(&first()).with(pointer, to)).refused("notice")
    };
    let body = |name, field: &str, to: Value| frame(name, &format!("/predicate/body/{field}"), to);
    let text = |name, from: &str, to: &str| {
        of_event(name, Raw::event(&first()).rewritten(from, to)).refused("notice")
    };
    let other = json!(proof_of_agent::Digest::of(b"other"));
    let namespace = proof_of_agent::statement::TYPE_NAMESPACE;
    let event_type = format!("\"predicateType\":\"{namespace}KeyEvent/v1\"");
    vec![
        frame("key-event-without-a-subject", "/subject", json!([])),
        frame("key-event-about-a-build", "/subject/0/name", json!("build")),
        frame("key-event-about-another-key", "/subject/0/digest/sha256", other),
        frame("key-event-of-another-network", "/predicate/network", json!("mainnet")),
        frame("key-event-of-another-log", "/predicate/logOrigin", json!("other.poa/1")),
        frame("key-event-of-an-origin-with-a-space", "/predicate/logOrigin", json!("a b")),
        frame("key-event-in-the-role-of-an-agent", "/predicate/signerRole", json!("agent")),
        frame("key-event-of-another-version", "/predicateType", json!(format!("{namespace}KeyEvent/v2"))),
        frame("key-event-of-another-statement-type", "/_type", {
            json!("https://in-toto.io/Statement/v0.1")
        }),
        frame("key-event-without-a-type", "/predicateType", Value::Null),
        frame("key-event-with-a-short-nonce", "/predicate/nonce", json!("01")),
        body("key-event-of-an-unknown-kind", "kind", json!("lost")),
        body("key-event-kind-as-an-object", "kind", json!({ "registered": null })),
        body("key-event-by-an-unknown-authority", "authority", json!("platform")),
        body("key-event-without-an-account", "account", Value::Null),
        body("key-event-proof-without-padding", "keyProof", json!("AAA")),
        body("key-event-time-with-an-offset", "eventTime", json!("2026-01-02T03:04:05+00:00")),
        body("key-event-sequence-as-a-fraction", "sequence", json!(1.0)),
        of_event(
            "key-event-compromised-since-null",
            Raw::event(&first()).edited(|it| it["predicate"]["body"]["compromisedSince"] = Value::Null),
        )
        .refused("notice"),
        text("key-event-with-a-field-twice", "\"sequence\":1", "\"sequence\":1,\"sequence\":1"),
        text("key-event-with-two-types", &event_type, &format!("{event_type},{event_type}")),
        of_event("key-event-with-unknown-fields", {
            Raw::event(&first()).edited(|it| {
                it["predicate"]["task"] = json!("task_00000000000000000000000007");
                it["predicate"]["predecessor"] = Value::Null;
                it["predicate"]["body"]["mood"] = json!({ "good": true });
            })
        }),
        of_event("key-event-with-null-for-what-is-not-there", {
            Raw::event(&first()).edited(|it| {
                for field in ["previousKey", "reason", "authorisation"] {
                    it["predicate"]["body"][field] = Value::Null;
                }
            })
        }),
    ]
}

/// By a receipt key that may sign at this place of the log, and by no other.
fn signers() -> Vec<Vector> {
    let event = || Raw::event(&first());
    vec![
        of_event("key-event-signed-by-the-agent", event().by(2)).refused("notice"),
        of_event("key-event-signed-by-the-arbiter", event().by(5)).refused("notice"),
        of_event("key-event-by-the-last-place-of-a-receipt-key", event().at(CHANGE - 1)).under("ranges"),
        of_event("key-event-after-the-range-of-a-receipt-key", event().at(CHANGE))
            .under("ranges")
            .refused("notice"),
        of_event("key-event-by-the-first-place-of-a-receipt-key", event().by(9).at(CHANGE)).under("ranges"),
        of_event("key-event-before-the-range-of-a-receipt-key", event().by(9).at(CHANGE - 1))
            .under("ranges")
            .refused("notice"),
    ]
}
