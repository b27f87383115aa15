//! What the escrow asks: may these sats be released, and to whom?

use proof_of_agent::{
    ChainError, DecisionKind, DidKey, Digest, Position, ReleasePolicy, Statement, authorises_release,
};

use crate::fixture::{FEE, NET, PRICE, World, id};

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
