//! The grammar of a chain: what may follow, and every reason to refuse.

use poa_common::{Msat, Network};
use proof_of_agent::chain::{MAX_BEFORE_CLAIM, MAX_STATEMENTS, receipt_path};
use proof_of_agent::{
    AgentKeyState, Author, Body, Chain, ChainError, Decision, DecisionKind, DidKey, Digest, Kind, Position,
    Rail, ReleasePolicy, Settlement, SettlementKind, Statement, TermsAccepted, TermsOffered, WorkReceived,
    WorkSubmitted,
};

use crate::fixture::{ORIGIN, World, accepted, decision, id, other_task, settlement, submitted, terms};

const POLICY: ReleasePolicy = ReleasePolicy::OnAcceptance;

/// Statements that lead to a position, under [`POLICY`].
fn reach(world: &World, position: Position) -> Vec<Statement> {
    let mut statements = world.up_to_received(POLICY);
    let last = statements[3].clone();
    match position {
        Position::Start => statements.clear(),
        Position::Offered => statements.truncate(1),
        Position::Accepted => statements.truncate(2),
        Position::Submitted => statements.truncate(3),
        Position::Received => {}
        Position::Rejected => statements.push(world.decide(&last, DecisionKind::Rejected)),
        Position::ApprovedInPart => statements.push(world.decide(&last, DecisionKind::AcceptedInPart)),
        Position::Disputed => statements.push(world.decide(&last, DecisionKind::Disputed)),
        Position::Judged => {
            statements.push(world.decide(&last, DecisionKind::Disputed));
            statements.push(world.decide(&statements[4], DecisionKind::Verdict));
        }
        Position::Approved => statements.push(world.decide(&last, DecisionKind::Accepted)),
        Position::Withdrawn => {
            statements.truncate(2);
            statements.push(world.decide(&statements[1], DecisionKind::Canceled));
        }
        Position::Settled => {
            statements.push(world.decide(&last, DecisionKind::Accepted));
            statements.push(world.settle(&statements[4], SettlementKind::Released));
        }
    }
    statements
}

fn refused(world: &World, before: &[Statement], next: Statement, expected: ChainError) {
    let mut chain = world.chain(before);
    let (position, last) = (chain.position(), chain.last());
    assert_eq!(chain.append(next), Err(expected));
    assert_eq!((chain.position(), chain.last(), chain.len()), (position, last, before.len()));
}

fn mismatch(world: &World, before: &[Statement], body: impl Into<Body>, author: Author, field: &'static str) {
    let body = body.into();
    let kind = body.kind();
    let parent = if kind == Kind::TermsAccepted { before.first() } else { before.last() };
    let next = parent.unwrap().successor(author, body).unwrap();
    refused(world, before, next, ChainError::Mismatch { kind, field });
}

#[test]
fn each_position_allows_what_the_table_says_and_nothing_else() {
    use DecisionKind::{
        Accepted, AcceptedInPart, Canceled, CriteriaMet, DeadlineExtended, DeadlinePassed, Disputed, Expired,
        Rejected, RevisionRequested, Verdict,
    };
    use SettlementKind::{Captured, FundingLost, Refunded, Released, Split};
    let world = World::new();
    let sample = world.up_to_received(POLICY);
    let bodies: Vec<(&str, Body)> = vec![
        ("offer", terms(POLICY).into()),
        ("claim", accepted(2).into()),
        ("submit", submitted(&sample[1]).into()),
        ("receive", world.received().into()),
        ("accept", decision(Accepted).into()),
        ("reject", decision(Rejected).into()),
        ("deadline", decision(DeadlinePassed).into()),
        ("criteria", decision(CriteriaMet).into()),
        ("expire", decision(Expired).into()),
        ("cancel", decision(Canceled).into()),
        ("accept in part", decision(AcceptedInPart).into()),
        ("revise", decision(RevisionRequested).into()),
        ("extend", decision(DeadlineExtended).into()),
        ("dispute", decision(Disputed).into()),
        ("judge", decision(Verdict).into()),
        ("release", settlement(Released).into()),
        ("capture", settlement(Captured).into()),
        ("split", settlement(Split).into()),
        ("refund", settlement(Refunded).into()),
        ("lose", settlement(FundingLost).into()),
    ];
    for (position, allowed) in [
        (Position::Start, vec!["offer"]),
        (Position::Offered, vec!["claim", "expire", "cancel", "refund", "lose"]),
        (Position::Accepted, vec!["claim", "submit", "expire", "cancel", "lose"]),
        (Position::Submitted, vec!["receive"]),
        (
            Position::Received,
            vec![
                "accept",
                "reject",
                "deadline",
                "criteria",
                "accept in part",
                "revise",
                "extend",
                "dispute",
                "lose",
            ],
        ),
        (Position::Rejected, vec!["claim", "submit", "expire", "cancel", "dispute", "refund", "lose"]),
        (Position::ApprovedInPart, vec!["capture", "lose"]),
        (Position::Disputed, vec!["judge", "lose"]),
        (Position::Judged, vec!["release", "split", "refund", "lose"]),
        (Position::Approved, vec!["release", "lose"]),
        (Position::Withdrawn, vec!["refund", "lose"]),
        (Position::Settled, vec![]),
    ] {
        let chain = world.chain(&reach(&world, position));
        assert_eq!(chain.position(), position);
        for (name, body) in &bodies {
            assert_eq!(position.may_be_followed_by(body), allowed.contains(name), "{position}: {name}");
        }
    }
}

#[test]
fn a_statement_out_of_order_is_refused_and_leaves_the_chain_as_it_was() {
    let world = World::new();
    let paid = world.paid();
    for skipped in 0..paid.len() - 1 {
        let mut before = paid.clone();
        before.truncate(skipped);
        let next = paid[skipped + 1].clone();
        let kind = next.kind();
        let position = world.chain(&before).position();
        refused(&world, &before, next, ChainError::Order { position, kind });
    }
    let twin = world.settle(&paid[4], SettlementKind::Released);
    let order = ChainError::Order { position: Position::Settled, kind: Kind::Settlement };
    refused(&world, &paid, twin, order);
}

#[test]
fn every_way_through_the_grammar_ends_settled() {
    let world = World::new();
    let claimed = reach(&world, Position::Accepted);
    let rejected = reach(&world, Position::Rejected);
    let ends: Vec<Vec<Statement>> = vec![
        world.paid(),
        vec![claimed[0].clone(), world.settle(&claimed[0], SettlementKind::Refunded)],
        {
            let expired = world.decide(&claimed[0], DecisionKind::Expired);
            let refund = world.settle(&expired, SettlementKind::Refunded);
            vec![claimed[0].clone(), expired, refund]
        },
        // Rejected, handed in again, accepted.
        {
            let mut all = rejected.clone();
            all.push(world.submit(&rejected[4], &rejected[1]));
            all.push(world.receive(&all[5], 20));
            all.push(world.decide(&all[6], DecisionKind::DeadlinePassed));
            all.push(world.settle(&all[7], SettlementKind::Released));
            all
        },
        // The claim lapsed; another took the task.
        {
            let mut all = claimed.clone();
            all.push(world.accept(&all[0], 3));
            all.push(world.submit(&all[2], &all[2]));
            all.push(world.receive(&all[3], 20));
            all.push(world.decide(&all[4], DecisionKind::Accepted));
            all.push(world.settle(&all[5], SettlementKind::Released));
            all
        },
        {
            let mut all = rejected.clone();
            all.push(world.settle(&all[4], SettlementKind::Refunded));
            all
        },
    ];
    for statements in ends {
        let chain = Chain::replay(&world.sign_all(&statements), &world.receipt_keys()).unwrap();
        assert_eq!(chain.position(), Position::Settled);
        assert_eq!(chain.len(), statements.len());
    }
}

#[test]
fn a_receipt_leaves_out_claims_that_lapsed() {
    let world = World::new();
    let mut all = reach(&world, Position::Accepted);
    all.push(world.accept(&all[0], 2));
    all.push(world.submit(&all[2], &all[2]));
    assert_eq!(receipt_path(&all), [0, 2, 3]);
    assert_eq!(receipt_path(&[]), [0; 0]);
    let path: Vec<Statement> = receipt_path(&all).into_iter().map(|place| all[place].clone()).collect();
    assert_eq!(world.chain(&path).position(), Position::Submitted);
}

#[test]
fn a_statement_of_another_task_network_or_log_is_refused() {
    let world = World::new();
    let before = reach(&world, Position::Offered);
    let offer = |task, network, origin: &str| {
        Statement::offer(task, network, origin, world.for_requester(), terms(POLICY)).unwrap()
    };
    for (other, field) in [
        (offer(other_task(), Network::Simulated, ORIGIN), "task"),
        (offer(id(7), Network::Mainnet, ORIGIN), "network"),
        (offer(id(7), Network::Simulated, "other.poa/1"), "logOrigin"),
    ] {
        let next = world.accept(&other, 1);
        refused(&world, &before, next, ChainError::Mismatch { kind: Kind::TermsAccepted, field });
    }
}

#[test]
fn a_statement_that_names_another_predecessor_is_refused() {
    let world = World::new();
    let statements = reach(&world, Position::Accepted);
    // The same terms under another nonce are another offer.
    let twin = world.offer(POLICY);
    let expected = statements[0].digest();
    let stray = world.accept(&twin, 1);
    let error = ChainError::Predecessor { kind: Kind::TermsAccepted, expected };
    refused(&world, &statements[..1], stray.clone(), error);
    let expected = statements[1].digest();
    let error = ChainError::Predecessor { kind: Kind::WorkSubmitted, expected };
    refused(&world, &statements, world.submit(&stray, &statements[1]), error);
}

#[test]
fn claims_keep_to_the_terms_and_count_upwards() {
    let world = World::new();
    let direct = TermsOffered { direct_agent: Some(id(5)), ..terms(POLICY) };
    let direct = vec![world.offer_of(world.for_requester(), direct)];
    let stranger = TermsAccepted { agent: id(6), ..accepted(1) };
    mismatch(&world, &direct, stranger, world.by_agent(), "agent");
    let greedy = TermsAccepted { lease_seconds: 61, ..accepted(1) };
    mismatch(&world, &direct, greedy, world.by_agent(), "leaseSeconds");
    let before = reach(&world, Position::Accepted);
    let again = world.accept(&before[0], 1);
    refused(&world, &before, again, ChainError::ClaimNumber { before: 1, found: 1 });
}

#[test]
fn a_submission_is_by_who_claimed_with_the_same_key() {
    let world = World::new();
    let before = reach(&world, Position::Accepted);
    let work = submitted(&before[1]);
    let other_agent = WorkSubmitted { agent: id(6), ..work.clone() };
    mismatch(&world, &before, other_agent, world.by_agent(), "agent");
    let other_claim = WorkSubmitted { claim_number: 2, ..work.clone() };
    mismatch(&world, &before, other_claim, world.by_agent(), "claimNumber");
    let other_acceptance = WorkSubmitted { acceptance: Digest::of(b""), ..work.clone() };
    mismatch(&world, &before, other_acceptance, world.by_agent(), "acceptance");
    let thief = Author::agent(DidKey::of(&world.requester), world.nonce());
    mismatch(&world, &before, work, thief, "signer");
}

#[test]
fn the_platforms_receipt_names_the_agent_account_and_key_of_the_submission() {
    let world = World::new();
    let before = reach(&world, Position::Submitted);
    let good = world.received();
    let other = WorkReceived { agent: id(6), ..good.clone() };
    mismatch(&world, &before, other, world.by_platform(), "agent");
    let other = WorkReceived { account: id(6), ..good };
    mismatch(&world, &before, other, world.by_platform(), "account");
    let other = WorkReceived { agent_key: DidKey::of(&world.requester), ..world.received() };
    mismatch(&world, &before, other, world.by_platform(), "agentKey");
}

#[test]
fn a_statement_is_about_the_result_that_was_submitted() {
    let world = World::new();
    let before = reach(&world, Position::Submitted);
    let value = String::from_utf8(world.receive(&before[2], 1).payload().to_vec()).unwrap();
    let result = before[2].subject().sha256.to_string();
    let other = value.replace(&result, &Digest::of(b"other").to_string());
    let next = Statement::parse(other.as_bytes()).unwrap();
    let error = ChainError::Mismatch { kind: Kind::WorkReceived, field: "subject" };
    refused(&world, &before, next, error);
}

#[test]
fn the_platform_speaks_with_its_receipt_keys_alone() {
    let world = World::new();
    let stranger = DidKey::of(&world.agent);
    let before = reach(&world, Position::Submitted);
    let body = WorkReceived { agent_key: stranger, ..world.received() };
    let next = before[2].successor(Author::platform(stranger, world.nonce()), body).unwrap();
    refused(&world, &before, next, ChainError::NotAReceiptKey(stranger));
    let author = Author::platform_for_requester(stranger, world.nonce());
    refused(&world, &[], world.offer_of(author, terms(POLICY)), ChainError::NotAReceiptKey(stranger));
}

#[test]
fn a_requester_with_a_key_of_its_own_decides_with_that_key() {
    let world = World::new();
    let offer = world.offer_of(world.by_requester(), terms(POLICY));
    let acceptance = world.accept(&offer, 1);
    let submission = world.submit(&acceptance, &acceptance);
    let received = world.receive(&submission, 1);
    let before = vec![offer, acceptance, submission, received];
    let by_self = before[3].successor(world.by_requester(), decision(DecisionKind::Accepted)).unwrap();
    assert_eq!(world.chain(&before).check(&by_self), Ok(()));
    let impostor = Author::requester(DidKey::of(&world.agent), world.nonce());
    mismatch(&world, &before, decision(DecisionKind::Accepted), impostor, "signer");
    let by_nobody = reach(&world, Position::Received);
    mismatch(&world, &by_nobody, decision(DecisionKind::Accepted), world.by_requester(), "signer");
}

#[test]
fn a_decision_keeps_to_the_policy_and_the_criteria() {
    let world = World::new();
    let on_acceptance = reach(&world, Position::Received);
    let met = world.decide(&on_acceptance[3], DecisionKind::CriteriaMet);
    refused(&world, &on_acceptance, met, ChainError::Policy);
    let on_attestation = world.up_to_received(ReleasePolicy::OnAttestation);
    for kind in [DecisionKind::Accepted, DecisionKind::DeadlinePassed] {
        let approved = world.decide(&on_attestation[3], kind);
        refused(&world, &on_attestation, approved, ChainError::Policy);
    }
    let failed = |place| Decision { failed_criterion: Some(place), ..decision(DecisionKind::Rejected) };
    let third = on_attestation[3].successor(world.by_platform(), failed(2)).unwrap();
    refused(&world, &on_attestation, third, ChainError::NoSuchCriterion);
    let second = on_attestation[3].successor(world.by_platform(), failed(1)).unwrap();
    assert_eq!(world.chain(&on_attestation).check(&second), Ok(()));
}

#[test]
fn work_under_a_compromised_key_can_only_be_rejected() {
    let world = World::new();
    let received = |state| {
        let mut before = reach(&world, Position::Submitted);
        let body = WorkReceived { agent_key_state: state, ..world.received() };
        before.push(before[2].successor(world.by_platform(), body).unwrap());
        before
    };
    let before = received(AgentKeyState::Compromised);
    for kind in [DecisionKind::Accepted, DecisionKind::AcceptedInPart] {
        let approved = world.decide(&before[3], kind);
        refused(&world, &before, approved, ChainError::AgentKeyCompromised);
    }
    let rejected = world.decide(&before[3], DecisionKind::Rejected);
    assert_eq!(world.chain(&before).check(&rejected), Ok(()));
    // Who rotated its key while it worked has signed with the key that it claimed with.
    let before = received(AgentKeyState::Superseded);
    let approved = world.decide(&before[3], DecisionKind::Accepted);
    assert_eq!(world.chain(&before).check(&approved), Ok(()));
}

#[test]
fn a_settlement_moves_what_the_terms_say() {
    let world = World::new();
    let approved = reach(&world, Position::Approved);
    let release = settlement(SettlementKind::Released);
    let one_less =
        Settlement { amount_msat: Msat::new(100_998), payee_msat: Msat::new(95_949), ..release.clone() };
    let other_split =
        Settlement { fee_msat: Msat::new(5_050), payee_msat: Msat::new(95_949), ..release.clone() };
    for (body, field) in [
        (Settlement { escrow: id(90), ..release.clone() }, "escrow"),
        (Settlement { rail: Rail::HoldInvoice, ..release.clone() }, "rail"),
        (Settlement { payer: id(90), ..release.clone() }, "payer"),
        (Settlement { payee: Some(id(90)), ..release }, "payee"),
        (one_less, "amountMsat"),
        (other_split, "feeMsat"),
    ] {
        mismatch(&world, &approved, body, world.by_platform(), field);
    }
    let refund = world.settle(&approved[4], SettlementKind::Refunded);
    let order = ChainError::Order { position: Position::Approved, kind: Kind::Settlement };
    refused(&world, &approved, refund, order);
}

#[test]
fn what_a_hold_invoice_locked_may_be_lost_wherever_nothing_is_in_flight() {
    let world = World::new();
    let mut all = world.held_elsewhere(POLICY);
    for (length, lost) in [(1, true), (2, true), (3, false), (4, true)] {
        let before = &all[..length];
        let end = world.settle(&before[length - 1], SettlementKind::FundingLost);
        let mut chain = world.chain(before);
        let position = chain.position();
        let order = Err(ChainError::Order { position, kind: Kind::Settlement });
        assert_eq!(chain.append(end), if lost { Ok(()) } else { order }, "{position}");
    }
    for kind in [DecisionKind::Accepted, DecisionKind::Rejected] {
        let decided = world.decide(&all[3], kind);
        let end = world.settle(&decided, SettlementKind::FundingLost);
        let mut whole = all.clone();
        whole.extend([decided, end]);
        assert_eq!(world.chain(&whole).position(), Position::Settled);
    }
    all.truncate(2);
    all.push(world.decide(&all[1], DecisionKind::Expired));
    all.push(world.settle(&all[2], SettlementKind::FundingLost));
    assert_eq!(world.chain(&all).position(), Position::Settled);
}

#[test]
fn nothing_that_the_balance_funds_can_be_lost() {
    let world = World::new();
    let approved = reach(&world, Position::Approved);
    mismatch(&world, &approved, settlement(SettlementKind::FundingLost), world.by_platform(), "rail");
}

#[test]
fn a_hold_invoice_is_given_back_without_a_transfer() {
    let world = World::new();
    let offer = world.held_elsewhere(POLICY).remove(0);
    let refund =
        Settlement { rail: Rail::HoldInvoice, transfers: vec![], ..settlement(SettlementKind::Refunded) };
    let end = offer.successor(world.by_platform(), refund).unwrap();
    assert_eq!(world.chain(&[offer, end]).position(), Position::Settled);
}

#[test]
fn a_broken_envelope_is_named_by_its_place() {
    let world = World::new();
    let mut envelopes = world.sign_all(&world.paid());
    let text = String::from_utf8(envelopes[2].to_json()).unwrap();
    let text = text.replace("\"keyid\":\"", "\"keyid\":\"x");
    envelopes[2] = proof_of_agent::Envelope::from_json(text.as_bytes()).unwrap();
    let error = Chain::replay(&envelopes, &world.receipt_keys()).unwrap_err();
    assert!(matches!(error, ChainError::Envelope { place: 2, .. }), "{error}");
}

#[test]
fn a_chain_full_of_lapsed_claims_still_has_room_for_its_end() {
    let world = World::new();
    let offer = world.offer(POLICY);
    let mut chain = world.chain(std::slice::from_ref(&offer));
    let mut claim = 0;
    while chain.len() < MAX_BEFORE_CLAIM {
        claim += 1;
        chain.append(world.accept(&offer, claim)).unwrap();
    }
    assert_eq!(chain.append(world.accept(&offer, claim + 1)), Err(ChainError::TooLong));
    let acceptance = chain.acceptance().unwrap().clone();
    let mut last = acceptance.clone();
    let refused = loop {
        let submission = world.submit(&last, &acceptance);
        if let Err(error) = chain.append(submission.clone()) {
            break error;
        }
        let received = world.receive(&submission, 1);
        chain.append(received.clone()).unwrap();
        last = world.decide(&received, DecisionKind::Rejected);
        chain.append(last.clone()).unwrap();
    };
    assert_eq!(refused, ChainError::TooLong);
    let expired = world.decide(&last, DecisionKind::Expired);
    let refund = world.settle(&expired, SettlementKind::Refunded);
    chain.append(expired).unwrap();
    chain.append(refund).unwrap();
    assert!(chain.len() < MAX_STATEMENTS);
}
