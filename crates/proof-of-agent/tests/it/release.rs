//! What the escrow asks: may these sats be released, and to whom?

use poa_common::Msat;
use proof_of_agent::{
    ChainError, DecisionKind, DidKey, Digest, Position, ReleasePolicy, SettlementKind, Statement,
    authorises_release,
};

use crate::fixture::{FEE, NET, PRICE, World, id};
use crate::plan::{Story, payment};

fn approved(world: &World, policy: ReleasePolicy, kind: DecisionKind) -> Vec<Statement> {
    let mut statements = world.up_to_received(policy);
    statements.push(world.decide(&statements[3], kind));
    statements
}

#[test]
fn each_policy_is_released_by_its_own_decisions() {
    let world = World::new();
    for (policy, kind) in [
        (ReleasePolicy::OnAttestation, DecisionKind::CriteriaMet),
        (ReleasePolicy::OnAcceptance, DecisionKind::Accepted),
        (ReleasePolicy::OnAcceptance, DecisionKind::DeadlinePassed),
    ] {
        let statements = approved(&world, policy, kind);
        let terms = statements[0].digest();
        let release =
            authorises_release(&world.sign_all(&statements), &terms, &world.receipt_keys()).unwrap();
        assert_eq!((release.amount, release.fee, release.payee_net), (PRICE, FEE, NET));
        assert_eq!((release.task, release.escrow), (id(7), id(9)));
        assert_eq!((release.payer, release.payee, release.agent), (id(1), id(2), id(5)));
        assert_eq!(release.agent_key, DidKey::of(&world.agent));
        assert_eq!((release.terms, release.decision), (terms, statements[4].digest()));
        assert_eq!(release.decision_kind, kind);
    }
}

/// The work was received, an arbiter judged, after a part was paid where one was.
fn judged(world: &World, part: bool, amount: i64) -> Vec<Statement> {
    let story = Story::received(world);
    let story = if part {
        let paid = payment(SettlementKind::Captured, 0, 0, 40_011, 0);
        story.decided(DecisionKind::AcceptedInPart).settled(paid).resubmitted()
    } else {
        story
    };
    story.judged(amount).statements
}

#[test]
fn a_verdict_for_all_that_is_held_allows_its_release_and_no_other_verdict_does() {
    let world = World::new();
    for (part, all, fee) in [(false, 100_999, 5_049), (true, 60_988, 3_049)] {
        for amount in [0, 1, all - 1, all] {
            let statements = judged(&world, part, amount);
            let chain = world.empty_chain().continued(&world.sign_all(&statements)).unwrap();
            let release = chain.authorised_release(&statements[0].digest());
            if amount < all {
                assert_eq!(release, Err(ChainError::NotApproved { position: Position::Judged }));
                continue;
            }
            let release = release.unwrap();
            assert_eq!((release.amount, release.fee), (Msat::new(all), Msat::new(fee)));
            assert_eq!(release.payee_net, Msat::new(all - fee));
            assert_eq!(release.decision_kind, DecisionKind::Verdict);
            let other = Digest::of(b"mine");
            let found = statements[0].digest();
            assert_eq!(chain.authorised_release(&other), Err(ChainError::OtherTerms { found }));
        }
    }
}

#[test]
fn what_is_left_after_parts_is_released_with_the_fee_of_the_running_total() {
    let world = World::new();
    let story = Story::received(&world).decided(DecisionKind::AcceptedInPart);
    let story = story.settled(payment(SettlementKind::Captured, 0, 0, 40_011, 0)).resubmitted();
    let statements = story.decided(DecisionKind::Accepted).statements;
    let terms = statements[0].digest();
    let release = authorises_release(&world.sign_all(&statements), &terms, &world.receipt_keys()).unwrap();
    // 5,049 of the whole price, less the 2,000 that were taken of the part.
    assert_eq!((release.amount, release.fee), (Msat::new(60_988), Msat::new(3_049)));
    assert_eq!(release.payee_net, Msat::new(57_939));
}

#[test]
fn an_arbiter_that_nobody_named_judges_nothing() {
    let world = World::new();
    let statements = judged(&world, false, 100_999);
    let terms = statements[0].digest();
    let result = authorises_release(&world.sign_all(&statements), &terms, &world.receipt_keys());
    assert_eq!(result, Err(ChainError::NotAnArbiterKey(DidKey::of(&world.arbiter))));
}

#[test]
fn a_broken_envelope_that_continues_a_chain_is_named_by_its_place_in_the_whole() {
    let world = World::new();
    let mut envelopes = world.sign_all(&judged(&world, false, 0));
    let chain = world.empty_chain().continued(&envelopes[..4]).unwrap();
    let text = String::from_utf8(envelopes[5].to_json()).unwrap().replace("\"keyid\":\"", "\"keyid\":\"x");
    envelopes[5] = proof_of_agent::Envelope::from_json(text.as_bytes()).unwrap();
    let error = chain.continued(&envelopes[4..]).unwrap_err();
    assert!(matches!(error, ChainError::Envelope { place: 5, .. }), "{error}");
}

#[test]
fn no_part_of_a_chain_allows_a_release_but_the_whole() {
    let world = World::new();
    let paid = world.paid();
    let envelopes = world.sign_all(&paid);
    let terms = paid[0].digest();
    for length in [0, 1, 2, 3, 4, 6] {
        let result = authorises_release(&envelopes[..length], &terms, &world.receipt_keys());
        let position = world.chain(&paid[..length]).position();
        assert_eq!(result, Err(ChainError::NotApproved { position }));
    }
}

#[test]
fn a_decision_against_the_result_allows_no_release() {
    let world = World::new();
    let rejected = approved(&world, ReleasePolicy::OnAcceptance, DecisionKind::Rejected);
    let mut canceled = rejected.clone();
    canceled.push(world.decide(&rejected[4], DecisionKind::Canceled));
    for (statements, position) in [(rejected, Position::Rejected), (canceled, Position::Withdrawn)] {
        let terms = statements[0].digest();
        let result = authorises_release(&world.sign_all(&statements), &terms, &world.receipt_keys());
        assert_eq!(result, Err(ChainError::NotApproved { position }));
    }
}

#[test]
fn a_chain_about_other_terms_allows_no_release() {
    let world = World::new();
    let statements = approved(&world, ReleasePolicy::OnAcceptance, DecisionKind::Accepted);
    let result =
        authorises_release(&world.sign_all(&statements), &Digest::of(b"mine"), &world.receipt_keys());
    assert_eq!(result, Err(ChainError::OtherTerms { found: statements[0].digest() }));
}

#[test]
fn a_chain_of_another_platform_allows_no_release() {
    let world = World::new();
    let statements = approved(&world, ReleasePolicy::OnAcceptance, DecisionKind::Accepted);
    let terms = statements[0].digest();
    let strangers = [DidKey::of(&world.log)];
    let result = authorises_release(&world.sign_all(&statements), &terms, &strangers);
    assert_eq!(result, Err(ChainError::NotAReceiptKey(DidKey::of(&world.platform))));
}

#[test]
fn a_chain_that_misses_a_step_or_signature_allows_no_release() {
    let world = World::new();
    let statements = approved(&world, ReleasePolicy::OnAcceptance, DecisionKind::Accepted);
    let terms = statements[0].digest();
    for missing in 0..4 {
        let mut some = world.sign_all(&statements);
        some.remove(missing);
        assert!(authorises_release(&some, &terms, &world.receipt_keys()).is_err(), "without {missing}");
        let mut twice = world.sign_all(&statements);
        twice.insert(missing, twice[missing].clone());
        assert!(authorises_release(&twice, &terms, &world.receipt_keys()).is_err(), "{missing} twice");
    }
}
