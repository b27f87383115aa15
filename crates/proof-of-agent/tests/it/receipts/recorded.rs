//! Public records that are logged with their statements, and say what the chain says, or not.

use proof_of_agent::reputation::{Facts, Record, Verdict};
use proof_of_agent::{
    Decision, DecisionKind, ReleasePolicy, SettlementKind, Statement, TermsOffered, WorkReceived,
};
use time::Duration;

use super::Vector;
use super::sound::{captured, reclaimed};
use crate::fixture::{LOG_GAP, NOW, World, decision, id, settlement, terms};
use crate::plan::{Plan, Story, payment, receipt, received_then, up_to, up_to_decision};

const ACCEPTANCE: ReleasePolicy = ReleasePolicy::OnAcceptance;

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = amounts();
    vectors.extend(others());
    vectors.extend(absent());
    vectors.extend(claims());
    vectors.extend(followed());
    vectors
}

/// The receipt in whose log the last statement has another record.
fn last(name: &'static str, statements: &[Statement], edit: impl FnOnce(&mut Facts)) -> Vector {
    let plan = Plan::of(&World::new(), statements);
    let place = statements.len() - 1;
    let mut record = plan.records()[place].unwrap();
    edit(&mut record.facts);
    replaced(name, plan, place, Some(record))
}

fn replaced(name: &'static str, plan: Plan, place: usize, record: Option<Record>) -> Vector {
    let plan = Plan { recorded: Some((place, record)), ..plan };
    Vector::of(name, plan.bundle()).refused("record")
}

/// Amounts are of what was paid by this statement, before the fee.
fn amounts() -> Vec<Vector> {
    let parts = || {
        received_then(|story| {
            let second = payment(SettlementKind::Captured, 40_011, 2_000, 40_011, 0);
            captured(story).resubmitted().decided(DecisionKind::AcceptedInPart).settled(second)
        })
    };
    let split = || {
        received_then(|story| {
            story.judged(40_011).settled(payment(SettlementKind::Split, 0, 0, 40_011, 60_988))
        })
    };
    vec![
        last("part-recorded-with-the-price", &received_then(captured), |it| it.amount_bucket = 17),
        last("part-recorded-with-a-lower-amount", &received_then(captured), |it| it.amount_bucket = 15),
        last("part-recorded-with-all-that-was-paid", &parts(), |it| it.amount_bucket = 17),
        last("part-recorded-with-all-fees", &parts(), |it| it.fee_bucket = 12),
        last("split-recorded-with-its-refund", &split(), |it| it.amount_bucket = 17),
        last("payment-recorded-without-a-fee", &up_to(6), |it| it.fee_bucket = 0),
        last("payment-recorded-with-another-fee", &up_to(6), |it| it.fee_bucket = 14),
        last("rejection-recorded-with-an-amount", &up_to_decision(DecisionKind::Rejected), |it| {
            it.amount_bucket = 1
        }),
    ]
}

fn others() -> Vec<Vector> {
    vec![
        last("record-of-another-agent", &up_to(6), |it| it.agent = id(6)),
        last("record-of-another-verdict", &up_to(6), |it| it.verdict = Verdict::Accepted),
        last("rejection-recorded-as-lapsed", &up_to_decision(DecisionKind::Rejected), |it| {
            it.verdict = Verdict::Lapsed;
        }),
        last("record-that-says-late", &up_to(6), |it| it.on_time = false),
        last("record-that-says-self-dealing", &up_to(6), |it| it.self_dealing = true),
        last("record-of-the-day-before", &up_to(6), |it| it.day -= 1),
    ]
}

fn absent() -> Vec<Vector> {
    let without = |name, statements: &[Statement]| {
        replaced(name, Plan::of(&World::new(), statements), statements.len() - 1, None)
    };
    let with = |name, statements: &[Statement]| {
        let paid = Plan::of(&World::new(), &up_to(6)).records()[5];
        replaced(name, Plan::of(&World::new(), statements), statements.len() - 1, paid)
    };
    let refunded = |kind: DecisionKind| {
        received_then(|story| story.decided(kind).settled(settlement(SettlementKind::Refunded)))
    };
    let lapsed = || {
        let world = World::new();
        let offer = world.offer(ACCEPTANCE);
        let claim = world.accept(&offer, 1);
        Story::new(&world, vec![offer, claim]).decided(DecisionKind::Expired).statements
    };
    vec![
        without("part-without-a-record", &received_then(captured)),
        without("rejection-without-a-record", &up_to_decision(DecisionKind::Rejected)),
        without("lapsed-claim-without-a-record", &lapsed()),
        without(
            "denial-without-a-record",
            &received_then(|story| story.judged(0).settled(settlement(SettlementKind::Refunded))),
        ),
        with("cancellation-with-a-record", &up_to_decision(DecisionKind::Canceled)),
        with("expiry-of-an-offer-with-a-record", &up_to_decision(DecisionKind::Expired)),
        with("revision-with-a-record", &up_to_decision(DecisionKind::RevisionRequested)),
        with("verdict-with-a-record", &up_to_decision(DecisionKind::Verdict)),
        with("refund-with-a-record", &refunded(DecisionKind::Rejected)),
        with("work-with-a-record", &up_to(3)),
    ]
}

/// What became of the claim before stands with the claim after it.
fn claims() -> Vec<Vector> {
    let plan = || reclaimed(&World::new());
    let lapsed = || plan().records()[2].unwrap();
    let other = Record { facts: Facts { verdict: Verdict::Rejected, ..lapsed().facts }, ..lapsed() };
    let another = Record { facts: Facts { agent: id(6), ..lapsed().facts }, ..lapsed() };
    vec![
        replaced("second-claim-without-the-record-of-the-first", plan(), 2, None),
        replaced("second-claim-with-the-record-of-another-agent", plan(), 2, Some(another)),
        replaced("second-claim-alone-with-a-record-that-is-not-lapsed", plan().without(1), 2, Some(other)),
        // The claim before was left out: whose it was is not known.
        Vector::of(
            "second-claim-alone-with-the-record-of-another-agent",
            Plan { recorded: Some((2, Some(another))), ..plan().without(1) }.bundle(),
        ),
        Vector::of(
            "second-claim-alone-without-a-record",
            Plan { recorded: Some((2, None)), ..plan().without(1) }.bundle(),
        ),
    ]
}

/// Records that follow from times and accounts.
fn followed() -> Vec<Vector> {
    let received = |name, after: Duration, is_on_time: bool| {
        let world = World::new();
        let statements = world.up_to_received(ACCEPTANCE)[..3].to_vec();
        let late = WorkReceived {
            received_time: NOW + after,
            submission_log_index: LOG_GAP * 3 - 1,
            ..world.received()
        };
        let story = Story::new(&world, statements).then(world.by_platform(), late);
        let story = story.decided(DecisionKind::Accepted).settled(settlement(SettlementKind::Released));
        let plan = Plan::of(&world, &story.statements);
        assert_eq!(plan.records()[5].unwrap().facts.on_time, is_on_time, "{name}");
        Vector::of(name, plan.bundle())
    };
    let world = World::new();
    let own = TermsOffered { requester: id(2), ..terms(ACCEPTANCE) };
    let mut paid = vec![world.offer_of(world.for_requester(), own)];
    paid.push(world.accept(&paid[0], 1));
    paid.push(world.submit(&paid[1], &paid[1]));
    paid.push(world.receive(&paid[2], LOG_GAP * 3 - 1));
    let by_itself = Story::new(&world, paid)
        .decided(DecisionKind::Accepted)
        .settled(proof_of_agent::Settlement { payer: id(2), ..settlement(SettlementKind::Released) });
    let failed = Decision { failed_criterion: Some(0), ..decision(DecisionKind::Rejected) };
    vec![
        received("received-at-the-last-second", Duration::seconds(3_600), true),
        received("received-in-a-fraction-of-the-last-second", Duration::milliseconds(3_600_900), true),
        received("received-a-second-late", Duration::seconds(3_601), false),
        received("received-before-it-was-claimed", Duration::seconds(-60), true),
        Vector::of("paid-to-itself", receipt(&world, &by_itself.statements)),
        Vector::of("rejected-by-the-first-criterion", {
            let story = Story::received(&world);
            receipt(&world, &story.then(world.by_platform(), failed).statements)
        }),
    ]
}
