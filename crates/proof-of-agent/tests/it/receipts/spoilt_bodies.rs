//! Receipts whose last statement breaks a rule of its kind.
//!
//! Each is well-formed up to there, and each breaks one rule; the statement is signed by the key that it names.

use proof_of_agent::{DecisionKind, Digest, ReleasePolicy, SettlementKind, Statement};
use serde_json::{Value, json};

use super::Vector;
use super::spoilt_statements::{last_edited, last_rewritten, set};
use crate::fixture::{World, settlement};
use crate::plan::{Story, payment, received_then, up_to, up_to_decision};

const ACCEPTANCE: ReleasePolicy = ReleasePolicy::OnAcceptance;
const INVALID: &str = "envelope.statement.invalid";
const MALFORMED: &str = "envelope.statement.malformed";

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = terms();
    vectors.extend(criteria());
    vectors.extend(claims_and_work());
    vectors.extend(receipts());
    vectors.extend(decisions());
    vectors.extend(payments());
    vectors.extend(refunds());
    vectors
}

/// A rule of the last statement's body: null takes the member away.
fn body(
    name: &'static str,
    field: &'static str,
    statements: &[Statement],
    edits: &[(&str, Value)],
) -> Vector {
    last_edited(name, INVALID, statements, |it| {
        for (member, to) in edits {
            set(it, &format!("/predicate/body/{member}"), to.clone());
        }
    })
    .about(field)
}

/// More than a text may have.
fn long(bytes: usize) -> Value {
    json!("x".repeat(bytes + 1))
}

fn terms() -> Vec<Vector> {
    let terms = |name, field: &'static str, to: Value| body(name, field, &up_to(1), &[(field, to)]);
    let input =
        |name, member: &str, to: Value| body(name, "input", &up_to(1), &[(&format!("input/{member}"), to)]);
    let origin = |name, to: Value| {
        last_edited(name, INVALID, &up_to(1), |it| set(it, "/predicate/logOrigin", to)).about("logOrigin")
    };
    vec![
        terms("title-that-is-empty", "title", json!("")),
        // 267 characters of three bytes.
        terms("title-too-long-in-bytes", "title", json!("\u{20bf}".repeat(267))),
        terms("capability-that-is-empty", "capability", json!("")),
        terms("capability-too-long", "capability", long(255)),
        terms("expires-in-no-time", "expiresInSeconds", json!(0)),
        terms("claim-for-no-time", "claimSeconds", json!(0)),
        input("input-media-type-that-is-empty", "mediaType", json!("")),
        input("input-media-type-too-long", "mediaType", long(255)),
        input("input-media-type-with-a-letter-beyond-ascii", "mediaType", json!("text/pl\u{e4}in")),
        input("input-media-type-with-a-delete", "mediaType", json!("text/plain\u{7f}")),
        body(
            "fee-rounded-up",
            "feeMsat",
            &up_to(1),
            &[("feeMsat", json!("5050")), ("payeeNetMsat", json!("95949"))],
        ),
        origin("origin-that-is-empty", json!("")),
        origin("origin-with-a-plus", json!("simulated+poa")),
        origin("origin-too-long", long(255)),
        origin("origin-with-a-letter-beyond-ascii", json!("simulated.p\u{f6}a")),
    ]
}

fn criteria() -> Vec<Vector> {
    let criterion = |name, field, to: Value| body(name, field, &up_to(1), &[("criteria/0", to)]);
    let size = "criteria.size";
    let (schema, pattern, manual) =
        ("criteria.jsonSchema.schema", "criteria.regex.pattern", "criteria.manual.text");
    let only = |name, criteria: Value| body(name, "policy", &up_to(1), &[("criteria", criteria)]);
    vec![
        criterion("schema-that-is-empty", schema, json!({ "jsonSchema": { "schema": "" } })),
        criterion("schema-too-long", schema, json!({ "jsonSchema": { "schema": long(32 * 1024) } })),
        criterion("pattern-that-is-empty", pattern, json!({ "regex": { "pattern": "" } })),
        criterion("pattern-too-long", pattern, json!({ "regex": { "pattern": long(1024) } })),
        criterion("manual-criterion-that-is-empty", manual, json!({ "manual": { "text": "" } })),
        criterion("manual-criterion-too-long", manual, json!({ "manual": { "text": long(4096) } })),
        criterion("size-with-more-at-least-than-at-most", size, {
            json!({ "size": { "minBytes": 2, "maxBytes": 1 } })
        }),
        criterion("size-at-least-above-what-readers-keep", size, {
            json!({ "size": { "minBytes": 1u64 << 53 } })
        }),
        criterion("size-at-most-above-what-readers-keep", size, {
            json!({ "size": { "minBytes": 1, "maxBytes": 1u64 << 53 } })
        }),
        // Nothing that a machine checks, and nobody who was hired directly.
        only("on-attestation-without-criteria", json!([])),
        only("on-attestation-with-a-manual-criterion-alone", json!([{ "manual": { "text": "looks good" } }])),
        last_edited("criterion-digest-in-upper-case", MALFORMED, &up_to(1), |it| {
            let digest = Digest::of(b"result").to_string().to_uppercase();
            set(it, "/predicate/body/criteria/0", json!({ "digest": { "sha256": digest } }));
        }),
    ]
}

fn claims_and_work() -> Vec<Vector> {
    let claim = |name, field: &'static str| body(name, field, &up_to(2), &[(field, json!(0))]);
    let work = |name, field, edits: &[(&str, Value)]| body(name, field, &up_to(3), edits);
    let subject = |name, length, to: &str| {
        last_edited(name, INVALID, &up_to(length), |it| set(it, "/subject/0/name", json!(to)))
            .about("subject")
    };
    vec![
        claim("claim-of-number-nothing", "claimNumber"),
        claim("claim-with-a-lease-of-no-time", "leaseSeconds"),
        subject("claim-about-a-result", 2, "result"),
        work("work-under-claim-number-nothing", "claimNumber", &[("claimNumber", json!(0))]),
        work("output-size-above-what-readers-keep", "output", &[("output/size", json!(1u64 << 53))]),
        work("output-media-type-that-is-empty", "output", &[("output/mediaType", json!(""))]),
        work("output-media-type-too-long", "output", &[("output/mediaType", long(255))]),
        work("output-media-type-with-a-line-break", "output", &[("output/mediaType", json!("a/b\n"))]),
        work(
            "work-finished-before-it-was-started",
            "finishedTime",
            &[("startedTime", json!("2026-01-02T03:04:05.678901001Z"))],
        ),
        work("work-source-that-is-empty", "sourceRef", &[("sourceRef", json!(""))]),
        work("work-source-too-long", "sourceRef", &[("sourceRef", long(4096))]),
        subject("work-about-terms", 3, "terms"),
        last_edited("work-about-another-result", INVALID, &up_to(3), |it| {
            set(it, "/subject/0/digest/sha256", json!(Digest::of(b"another")));
        })
        .about("subject"),
        last_edited("output-as-an-array", MALFORMED, &up_to(3), |it| {
            let output = &mut it["predicate"]["body"]["output"];
            *output = json!([output["sha256"], output["size"], output["mediaType"]]);
        }),
        last_edited("build-digest-in-upper-case", MALFORMED, &up_to(3), |it| {
            set(it, "/predicate/body/buildDigest", json!(Digest::of(b"build").to_string().to_uppercase()));
        }),
    ]
}

fn receipts() -> Vec<Vector> {
    let text = |name, class, from: &'static str, to: &'static str| {
        last_rewritten(name, class, &up_to(4), |text| {
            assert!(text.contains(from));
            text.replacen(from, to, 1)
        })
    };
    let index = "\"submissionLogIndex\":8";
    vec![
        text(
            "submission-index-above-what-readers-keep",
            INVALID,
            index,
            "\"submissionLogIndex\":9007199254740992",
        )
        .about("submissionLogIndex"),
        text("submission-index-of-64-bits", INVALID, index, "\"submissionLogIndex\":18446744073709551615")
            .about("submissionLogIndex"),
        text(
            "submission-index-above-64-bits",
            MALFORMED,
            index,
            "\"submissionLogIndex\":18446744073709551616",
        ),
        text("submission-index-with-an-exponent", MALFORMED, index, "\"submissionLogIndex\":8e0"),
        text("agent-key-of-an-unknown-state", MALFORMED, "\"active\"", "\"retired\""),
        text("agent-key-state-as-an-object", MALFORMED, "\"active\"", "{\"active\":null}"),
        last_edited("receipt-about-terms", INVALID, &up_to(4), |it| {
            set(it, "/subject/0/name", json!("terms"));
        })
        .about("subject"),
    ]
}

fn decisions() -> Vec<Vector> {
    use DecisionKind as Kind;
    let of =
        |kind, name, field: &'static str, to: Value| body(name, field, &up_to_decision(kind), &[(field, to)]);
    let silent = |kind, name| of(kind, name, "reason", Value::Null);
    vec![
        silent(Kind::Rejected, "rejected-without-a-reason"),
        silent(Kind::RevisionRequested, "revision-without-a-reason"),
        silent(Kind::Disputed, "disputed-without-a-reason"),
        silent(Kind::Verdict, "verdict-without-a-reason"),
        silent(Kind::DeadlineExtended, "extended-without-a-reason"),
        of(Kind::Accepted, "reason-that-is-empty", "reason", json!("")),
        of(Kind::Accepted, "reason-too-long", "reason", long(4096)),
        of(Kind::Canceled, "failed-criterion-of-a-cancellation", "failedCriterion", json!(0)),
        of(Kind::Accepted, "failed-criterion-of-an-acceptance", "failedCriterion", json!(0)),
        of(Kind::AcceptedInPart, "accepted-in-part-without-an-amount", "amountMsat", Value::Null),
        of(Kind::AcceptedInPart, "nothing-accepted-in-part", "amountMsat", json!("0")),
        of(Kind::Verdict, "verdict-without-an-amount", "amountMsat", Value::Null),
        of(Kind::Accepted, "amount-of-an-acceptance", "amountMsat", json!("1")),
        of(Kind::Rejected, "amount-of-a-rejection", "amountMsat", json!("1")),
        of(Kind::DeadlineExtended, "extended-without-a-deadline", "deadline", Value::Null),
        of(Kind::DeadlineExtended, "extended-without-seconds", "extendedSeconds", Value::Null),
        of(Kind::DeadlineExtended, "extended-by-nothing", "extendedSeconds", json!(0)),
        of(Kind::Accepted, "deadline-of-an-acceptance", "deadline", json!("review")),
        of(Kind::Accepted, "extension-of-an-acceptance", "extendedSeconds", json!(60)),
        of(Kind::Accepted, "extension-by-nothing-of-an-acceptance", "extendedSeconds", json!(0)),
        last_edited("decision-of-an-unknown-kind", MALFORMED, &up_to_decision(Kind::Accepted), |it| {
            set(it, "/predicate/body/kind", json!("pardoned"));
        }),
        last_edited(
            "deadline-of-an-unknown-name",
            MALFORMED,
            &up_to_decision(Kind::DeadlineExtended),
            |it| {
                set(it, "/predicate/body/deadline", json!("claim"));
            },
        ),
        last_edited("decision-about-an-input", INVALID, &up_to_decision(Kind::Accepted), |it| {
            set(it, "/subject/0/name", json!("input"));
        })
        .about("subject"),
    ]
}

/// Settlements that pay somebody.
fn payments() -> Vec<Vector> {
    let released = |name, field, edits: &[(&str, Value)]| body(name, field, &up_to(6), edits);
    let split = |name, field, edits: &[(&str, Value)]| {
        let statements = received_then(|story| {
            story.judged(40_011).settled(payment(SettlementKind::Split, 0, 0, 40_011, 60_988))
        });
        body(name, field, &statements, edits)
    };
    let captured = |name, field, edits: &[(&str, Value)]| {
        body(name, field, &received_then(super::sound::captured), edits)
    };
    let transfer = json!("xfer_00000000000000000000000008");
    vec![
        released("released-without-a-transfer", "transfers", &[("transfers", json!([]))]),
        released("released-in-too-many-transfers", "transfers", &[("transfers", json!(vec![transfer; 17]))]),
        released("released-to-nobody", "payee", &[("payee", Value::Null)]),
        released("released-more-than-its-parts", "amountMsat", &[("payeeMsat", json!("95949"))]),
        released(
            "released-with-a-refund",
            "refundMsat",
            &[("refundMsat", json!("1")), ("payeeMsat", json!("95949"))],
        ),
        released("released-with-a-refund-of-nothing", "refundMsat", &[("refundMsat", json!("0"))]),
        captured("captured-without-a-transfer", "transfers", &[("transfers", json!([]))]),
        captured("captured-to-nobody", "payee", &[("payee", Value::Null)]),
        captured("captured-more-than-its-parts", "amountMsat", &[("feeMsat", json!("1999"))]),
        captured(
            "captured-with-a-refund",
            "refundMsat",
            &[("refundMsat", json!("60988")), ("amountMsat", json!("100999"))],
        ),
        split("split-without-a-transfer", "transfers", &[("transfers", json!([]))]),
        split("split-to-nobody", "payee", &[("payee", Value::Null)]),
        split(
            "split-without-a-refund",
            "refundMsat",
            &[("refundMsat", Value::Null), ("amountMsat", json!("40011"))],
        ),
        split(
            "split-with-a-refund-of-nothing",
            "refundMsat",
            &[("refundMsat", json!("0")), ("amountMsat", json!("40011"))],
        ),
        split(
            "split-without-a-payment",
            "payeeMsat",
            &[("feeMsat", json!("0")), ("payeeMsat", json!("0")), ("refundMsat", json!("100999"))],
        ),
        split("split-more-than-its-parts", "amountMsat", &[("refundMsat", json!("60987"))]),
        last_edited("settlement-of-an-unknown-kind", MALFORMED, &up_to(6), |it| {
            set(it, "/predicate/body/kind", json!("burned"));
        }),
        last_edited("settlement-about-an-input", INVALID, &up_to(6), |it| {
            set(it, "/subject/0/name", json!("input"));
        })
        .about("subject"),
    ]
}

/// Settlements that pay nobody.
fn refunds() -> Vec<Vector> {
    let refunded = |name, field: &'static str, to: Value| {
        let statements = received_then(|story| {
            story.decided(DecisionKind::Rejected).settled(settlement(SettlementKind::Refunded))
        });
        body(name, field, &statements, &[(field, to)])
    };
    let lost = |name, field, edit: (&str, Value)| {
        let world = World::new();
        let story = Story::new(&world, world.held_elsewhere(ACCEPTANCE)).decided(DecisionKind::Accepted);
        body(name, field, &story.settled(settlement(SettlementKind::FundingLost)).statements, &[edit])
    };
    let account = || json!("acct_00000000000000000000000002");
    vec![
        refunded("refunded-nothing", "amountMsat", json!("0")),
        refunded("refunded-without-a-transfer", "transfers", json!([])),
        refunded("refunded-to-a-payee", "payee", account()),
        refunded("refunded-for-a-fee", "feeMsat", json!("1")),
        refunded("refunded-and-paid", "payeeMsat", json!("1")),
        refunded("refunded-with-a-refund", "refundMsat", json!("100999")),
        lost("funding-lost-from-the-balance", "kind", ("rail", json!("balance"))),
        lost(
            "funding-lost-in-a-transfer",
            "transfers",
            ("transfers", json!(["xfer_00000000000000000000000008"])),
        ),
        lost("funding-lost-to-a-payee", "payee", ("payee", account())),
        lost("funding-lost-for-a-fee", "feeMsat", ("feeMsat", json!("1"))),
        lost("funding-lost-and-paid", "payeeMsat", ("payeeMsat", json!("1"))),
    ]
}
