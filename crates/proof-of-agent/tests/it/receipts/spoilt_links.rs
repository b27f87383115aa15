//! Receipts of statements that name another predecessor, another log or another network than those before them, and of parts that
//! are settled otherwise than they were accepted.

use proof_of_agent::{
    Deadline, Decision, DecisionKind, Digest, ReleasePolicy, Settlement, SettlementKind, Statement,
};
use serde_json::{Value, json};

use super::sound::captured;
use super::spoilt_statements::{last_edited, set};
use super::{Vector, sorted};
use crate::fixture::{ORIGIN, World, decision, id, settlement};
use crate::plan::{NEW_ORIGIN, Plan, Story, payment, receipt, up_to};

const ACCEPTANCE: ReleasePolicy = ReleasePolicy::OnAcceptance;

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = predecessors();
    vectors.extend(without_predecessors());
    vectors.extend(after_extensions());
    vectors.extend(logs());
    vectors.extend(parts());
    vectors
}

/// The statement with other values at JSON pointers: well-formed by itself.
fn restated(statement: &Statement, edits: &[(&str, Value)]) -> Statement {
    let mut value: Value = serde_json::from_slice(statement.payload()).unwrap();
    for (pointer, to) in edits {
        set(&mut value, pointer, to.clone());
    }
    Statement::parse(sorted(&value).to_string().as_bytes()).unwrap()
}

/// The receipt whose last statement has other values, signed and logged like this.
pub(super) fn linked(name: &'static str, mut statements: Vec<Statement>, edits: &[(&str, Value)]) -> Vector {
    let last = statements.pop().unwrap();
    statements.push(restated(&last, edits));
    Vector::of(name, receipt(&World::new(), &statements))
}

const KINDS: [(usize, &str, &str); 5] = [
    (2, "claim-after-another-offer", "claim-without-a-predecessor"),
    (3, "work-after-another-claim", "work-without-a-predecessor"),
    (4, "receipt-after-another-submission", "receipt-without-a-predecessor"),
    (5, "decision-after-another-receipt", "decision-without-a-predecessor"),
    (6, "settlement-after-another-decision", "settlement-without-a-predecessor"),
];

/// Each names a statement that nobody has, and is else what it must be.
fn predecessors() -> Vec<Vector> {
    let other = json!(Digest::of(b"another statement"));
    let link = |(length, name, _): (usize, &'static str, &str)| {
        // What a claim is about is its predecessor.
        let subject = (length == 2).then(|| ("/subject/0/digest/sha256", other.clone()));
        let edits: Vec<_> = [("/predicate/predecessor", other.clone())].into_iter().chain(subject).collect();
        linked(name, up_to(length), &edits).refused("chain.predecessor")
    };
    let mut vectors: Vec<Vector> = KINDS.into_iter().map(link).collect();
    // The statement before the one before.
    let statements = up_to(6);
    let skipped = json!(statements[3].digest());
    vectors.push(
        linked("settlement-after-the-receipt", statements, &[("/predicate/predecessor", skipped)])
            .refused("chain.predecessor"),
    );
    vectors
}

fn without_predecessors() -> Vec<Vector> {
    let invalid = "envelope.statement.invalid";
    let mut vectors: Vec<Vector> = KINDS
        .into_iter()
        .map(|(length, _, name)| {
            last_edited(name, invalid, &up_to(length), |it| set(it, "/predicate/predecessor", Value::Null))
                .about("predecessor")
        })
        .collect();
    // What is null is absent.
    vectors.push(
        last_edited("predecessor-that-is-null", invalid, &up_to(3), |it| {
            it["predicate"]["predecessor"] = Value::Null;
        })
        .about("predecessor"),
    );
    vectors.push(
        last_edited("claim-about-another-offer", invalid, &up_to(2), |it| {
            it["subject"][0]["digest"]["sha256"] = json!(Digest::of(b"another statement"));
        })
        .about("subject"),
    );
    vectors
}

fn extended(world: &World) -> Story<'_> {
    let longer = Decision {
        deadline: Some(Deadline::Expiry),
        extended_seconds: Some(60),
        ..decision(DecisionKind::DeadlineExtended)
    };
    Story::new(world, vec![world.offer(ACCEPTANCE)]).then(world.by_platform(), longer)
}

/// A claim follows the offer, and all else what was said last: also where that moved a deadline.
fn after_extensions() -> Vec<Vector> {
    let world = World::new();
    let claimed = |parent: usize| {
        let mut statements = extended(&world).statements;
        let digest = json!(statements[parent].digest());
        let claim = world.accept(&statements[0], 1);
        let edits = [("/predicate/predecessor", digest.clone()), ("/subject/0/digest/sha256", digest)];
        statements.push(restated(&claim, &edits));
        receipt(&world, &statements)
    };
    let canceled = |parent: usize| {
        let mut statements = extended(&world).statements;
        let canceled = world.decide(&statements[0], DecisionKind::Canceled);
        let digest = json!(statements[parent].digest());
        statements.push(restated(&canceled, &[("/predicate/predecessor", digest)]));
        receipt(&world, &statements)
    };
    vec![
        Vector::of("claimed-after-an-extension", claimed(0)),
        Vector::of("canceled-after-an-extension", canceled(1)),
        Vector::of("claim-that-names-an-extension", claimed(1)).refused("chain.predecessor"),
        Vector::of("cancellation-that-passes-over-an-extension", canceled(0)).refused("chain.predecessor"),
    ]
}

/// A task keeps the origin of its offer, whatever the log is called later.
fn logs() -> Vec<Vector> {
    let moved = |name, statements: &[Statement]| {
        let world = World::new();
        Vector::of(name, Plan { origin: NEW_ORIGIN, ..Plan::of(&world, statements) }.bundle()).under("moved")
    };
    let at = |origin: &'static str| {
        let world = World::new();
        let network = poa_common::Network::Simulated;
        let terms = crate::fixture::terms(ACCEPTANCE);
        let offer = Statement::offer(id(7), network, origin, world.for_requester(), terms).unwrap();
        let claim = world.accept(&offer, 1);
        [offer, claim]
    };
    let elsewhere =
        |claim: &Statement, origin: &str| restated(claim, &[("/predicate/logOrigin", json!(origin))]);
    let [old, old_claim] = at(ORIGIN);
    let [new, new_claim] = at(NEW_ORIGIN);
    let mismatch = "chain.mismatch";
    vec![
        moved("offered-at-the-prior-origin", &[old.clone(), old_claim.clone()]),
        moved("offered-at-the-new-origin", &[new.clone(), new_claim.clone()]),
        moved(
            "offered-at-the-prior-origin-and-claimed-at-the-new-one",
            &[old, elsewhere(&old_claim, NEW_ORIGIN)],
        )
        .refused(mismatch)
        .about("logOrigin"),
        moved(
            "offered-at-the-new-origin-and-claimed-at-the-prior-one",
            &[new.clone(), elsewhere(&new_claim, ORIGIN)],
        )
        .refused(mismatch)
        .about("logOrigin"),
        // An origin that the trust root does not know yet, or not at all.
        Vector::of("offered-at-an-origin-that-is-not-known-yet", receipt(&World::new(), &[new, new_claim]))
            .refused("origin"),
        linked(
            "claimed-in-a-log-that-was-not-ours",
            up_to(2),
            &[("/predicate/logOrigin", json!("other.poa/1"))],
        )
        .refused("origin"),
        linked("claimed-in-another-network", up_to(2), &[("/predicate/network", json!("regtest"))])
            .refused("network"),
        linked("settled-in-another-network", up_to(6), &[("/predicate/network", json!("mainnet"))])
            .refused("network"),
        linked(
            "settled-for-another-task",
            up_to(6),
            &[("/predicate/task", json!(crate::fixture::other_task()))],
        )
        .refused("task"),
    ]
}

fn lost(amount: i64) -> Settlement {
    let all = settlement(SettlementKind::FundingLost);
    Settlement { amount_msat: poa_common::Msat::new(amount), ..all }
}

fn parts() -> Vec<Vector> {
    let order = "chain.order";
    let told = |name, tell: &dyn for<'a> Fn(Story<'a>) -> Story<'a>| {
        let world = World::new();
        Vector::of(name, receipt(&world, &tell(Story::received(&world)).statements))
    };
    let held = |name, tell: &dyn for<'a> Fn(Story<'a>) -> Story<'a>| {
        let world = World::new();
        let story = Story::new(&world, world.held_elsewhere(ACCEPTANCE));
        Vector::of(name, receipt(&world, &tell(story).statements))
    };
    let on_hold = |settled: Settlement| Settlement { rail: proof_of_agent::Rail::HoldInvoice, ..settled };
    let part = || payment(SettlementKind::Captured, 0, 0, 40_011, 0);
    let again = || payment(SettlementKind::Captured, 40_011, 2_000, 40_011, 0);
    let mut vectors = vec![
        held("part-of-a-hold-invoice", &|story| {
            story.decided(DecisionKind::AcceptedInPart).settled(on_hold(part()))
        }),
        // What was captured is in the ledger: it cannot be lost any more, nor can the rest.
        held("funding-lost-after-a-part-was-paid", &|story| {
            story.decided(DecisionKind::AcceptedInPart).settled(on_hold(part())).settled(lost(60_988))
        })
        .refused(order),
        held("all-funding-lost-after-a-part-was-paid", &|story| {
            story.decided(DecisionKind::AcceptedInPart).settled(on_hold(part())).settled(lost(100_999))
        })
        .refused("chain.mismatch")
        .about("amountMsat"),
        held("less-funding-lost-than-was-held", &|story| {
            story.decided(DecisionKind::Accepted).settled(lost(100_998))
        })
        .refused("chain.mismatch")
        .about("amountMsat"),
        told("a-part-captured-twice", &|story| captured(story).settled(again())).refused(order),
        told("the-same-part-accepted-and-captured-again", &|story| {
            let story = captured(story).resubmitted();
            story.decided(DecisionKind::AcceptedInPart).settled(again())
        }),
        told("the-fee-of-a-part-taken-twice", &|story| {
            let story = captured(story).resubmitted();
            let twice = Settlement {
                fee_msat: poa_common::Msat::new(4_001),
                payee_msat: poa_common::Msat::new(36_010),
                ..again()
            };
            story.decided(DecisionKind::AcceptedInPart).settled(twice)
        })
        .refused("chain.mismatch")
        .about("feeMsat"),
        told("released-after-a-part-was-accepted", &|story| {
            story.decided(DecisionKind::AcceptedInPart).settled(settlement(SettlementKind::Released))
        })
        .refused(order),
        told("captured-after-all-was-accepted", &|story| {
            story.decided(DecisionKind::Accepted).settled(part())
        })
        .refused(order),
    ];
    vectors.extend(lost_in_every_position());
    vectors
}

/// What is locked elsewhere goes back whenever it does.
fn lost_in_every_position() -> Vec<Vector> {
    let world = World::new();
    let story = || Story::new(&world, world.held_elsewhere(ACCEPTANCE));
    let first = |length: usize| Story::new(&world, world.held_elsewhere(ACCEPTANCE)[..length].to_vec());
    let lost = |name, story: Story<'_>| {
        let statements = story.settled(settlement(SettlementKind::FundingLost)).statements;
        Vector::of(name, receipt(&World::new(), &statements))
    };
    vec![
        lost("funding-lost-when-offered", first(1)),
        lost("funding-lost-when-claimed", first(2)),
        lost("funding-lost-when-submitted", first(3)).refused("chain.order"),
        lost("funding-lost-when-received", first(4)),
        lost("funding-lost-when-rejected", story().decided(DecisionKind::Rejected)),
        lost("funding-lost-when-disputed", story().decided(DecisionKind::Disputed)),
        lost("funding-lost-when-judged", story().judged(40_011)),
        lost("funding-lost-when-a-part-was-accepted", story().decided(DecisionKind::AcceptedInPart)),
        lost("funding-lost-when-canceled", {
            let offer = world.held_elsewhere(ACCEPTANCE)[..1].to_vec();
            Story::new(&world, offer).decided(DecisionKind::Canceled)
        }),
        lost(
            "funding-lost-twice",
            story().decided(DecisionKind::Accepted).settled(settlement(SettlementKind::FundingLost)),
        )
        .refused("chain.order"),
    ]
}
