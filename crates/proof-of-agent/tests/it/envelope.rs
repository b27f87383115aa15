//! Envelopes: what is signed, and what is refused.

use ed25519_dalek::{Signer as _, SigningKey};
use proof_of_agent::dsse::{self, MAX_ENVELOPE_BYTES, PAYLOAD_TYPE};
use proof_of_agent::{DidKey, Digest, Envelope, EnvelopeError, ReleasePolicy, Statement};
use serde_json::{Value, json};

use crate::fixture::World;

fn offer(world: &World) -> Statement {
    world.offer(ReleasePolicy::OnAcceptance)
}

fn edited(envelope: &Envelope, edit: impl FnOnce(&mut Value)) -> Result<Statement, EnvelopeError> {
    let mut value: Value = serde_json::from_slice(&envelope.to_json()).unwrap();
    edit(&mut value);
    Envelope::from_json(&serde_json::to_vec(&value).unwrap())?.open()
}

#[test]
fn the_pae_is_that_of_the_dsse_specification() {
    let pae = dsse::pae("http://example.com/HelloWorld", b"hello world");
    assert_eq!(pae, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

#[test]
fn a_signed_statement_opens_to_its_exact_bytes() {
    let world = World::new();
    let statement = offer(&world);
    let envelope = Envelope::from_json(&world.sign(&statement).to_json()).unwrap();
    let opened = envelope.open().unwrap();
    assert_eq!(opened, statement);
    assert_eq!(opened.payload(), statement.payload());
    assert_eq!(envelope.digest(), statement.digest());
    assert_eq!(statement.digest(), Digest::of(&dsse::pae(PAYLOAD_TYPE, statement.payload())));
    assert_eq!(envelope.signatures()[0].keyid, DidKey::of(&world.platform).to_string());
}

#[test]
fn a_signature_made_elsewhere_makes_the_same_envelope() {
    let world = World::new();
    let statement = offer(&world);
    let signature = world.platform.sign(&statement.pae()).to_bytes();
    assert_eq!(Envelope::with_signature(&statement, &signature), Ok(world.sign(&statement)));
    let signer = statement.context().signer;
    assert_eq!(Envelope::with_signature(&statement, &[0; 64]), Err(EnvelopeError::BadSignature(signer)));
}

#[test]
fn a_key_that_the_statement_does_not_name_cannot_sign_it() {
    let world = World::new();
    let statement = offer(&world);
    let signer = statement.context().signer;
    assert_eq!(Envelope::sign(&statement, &world.agent), Err(EnvelopeError::WrongKey(signer)));
}

#[test]
fn signatures_of_others_are_ignored_and_dropped_from_what_is_logged() {
    let world = World::new();
    let statement = offer(&world);
    let envelope = world.sign(&statement);
    let mut value: Value = serde_json::from_slice(&envelope.to_json()).unwrap();
    let own = value["signatures"][0].clone();
    value["signatures"] = json!([{"keyid": "witness", "sig": "AAAA"}, {"sig": ""}, {"keyid": own["keyid"], "sig": "AAAA"}, own]);
    let crowded = Envelope::from_json(&serde_json::to_vec(&value).unwrap()).unwrap();
    assert_eq!(crowded.open(), Ok(statement));
    assert_ne!(crowded, envelope);
    let (_, signature) = crowded.open_signed().unwrap();
    assert_eq!(crowded.with_one(signature.clone()), envelope);
}

#[test]
fn an_unknown_field_and_url_safe_base_64_are_read_as_dsse_says() {
    let world = World::new();
    let statement = offer(&world);
    let envelope = world.sign(&statement);
    let opened = edited(&envelope, |value| {
        value["extra"] = json!(1);
        let signature = value["signatures"][0]["sig"].as_str().unwrap().replace('+', "-").replace('/', "_");
        value["signatures"][0]["sig"] = json!(signature);
    });
    assert_eq!(opened, Ok(statement));
}

#[test]
fn an_envelope_that_is_not_signed_by_its_signer_is_refused() {
    let world = World::new();
    let statement = offer(&world);
    let envelope = world.sign(&statement);
    let signer = statement.context().signer;
    let agent = DidKey::of(&world.agent).to_string();
    let other_type = |value: &mut Value| value["payloadType"] = json!("text/plain");
    assert_eq!(edited(&envelope, other_type), Err(EnvelopeError::PayloadType));
    let other_keyid = |value: &mut Value| value["signatures"][0]["keyid"] = json!(agent);
    assert_eq!(edited(&envelope, other_keyid), Err(EnvelopeError::SignerMissing(signer)));
    let short = |value: &mut Value| value["signatures"][0]["sig"] = json!("AAAA");
    assert_eq!(edited(&envelope, short), Err(EnvelopeError::BadSignature(signer)));
    let none = |value: &mut Value| value["signatures"] = json!([]);
    assert_eq!(edited(&envelope, none), Err(EnvelopeError::Signatures));
    let many = |value: &mut Value| value["signatures"] = json!(vec![value["signatures"][0].clone(); 9]);
    assert_eq!(edited(&envelope, many), Err(EnvelopeError::Signatures));
    let long = |value: &mut Value| value["signatures"][0]["keyid"] = json!("k".repeat(257));
    assert_eq!(edited(&envelope, long), Err(EnvelopeError::Signatures));
    let no_statement = |value: &mut Value| value["payload"] = json!("e30=");
    assert!(matches!(edited(&envelope, no_statement), Err(EnvelopeError::Statement(_))));
    let no_base64 = |value: &mut Value| value["payload"] = json!("e30");
    assert!(matches!(edited(&envelope, no_base64), Err(EnvelopeError::Malformed(_))));
    assert_eq!(Envelope::from_json(&vec![b' '; MAX_ENVELOPE_BYTES + 1]), Err(EnvelopeError::TooLarge));
}

#[test]
fn a_signature_over_other_bytes_or_another_type_does_not_hold() {
    let world = World::new();
    let statement = offer(&world);
    let signer = statement.context().signer;
    for message in [statement.payload().to_vec(), dsse::pae("text/plain", statement.payload())] {
        let signature = SigningKey::from_bytes(&[1; 32]).sign(&message).to_bytes();
        assert_eq!(
            Envelope::with_signature(&statement, &signature),
            Err(EnvelopeError::BadSignature(signer))
        );
    }
}

#[test]
fn a_malleated_signature_is_refused() {
    let world = World::new();
    let statement = offer(&world);
    let mut signature = world.platform.sign(&statement.pae()).to_bytes();
    // S + L is the same number to a verifier that does not ask for S < L.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0u16;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    let signer = statement.context().signer;
    assert_eq!(Envelope::with_signature(&statement, &signature), Err(EnvelopeError::BadSignature(signer)));
}
