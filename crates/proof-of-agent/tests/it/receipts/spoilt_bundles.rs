//! Bundles that are refused for what they are as files, for their place in the log, for their notices, or by the policy.

use proof_of_agent::notice::KeyReason;
use proof_of_agent::{
    Bundle, Checkpoint, DecisionKind, Digest, Policy, ReleasePolicy, SettlementKind, TrustLevel, WorkReceived,
};
use serde_json::{Value, json};
use time::Duration;

use super::sound::{captured, inline, platform_rotated, published, reclaimed};
use super::{Vector, sorted, trust_roots};
use crate::fixture::{LOG_GAP, NOW, ORIGIN, World, settlement};
use crate::plan::{Plan, Story, receipt, refund, revocation, rotation, version, version_stated};

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = files();
    vectors.extend(spellings());
    vectors.extend(notes());
    vectors.extend(places());
    vectors.extend(records());
    vectors.extend(notices());
    vectors.extend(policies());
    vectors
}

/// The shortest receipt.
pub(super) fn offered() -> Bundle {
    let world = World::new();
    receipt(&world, &[world.offer(ReleasePolicy::OnAcceptance)])
}

pub(super) fn paid() -> Bundle {
    let world = World::new();
    receipt(&world, &world.paid())
}

pub(super) fn rewritten(bundle: &Bundle, edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(&bundle.to_json().unwrap()).unwrap();
    edit(&mut value);
    serde_json::to_vec(&sorted(&value)).unwrap()
}

fn spoilt(mut bundle: Bundle, edit: impl FnOnce(&mut Bundle)) -> Bundle {
    edit(&mut bundle);
    bundle
}

fn files() -> Vec<Vector> {
    let offer = offered();
    let file = |name, edit: &dyn Fn(&mut Value)| {
        Vector::written(name, rewritten(&offer, edit)).refused("bundle.malformed")
    };
    let tiny = json!({
        "envelope": { "payloadType": "", "payload": "", "signatures": [] },
        "logIndex": 0,
        "proof": [],
    });
    let text = |name, edit: &dyn Fn(String) -> String| {
        let text = String::from_utf8(offer.to_json().unwrap()).unwrap();
        Vector::written(name, edit(text)).refused("bundle.malformed")
    };
    vec![
        Vector::written("not-json", "-").refused("bundle.malformed"),
        text("trailing-bytes", &|text| format!("{text}}}")),
        text("duplicate-field", &|text| text.replacen("{\"version\":1", "{\"version\":1,\"version\":1", 1)),
        file("unknown-field", &|it| it["reslut"] = json!("")),
        file("unknown-field-in-an-entry", &|it| it["entries"][0]["more"] = json!(1)),
        file("missing-field", &|it| drop(it.as_object_mut().unwrap().remove("checkpoint"))),
        file("id-of-another-kind", &|it| it["task"] = json!("acct_00000000000000000000000007")),
        file("unknown-network", &|it| it["network"] = json!("testnet")),
        file("record-that-is-none", &|it| it["entries"][0]["record"] = json!("00".repeat(42))),
        Vector::written("unknown-version", rewritten(&offer, |it| it["version"] = json!(2)))
            .refused("bundle.unknownVersion"),
        Vector::written(
            "too-many-statements",
            rewritten(&offer, |it| it["entries"] = json!(vec![tiny; 257])),
        )
        .refused("bundle.limit"),
        Vector::written(
            "too-many-hashes",
            rewritten(&offer, |it| it["entries"][0]["proof"] = json!(vec![Digest::of(b""); 55])),
        )
        .refused("bundle.limit"),
        Vector::of("no-statement", spoilt(offer.clone(), |it| it.entries.clear())).refused("empty"),
    ]
}

/// Second spellings of what a bundle says: whoever reads them says something that others do not.
fn spellings() -> Vec<Vector> {
    let offer = offered();
    let spelt = |name, edit: &dyn Fn(&mut Value)| {
        Vector::written(name, rewritten(&offer, edit)).refused("bundle.malformed")
    };
    let values = |value: &Value, names: &[&str]| -> Value {
        names.iter().map(|name| value.get(*name).cloned().unwrap_or(Value::Null)).collect()
    };
    vec![
        spelt("bundle-as-an-array", &|it| {
            let names = ["version", "network", "task", "entries", "keyEvents", "agentVersion", "checkpoint"];
            let mut fields = values(it, &names);
            fields[4] = json!([]);
            *it = fields;
        }),
        spelt("entry-as-an-array", &|it| {
            it["entries"][0] = values(&it["entries"][0], &["envelope", "logIndex", "proof", "record"]);
        }),
        spelt("envelope-as-an-array", &|it| {
            let names = ["payloadType", "payload", "signatures"];
            it["entries"][0]["envelope"] = values(&it["entries"][0]["envelope"], &names);
        }),
        spelt("signature-as-an-array", &|it| {
            let signatures = &mut it["entries"][0]["envelope"]["signatures"];
            signatures[0] = values(&signatures[0], &["keyid", "sig"]);
        }),
        spelt("name-as-an-object", &|it| it["network"] = json!({ "simulated": null })),
        spelt("upper-case-hash", &|it| {
            let hash = it["entries"][0]["proof"][0].as_str().unwrap().to_uppercase();
            it["entries"][0]["proof"][0] = json!(hash);
        }),
        spelt("number-as-text", &|it| it["entries"][0]["logIndex"] = json!("2")),
        spelt("number-as-a-fraction", &|it| it["entries"][0]["logIndex"] = json!(2.0)),
        spelt("negative-number", &|it| it["entries"][0]["logIndex"] = json!(-1)),
        spelt("base-64-without-padding", &|it| it["input"] = json!("YQ")),
        spelt("base-64-with-loose-bits", &|it| it["input"] = json!("YR==")),
        spelt("base-64-with-white-space", &|it| it["input"] = json!("YQ= =")),
        spelt("base-64-of-both-alphabets", &|it| it["input"] = json!("+_+_")),
        spelt("input-as-null", &|it| it["input"] = Value::Null),
    ]
}

fn notes() -> Vec<Vector> {
    let noted = |name, class, edit: &dyn Fn(&str) -> String| {
        Vector::of(name, spoilt(offered(), |it| it.checkpoint = edit(&it.checkpoint))).refused(class)
    };
    let signed_again = |note: &str| Checkpoint::read_unverified(note).unwrap();
    let malformed = "checkpoint.note.malformed";
    vec![
        noted("checkpoint-of-another-size", "checkpoint.note.badSignature", &|note| {
            note.replacen("\n5\n", "\n6\n", 1)
        }),
        noted("checkpoint-without-signature", malformed, &|note| {
            format!("{}\n", note.split_once("\n\n").unwrap().0)
        }),
        noted("checkpoint-with-a-carriage-return", malformed, &|note| note.replacen("\n5\n", "\n5\r\n", 1)),
        noted("checkpoint-signature-too-short", malformed, &|note| {
            format!("{}\u{2014} {ORIGIN} AAAA\n", &note[..note.find('\u{2014}').unwrap()])
        }),
        noted("checkpoint-too-large", "checkpoint.note.tooLarge", &|_| "x".repeat(16 * 1024 + 1)),
        noted("checkpoint-size-with-a-zero", "checkpoint.malformed", &|note| {
            note.replacen("\n5\n", "\n05\n", 1)
        }),
        noted("checkpoint-with-too-many-signatures", malformed, &|note| {
            format!("{note}{}", "\u{2014} witness.example/w AAAAAAAA\n".repeat(32))
        }),
        noted("checkpoint-of-a-stranger", "checkpoint.noTrustedSignature", &|note| {
            signed_again(note).sign(&trust_roots::stranger()).unwrap()
        }),
        noted("checkpoint-of-another-origin", "checkpoint.noTrustedSignature", &|note| {
            let origin = "other.poa/1".to_owned();
            Checkpoint { origin, ..signed_again(note) }.sign(&crate::plan::key(4)).unwrap()
        }),
        Vector::of("log-key-that-is-not-trusted", offered())
            .under("other-log-key")
            .refused("checkpoint.noTrustedSignature"),
        witnesses("seen-by-too-few-witnesses", &[0], &|_| ()),
        witnesses("seen-by-one-witness-twice", &[0, 0], &|_| ()),
        witnesses("cosignature-of-another-moment", &[0, 1], &|it| {
            let (head, last) = it.checkpoint.trim_end().rsplit_once(' ').unwrap();
            let engine = base64::engine::general_purpose::STANDARD;
            let mut line = base64::Engine::decode(&engine, last).unwrap();
            line[11] ^= 1;
            it.checkpoint = format!("{head} {}\n", base64::Engine::encode(&engine, line));
        }),
    ]
}

fn witnesses(name: &'static str, seen_by: &[usize], edit: &dyn Fn(&mut Bundle)) -> Vector {
    let world = World::new();
    let plan =
        Plan { seen_by: seen_by.to_vec(), ..Plan::of(&world, &[world.offer(ReleasePolicy::OnAcceptance)]) };
    Vector::of(name, spoilt(plan.bundle(), edit)).under("witnessed").refused("checkpoint.notWitnessed")
}

fn places() -> Vec<Vector> {
    let place =
        |name, class, edit: &dyn Fn(&mut Bundle)| Vector::of(name, spoilt(paid(), edit)).refused(class);
    let placed = |name, class, places: [u64; 4]| {
        let world = World::new();
        let mut plan = Plan::of(&world, &world.up_to_received(ReleasePolicy::OnAcceptance));
        for (placed, log_index) in plan.statements.iter_mut().zip(places) {
            placed.log_index = log_index;
        }
        Vector::of(name, plan.bundle()).refused(class)
    };
    let world = World::new();
    let expired_root = Vector::of("trust-root-expired", offered());
    vec![
        expired_root.under("expired").refused("trustRootExpired"),
        place("proof-changed", "notInLog.wrongRoot", &|it| it.entries[2].proof.swap(0, 1)),
        place("proof-too-short", "notInLog.wrongLength", &|it| it.entries[2].proof.truncate(1)),
        place("proof-too-long", "notInLog.wrongLength", &|it| {
            let last = it.entries[2].proof[0];
            it.entries[2].proof.push(last);
        }),
        place("another-log-index", "notInLog.wrongRoot", &|it| it.entries[2].log_index += 1),
        place("not-yet-in-the-log", "pending", &|it| {
            it.entries[5].log_index = 20;
            it.entries[5].proof.clear();
        }),
        placed("logged-before-its-predecessor", "logOrder", [5, 2, 8, 11]),
        placed("submission-logged-elsewhere", "submissionIndex", [2, 5, 7, 11]),
        place("bundle-of-another-task", "task", &|it| it.task = crate::fixture::other_task()),
        place("bundle-of-another-network", "network", &|it| it.network = poa_common::Network::Regtest),
        Vector::of("trust-root-of-another-network", paid()).under("mainnet").refused("network"),
        Vector::of(
            "statements-of-another-network",
            spoilt(paid(), |it| it.network = poa_common::Network::Mainnet),
        )
        .under("mainnet")
        .refused("network"),
        Vector::of("statements-of-a-log-that-was-not-ours", {
            let offer = World::new().offer(ReleasePolicy::OnAcceptance);
            let context = offer.context();
            let elsewhere = proof_of_agent::Statement::offer(
                context.task,
                context.network,
                "other.poa/1",
                World::new().for_requester(),
                offer.body().as_terms_offered().unwrap().clone(),
            );
            receipt(&world, &[elsewhere.unwrap()])
        })
        .refused("origin"),
        Vector::of("receipt-key-after-its-range", paid()).under("ranges").refused("keyRange"),
        Vector::of("receipt-key-before-its-range", {
            let mut plan = platform_rotated(&World::new());
            plan.statements[4].log_index = trust_roots::CHANGE - 1;
            plan.bundle()
        })
        .under("ranges")
        .refused("keyRange"),
        Vector::of("arbiter-after-its-range", {
            let story = Story::received(&world).judged(0).settled(refund(100_999));
            receipt(&world, &story.statements)
        })
        .under("arbiter-retired")
        .refused("keyRange"),
    ]
}

/// The public records that stand in the log, and say something else than the chain.
fn records() -> Vec<Vector> {
    let recorded =
        |name, edit: &dyn Fn(&mut Bundle)| Vector::of(name, spoilt(paid(), edit)).refused("record");
    vec![
        recorded("record-left-out", &|it| it.entries[5].record = None),
        recorded("record-where-there-is-none", &|it| it.entries[4].record = it.entries[5].record),
        recorded("record-of-another-amount", &|it| {
            it.entries[5].record.as_mut().unwrap().facts.amount_bucket += 1;
        }),
        recorded("record-of-another-day", &|it| it.entries[5].record.as_mut().unwrap().facts.day += 1),
        recorded("record-that-denies-self-dealing", &|it| {
            it.entries[5].record.as_mut().unwrap().facts.self_dealing = true;
        }),
        // What the platform alone knows is in the leaf: the proof does not hold for another.
        Vector::of(
            "record-of-another-standing",
            spoilt(paid(), |it| it.entries[5].record.as_mut().unwrap().standing += 1),
        )
        .refused("notInLog.wrongRoot"),
        Vector::of("record-of-a-first-claim", {
            let mut bundle = reclaimed(&World::new()).bundle();
            bundle.entries[1].record = bundle.entries[2].record;
            bundle
        })
        .refused("record"),
    ]
}

fn notices() -> Vec<Vector> {
    let world = World::new();
    let plan = || Plan::of(&world, &World::new().paid());
    let early = NOW - Duration::HOUR;
    let stolen = revocation(&world, KeyReason::Compromised, Some(NOW));
    let rotated = rotation(&world, KeyReason::Compromised, Some(early));
    let noticed = |name, edit: &dyn Fn(&mut Bundle)| {
        Vector::of(name, spoilt(published(&World::new()).bundle(), edit)).refused("notice")
    };
    vec![
        Vector::of("no-key-event", spoilt(paid(), |it| it.key_events.clear())).refused("noKeyEvent"),
        Vector::of("key-event-after-the-submission", {
            let mut plan = plan();
            plan.events[0].1 = 9;
            plan.bundle()
        })
        .refused("noKeyEvent"),
        Vector::of("another-key-event-than-the-platform-named", {
            let mut statements = World::new().up_to_received(ReleasePolicy::OnAcceptance);
            let received = WorkReceived {
                key_event: Digest::of(b"another"),
                submission_log_index: LOG_GAP * 3 - 1,
                ..world.received()
            };
            statements[3] = statements[2].successor(world.by_platform(), received).unwrap();
            receipt(&world, &statements)
        })
        .refused("noKeyEvent"),
        Vector::of("key-compromised-when-the-work-arrived", {
            plan().with_event(&world, &stolen, 18).bundle()
        })
        .refused("agentKeyCompromised"),
        Vector::of("key-rotated-because-it-was-compromised", {
            plan().with_event(&world, &rotated, 18).bundle()
        })
        .refused("agentKeyCompromised"),
        noticed("key-event-at-another-place", &|it| it.key_events[0].log_index = 4),
        noticed("key-event-outside-the-log", &|it| it.key_events[0].log_index = 20),
        noticed("key-event-proof-too-short", &|it| it.key_events[0].proof.truncate(1)),
        noticed("key-event-that-is-a-version", &|it| {
            it.key_events[0] = it.agent_version.clone().unwrap();
        }),
        noticed("key-event-that-is-a-receipt", &|it| {
            it.key_events[0].envelope = it.entries[0].envelope.clone();
        }),
        noticed("version-that-is-a-key-event", &|it| it.agent_version = Some(it.key_events[0].clone())),
        Vector::of("key-event-signed-by-a-stranger", {
            let mut plan = plan();
            let event = proof_of_agent::NoticeStatement::new(
                poa_common::Network::Simulated,
                ORIGIN,
                crate::plan::did(14),
                world.nonce(),
                &world.registration(),
            );
            plan.events[0].0 = event.unwrap();
            plan.bundle()
        })
        .refused("notice"),
        Vector::of("version-signed-by-a-stranger", {
            let mut plan = plan();
            plan.version = Some((version_stated(&version(), 14), 1));
            plan.bundle()
        })
        .refused("notice"),
        Vector::of(
            "evidence-without-a-version",
            spoilt(paid(), |it| it.tee_evidence = Some(b"evidence".to_vec())),
        )
        .refused("evidence"),
    ]
}

fn policies() -> Vec<Vector> {
    let told = |name, bundle, policy, class| Vector::of(name, bundle).with_policy(policy).refused(class);
    let strict = Policy { require_paid: true, ..Policy::default() };
    let level = |level| Policy { min_level: Some(level), ..Policy::default() };
    let world = World::new();
    let open = |length: usize| receipt(&World::new(), &World::new().paid()[..length]);
    let story = |tell: &dyn for<'a> Fn(Story<'a>) -> Story<'a>| {
        receipt(&World::new(), &tell(Story::received(&world)).statements)
    };
    let other = Some(b"other".to_vec());
    vec![
        told("paid-is-asked-for-and-it-is-open", open(5), strict, "notPaid"),
        told(
            "paid-is-asked-for-and-it-was-refunded",
            story(&|it| it.decided(DecisionKind::Rejected).settled(settlement(SettlementKind::Refunded))),
            strict,
            "notPaid",
        ),
        told("paid-is-asked-for-and-a-part-was-paid", story(&captured), strict, "notPaid"),
        told(
            "the-log-was-larger-before",
            paid(),
            Policy { min_log_size: 21, ..Policy::default() },
            "logShrank",
        ),
        told(
            "another-network-is-asked-for",
            paid(),
            Policy { network: Some(poa_common::Network::Mainnet), ..Policy::default() },
            "network",
        ),
        told("a-published-version-is-asked-for", paid(), level(TrustLevel::Published), "level"),
        told(
            "a-reproduced-build-is-asked-for-and-another-was-made",
            published(&World::new()).bundle(),
            Policy { reproduced_build: Some(Digest::of(b"other")), ..level(TrustLevel::Reproduced) },
            "level",
        ),
        Vector::of("another-input", spoilt(inline(), |it| it.input = other.clone())).refused("otherInput"),
        Vector::of("another-result", spoilt(inline(), |it| it.result = other.clone())).refused("otherResult"),
        Vector::of("a-result-where-nothing-was-submitted", spoilt(offered(), |it| it.result = other.clone()))
            .refused("noResult"),
    ]
}
