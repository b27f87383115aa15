//! What verify() says of receipts, genuine and not.

use poa_common::{Network, Timestamp};
use proof_of_agent::tlog::TlogError;
use proof_of_agent::{
    Bundle, Chain, ChainError, Checkpoint, CheckpointError, DecisionKind, DidKey, EnvelopeError, LogKey,
    Outcome, Policy, Position, ReleasePolicy, Requester, SettlementKind, Statement, TrustRoot, Verified,
    VerifyError, verify,
};
use time::Duration;

use crate::fixture::{FEE, INPUT, LOG_GAP, NET, NOW, ORIGIN, PRICE, RESULT, World, id, other_task, terms};

fn check(world: &World, bundle: &Bundle) -> Result<Verified, VerifyError> {
    verify(bundle, &world.trust_root(), &Policy::default(), NOW)
}

fn paid_bundle(world: &World) -> Bundle {
    world.bundle(&world.paid())
}

#[test]
fn a_paid_receipt_says_who_was_paid_how_much_for_what() {
    let world = World::new();
    let paid = world.paid();
    let mut bundle = world.bundle(&paid);
    (bundle.input, bundle.result) = (Some(INPUT.to_vec()), Some(RESULT.to_vec()));
    let bundle = Bundle::from_json(&bundle.to_json().unwrap()).unwrap();
    let policy = Policy {
        require_paid: true,
        network: Some(Network::Simulated),
        min_log_size: 20,
        ..Policy::default()
    };
    let verified = verify(&bundle, &world.trust_root(), &policy, NOW).unwrap();
    assert!(verified.is_paid());
    assert_eq!(verified.outcome, Outcome::Paid { amount: PRICE, fee: FEE, payee_net: NET, time: NOW });
    assert_eq!((verified.agent, verified.account), (Some(id(5)), Some(id(2))));
    assert_eq!(verified.agent_key, Some(DidKey::of(&world.agent)));
    assert_eq!((verified.requester_account, verified.requester), (id(1), Requester::Platform));
    assert_eq!((verified.task, verified.network, verified.as_of_size), (id(7), Network::Simulated, 20));
    assert_eq!((verified.terms, verified.trust_root), (paid[0].digest(), world.trust_root().digest()));
    assert!(verified.output.is_some_and(|output| output.is_of(RESULT)));
    let names: Vec<&str> = verified.checks.iter().map(|check| check.name).collect();
    assert_eq!(
        names,
        [
            "trust root",
            "network",
            "signatures",
            "requester",
            "agent",
            "chain",
            "log",
            "agent key",
            "input",
            "result"
        ]
    );
}

#[test]
fn a_script_reads_what_was_verified_under_the_same_json_rules() {
    let world = World::new();
    let verified = serde_json::to_value(check(&world, &paid_bundle(&world)).unwrap()).unwrap();
    assert_eq!(
        verified["outcome"],
        serde_json::json!({"paid": {
            "amountMsat": "100999",
            "feeMsat": "5049",
            "payeeNetMsat": "95950",
            "time": "2026-01-02T03:04:05.678901Z",
        }})
    );
    assert_eq!(verified["network"], "simulated");
    assert_eq!(verified["requester"], "platform");
    assert_eq!(verified["agentKey"], DidKey::of(&world.agent).to_string());
    assert_eq!(verified["asOfSize"], 20);
    let open = check(&world, &world.bundle(&world.paid()[..2])).unwrap();
    assert_eq!(serde_json::to_value(open).unwrap()["outcome"], serde_json::json!({"open": "accepted"}));
}

#[test]
fn a_receipt_that_is_not_settled_is_genuine_and_not_paid() {
    let world = World::new();
    let paid = world.paid();
    for length in 1..paid.len() {
        let bundle = world.bundle(&paid[..length]);
        let verified = check(&world, &bundle).unwrap();
        let position = world.chain(&paid[..length]).position();
        assert_eq!((verified.is_paid(), verified.outcome), (false, Outcome::Open(position)));
        let strict = Policy { require_paid: true, ..Policy::default() };
        let refused = verify(&bundle, &world.trust_root(), &strict, NOW);
        assert_eq!(refused, Err(VerifyError::NotPaid { position }));
    }
}

#[test]
fn a_refund_is_not_a_payment() {
    let world = World::new();
    let offer = world.offer(ReleasePolicy::OnAcceptance);
    let canceled = world.decide(&offer, DecisionKind::Canceled);
    let refund = world.settle(&canceled, SettlementKind::Refunded);
    let verified = check(&world, &world.bundle(&[offer, canceled, refund])).unwrap();
    assert_eq!(verified.outcome, Outcome::Refunded { amount: PRICE, time: NOW });
    assert_eq!((verified.is_paid(), verified.agent, verified.output), (false, None, None));
}

#[test]
fn lost_funding_is_not_a_payment_and_not_a_refund() {
    let world = World::new();
    let mut lost = world.held_elsewhere(ReleasePolicy::OnAcceptance);
    lost.push(world.decide(&lost[3], DecisionKind::Accepted));
    lost.push(world.settle(&lost[4], SettlementKind::FundingLost));
    let bundle = world.bundle(&lost);
    let verified = check(&world, &bundle).unwrap();
    assert_eq!(verified.outcome, Outcome::FundingLost { amount: PRICE, time: NOW });
    assert!(!verified.is_paid());
    assert_eq!(
        serde_json::to_value(&verified).unwrap()["outcome"],
        serde_json::json!({"fundingLost": {"amountMsat": "100999", "time": "2026-01-02T03:04:05.678901Z"}})
    );
    let strict = Policy { require_paid: true, ..Policy::default() };
    let refused = verify(&bundle, &world.trust_root(), &strict, NOW);
    assert_eq!(refused, Err(VerifyError::NotPaid { position: Position::Settled }));
}

#[test]
fn a_requester_who_signed_with_a_key_is_told_from_one_for_whom_the_platform_signed() {
    let world = World::new();
    let offer = world.offer_of(world.by_requester(), terms(ReleasePolicy::OnAcceptance));
    let verified = check(&world, &world.bundle(&[offer])).unwrap();
    assert_eq!(verified.requester, Requester::SelfSigned(DidKey::of(&world.requester)));
}

#[test]
fn an_expired_trust_root_is_refused() {
    let world = World::new();
    let log_key = LogKey::new(ORIGIN, DidKey::of(&world.log)).unwrap();
    let expires = NOW + Duration::SECOND;
    let keys = world.receipt_keys();
    let root = TrustRoot::new(Network::Simulated, ORIGIN, vec![log_key], keys, Some(expires)).unwrap();
    let at = |time: Timestamp| verify(&paid_bundle(&world), &root, &Policy::default(), time);
    assert!(at(NOW).is_ok());
    assert_eq!(at(expires), Err(VerifyError::TrustRootExpired { expires }));
}

#[test]
fn another_network_is_refused() {
    let world = World::new();
    let mut bundle = paid_bundle(&world);
    let wanted = Policy { network: Some(Network::Mainnet), ..Policy::default() };
    let network = VerifyError::Network { expected: Network::Mainnet, found: Network::Simulated };
    assert_eq!(verify(&bundle, &world.trust_root(), &wanted, NOW), Err(network.clone()));
    // The network that was asked for, under a trust root of another one: the trust root says what is expected.
    bundle.network = Network::Mainnet;
    let of_trust_root = VerifyError::Network { expected: Network::Simulated, found: Network::Mainnet };
    assert_eq!(verify(&bundle, &world.trust_root(), &wanted, NOW), Err(of_trust_root));
    // A bundle that claims another network than its statements.
    let log_key = LogKey::new(ORIGIN, DidKey::of(&world.log)).unwrap();
    let root = TrustRoot::new(Network::Mainnet, ORIGIN, vec![log_key], world.receipt_keys(), None).unwrap();
    bundle.network = Network::Mainnet;
    assert_eq!(verify(&bundle, &root, &Policy::default(), NOW), Err(network));
}

#[test]
fn another_logs_checkpoint_is_refused() {
    let world = World::new();
    let mut bundle = paid_bundle(&world);
    let checkpoint = Checkpoint::read_unverified(&bundle.checkpoint).unwrap();
    bundle.checkpoint = checkpoint.sign(&world.platform).unwrap();
    let error = VerifyError::Checkpoint(CheckpointError::NoTrustedSignature);
    assert_eq!(check(&world, &bundle), Err(error));
}

#[test]
fn a_log_that_shrank_is_refused() {
    let world = World::new();
    let policy = Policy { min_log_size: 21, ..Policy::default() };
    let refused = verify(&paid_bundle(&world), &world.trust_root(), &policy, NOW);
    assert_eq!(refused, Err(VerifyError::LogShrank { expected: 21, found: 20 }));
}

#[test]
fn a_bundle_without_statements_is_refused() {
    let world = World::new();
    let mut bundle = paid_bundle(&world);
    bundle.entries.clear();
    assert_eq!(check(&world, &bundle), Err(VerifyError::Empty));
}

#[test]
fn a_statement_without_its_signature_is_refused() {
    let world = World::new();
    let mut bundle = paid_bundle(&world);
    let text = String::from_utf8(bundle.entries[1].envelope.to_json()).unwrap();
    let text = text.replace("\"keyid\":\"", "\"keyid\":\"x");
    bundle.entries[1].envelope = proof_of_agent::Envelope::from_json(text.as_bytes()).unwrap();
    let source = EnvelopeError::SignerMissing(DidKey::of(&world.agent));
    assert_eq!(check(&world, &bundle), Err(VerifyError::Envelope { place: 1, source }));
}

#[test]
fn a_statement_of_another_log_or_task_is_refused() {
    let world = World::new();
    let offer = |task, origin: &str| {
        let terms = terms(ReleasePolicy::OnAcceptance);
        Statement::offer(task, Network::Simulated, origin, world.for_requester(), terms).unwrap()
    };
    let other_log = world.bundle(&[offer(id(7), "other.poa/1")]);
    assert_eq!(check(&world, &other_log), Err(VerifyError::Origin { place: 0 }));
    let other = world.bundle(&[offer(other_task(), ORIGIN)]);
    assert_eq!(check(&world, &other), Err(VerifyError::Task { place: 0 }));
}

#[test]
fn a_statement_that_is_not_in_the_log_is_refused() {
    let world = World::new();
    let good = paid_bundle(&world);
    let refused = |edit: &dyn Fn(&mut Bundle)| {
        let mut bundle = good.clone();
        edit(&mut bundle);
        check(&world, &bundle).unwrap_err()
    };
    let wrong_root = VerifyError::NotInLog { place: 2, source: TlogError::WrongRoot };
    assert_eq!(refused(&|bundle| bundle.entries[2].proof.swap(0, 1)), wrong_root);
    assert_eq!(refused(&|bundle| bundle.entries[2].log_index += 1), wrong_root);
    let wrong_length = VerifyError::NotInLog { place: 2, source: TlogError::WrongLength };
    assert_eq!(refused(&|bundle| bundle.entries[2].proof.clear()), wrong_length);
    let pending = VerifyError::Pending { place: 5 };
    assert_eq!(refused(&|bundle| bundle.entries[5].log_index = 20), pending);
}

#[test]
fn a_log_in_another_order_than_the_chain_is_refused() {
    let world = World::new();
    let envelopes = world.sign_all(&world.paid());
    let places = [2, 8, 5, 11, 14, 17];
    let bundle = world.bundle_at(envelopes.into_iter().zip(places).collect());
    assert_eq!(check(&world, &bundle), Err(VerifyError::LogOrder { place: 2 }));
}

#[test]
fn a_submission_logged_elsewhere_than_the_platform_said_is_refused() {
    let world = World::new();
    let mut statements = world.up_to_received(ReleasePolicy::OnAcceptance);
    statements[3] = world.receive(&statements[2], LOG_GAP * 3);
    let bundle = world.bundle(&statements);
    assert_eq!(check(&world, &bundle), Err(VerifyError::SubmissionIndex { place: 3 }));
}

#[test]
fn a_chain_that_breaks_the_grammar_is_refused() {
    let world = World::new();
    let mut statements = world.paid();
    statements.remove(3);
    let order = ChainError::Order { position: Position::Submitted, kind: statements[3].kind() };
    assert_eq!(
        check(&world, &world.bundle(&statements)),
        Err(VerifyError::Chain { place: 3, source: order })
    );
}

#[test]
fn another_platforms_receipt_key_is_refused() {
    let world = World::new();
    let log_key = LogKey::new(ORIGIN, DidKey::of(&world.log)).unwrap();
    let stranger = vec![DidKey::of(&world.requester)];
    let root = TrustRoot::new(Network::Simulated, ORIGIN, vec![log_key], stranger, None).unwrap();
    let source = ChainError::NotAReceiptKey(DidKey::of(&world.platform));
    let refused = verify(&paid_bundle(&world), &root, &Policy::default(), NOW);
    assert_eq!(refused, Err(VerifyError::Chain { place: 0, source }));
}

#[test]
fn another_input_or_result_is_refused() {
    let world = World::new();
    let mut bundle = paid_bundle(&world);
    bundle.result = Some(b"other".to_vec());
    assert_eq!(check(&world, &bundle), Err(VerifyError::OtherResult));
    bundle.result = None;
    bundle.input = Some(b"other".to_vec());
    assert_eq!(check(&world, &bundle), Err(VerifyError::OtherInput));
    let mut verified = check(&world, &paid_bundle(&world)).unwrap();
    assert_eq!(verified.check_result(b"other"), Err(VerifyError::OtherResult));
    assert_eq!(verified.check_result(RESULT), Ok(()));
    let mut offered = check(&world, &world.bundle(&world.paid()[..1])).unwrap();
    assert_eq!(offered.check_result(RESULT), Err(VerifyError::NoResult));
}

#[test]
fn a_bundle_may_leave_out_claims_that_lapsed() {
    let world = World::new();
    let offer = world.offer(ReleasePolicy::OnAcceptance);
    let lapsed = world.accept(&offer, 1);
    let second = world.accept(&offer, 2);
    let chain: Chain = world.chain(&[offer.clone(), lapsed, second.clone()]);
    assert_eq!(chain.len(), 3);
    let verified = check(&world, &world.bundle(&[offer, second])).unwrap();
    assert_eq!(verified.outcome, Outcome::Open(Position::Accepted));
}
