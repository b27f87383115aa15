//! Receipts whose statements are signed and logged, and may not follow each other.

use poa_common::Msat;
use proof_of_agent::{
    AgentKeyState, Author, Body, Decision, DecisionKind, Digest, Rail, ReleasePolicy, Settlement,
    SettlementKind, Statement, TermsAccepted, TermsOffered, WorkReceived, WorkSubmitted,
};

use super::Vector;
use super::sound::captured;
use crate::fixture::{LOG_GAP, World, accepted, decision, id, settlement, submitted, terms};
use crate::plan::{Plan, Story, did, payment, receipt, refund, sealed};

const ACCEPTANCE: ReleasePolicy = ReleasePolicy::OnAcceptance;

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = order();
    vectors.extend(claims());
    vectors.extend(signers());
    vectors.extend(decisions());
    vectors.extend(settlements());
    vectors
}

fn told(name: &'static str, class: &'static str, tell: &dyn Fn(&World) -> Vec<Statement>) -> Vector {
    let world = World::new();
    Vector::of(name, receipt(&world, &tell(&world))).refused(class)
}

/// What follows the platform's receipt of the work, under the policy `onAcceptance`.
fn after(name: &'static str, class: &'static str, tell: &dyn for<'a> Fn(Story<'a>) -> Story<'a>) -> Vector {
    told(name, class, &|world| tell(Story::received(world)).statements)
}

/// Who says what next, from what was said before.
type Next<'a> = &'a dyn Fn(&World, &[Statement]) -> (Author, Body);

/// The statement that comes after the first `length` ones of a task.
fn next(name: &'static str, class: &'static str, length: usize, next: Next<'_>) -> Vector {
    told(name, class, &|world| {
        let mut statements = world.up_to_received(ACCEPTANCE);
        statements.truncate(length);
        let (author, body) = next(world, &statements);
        let parent = if body.as_terms_accepted().is_some() { 0 } else { length - 1 };
        statements.push(statements[parent].successor(author, body).unwrap());
        statements
    })
}

fn order() -> Vec<Vector> {
    let order = "chain.order";
    let released = || settlement(SettlementKind::Released);
    vec![
        told("without-the-terms", order, &|world| world.paid()[1..2].to_vec()),
        told("decided-without-a-submission", order, &|world| {
            let paid = world.paid();
            [&paid[..2], &paid[4..]].concat()
        }),
        told("released-without-a-decision", order, &|world| {
            Story::received(world).settled(released()).statements
        }),
        told("released-twice", order, &|world| {
            Story::new(world, world.paid()).settled(released()).statements
        }),
        told("terms-twice", order, &|world| vec![world.offer(ACCEPTANCE), world.offer(ACCEPTANCE)]),
        after("refunded-after-it-was-accepted", order, &|story| {
            story.decided(DecisionKind::Accepted).settled(settlement(SettlementKind::Refunded))
        }),
        after("released-while-disputed", order, &|story| {
            story.decided(DecisionKind::Disputed).settled(released())
        }),
        after("split-without-a-verdict", order, &|story| {
            story.decided(DecisionKind::Accepted).settled(payment(
                SettlementKind::Split,
                0,
                0,
                40_011,
                60_988,
            ))
        }),
        after("a-part-captured-without-being-accepted", order, &|story| {
            story.settled(payment(SettlementKind::Captured, 0, 0, 40_011, 0))
        }),
        told("claimed-again-after-a-part-was-paid", order, &|world| {
            let story = captured(Story::received(world));
            let claim = world.accept(&story.statements[0], 2);
            [story.statements, vec![claim]].concat()
        }),
        told("verdict-without-a-dispute", order, &|world| {
            Story::received(world).then(world.by_arbiter(), crate::plan::verdict(0)).statements
        }),
        told("review-extended-before-there-is-a-result", order, &|world| {
            Story::new(world, vec![world.offer(ACCEPTANCE)])
                .decided(DecisionKind::DeadlineExtended)
                .statements
        }),
        told("another-predecessor", "chain.predecessor", &|world| {
            vec![world.offer(ACCEPTANCE), world.accept(&world.offer(ACCEPTANCE), 1)]
        }),
    ]
}

fn claims() -> Vec<Vector> {
    let mismatch = "chain.mismatch";
    let claim = |name, class, length, body: TermsAccepted| {
        next(name, class, length, &move |world, _| (world.by_agent(), body.clone().into()))
    };
    let work = |name, edit: &dyn Fn(WorkSubmitted) -> WorkSubmitted| {
        next(name, mismatch, 2, &|world, before| (world.by_agent(), edit(submitted(&before[1])).into()))
    };
    let received = |name, edit: &dyn Fn(WorkReceived) -> WorkReceived| {
        next(name, mismatch, 3, &|world, _| {
            let good = WorkReceived { submission_log_index: LOG_GAP * 3 - 1, ..world.received() };
            (world.by_platform(), edit(good).into())
        })
    };
    let direct = TermsOffered { direct_agent: Some(id(5)), ..terms(ACCEPTANCE) };
    vec![
        claim("lease-above-the-terms", mismatch, 1, TermsAccepted { lease_seconds: 61, ..accepted(1) }),
        claim("claim-number-again", "chain.claimNumber", 2, accepted(1)),
        told("claimed-by-another-than-was-hired", mismatch, &|world| {
            let offer = world.offer_of(world.for_requester(), direct.clone());
            let other = TermsAccepted { agent: id(6), ..accepted(1) };
            Story::new(world, vec![offer]).then(world.by_agent(), other).statements
        }),
        told("claim-of-another-task", mismatch, &|world| {
            let offer = |task| {
                let network = poa_common::Network::Simulated;
                let terms = terms(ACCEPTANCE);
                Statement::offer(task, network, crate::fixture::ORIGIN, world.for_requester(), terms).unwrap()
            };
            vec![offer(id(7)), world.accept(&offer(crate::fixture::other_task()), 1)]
        })
        .refused("task"),
        work("work-of-another-agent", &|work| WorkSubmitted { agent: id(6), ..work }),
        work("work-under-another-claim", &|work| WorkSubmitted { claim_number: 2, ..work }),
        work("work-for-another-acceptance", &|work| WorkSubmitted { acceptance: Digest::of(b""), ..work }),
        received("received-from-another-agent", &|it| WorkReceived { agent: id(6), ..it }),
        received("received-for-another-account", &|it| WorkReceived { account: id(6), ..it }),
        received("received-under-another-key", &|it| WorkReceived { agent_key: did(3), ..it }),
        told("received-about-another-result", mismatch, &|world| {
            let mut statements = world.up_to_received(ACCEPTANCE);
            let text = String::from_utf8(statements[3].payload().to_vec()).unwrap();
            let subject = statements[3].subject().sha256.to_string();
            let text = text.replacen(&subject, &Digest::of(b"another").to_string(), 1);
            statements[3] = Statement::parse(text.as_bytes()).unwrap();
            assert!(sealed(text.as_bytes(), did(1)).open().is_ok());
            statements
        }),
    ]
}

fn signers() -> Vec<Vector> {
    let mismatch = "chain.mismatch";
    vec![
        Vector::of("terms-under-a-key-that-is-no-receipt-key", super::spoilt_bundles::offered())
            .under("other-receipt-key")
            .refused("chain.notAReceiptKey"),
        Vector::of("verdict-where-nobody-judges", {
            let world = World::new();
            receipt(&world, &Story::received(&world).judged(0).statements)
        })
        .under("no-arbiter")
        .refused("chain.notAnArbiterKey"),
        after("verdict-by-the-receipt-key", "chain.notAnArbiterKey", &|story| {
            let author = Author::arbiter(did(1), story.world.nonce());
            story.decided(DecisionKind::Disputed).then(author, crate::plan::verdict(0))
        }),
        told("settled-by-another-key", "chain.notAReceiptKey", &|world| {
            let mut statements = world.paid();
            let author = Author::platform(did(14), world.nonce());
            statements[5] = statements[4].successor(author, statements[5].body().clone()).unwrap();
            statements
        }),
        next("work-under-another-key", mismatch, 2, &|world, before| {
            (Author::agent(did(14), world.nonce()), submitted(&before[1]).into())
        }),
        // The platform signed the terms: a key that calls itself the requester's is anybody's.
        after("accepted-by-a-key-that-is-not-the-requesters", mismatch, &|story| {
            let author = story.world.by_requester();
            story.then(author, decision(DecisionKind::Accepted))
        }),
        after("disputed-by-another-agent", mismatch, &|story| {
            let author = Author::agent(did(14), story.world.nonce());
            story.then(author, decision(DecisionKind::Disputed))
        }),
    ]
}

fn part(amount: i64) -> Decision {
    Decision { amount_msat: Some(Msat::new(amount)), ..decision(DecisionKind::AcceptedInPart) }
}

fn decisions() -> Vec<Vector> {
    let compromised = |story: Story<'_>| {
        let world = World::new();
        let received = WorkReceived {
            agent_key_state: AgentKeyState::Compromised,
            submission_log_index: LOG_GAP * 3 - 1,
            ..world.received()
        };
        let author = story.world.by_platform();
        let statements = story.statements[..3].to_vec();
        Story::new(story.world, statements).then(author, received).statements
    };
    vec![
        after("accepted-under-the-other-policy", "chain.policy", &|story| {
            story.decided(DecisionKind::CriteriaMet)
        }),
        told("revised-under-the-other-policy", "chain.policy", &|world| {
            Story::new(world, world.up_to_received(ReleasePolicy::OnAttestation))
                .decided(DecisionKind::RevisionRequested)
                .statements
        }),
        after("failed-a-criterion-that-is-not-there", "chain.noSuchCriterion", &|story| {
            let author = story.world.by_platform();
            let failed = Decision { failed_criterion: Some(2), ..decision(DecisionKind::Rejected) };
            story.then(author, failed)
        }),
        told("accepted-although-the-key-was-compromised", "chain.agentKeyCompromised", &|world| {
            let story = Story::new(world, compromised(Story::received(world)));
            story.decided(DecisionKind::Accepted).statements
        }),
        told("awarded-although-the-key-was-compromised", "chain.agentKeyCompromised", &|world| {
            Story::new(world, compromised(Story::received(world))).judged(1).statements
        }),
        after("all-accepted-in-part", "chain.mismatch", &|story| {
            let author = story.world.for_requester();
            story.then(author, part(100_999))
        }),
        after("more-accepted-in-part-than-is-left", "chain.mismatch", &|story| {
            let author = story.world.for_requester();
            captured(story).resubmitted().then(author, part(60_988))
        }),
        after("more-awarded-than-is-left", "chain.mismatch", &|story| {
            captured(story).resubmitted().judged(60_989)
        }),
    ]
}

fn settlements() -> Vec<Vector> {
    let mismatch = "chain.mismatch";
    let paid = |name, edit: &dyn Fn(Settlement) -> Settlement| {
        after(name, mismatch, &|story| {
            let released = edit(settlement(SettlementKind::Released));
            story.decided(DecisionKind::Accepted).settled(released)
        })
    };
    let judged = |name, amount, settled: Settlement| {
        after(name, mismatch, &move |story| story.judged(amount).settled(settled.clone()))
    };
    vec![
        paid("another-escrow", &|it| Settlement { escrow: id(90), ..it }),
        paid("another-rail", &|it| Settlement { rail: Rail::HoldInvoice, ..it }),
        paid("another-payer", &|it| Settlement { payer: id(90), ..it }),
        paid("another-payee", &|it| Settlement { payee: Some(id(90)), ..it }),
        paid("released-less-than-the-price", &|it| Settlement {
            amount_msat: Msat::new(100_998),
            payee_msat: Msat::new(95_949),
            ..it
        }),
        paid("a-higher-fee", &|it| Settlement {
            fee_msat: Msat::new(5_050),
            payee_msat: Msat::new(95_949),
            ..it
        }),
        after("captured-more-than-was-accepted", mismatch, &|story| {
            let more = payment(SettlementKind::Captured, 0, 0, 40_012, 0);
            story.decided(DecisionKind::AcceptedInPart).settled(more)
        }),
        // Two parts whose fees are rounded by themselves cost less than their sum.
        after("fee-of-the-last-part-alone", mismatch, &|story| {
            let alone = payment(SettlementKind::Captured, 0, 0, 20_011, 0);
            let with_the_first = payment(SettlementKind::Captured, 40_011, 2_000, 20_011, 0);
            assert_eq!((alone.fee_msat, with_the_first.fee_msat), (Msat::new(1_000), Msat::new(1_001)));
            let author = story.world.for_requester();
            captured(story).resubmitted().then(author, part(20_011)).settled(alone)
        }),
        after("released-all-after-a-part", mismatch, &|story| {
            let story = captured(story).resubmitted();
            story.decided(DecisionKind::Accepted).settled(settlement(SettlementKind::Released))
        }),
        judged("split-otherwise-than-judged", 40_011, payment(SettlementKind::Split, 0, 0, 40_012, 60_987)),
        judged("released-although-a-part-was-judged", 40_011, settlement(SettlementKind::Released)),
        judged("refunded-although-a-part-was-judged", 40_011, refund(100_999)),
        judged("refunded-although-all-was-judged", 100_999, refund(100_999)),
        judged("released-although-nothing-was-judged", 0, settlement(SettlementKind::Released)),
        after("funding-lost-that-the-balance-held", mismatch, &|story| {
            story.decided(DecisionKind::Accepted).settled(settlement(SettlementKind::FundingLost))
        }),
        Vector::of("settled-about-another-result", {
            let world = World::new();
            let mut statements = world.paid();
            let text = String::from_utf8(statements[5].payload().to_vec()).unwrap();
            let subject = statements[5].subject().sha256.to_string();
            let text = text.replacen(&subject, &Digest::of(b"another").to_string(), 1);
            statements[5] = Statement::parse(text.as_bytes()).unwrap();
            Plan::of(&world, &statements).bundle()
        })
        .refused(mismatch),
    ]
}
