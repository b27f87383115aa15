//! Statements whose bytes are almost, or just so, what a statement may be; and those that break two rules, of which the first counts.

use proof_of_agent::statement::{MAX_STATEMENT_BYTES, TYPE_NAMESPACE};
use proof_of_agent::{ReleasePolicy, Statement};
use serde_json::{Value, json};

use super::Vector;
use super::spoilt_bundles::{offered, rewritten};
use super::spoilt_links::linked;
use super::spoilt_statements::{last_edited, set};
use crate::fixture::World;
use crate::plan::{did, receipt, sealed, up_to};

const MALFORMED: &str = "envelope.statement.malformed";
const INVALID: &str = "envelope.statement.invalid";

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = ignored();
    vectors.extend(types());
    vectors.extend(sizes());
    vectors.extend(far_reaching());
    vectors.extend(two_rules());
    vectors.extend(absent());
    vectors.extend(times());
    vectors
}

fn text() -> String {
    let offer = World::new().offer(ReleasePolicy::OnAcceptance);
    String::from_utf8(offer.payload().to_vec()).unwrap()
}

/// The receipt of terms with these bytes, signed by the platform.
fn refused(name: &'static str, class: &'static str, payload: &[u8]) -> Vector {
    let envelope = json!(sealed(payload, did(1)));
    let bundle = rewritten(&offered(), |it| it["entries"][0]["envelope"] = envelope);
    Vector::written(name, bundle).refused(class)
}

/// The same, logged too: it verifies.
fn sound(name: &'static str, payload: &[u8]) -> Vector {
    Vector::of(name, receipt(&World::new(), &[Statement::parse(payload).unwrap()]))
}

/// Terms with members in the body that nobody knows.
fn more(members: &[u8]) -> Vec<u8> {
    let text = text();
    let (head, tail) = text.split_once("\"body\":{").unwrap();
    [head.as_bytes(), b"\"body\":{", members, b",", tail.as_bytes()].concat()
}

fn nested(depth: usize) -> Vec<u8> {
    [b"\"mood\":".to_vec(), "[".repeat(depth).into_bytes(), "]".repeat(depth).into_bytes()].concat()
}

/// The rules of JSON hold for what a reader ignores, too.
fn ignored() -> Vec<Vector> {
    // The statement, the predicate and the body are three.
    let deepest = 127 - 3;
    let title = |bytes: &[u8]| {
        let text = text();
        let (head, tail) = text.split_once("Count to three").unwrap();
        [head.as_bytes(), bytes, tail.as_bytes()].concat()
    };
    vec![
        sound("statement-nested-127-deep", &more(&nested(deepest))),
        refused("statement-nested-128-deep", MALFORMED, &more(&nested(deepest + 1))),
        refused("statement-with-bad-utf-8", MALFORMED, &title(b"Count \xff to three")),
        refused("statement-with-bad-utf-8-that-is-ignored", MALFORMED, &more(b"\"mood\":\"\xff\"")),
        refused("statement-with-a-surrogate-that-is-ignored", MALFORMED, &more(br#""mood":"\ud83d""#)),
        refused("statement-with-a-number-above-a-double", MALFORMED, &more(b"\"mood\":1e999")),
        sound("statement-with-a-number-that-a-double-rounds", &more(b"\"mood\":0.1234567890123456789e-400")),
        sound("statement-with-an-unknown-field-twice", &more(b"\"mood\":1,\"mood\":2")),
        refused(
            "statement-with-a-byte-order-mark",
            MALFORMED,
            &[b"\xef\xbb\xbf".as_slice(), text().as_bytes()].concat(),
        ),
        refused("statement-with-bytes-after-it", MALFORMED, format!("{}]", text()).as_bytes()),
        sound("statement-with-white-space-around", format!(" \r\n\t{} \n", text()).as_bytes()),
        sound("statement-with-escapes", text().replace("Count", "\\u0043ount").as_bytes()),
        refused(
            "statement-field-twice-with-an-escape",
            MALFORMED,
            text().replacen("\"title\":", "\"t\\u0069tle\":\"x\",\"title\":", 1).as_bytes(),
        ),
        refused(
            "statement-field-in-upper-case",
            MALFORMED,
            text().replacen("\"title\":", "\"Title\":", 1).as_bytes(),
        ),
        refused(
            "statement-number-that-is-minus-nothing",
            MALFORMED,
            text().replacen("\"reviewSeconds\":7200", "\"reviewSeconds\":-0", 1).as_bytes(),
        ),
    ]
}

fn types() -> Vec<Vector> {
    let kind = format!("\"predicateType\":\"{TYPE_NAMESPACE}TermsOffered/v1\"");
    let frame = "\"_type\":\"https://in-toto.io/Statement/v1\"";
    let replaced = |name, class, from: &str, to: &str| {
        assert!(text().contains(from));
        refused(name, class, text().replacen(from, to, 1).as_bytes())
    };
    let twice = |name, field: &str| replaced(name, MALFORMED, field, &format!("{field},{field}"));
    let unknown_type = "envelope.statement.unknownType";
    let unknown = format!("\"predicateType\":\"{TYPE_NAMESPACE}Bribe/v1\"");
    let with_unknown = |name, members: &[u8]| {
        let bytes = more(members);
        // The type is the first that is looked at, whatever is wrong with what a reader passes over to find it.
        let place = bytes.windows(kind.len()).position(|it| it == kind.as_bytes()).unwrap();
        let payload = [&bytes[..place], unknown.as_bytes(), &bytes[place + kind.len()..]].concat();
        refused(name, unknown_type, &payload)
    };
    vec![
        twice("two-predicate-types", &kind),
        twice("two-statement-types", frame),
        replaced("two-predicate-types-of-which-one-is-known", MALFORMED, &kind, &format!("{unknown},{kind}")),
        replaced("predicate-type-as-null", MALFORMED, &kind, "\"predicateType\":null"),
        replaced("predicate-type-as-a-list", MALFORMED, &kind, "\"predicateType\":[]"),
        replaced("no-predicate-type", MALFORMED, &kind, "\"mood\":1"),
        replaced("no-statement-type", MALFORMED, frame, "\"mood\":1"),
        replaced("predicate-type-without-a-version", unknown_type, "TermsOffered/v1", "TermsOffered"),
        replaced(
            "predicate-type-with-more",
            "envelope.statement.unknownVersion",
            "Offered/v1",
            "Offered/v1/x",
        ),
        replaced("predicate-type-of-a-notice", unknown_type, "TermsOffered/v1", "KeyEvent/v1"),
        replaced("predicate-type-in-upper-case-digits", unknown_type, "6ebeb7d1", "6EBEB7D1"),
        refused(
            "both-types-unknown",
            "envelope.statement.unknownStatementType",
            text().replacen(&kind, &unknown, 1).replacen("Statement/v1", "Statement/v2", 1).as_bytes(),
        ),
        with_unknown("unknown-type-and-too-deep", &nested(125)),
        with_unknown("unknown-type-and-a-number-above-a-double", b"\"mood\":1e999"),
        refused(
            "unknown-type-and-bytes-after-it",
            MALFORMED,
            format!("{}]", text().replacen(&kind, &unknown, 1)).as_bytes(),
        ),
    ]
}

fn sizes() -> Vec<Vector> {
    let padded = |bytes: usize| format!("{}{}", text(), " ".repeat(bytes - text().len()));
    let too_large = "envelope.statement.tooLarge";
    vec![
        sound("statement-of-48128-bytes", padded(MAX_STATEMENT_BYTES).as_bytes()),
        refused("statement-of-48129-bytes", too_large, padded(MAX_STATEMENT_BYTES + 1).as_bytes()),
        refused("statement-too-large-and-no-json", too_large, &vec![b'-'; MAX_STATEMENT_BYTES + 1]),
    ]
}

/// Some names are looked at in every body, whatever its kind.
fn far_reaching() -> Vec<Vector> {
    vec![
        refused("foreign-output-that-is-no-object", MALFORMED, &more(b"\"output\":1")),
        refused("foreign-output-that-is-null", MALFORMED, &more(b"\"output\":null")),
        refused("foreign-kind-that-is-a-number", MALFORMED, &more(b"\"kind\":1")),
        refused("foreign-kind-of-which-the-last-is-a-number", MALFORMED, &more(b"\"kind\":\"x\",\"kind\":1")),
        sound("foreign-kind-of-which-the-last-is-a-text", &more(b"\"kind\":1,\"kind\":\"x\"")),
        sound("foreign-kind-that-is-null", &more(b"\"kind\":null")),
        sound("foreign-output-that-is-an-object", &more(b"\"output\":{}")),
        last_edited("foreign-criteria-that-are-no-objects", MALFORMED, &up_to(2), |it| {
            set(it, "/predicate/body/criteria", json!([1]));
        }),
        last_edited("foreign-criteria-without-objects-in-them", MALFORMED, &up_to(2), |it| {
            set(it, "/predicate/body/criteria", json!([{ "size": 1 }]));
        }),
        linked("foreign-criteria-that-are-no-list", up_to(2), &[("/predicate/body/criteria", json!("none"))]),
    ]
}

/// The first rule that is broken is the answer.
fn two_rules() -> Vec<Vector> {
    let both = |name, class, length: usize, edits: &[(&str, Value)]| {
        last_edited(name, class, &up_to(length), |it| {
            edits.iter().for_each(|(pointer, to)| set(it, pointer, to.clone()));
        })
    };
    let (origin, role) =
        (("/predicate/logOrigin", json!("a b")), ("/predicate/signerRole", json!("arbiter")));
    let none = ("/predicate/predecessor", Value::Null);
    let price = ("/predicate/body/priceMsat", json!("0"));
    vec![
        both(
            "bad-network-and-no-subject",
            MALFORMED,
            1,
            &[("/predicate/network", json!("testnet")), ("/subject", json!([]))],
        ),
        both("no-subject-and-a-bad-origin", INVALID, 1, &[("/subject", json!([])), origin.clone()])
            .about("subject"),
        both("bad-origin-and-a-wrong-role", INVALID, 2, &[origin, role.clone()]).about("logOrigin"),
        both("wrong-role-and-no-predecessor", "envelope.statement.wrongRole", 3, &[role, none.clone()]),
        both(
            "for-another-and-no-predecessor",
            INVALID,
            4,
            &[("/predicate/onBehalfOf", json!("agent")), none.clone()],
        )
        .about("onBehalfOf"),
        both("no-predecessor-and-a-wrong-subject", INVALID, 3, &[none, ("/subject/0/name", json!("terms"))])
            .about("predecessor"),
        both("wrong-subject-and-no-price", INVALID, 1, &[("/subject/0/name", json!("terms")), price])
            .about("subject"),
    ]
}

/// What is null is absent, and what stands beside is ignored.
fn absent() -> Vec<Vector> {
    let paid = |name, pointer: &str| {
        let mut statements = up_to(6);
        let mut value: Value = serde_json::from_slice(statements[5].payload()).unwrap();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        value.pointer_mut(parent).unwrap()[field] = Value::Null;
        statements[5] = Statement::parse(super::sorted(&value).to_string().as_bytes()).unwrap();
        Vector::of(name, receipt(&World::new(), &statements))
    };
    vec![
        paid("refund-as-null", "/predicate/body/refundMsat"),
        paid("on-behalf-of-nobody-as-null", "/predicate/onBehalfOf"),
        sound("null-for-what-is-not-there", &more(b"\"directAgent\":null")),
        linked("other-digests-beside", up_to(6), &[("/subject/0/digest/sha512", json!(5))]),
        linked(
            "other-members-beside",
            up_to(6),
            &[("/subject/0/uri", json!([])), ("/predicate/mood", json!({})), ("/more", json!(""))],
        ),
    ]
}

/// A second of 60 ends a month; the answer has the shortest spelling of a time.
fn times() -> Vec<Vector> {
    let settled = "/predicate/body/settledTime";
    let read = |name, spelling: &str| linked(name, up_to(6), &[(settled, json!(spelling))]);
    let refused = |name, spelling: &str| {
        last_edited(name, MALFORMED, &up_to(6), |it| set(it, settled, json!(spelling)))
    };
    vec![
        read("time-with-a-second-of-60", "2026-01-31T23:59:60Z"),
        read("time-with-a-second-of-60-and-a-fraction", "2026-02-28T23:59:60.25Z"),
        read("time-with-a-fraction-of-one-digit", "2026-01-02T03:04:05.1Z"),
        read("time-with-zeros-after-the-fraction", "2026-01-02T03:04:05.120000000Z"),
        read("time-with-a-fraction-of-zeros", "2026-01-02T03:04:05.0Z"),
        read("time-of-the-first-year", "0000-02-29T00:00:00Z"),
        read("time-of-the-last-year", "9999-12-31T23:59:59.999999999Z"),
        refused("time-with-a-second-of-60-within-a-month", "2026-01-30T23:59:60Z"),
        refused("time-with-a-second-of-60-within-a-day", "2026-01-31T22:59:60Z"),
        refused("time-with-a-second-of-60-before-a-leap-day", "2024-02-28T23:59:60Z"),
        refused("time-with-a-second-of-61", "2026-01-31T23:59:61Z"),
        refused("time-of-hour-24", "2026-01-02T24:00:00Z"),
        refused("time-with-an-empty-fraction", "2026-01-02T03:04:05.Z"),
        refused("time-with-a-comma", "2026-01-02T03:04:05,1Z"),
        refused("time-without-seconds", "2026-01-02T03:04Z"),
        refused("time-without-a-zone", "2026-01-02T03:04:05"),
        refused("time-of-a-leap-day-that-is-none", "2026-02-29T03:04:05Z"),
        refused("time-of-a-year-of-five-digits", "10000-01-01T00:00:00Z"),
    ]
}
