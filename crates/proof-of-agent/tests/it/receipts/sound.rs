//! Receipts that verify: every way through a task, and every feature of a bundle.

use proof_of_agent::notice::KeyReason;
use proof_of_agent::{
    AgentKeyState, Author, Bundle, Deadline, Decision, DecisionKind, Digest, Policy, ReleasePolicy,
    Settlement, SettlementKind, Statement, TermsOffered, TrustLevel, WorkReceived, WorkSubmitted,
};
use serde_json::{Value, json};
use time::Duration;

use super::{Vector, pretty, sorted};
use crate::fixture::{INPUT, LOG_GAP, NOW, RESULT, World, decision, id, settlement, submitted, terms};
use crate::plan::{
    BUILD, NEW_ORIGIN, Plan, SECOND_AGENT_KEY, SECOND_RECEIPT_KEY, Story, did, payment, receipt, refund,
    revocation, rotation, sealed, version, version_stated,
};

const ACCEPTANCE: ReleasePolicy = ReleasePolicy::OnAcceptance;

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = ends();
    vectors.extend(detours());
    vectors.extend(parts());
    vectors.extend(keys());
    vectors.extend(logs());
    vectors.extend(spellings());
    vectors
}

fn told(tell: impl FnOnce(&World) -> Vec<Statement>) -> Bundle {
    let world = World::new();
    receipt(&world, &tell(&world))
}

fn story(tell: impl for<'a> FnOnce(Story<'a>) -> Story<'a>) -> Bundle {
    told(|world| tell(Story::received(world)).statements)
}

/// A task that was paid, with its input and its result.
pub(super) fn inline() -> Bundle {
    let mut bundle = told(World::paid);
    (bundle.input, bundle.result) = (Some(INPUT.to_vec()), Some(RESULT.to_vec()));
    bundle
}

fn ends() -> Vec<Vector> {
    let mut vectors: Vec<Vector> = (1..=5)
        .zip(["open-offered", "open-accepted", "open-submitted", "open-received", "open-approved"])
        .map(|(length, name)| Vector::of(name, told(|world| world.paid()[..length].to_vec())))
        .collect();
    let end = |kind: SettlementKind, decided: DecisionKind| {
        story(|story| story.decided(decided).settled(settlement(kind)))
    };
    let world = World::new();
    let offer = world.offer(ACCEPTANCE);
    let refunded = world.settle(&offer, SettlementKind::Refunded);
    vectors.extend([
        Vector::of("paid-by-criteria", told(World::paid)).with_policy(Policy {
            require_paid: true,
            network: Some(poa_common::Network::Simulated),
            min_log_size: 20,
            reproduced_build: None,
            min_level: Some(TrustLevel::Key),
        }),
        Vector::of("paid-by-acceptance", end(SettlementKind::Released, DecisionKind::Accepted)),
        Vector::of("paid-by-deadline", end(SettlementKind::Released, DecisionKind::DeadlinePassed)),
        Vector::of("inline-input-and-result", inline()),
        Vector::of("refunded-before-a-claim", receipt(&world, &[offer, refunded])),
        Vector::of("canceled", {
            told(|world| {
                let offer = world.offer(ACCEPTANCE);
                let canceled = world.decide(&offer, DecisionKind::Canceled);
                let refunded = world.settle(&canceled, SettlementKind::Refunded);
                vec![offer, canceled, refunded]
            })
        }),
        Vector::of("rejected-and-refunded", end(SettlementKind::Refunded, DecisionKind::Rejected)),
        Vector::of(
            "rejected-by-a-criterion",
            story(|story| {
                let author = story.world.by_platform();
                let failed = Decision { failed_criterion: Some(1), ..decision(DecisionKind::Rejected) };
                story.then(author, failed)
            }),
        ),
        Vector::of(
            "funding-lost",
            told(|world| {
                let story = Story::new(world, world.held_elsewhere(ACCEPTANCE));
                let lost = settlement(SettlementKind::FundingLost);
                story.decided(DecisionKind::Accepted).settled(lost).statements
            }),
        ),
        Vector::of(
            "hold-invoice-given-back-without-a-transfer",
            told(|world| {
                let mut statements = world.held_elsewhere(ACCEPTANCE);
                statements.truncate(1);
                let back = Settlement {
                    rail: proof_of_agent::Rail::HoldInvoice,
                    transfers: vec![],
                    ..settlement(SettlementKind::Refunded)
                };
                Story::new(world, statements).settled(back).statements
            }),
        ),
        Vector::of(
            "requester-with-its-own-key",
            told(|world| {
                let offer = world.offer_of(world.by_requester(), terms(ACCEPTANCE));
                let acceptance = world.accept(&offer, 1);
                let submission = world.submit(&acceptance, &acceptance);
                let received = world.receive(&submission, LOG_GAP * 3 - 1);
                let story = Story::new(world, vec![offer, acceptance, submission, received]);
                let author = world.by_requester();
                story
                    .then(author, decision(DecisionKind::Accepted))
                    .settled(settlement(SettlementKind::Released))
                    .statements
            }),
        ),
    ]);
    vectors
}

/// The first claim lapsed, another followed and was paid.
pub(super) fn reclaimed(world: &World) -> Plan {
    let offer = world.offer(ACCEPTANCE);
    let (lapsed, second) = (world.accept(&offer, 1), world.accept(&offer, 2));
    let submission = world.submit(&second, &second);
    let received = world.receive(&submission, LOG_GAP * 4 - 1);
    let story = Story::new(world, vec![offer, lapsed, second, submission, received]);
    let story = story.decided(DecisionKind::Accepted).settled(settlement(SettlementKind::Released));
    Plan::of(world, &story.statements)
}

fn detours() -> Vec<Vector> {
    let extended = |deadline, seconds| Decision {
        deadline: Some(deadline),
        extended_seconds: Some(seconds),
        ..decision(DecisionKind::DeadlineExtended)
    };
    let world = World::new();
    vec![
        Vector::of(
            "expired-after-a-lapsed-claim",
            told(|world| {
                let offer = world.offer(ACCEPTANCE);
                let lapsed = world.accept(&offer, 1);
                let story = Story::new(world, vec![offer, lapsed]);
                let refunded = settlement(SettlementKind::Refunded);
                story.decided(DecisionKind::Expired).settled(refunded).statements
            }),
        ),
        Vector::of(
            "rejected-then-resubmitted",
            story(|story| {
                let story = story.decided(DecisionKind::Rejected).resubmitted();
                story.decided(DecisionKind::Accepted).settled(settlement(SettlementKind::Released))
            }),
        ),
        Vector::of("reclaimed-with-the-lapsed-claim", reclaimed(&world).bundle()),
        Vector::of("reclaimed-without-the-lapsed-claim", reclaimed(&World::new()).without(1).bundle()),
        Vector::of(
            "revised",
            story(|story| {
                let story = story.decided(DecisionKind::RevisionRequested).resubmitted();
                story.decided(DecisionKind::Accepted).settled(settlement(SettlementKind::Released))
            }),
        ),
        Vector::of(
            "deadlines-extended",
            told(|world| {
                let story = Story::new(world, vec![world.offer(ACCEPTANCE)]);
                let author = world.by_platform();
                let story = story.then(author, extended(Deadline::Expiry, 60));
                let acceptance = world.accept(&story.statements[0], 1);
                // A claim names the offer, whatever came in between: a receipt leaves that out.
                let story = Story::new(world, vec![story.statements[0].clone(), acceptance.clone()]);
                let author = world.for_requester();
                let story = story.then(author, extended(Deadline::Work, 3_600));
                let submission = world.submit(story.last(), &acceptance);
                let mut statements = story.statements;
                let late = WorkReceived {
                    submission_log_index: LOG_GAP * 4 - 1,
                    received_time: NOW + Duration::seconds(7_200),
                    ..world.received()
                };
                statements.push(submission);
                let story = Story::new(world, statements).then(world.by_platform(), late);
                let author = world.by_platform();
                let story = story.then(author, extended(Deadline::Review, 600));
                let story = story.decided(DecisionKind::DeadlinePassed);
                story.settled(settlement(SettlementKind::Released)).statements
            }),
        ),
    ]
}

/// A part of 40,011 msat was paid, and the work went on.
pub(super) fn captured(story: Story<'_>) -> Story<'_> {
    let part = payment(SettlementKind::Captured, 0, 0, 40_011, 0);
    story.decided(DecisionKind::AcceptedInPart).settled(part)
}

fn parts() -> Vec<Vector> {
    vec![
        Vector::of("part-paid-and-open", story(captured)),
        Vector::of(
            "parts-then-released",
            story(|story| {
                let story = captured(story).resubmitted_part(20_013).resubmitted();
                let rest = payment(SettlementKind::Released, 60_024, 3_001, 40_975, 0);
                story.decided(DecisionKind::Accepted).settled(rest)
            }),
        ),
        Vector::of(
            "parts-then-refunded",
            story(|story| captured(story).decided(DecisionKind::Expired).settled(refund(60_988))),
        ),
        Vector::of(
            "disputed-and-split",
            story(|story| story.judged(40_011).settled(payment(SettlementKind::Split, 0, 0, 40_011, 60_988))),
        ),
        Vector::of(
            "disputed-and-awarded-in-full",
            story(|story| story.judged(100_999).settled(payment(SettlementKind::Released, 0, 0, 100_999, 0))),
        ),
        Vector::of("disputed-and-denied", story(|story| story.judged(0).settled(refund(100_999)))),
        Vector::of(
            "disputed-by-the-agent-after-a-part",
            story(|story| {
                let story = captured(story).resubmitted().decided(DecisionKind::Rejected);
                let agent = story.world.by_agent();
                let story = story.then(agent, decision(DecisionKind::Disputed));
                let arbiter = story.world.by_arbiter();
                let story = story.then(arbiter, crate::plan::verdict(988));
                story.settled(payment(SettlementKind::Split, 40_011, 2_000, 988, 60_000))
            }),
        ),
    ]
}

/// The agent rotated its key before it claimed.
fn under_the_second_key(world: &World) -> Plan {
    let event = rotation(world, KeyReason::Superseded, None);
    let by_agent = || Author::agent(did(SECOND_AGENT_KEY), world.nonce());
    let story = Story::new(world, vec![world.offer(ReleasePolicy::OnAttestation)]);
    let story = story.then(by_agent(), crate::fixture::accepted(1));
    let work = submitted(story.last());
    let story = story.then(by_agent(), work);
    let received = WorkReceived {
        agent_key: did(SECOND_AGENT_KEY),
        key_event: world.stated(&event).digest(),
        submission_log_index: LOG_GAP * 3 - 1,
        ..world.received()
    };
    let story = story.then(world.by_platform(), received);
    let story = story.decided(DecisionKind::CriteriaMet).settled(settlement(SettlementKind::Released));
    Plan::of(world, &story.statements).with_event(world, &event, 1)
}

/// The agent names the build of a version that it published.
pub(super) fn published(world: &World) -> Plan {
    let offer = world.offer(ReleasePolicy::OnAttestation);
    let acceptance = world.accept(&offer, 1);
    let work = WorkSubmitted { build_digest: Some(Digest::of(BUILD)), ..submitted(&acceptance) };
    let story = Story::new(world, vec![offer, acceptance]).then(world.by_agent(), work);
    let received = WorkReceived { submission_log_index: LOG_GAP * 3 - 1, ..world.received() };
    let story = story.then(world.by_platform(), received);
    let story = story.decided(DecisionKind::CriteriaMet).settled(settlement(SettlementKind::Released));
    let mut plan = Plan::of(world, &story.statements);
    plan.version = Some((version_stated(&version(), 2), 1));
    plan
}

fn keys() -> Vec<Vector> {
    let world = World::new();
    let paid = || Plan::of(&world, &World::new().paid());
    let after = NOW + Duration::HOUR;
    let event = |event| paid().with_event(&world, &event, 18).bundle();
    let build = Some(Digest::of(BUILD));
    let level = |level| Policy { min_level: Some(level), ..Policy::default() };
    vec![
        Vector::of("rotated-agent-key", under_the_second_key(&World::new()).bundle()),
        Vector::of("key-superseded-later", event(rotation(&world, KeyReason::Superseded, None))),
        Vector::of("key-revoked-later", event(revocation(&world, KeyReason::Superseded, None))),
        Vector::of("key-compromised-later", event(revocation(&world, KeyReason::Compromised, Some(after)))),
        Vector::of(
            "key-superseded-when-the-work-arrived",
            told(|world| {
                let mut statements = world.up_to_received(ACCEPTANCE);
                statements.truncate(3);
                let received = WorkReceived {
                    agent_key_state: AgentKeyState::Superseded,
                    submission_log_index: LOG_GAP * 3 - 1,
                    ..world.received()
                };
                let story = Story::new(world, statements).then(world.by_platform(), received);
                story.decided(DecisionKind::Accepted).settled(settlement(SettlementKind::Released)).statements
            }),
        ),
        Vector::of("version-published", published(&World::new()).bundle())
            .with_policy(level(TrustLevel::Published)),
        Vector::of("version-reproduced", published(&World::new()).bundle())
            .with_policy(Policy { reproduced_build: build, ..level(TrustLevel::Reproduced) }),
        Vector::of("version-of-another-build", {
            let mut plan = paid();
            plan.version = Some((version_stated(&version(), 2), 1));
            plan.bundle()
        }),
    ]
}

/// Paid, with a second receipt key from the decision on.
pub(super) fn platform_rotated(world: &World) -> Plan {
    let by_platform = || Author::platform(did(SECOND_RECEIPT_KEY), world.nonce());
    let story = Story::new(world, world.up_to_received(ReleasePolicy::OnAttestation));
    let story = story.then(by_platform(), decision(DecisionKind::CriteriaMet));
    let story = story.then(by_platform(), settlement(SettlementKind::Released));
    Plan::of(world, &story.statements)
}

fn logs() -> Vec<Vector> {
    let world = World::new();
    let paid = |edit: &dyn Fn(&mut Plan)| {
        let mut plan = Plan::of(&world, &World::new().paid());
        edit(&mut plan);
        plan.bundle()
    };
    vec![
        Vector::of("seen-by-two-of-three-witnesses", paid(&|plan| plan.seen_by = vec![0, 2]))
            .under("witnessed"),
        Vector::of("seen-by-a-witness-that-nobody-asks-for", paid(&|plan| plan.seen_by = vec![1])),
        Vector::of("prior-origin", paid(&|plan| plan.origin = NEW_ORIGIN)).under("moved"),
        Vector::of("receipt-key-rotated", platform_rotated(&World::new()).bundle()).under("ranges"),
        Vector::of("trust-root-not-yet-expired", paid(&|_| ())).under("expiring"),
        Vector::of("later-in-the-log", paid(&|plan| plan.size = 300)),
    ]
}

/// Other spellings of one receipt that say the same.
fn spellings() -> Vec<Vector> {
    let bundle = inline();
    let value: Value = serde_json::from_slice(&bundle.to_json().unwrap()).unwrap();
    let spelt = |edit: &dyn Fn(&mut Value)| {
        let mut value = value.clone();
        edit(&mut value);
        serde_json::to_vec(&sorted(&value)).unwrap()
    };
    let url_safe = |text: &Value| json!(text.as_str().unwrap().replace('+', "-").replace('/', "_"));
    let plain = String::from_utf8(bundle.to_json().unwrap()).unwrap();
    // The last statement, with a field that nobody knows: it is signed, and says nothing.
    let with_more = || {
        let mut statements = World::new().paid();
        let mut last: Value = serde_json::from_slice(statements[5].payload()).unwrap();
        last["predicate"]["body"]["mood"] = json!({ "good": [true, null, 1.5] });
        statements[5] = Statement::parse(&serde_json::to_vec(&sorted(&last)).unwrap()).unwrap();
        receipt(&World::new(), &statements)
    };
    let hired = TermsOffered {
        criteria: vec![],
        direct_agent: Some(id(5)),
        capability: None,
        ..terms(ReleasePolicy::OnAttestation)
    };
    vec![
        Vector::of("unknown-field-in-a-statement", with_more()),
        Vector::written("indented", pretty(&value)),
        Vector::written(
            "escaped-letters",
            plain.replacen("simulated", "\\u0073imulated", 1).replacen("\"task_", "\"\\u0074ask_", 1),
        ),
        Vector::written(
            "url-safe-base-64",
            spelt(&|it| {
                for entry in it["entries"].as_array_mut().unwrap() {
                    let envelope = &mut entry["envelope"];
                    envelope["payload"] = url_safe(&envelope["payload"]);
                    envelope["signatures"][0]["sig"] = url_safe(&envelope["signatures"][0]["sig"]);
                }
            }),
        ),
        Vector::written(
            "signatures-of-strangers",
            spelt(&|it| {
                let signatures = &mut it["entries"][0]["envelope"]["signatures"];
                let own = signatures[0].clone();
                *signatures = json!([
                    { "keyid": "another system's key", "sig": "AAAA" },
                    { "sig": "" },
                    { "keyid": own["keyid"], "sig": "AAAA" },
                    own,
                ]);
            }),
        ),
        Vector::written(
            "unknown-field-in-an-envelope",
            spelt(&|it| it["entries"][0]["envelope"]["more"] = json!(1)),
        ),
        Vector::written("no-record-as-null", spelt(&|it| it["entries"][0]["record"] = Value::Null)),
        Vector::of("hired-directly-without-criteria", {
            let world = World::new();
            let offer = world.offer_of(world.for_requester(), hired);
            let envelope = sealed(offer.payload(), offer.context().signer);
            assert_eq!(envelope, world.sign(&offer));
            receipt(&world, &[offer])
        }),
    ]
}

impl<'a> Story<'a> {
    /// Another result, of which another part is accepted and paid.
    fn resubmitted_part(self, amount: i64) -> Self {
        let part = Decision {
            amount_msat: Some(poa_common::Msat::new(amount)),
            ..decision(DecisionKind::AcceptedInPart)
        };
        let story = self.resubmitted();
        let author = story.world.for_requester();
        story.then(author, part).settled(payment(SettlementKind::Captured, 40_011, 2_000, amount, 0))
    }
}
