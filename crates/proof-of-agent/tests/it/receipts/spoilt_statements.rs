//! Receipts whose statements are not signed, not well-formed, or not allowed by themselves.
//!
//! Each is a task with its terms alone, which are spoilt and, where a signature still means something, signed again.

use poa_common::Msat;
use proof_of_agent::dsse::PAYLOAD_TYPE;
use proof_of_agent::{Envelope, ReleasePolicy, Statement};
use serde_json::{Value, json};

use super::spoilt_bundles::{offered, rewritten};
use super::{Vector, sorted, trust_roots};
use crate::fixture::World;
use crate::plan::{did, enveloped, receipt, sealed};

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = envelopes();
    vectors.extend(types());
    vectors.extend(spellings());
    vectors.extend(rules());
    vectors
}

fn offer() -> Statement {
    World::new().offer(ReleasePolicy::OnAcceptance)
}

/// The receipt with another first envelope.
fn with_envelope(name: &'static str, envelope: &Envelope, class: &'static str) -> Vector {
    let envelope = serde_json::to_value(envelope).unwrap();
    Vector::written(name, rewritten(&offered(), |it| it["entries"][0]["envelope"] = envelope)).refused(class)
}

/// The receipt whose first envelope was edited, and not signed again.
fn tampered(name: &'static str, class: &'static str, edit: impl FnOnce(&mut Value)) -> Vector {
    Vector::written(name, rewritten(&offered(), |it| edit(&mut it["entries"][0]["envelope"]))).refused(class)
}

/// The receipt whose terms have another text, signed by the platform.
fn resigned(name: &'static str, class: &'static str, edit: impl FnOnce(String) -> String) -> Vector {
    let text = edit(String::from_utf8(offer().payload().to_vec()).unwrap());
    with_envelope(name, &sealed(text.as_bytes(), did(1)), class)
}

/// The same with another value at a JSON pointer.
fn edited(name: &'static str, class: &'static str, pointer: &str, to: Value) -> Vector {
    resigned(name, class, |text| {
        let mut value: Value = serde_json::from_str(&text).unwrap();
        set(&mut value, pointer, to);
        sorted(&value).to_string()
    })
}

/// Puts another value at a JSON pointer; null takes the member away.
pub(super) fn set(value: &mut Value, pointer: &str, to: Value) {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Object(map) if to.is_null() => drop(map.remove(field)),
        Value::Object(map) => drop(map.insert(field.to_owned(), to)),
        other => *other.pointer_mut(&format!("/{field}")).unwrap() = to,
    }
}

/// The receipt of statements whose last one was edited as JSON, and signed by whom it named before.
pub(super) fn last_edited(
    name: &'static str,
    class: &'static str,
    statements: &[Statement],
    edit: impl FnOnce(&mut Value),
) -> Vector {
    last_rewritten(name, class, statements, |text| {
        let mut value: Value = serde_json::from_str(&text).unwrap();
        edit(&mut value);
        sorted(&value).to_string()
    })
}

/// The same with another text of the last statement.
pub(super) fn last_rewritten(
    name: &'static str,
    class: &'static str,
    statements: &[Statement],
    edit: impl FnOnce(String) -> String,
) -> Vector {
    let last = statements.last().unwrap();
    let text = edit(String::from_utf8(last.payload().to_vec()).unwrap());
    let envelope = sealed(text.as_bytes(), last.context().signer);
    let bundle = receipt(&World::new(), statements);
    let place = statements.len() - 1;
    let edited = rewritten(&bundle, |it| it["entries"][place]["envelope"] = json!(envelope));
    Vector::written(name, edited).refused(class)
}

/// The signature with S + L in the place of S: the same number to a verifier that does not ask for S < L.
pub(super) fn malleated(signature: &[u8]) -> Vec<u8> {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut signature = signature.to_vec();
    let mut carry = 0u16;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    signature
}

fn envelopes() -> Vec<Vector> {
    let own = offered().entries[0].envelope.signatures()[0].clone();
    let payload = offer().payload().to_vec();
    let signed = |name, signature: &[u8]| {
        with_envelope(name, &enveloped(&payload, &own.keyid, signature), "envelope.badSignature")
    };
    let over = |message: &[u8]| ed25519_dalek::Signer::sign(&crate::plan::key(1), message).to_bytes();
    let mut one_bit = own.sig.clone();
    one_bit[0] ^= 1;
    vec![
        signed("signature-with-a-flipped-bit", &one_bit),
        signed("signature-with-s-plus-l", &malleated(&own.sig)),
        signed("signature-too-short", &own.sig[..63]),
        signed("signature-of-nothing", &[]),
        signed("signature-over-the-payload-alone", &over(&payload)),
        signed("signature-for-another-type", &over(&proof_of_agent::dsse::pae("text/plain", &payload))),
        with_envelope(
            "signed-by-another-key",
            &enveloped(
                &payload,
                &own.keyid,
                &ed25519_dalek::Signer::sign(
                    &crate::plan::key(2),
                    &proof_of_agent::dsse::pae(PAYLOAD_TYPE, &payload),
                )
                .to_bytes(),
            ),
            "envelope.badSignature",
        ),
        tampered("payload-changed-after-signing", "envelope.badSignature", |it| {
            let text = String::from_utf8(payload.clone()).unwrap().replacen("Count", "Paint", 1);
            let engine = base64::engine::general_purpose::STANDARD;
            it["payload"] = json!(base64::Engine::encode(&engine, text));
        }),
        tampered("keyid-of-another", "envelope.signerMissing", |it| {
            it["signatures"][0]["keyid"] = json!(did(2));
        }),
        tampered("keyid-left-out", "envelope.signerMissing", |it| {
            drop(it["signatures"][0].as_object_mut().unwrap().remove("keyid"));
        }),
        tampered("another-payload-type", "envelope.payloadType", |it| {
            it["payloadType"] = json!("application/json");
        }),
        tampered("no-signature", "envelope.signatures", |it| it["signatures"] = json!([])),
        tampered("too-many-signatures", "envelope.signatures", |it| {
            it["signatures"] = json!(vec![it["signatures"][0].clone(); 9]);
        }),
        tampered("keyid-too-long", "envelope.signatures", |it| {
            let own = it["signatures"][0].clone();
            it["signatures"] = json!([own, { "keyid": "k".repeat(257), "sig": "" }]);
        }),
    ]
}

fn types() -> Vec<Vector> {
    let namespace = proof_of_agent::statement::TYPE_NAMESPACE;
    let uri = |name, class, uri: String| edited(name, class, "/predicateType", json!(uri));
    vec![
        uri("type-of-others", "envelope.statement.unknownType", "https://slsa.dev/provenance/v1".to_owned()),
        uri("unknown-type", "envelope.statement.unknownType", format!("{namespace}Bribe/v1")),
        uri("type-in-lower-case", "envelope.statement.unknownType", format!("{namespace}termsOffered/v1")),
        uri(
            "type-of-another-version",
            "envelope.statement.unknownVersion",
            format!("{namespace}TermsOffered/v2"),
        ),
        edited(
            "statement-of-another-type",
            "envelope.statement.unknownStatementType",
            "/_type",
            json!("https://in-toto.io/Statement/v0.1"),
        ),
        resigned("statement-too-large", "envelope.statement.tooLarge", |text| {
            format!("{text}{}", " ".repeat(47 * 1024))
        }),
    ]
}

/// What some readers of JSON read, and a verifier must not.
fn spellings() -> Vec<Vector> {
    let malformed = "envelope.statement.malformed";
    let spelt = |name, pointer: &str, to: Value| edited(name, malformed, pointer, to);
    let price = |name, to: Value| spelt(name, "/predicate/body/priceMsat", to);
    let time = |name, to: Value| spelt(name, "/predicate/body/offeredTime", to);
    let sha256 = offer().subject().sha256.to_string();
    let above = Msat::SUPPLY.checked_add(Msat::new(1)).unwrap().to_string();
    let text = |name, from: &'static str, to: &'static str| {
        resigned(name, malformed, |text| {
            assert!(text.contains(from));
            text.replacen(from, to, 1)
        })
    };
    let unreduced = format!("did:key:z{}", trust_roots::bs58(&unreduced_point()));
    vec![
        price("amount-as-a-number", json!(100_999)),
        price("amount-with-a-leading-zero", json!("0100999")),
        price("amount-with-a-sign", json!("+100999")),
        price("amount-below-nothing", json!("-100999")),
        price("amount-with-an-exponent", json!("1e5")),
        price("amount-with-a-fraction", json!("100999.0")),
        price("amount-above-the-supply", json!(above)),
        price("amount-above-64-bits", json!("18446744073709652615")),
        price("amount-in-other-digits", json!("\u{661}\u{660}\u{660}")),
        time("time-with-an-offset", json!("2026-01-02T03:04:05+00:00")),
        time("time-with-a-small-t", json!("2026-01-02t03:04:05Z")),
        time("time-with-a-small-z", json!("2026-01-02T03:04:05z")),
        time("time-with-a-space", json!("2026-01-02 03:04:05Z")),
        time("time-with-ten-digits-of-a-second", json!("2026-01-02T03:04:05.1234567890Z")),
        time("time-of-no-calendar", json!("2026-02-30T03:04:05Z")),
        time("time-as-a-number", json!(1_767_323_045)),
        spelt("upper-case-digest", "/subject/0/digest/sha256", json!(sha256.to_uppercase())),
        spelt("upper-case-nonce", "/predicate/nonce", json!("AB".repeat(16))),
        spelt("nonce-too-short", "/predicate/nonce", json!("ab".repeat(15))),
        spelt("other-digest-alone", "/subject/0/digest", json!({ "sha512": "00" })),
        spelt("body-object-as-an-array", "/predicate/body/input", json!([sha256, 21, "text/plain"])),
        spelt("criterion-as-an-array", "/predicate/body/criteria/0", json!({ "size": [1, 2] })),
        spelt("criterion-with-two-members", "/predicate/body/criteria/0", {
            json!({ "size": { "minBytes": 1 }, "manual": { "text": "x" } })
        }),
        spelt("unknown-criterion", "/predicate/body/criteria/0", json!({ "vibes": {} })),
        spelt("subject-as-an-array", "/subject/0", json!(["input", { "sha256": sha256 }])),
        spelt("case-as-an-object", "/predicate/body/policy", json!({ "onAcceptance": null })),
        spelt("unknown-case", "/predicate/body/policy", json!("whenever")),
        spelt("number-as-a-fraction-in-a-statement", "/predicate/body/feeBps", json!(500.0)),
        spelt("number-above-32-bits", "/predicate/body/workSeconds", json!(4_294_967_296_u64)),
        spelt("missing-field-in-a-statement", "/predicate/body/title", Value::Null),
        spelt("id-of-another-kind-in-a-statement", "/predicate/body/requester", {
            json!("agent_00000000000000000000000001")
        }),
        spelt("signer-of-small-order", "/predicate/signer", json!(trust_roots::small_order())),
        spelt("signer-that-is-no-point", "/predicate/signer", {
            let mut bytes = vec![0xed, 0x01, 2];
            bytes.resize(34, 0);
            json!(format!("did:key:z{}", trust_roots::bs58(&bytes)))
        }),
        spelt("signer-with-a-number-not-reduced", "/predicate/signer", json!(unreduced)),
        spelt("signer-of-another-curve", "/predicate/signer", {
            json!("did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme")
        }),
        spelt("signer-of-another-method", "/predicate/signer", json!("did:web:example.org")),
        text("duplicate-field-in-a-statement", "\"feeBps\":500", "\"feeBps\":500,\"feeBps\":500"),
        text("duplicate-signer", "\"signerRole\":", "\"signerRole\":\"agent\",\"signerRole\":"),
        text("half-of-a-surrogate-pair", "Count to three", "Count to \\ud83d"),
        text("trailing-comma", "}}}", "}},}"),
    ]
}

/// A point whose number is written as p + 3: there is a shorter one, and one spelling per key.
pub(super) fn unreduced_point() -> Vec<u8> {
    let mut bytes = vec![0xed, 0x01, 0xf0];
    bytes.resize(33, 0xff);
    bytes.push(0x7f);
    bytes
}

fn rules() -> Vec<Vector> {
    let invalid = |name, pointer: &str, to: Value| edited(name, "envelope.statement.invalid", pointer, to);
    let body = |name, field: &str, to: Value| invalid(name, &format!("/predicate/body/{field}"), to);
    let other = proof_of_agent::Digest::of(b"other").to_string();
    vec![
        invalid("no-subject", "/subject", json!([])),
        invalid("two-subjects", "/subject", {
            let subject = json!({ "name": "input", "digest": { "sha256": offer().subject().sha256 } });
            json!([subject, subject])
        }),
        invalid("subject-of-another-name", "/subject/0/name", json!("terms")),
        invalid("subject-that-is-not-the-input", "/subject/0/digest/sha256", json!(other)),
        invalid("terms-with-a-predecessor", "/predicate/predecessor", json!(other)),
        invalid("origin-with-a-space", "/predicate/logOrigin", json!("simulated poa")),
        invalid("for-an-agent", "/predicate/onBehalfOf", json!("agent"))
            .refused("envelope.statement.wrongRole"),
        edited(
            "terms-by-the-platform-for-itself",
            "envelope.statement.wrongRole",
            "/predicate/onBehalfOf",
            Value::Null,
        ),
        edited("terms-by-an-agent", "envelope.statement.wrongRole", "/predicate/signerRole", json!("agent")),
        body("price-of-nothing", "priceMsat", json!("0")),
        body("fee-above-the-share", "feeMsat", json!("5050")),
        body("net-that-is-not-the-rest", "payeeNetMsat", json!("95951")),
        body("fee-above-the-whole", "feeBps", json!(10_001)),
        body("title-too-long", "title", json!("x".repeat(801))),
        body("size-above-what-readers-keep", "input/size", json!(1u64 << 53)),
        body("media-type-with-a-line-break", "input/mediaType", json!("text/plain\n")),
        body("too-many-criteria", "criteria", json!(vec![json!({ "manual": { "text": "x" } }); 21])),
        body("work-in-no-time", "workSeconds", json!(0)),
    ]
}
