//! Parts of the price, disputes, verdicts and deadlines; and the money of all of it, over many random chains.

use poa_common::Msat;
use proof_of_agent::chain::MAX_BEFORE_CLAIM;
use proof_of_agent::{
    Author, Body, Chain, ChainError, Deadline, Decision, DecisionKind, Kind, Position, ReleasePolicy,
    SettlementKind, Statement, WorkReceived,
};

use crate::fixture::{World, accepted, decision};
use crate::plan::{Story, did, payment, refund, verdict};

const POLICY: ReleasePolicy = ReleasePolicy::OnAcceptance;

fn part(amount: i64) -> Decision {
    Decision { amount_msat: Some(Msat::new(amount)), ..decision(DecisionKind::AcceptedInPart) }
}

fn captured(story: Story<'_>) -> Story<'_> {
    let paid = payment(SettlementKind::Captured, 0, 0, 40_011, 0);
    story.decided(DecisionKind::AcceptedInPart).settled(paid)
}

fn refused(world: &World, before: &[Statement], author: Author, body: impl Into<Body>) -> ChainError {
    let mut chain = world.chain(before);
    let next = before.last().unwrap().successor(author, body).unwrap();
    chain.append(next).unwrap_err()
}

fn order(position: Position, kind: Kind) -> ChainError {
    ChainError::Order { position, kind }
}

fn mismatch(field: &'static str) -> ChainError {
    ChainError::Mismatch { kind: Kind::Settlement, field }
}

#[test]
fn a_part_is_captured_and_the_work_goes_on() {
    let world = World::new();
    let chain = world.chain(&captured(Story::received(&world)).statements);
    assert_eq!(chain.position(), Position::Accepted);
    let paid = chain.captured();
    assert_eq!((paid.amount, paid.fee), (Msat::new(40_011), Msat::new(2_000)));
    assert_eq!(chain.rest(), Some(Msat::new(60_988)));
    assert_eq!(chain.settlement(), None);
}

#[test]
fn the_fee_of_a_part_is_that_of_all_parts_less_what_was_taken_before() {
    let world = World::new();
    let story = captured(Story::received(&world)).resubmitted();
    let story = story.then(world.for_requester(), part(20_011));
    // 5 % of 60,022 are 3,001, of which 2,000 were taken; 5 % of 20,011 alone are 1,000.
    let alone = payment(SettlementKind::Captured, 0, 0, 20_011, 0);
    assert_eq!(refused(&world, &story.statements, world.by_platform(), alone), mismatch("feeMsat"));
    let right = payment(SettlementKind::Captured, 40_011, 2_000, 20_011, 0);
    assert_eq!(right.fee_msat, Msat::new(1_001));
    assert_eq!(world.chain(&story.settled(right).statements).captured().fee, Msat::new(3_001));
}

#[test]
fn a_part_is_less_than_what_is_left() {
    let world = World::new();
    let whole = Story::received(&world).statements;
    let after = captured(Story::received(&world)).resubmitted().statements;
    for (before, rest) in [(&whole, 100_999), (&after, 60_988)] {
        let error = refused(&world, before, world.for_requester(), part(rest));
        assert_eq!(error, ChainError::Mismatch { kind: Kind::Decision, field: "amountMsat" });
        let next = before.last().unwrap().successor(world.for_requester(), part(rest - 1)).unwrap();
        assert_eq!(world.chain(before).check(&next), Ok(()));
    }
}

#[test]
fn nobody_else_claims_a_task_of_which_a_part_was_paid() {
    let world = World::new();
    let story = captured(Story::received(&world));
    let offer = story.statements[0].clone();
    let claim = world.accept(&offer, 2);
    let error = order(Position::Accepted, Kind::TermsAccepted);
    assert_eq!(world.chain(&story.statements).append(claim.clone()), Err(error));
    let rejected = story.resubmitted().decided(DecisionKind::Rejected).statements;
    let error = order(Position::Rejected, Kind::TermsAccepted);
    assert_eq!(world.chain(&rejected).append(claim.clone()), Err(error));
    // A revision that nothing came of is no payment.
    let revised = Story::received(&world).decided(DecisionKind::RevisionRequested).statements;
    let claim = revised[0].successor(world.by_agent(), accepted(2)).unwrap();
    assert_eq!(world.chain(&revised).append(claim), Ok(()));
}

#[test]
fn a_revision_asks_for_another_result_under_the_same_claim() {
    let world = World::new();
    let revised = Story::received(&world).decided(DecisionKind::RevisionRequested);
    let chain = world.chain(&revised.statements);
    assert_eq!(chain.position(), Position::Accepted);
    assert_eq!(world.chain(&revised.resubmitted().statements).position(), Position::Received);
}

#[test]
fn parts_and_revisions_are_for_the_requester_to_decide_under_its_policy() {
    let world = World::new();
    let attested = world.up_to_received(ReleasePolicy::OnAttestation);
    for kind in [DecisionKind::AcceptedInPart, DecisionKind::RevisionRequested] {
        let error = refused(&world, &attested, world.for_requester(), decision(kind));
        assert_eq!(error, ChainError::Policy);
        let last = attested.last().unwrap();
        assert!(last.successor(world.by_platform(), decision(kind)).is_err());
        assert!(last.successor(world.by_agent(), decision(kind)).is_err());
        assert!(last.successor(world.by_arbiter(), decision(kind)).is_err());
    }
}

#[test]
fn only_who_is_part_of_the_task_disputes_and_only_a_named_arbiter_judges() {
    let world = World::new();
    let received = Story::received(&world).statements;
    let disputed = || decision(DecisionKind::Disputed);
    assert!(received[3].successor(world.by_platform(), disputed()).is_err());
    assert!(received[3].successor(world.by_arbiter(), disputed()).is_err());
    for author in [world.for_requester(), world.by_agent()] {
        let next = received[3].successor(author, disputed()).unwrap();
        assert_eq!(world.chain(&received).check(&next), Ok(()));
    }
    let stranger = Author::agent(did(14), world.nonce());
    let error = refused(&world, &received, stranger, disputed());
    assert_eq!(error, ChainError::Mismatch { kind: Kind::Decision, field: "signer" });
    let open = Story::received(&world).decided(DecisionKind::Disputed).statements;
    for author in [world.by_platform(), world.for_requester(), world.by_requester(), world.by_agent()] {
        assert!(open[4].successor(author, verdict(1)).is_err());
    }
    let stranger = Author::arbiter(did(14), world.nonce());
    let error = refused(&world, &open, stranger, verdict(1));
    assert_eq!(error, ChainError::NotAnArbiterKey(did(14)));
    let mut nobody = Chain::new(&world.receipt_keys());
    let statements = Story::received(&world).judged(1).statements;
    let error = statements.into_iter().map(|it| nobody.append(it)).find_map(Result::err);
    assert_eq!(error, Some(ChainError::NotAnArbiterKey(did(5))));
}

#[test]
fn the_sats_move_as_the_arbiter_judged_and_not_otherwise() {
    let world = World::new();
    let split = |paid| payment(SettlementKind::Split, 0, 0, paid, 100_999 - paid);
    let whole = || payment(SettlementKind::Released, 0, 0, 100_999, 0);
    for (judged, settlements) in [
        (0, vec![(refund(100_999), None), (split(1), Some("kind")), (whole(), Some("kind"))]),
        (
            40_011,
            vec![
                (split(40_011), None),
                (split(40_012), Some("feeMsat")),
                (split(40_010), Some("feeMsat")),
                (refund(100_999), Some("kind")),
                (whole(), Some("kind")),
                (payment(SettlementKind::Split, 0, 0, 40_011, 60_987), Some("amountMsat")),
            ],
        ),
        (100_999, vec![(whole(), None), (refund(100_999), Some("kind")), (split(100_998), Some("kind"))]),
    ] {
        let before = Story::received(&world).judged(judged).statements;
        for (settlement, field) in settlements {
            let next = before[5].successor(world.by_platform(), settlement.clone()).unwrap();
            let found = world.chain(&before).append(next);
            let expected = field.map_or(Ok(()), |field| Err(mismatch(field)));
            // Where two fields differ, the first of the rules names its own.
            assert_eq!(found.is_ok(), expected.is_ok(), "{judged}: {settlement:?}");
            if let (Err(found), Some("kind" | "amountMsat")) = (&found, field) {
                assert_eq!(*found, expected.unwrap_err(), "{judged}: {settlement:?}");
            }
        }
    }
}

#[test]
fn a_verdict_gives_nothing_for_work_under_a_compromised_key() {
    let world = World::new();
    let mut statements = world.up_to_received(POLICY);
    let state = proof_of_agent::AgentKeyState::Compromised;
    let received = WorkReceived { agent_key_state: state, ..world.received() };
    statements[3] = statements[2].successor(world.by_platform(), received).unwrap();
    let disputed = Story::new(&world, statements).decided(DecisionKind::Disputed).statements;
    let error = refused(&world, &disputed, world.by_arbiter(), verdict(1));
    assert_eq!(error, ChainError::AgentKeyCompromised);
    let nothing = disputed[4].successor(world.by_arbiter(), verdict(0)).unwrap();
    assert_eq!(world.chain(&disputed).check(&nothing), Ok(()));
}

#[test]
fn a_deadline_is_extended_where_it_runs_and_decides_nothing() {
    let world = World::new();
    let extended = |deadline| Decision {
        deadline: Some(deadline),
        extended_seconds: Some(60),
        ..decision(DecisionKind::DeadlineExtended)
    };
    let all = world.up_to_received(POLICY);
    for (length, deadline, position) in [
        (1, Deadline::Expiry, Position::Offered),
        (2, Deadline::Work, Position::Accepted),
        (4, Deadline::Review, Position::Received),
    ] {
        for other in [Deadline::Expiry, Deadline::Work, Deadline::Review] {
            let next = all[length - 1].successor(world.by_platform(), extended(other)).unwrap();
            let mut chain = world.chain(&all[..length]);
            let expected = if other == deadline { Ok(()) } else { Err(order(position, Kind::Decision)) };
            assert_eq!(chain.append(next.clone()), expected);
            assert_eq!((chain.position(), chain.decision()), (position, None));
            if other == deadline {
                assert_eq!(chain.last(), Some(next.digest()));
                let seconds = if deadline == Deadline::Work { 60 } else { 0 };
                assert_eq!(chain.work_extension_seconds(), seconds);
            }
        }
    }
    // Another claim begins with the time of the terms.
    let work = all[1].successor(world.by_platform(), extended(Deadline::Work)).unwrap();
    let again = all[0].successor(world.by_agent(), accepted(2)).unwrap();
    assert_eq!(world.chain(&[all[0].clone(), all[1].clone(), work, again]).work_extension_seconds(), 0);
}

#[test]
fn no_decision_that_lets_the_work_go_on_is_taken_when_the_chain_is_nearly_full() {
    let world = World::new();
    let offer = world.offer(POLICY);
    let mut chain = world.chain(std::slice::from_ref(&offer));
    let more = |before: &Statement| {
        let extended =
            Decision { deadline: Some(Deadline::Expiry), ..decision(DecisionKind::DeadlineExtended) };
        before.successor(world.by_platform(), extended).unwrap()
    };
    let mut last = offer;
    while chain.len() < MAX_BEFORE_CLAIM {
        last = more(&last);
        chain.append(last.clone()).unwrap();
    }
    assert_eq!(chain.append(more(&last)), Err(ChainError::TooLong));
    assert_eq!(chain.append(world.settle(&last, SettlementKind::Refunded)), Ok(()));
}
