//! Bundles whose bytes are almost, or just so, what a bundle may be.

use proof_of_agent::{Content, ReleasePolicy, TermsOffered, WorkSubmitted};
use serde_json::{Value, json};

use super::Vector;
use super::noticed::{Raw, bundle};
use super::sound::inline;
use super::spoilt_bundles::{offered, paid, rewritten};
use crate::fixture::{LOG_GAP, World, submitted, terms};
use crate::plan::receipt;

/// Bytes of one inline field.
const MOST: usize = 131_072;
const MALFORMED: &str = "bundle.malformed";

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = json_rules();
    vectors.extend(members());
    vectors.extend(records());
    vectors.extend(ids());
    vectors.extend(envelopes());
    vectors.extend(limits());
    vectors
}

fn text() -> String {
    String::from_utf8(offered().to_json().unwrap()).unwrap()
}

/// A bundle with a member in its envelope that nobody knows.
fn with_more(more: &[u8]) -> Vec<u8> {
    let text = text();
    let (head, tail) = text.split_once("\"payloadType\"").unwrap();
    [head.as_bytes(), b"\"more\":", more, b",\"payloadType\"", tail.as_bytes()].concat()
}

fn nested(depth: usize) -> Vec<u8> {
    ["[".repeat(depth), "]".repeat(depth)].concat().into_bytes()
}

/// The rules of JSON hold for what a reader ignores, too.
fn json_rules() -> Vec<Vector> {
    // The bundle, the list of entries, the entry and the envelope are four.
    let deepest = 127 - 4;
    let more = |name, more: &[u8]| Vector::written(name, with_more(more));
    let twice = |field: &str| text().replacen(field, &format!("{field},{field}"), 1);
    vec![
        Vector::written("byte-order-mark", format!("\u{feff}{}", text())).refused(MALFORMED),
        Vector::written("white-space-around", format!(" \t\r\n{}\n", text())),
        Vector::written("no-break-space-around", format!("{}\u{a0}", text())).refused(MALFORMED),
        Vector::written("zero-byte-at-the-end", format!("{}\0", text())).refused(MALFORMED),
        Vector::written("two-bundles", format!("{}{}", text(), text())).refused(MALFORMED),
        Vector::written("nothing", "").refused(MALFORMED),
        more("nested-127-deep", &nested(deepest)),
        more("nested-128-deep", &nested(deepest + 1)).refused(MALFORMED),
        more("bad-utf-8", b"\"\xff\"").refused(MALFORMED),
        more("overlong-utf-8", b"\"\xc0\xaf\"").refused(MALFORMED),
        more("surrogate-in-utf-8", b"\"\xed\xa0\x80\"").refused(MALFORMED),
        more("half-of-a-surrogate-pair-that-is-ignored", br#""\ud83d""#).refused(MALFORMED),
        more("second-half-of-a-surrogate-pair-alone", br#""\udc00""#).refused(MALFORMED),
        more("surrogate-pair-that-is-ignored", br#""\ud83d\ude00""#),
        more("number-above-a-double", b"1e999").refused(MALFORMED),
        more("number-that-a-double-rounds", b"123456789012345678901234567890"),
        more("number-with-a-leading-zero", b"01").refused(MALFORMED),
        more("number-that-is-none", b"NaN").refused(MALFORMED),
        more("text-with-a-line-break", b"\"\n\"").refused(MALFORMED),
        more("text-with-an-escape-of-javascript", br#""\x41""#).refused(MALFORMED),
        more("text-in-single-quotes", b"'a'").refused(MALFORMED),
        more("a-comment", b"/* a */ 1").refused(MALFORMED),
        more("unknown-field-in-an-envelope-twice", b"1,\"more\":2"),
        Vector::written("payload-type-twice", twice("\"payloadType\":\"application/vnd.in-toto+json\""))
            .refused(MALFORMED),
        Vector::written(
            "field-twice-with-an-escape",
            text().replacen("{\"version\":1", "{\"version\":1,\"\\u0076ersion\":1", 1),
        )
        .refused(MALFORMED),
        Vector::written("field-in-upper-case", text().replacen("\"version\"", "\"Version\"", 1))
            .refused(MALFORMED),
        Vector::written("number-with-an-exponent", text().replacen("\"logIndex\":2", "\"logIndex\":2e0", 1))
            .refused(MALFORMED),
        Vector::written("number-that-is-minus-nothing", {
            text().replacen("\"logIndex\":2", "\"logIndex\":-0", 1)
        })
        .refused(MALFORMED),
    ]
}

fn members() -> Vec<Vector> {
    let base = inline();
    let spelt = |name, edit: &dyn Fn(&mut Value)| Vector::written(name, rewritten(&base, edit));
    let refused = |name, edit: &dyn Fn(&mut Value)| spelt(name, edit).refused(MALFORMED);
    let event_of = |it: &Value| it["keyEvents"][0].clone();
    let without = Raw::event(&World::new().registration());
    vec![
        spelt("no-version-as-null", &|it| it["agentVersion"] = Value::Null),
        Vector::written("no-key-events-as-an-empty-list", {
            rewritten(&offered(), |it| it["keyEvents"] = json!([]))
        }),
        Vector::of("key-event-of-an-agent-that-nobody-asks-for", bundle(&[without], None)),
        refused("key-events-as-null", &|it| it["keyEvents"] = Value::Null),
        refused("result-as-null", &|it| it["result"] = Value::Null),
        refused("evidence-as-null", &|it| it["teeEvidence"] = Value::Null),
        refused("network-as-null", &|it| it["network"] = Value::Null),
        refused("proof-as-null", &|it| it["entries"][0]["proof"] = Value::Null),
        refused("entry-without-a-proof", &|it| {
            drop(it["entries"][0].as_object_mut().unwrap().remove("proof"));
        }),
        refused("key-event-with-a-record", &|it| it["keyEvents"][0]["record"] = Value::Null),
        refused("key-event-as-a-version-in-a-list", &|it| it["agentVersion"] = json!([event_of(it)])),
        refused("version-as-a-fraction", &|it| it["version"] = json!(1.0)),
        refused("version-as-text", &|it| it["version"] = json!("1")),
        refused("checkpoint-as-a-list-of-lines", &|it| {
            it["checkpoint"] = json!(it["checkpoint"].as_str().unwrap().split('\n').collect::<Vec<_>>());
        }),
        refused("hash-too-short", &|it| it["entries"][0]["proof"][0] = json!("00".repeat(31))),
        spelt("version-nothing", &|it| it["version"] = json!(0)).refused("bundle.unknownVersion"),
        // A file that is malformed may be of any version.
        refused("unknown-version-and-an-unknown-field", &|it| {
            it["version"] = json!(2);
            it["more"] = json!(1);
        }),
        spelt("unknown-version-and-too-many-hashes", &|it| {
            it["version"] = json!(2);
            it["entries"][0]["proof"] = json!(vec!["00".repeat(32); 55]);
        })
        .refused("bundle.unknownVersion"),
    ]
}

/// 84 lower-case digits that are a record.
fn records() -> Vec<Vector> {
    let paid = paid();
    let own = serde_json::to_value(paid.entries[5].record).unwrap();
    let own = own.as_str().unwrap();
    let spelt = |name, to: Value| {
        Vector::written(name, rewritten(&paid, |it| it["entries"][5]["record"] = to)).refused(MALFORMED)
    };
    let byte = |name, place: usize, to: &str| {
        let mut text = own.to_owned();
        text.replace_range(2 * place..2 * place + 2, to);
        spelt(name, json!(text))
    };
    vec![
        spelt("record-in-upper-case", json!(own.to_uppercase())),
        spelt("record-a-byte-too-short", json!(own[..82])),
        spelt("record-a-digit-too-short", json!(own[..83])),
        spelt("record-a-byte-too-long", json!(format!("{own}00"))),
        spelt("record-of-no-digits", json!("")),
        spelt("record-with-a-prefix", json!(format!("0x{}", &own[2..]))),
        spelt("record-as-a-list", json!([own])),
        byte("record-of-another-version", 0, "02"),
        byte("record-of-no-verdict", 33, "00"),
        byte("record-of-an-unknown-verdict", 33, "09"),
        byte("record-with-an-amount-above-64-bits", 34, "41"),
        byte("record-with-a-fee-above-64-bits", 35, "41"),
        byte("record-with-an-unknown-flag", 36, "05"),
        byte("record-with-a-standing-above-64-bits", 37, "41"),
    ]
}

fn ids() -> Vec<Vector> {
    let task = |name, to: &str| {
        Vector::written(name, rewritten(&offered(), |it| it["task"] = json!(to))).refused(MALFORMED)
    };
    vec![
        task("id-in-upper-case", "TASK_00000000000000000000000007"),
        task("id-with-a-letter-that-is-none", "task_0000000000000000000000000u"),
        task("id-with-an-upper-case-letter", "task_0000000000000000000000000A"),
        task("id-above-128-bits", "task_80000000000000000000000007"),
        task("id-too-short", "task_0000000000000000000000007"),
        task("id-too-long", "task_000000000000000000000000007"),
        task("id-without-a-prefix", "00000000000000000000000007"),
        task("id-as-a-uuid", "00000000-0000-0000-0000-000000000007"),
    ]
}

fn envelopes() -> Vec<Vector> {
    let envelope = |name, edit: &dyn Fn(&mut Value)| {
        Vector::written(name, rewritten(&offered(), |it| edit(&mut it["entries"][0]["envelope"])))
    };
    let cut = |it: &Value| json!(it.as_str().unwrap().trim_end_matches('='));
    let stranger = |length: usize| json!({ "keyid": "k".repeat(length), "sig": "" });
    vec![
        envelope("signature-without-padding", &|it| {
            it["signatures"][0]["sig"] = cut(&it["signatures"][0]["sig"]);
        })
        .refused(MALFORMED),
        envelope("signature-in-hexadecimal-digits", &|it| it["signatures"][0]["sig"] = json!("00:11"))
            .refused(MALFORMED),
        envelope("keyid-as-null", &|it| it["signatures"][0]["keyid"] = Value::Null).refused(MALFORMED),
        envelope("payload-type-as-null", &|it| it["payloadType"] = Value::Null).refused(MALFORMED),
        envelope("envelope-without-signatures", &|it| {
            drop(it.as_object_mut().unwrap().remove("signatures"));
        })
        .refused(MALFORMED),
        envelope("signature-that-is-not-there", &|it| {
            drop(it["signatures"][0].as_object_mut().unwrap().remove("sig"));
        })
        .refused(MALFORMED),
        envelope("unknown-field-in-a-signature", &|it| it["signatures"][0]["cert"] = json!([1])),
        envelope("eight-signatures", &|it| {
            let own = it["signatures"][0].clone();
            it["signatures"] = json!([vec![stranger(0); 7], vec![own]].concat());
        }),
        envelope("keyid-of-256-bytes", &|it| {
            let own = it["signatures"][0].clone();
            it["signatures"] = json!([stranger(256), own]);
        }),
        envelope("payload-type-with-a-parameter", &|it| {
            it["payloadType"] = json!("application/vnd.in-toto+json; charset=utf-8");
        })
        .refused("envelope.payloadType"),
        envelope("payload-that-is-empty", &|it| it["payload"] = json!(""))
            .refused("envelope.statement.malformed"),
        envelope("keyid-in-upper-case", &|it| {
            let keyid = it["signatures"][0]["keyid"].as_str().unwrap().to_uppercase();
            it["signatures"][0]["keyid"] = json!(keyid);
        })
        .refused("envelope.signerMissing"),
    ]
}

/// Inline bytes are what was signed, and one byte above what a bundle may have.
fn limits() -> Vec<Vector> {
    let large = |bytes: usize| vec![0; bytes];
    let with_input = |name, bytes: usize| {
        let world = World::new();
        let input = Content::of(&large(bytes), "application/octet-stream");
        let terms = TermsOffered { input, ..terms(ReleasePolicy::OnAcceptance) };
        let bundle = receipt(&world, &[world.offer_of(world.for_requester(), terms)]);
        inlined(name, &bundle, "input", bytes)
    };
    let with_result = |name, bytes: usize| {
        let world = World::new();
        let mut statements = world.up_to_received(ReleasePolicy::OnAcceptance)[..2].to_vec();
        let output = Content::of(&large(bytes), "application/octet-stream");
        let work = WorkSubmitted { output, ..submitted(&statements[1]) };
        statements.push(statements[1].successor(world.by_agent(), work).unwrap());
        statements.push(world.receive(&statements[2], LOG_GAP * 3 - 1));
        inlined(name, &receipt(&world, &statements), "result", bytes)
    };
    let tiny = json!({
        "envelope": { "payloadType": "", "payload": "", "signatures": [] },
        "logIndex": 0,
        "proof": [],
    });
    let hashes = json!(vec!["00".repeat(32); 55]);
    let limit = |name, edit: &dyn Fn(&mut Value)| {
        Vector::written(name, rewritten(&paid(), edit)).refused("bundle.limit")
    };
    vec![
        with_input("input-of-131072-bytes", MOST),
        with_input("input-of-131073-bytes", MOST + 1).refused("bundle.limit"),
        with_result("result-of-131072-bytes", MOST),
        with_result("result-of-131073-bytes", MOST + 1).refused("bundle.limit"),
        inlined("evidence-of-131073-bytes", &offered(), "teeEvidence", MOST + 1).refused("bundle.limit"),
        limit("too-many-key-events", &|it| it["keyEvents"] = json!(vec![tiny.clone(); 65])),
        limit("too-many-hashes-of-a-key-event", &|it| it["keyEvents"][0]["proof"] = hashes.clone()),
        limit("too-many-hashes-of-a-version", &|it| {
            it["agentVersion"] = it["keyEvents"][0].clone();
            it["agentVersion"]["proof"] = hashes.clone();
        }),
    ]
}

/// With so many zeros in a field: too many for the library to write.
fn inlined(name: &'static str, bundle: &proof_of_agent::Bundle, field: &str, bytes: usize) -> Vector {
    let engine = base64::engine::general_purpose::STANDARD;
    let text = base64::Engine::encode(&engine, vec![0; bytes]);
    Vector::written(name, rewritten(bundle, |it| it[field] = json!(text)))
}
