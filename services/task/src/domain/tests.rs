//! The state machine against the README's diagram, and a task's ways through it.

mod hold;
mod story;

use std::collections::HashSet;
use std::time::Duration;

use poa_testkit::SeededEntropy;
use proof_of_agent::statement::Kind;
use proof_of_agent::{Digest, ReleasePolicy};
use story::{Story, story};

use super::state::EDGES;
use super::*;

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn the_table_of_states_is_the_diagram_of_the_readme() {
    let readme = include_str!("../../README.md");
    let drawn: HashSet<(String, String)> = readme
        .lines()
        .filter_map(|line| line.trim().split_once(" --> "))
        .filter(|(from, to)| *from != "[*]" && *to != "[*]")
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .collect();
    let table: HashSet<(String, String)> =
        EDGES.iter().map(|(from, to)| (from.to_string(), to.to_string())).collect();
    assert_eq!(drawn, table);
    let ends: HashSet<State> = State::ALL.into_iter().filter(|state| state.is_end()).collect();
    assert_eq!(ends, HashSet::from([State::Completed, State::Canceled, State::Expired]));
}

#[test]
fn every_state_has_the_number_and_the_name_of_the_contract() {
    for state in State::ALL {
        let contract = poa_proto::task::v1::task::State::try_from(i32::from(state.number())).unwrap();
        assert_eq!(contract.as_str_name(), format!("STATE_{state}"));
        assert_eq!(State::from_number(state.number()), Some(state));
    }
}

#[test]
fn a_move_that_the_table_does_not_know_is_refused_and_changes_nothing() {
    for from in State::ALL {
        for to in State::ALL {
            let mut story = story(ReleasePolicy::OnAcceptance);
            story.saga.status.state = from;
            let outcome = story.saga.go(to, story.at);
            assert_eq!(outcome.is_ok(), EDGES.contains(&(from, to)), "{from} to {to}");
            assert_eq!(story.saga.status.state, if outcome.is_ok() { to } else { from });
        }
    }
}

#[test]
fn a_task_that_is_checked_by_machine_goes_from_the_offer_to_the_settlement() {
    let mut story = story(ReleasePolicy::OnAttestation);
    assert_eq!(story.next(), Next::Step(Step::HoldFunds));
    assert_eq!(story.rest(), State::Open);
    assert!(story.saga.status.token.is_none());
    story.claim().unwrap();
    assert_eq!(story.rest(), State::Claimed);
    story.submit(b"one two three").unwrap();
    assert_eq!(story.rest(), State::Completed);
    assert_eq!(story.kinds(), Kind::ALL);
    // The whole chain holds, and nothing follows.
    assert_eq!(story.chain().position(), proof_of_agent::Position::Settled);
    assert_eq!(story.next(), Next::End);
}

#[test]
fn silence_accepts_and_a_rejected_result_may_be_replaced() {
    let mut story = story(ReleasePolicy::OnAcceptance);
    story.rest();
    story.claim().unwrap();
    story.rest();
    story.submit(b"one").unwrap();
    assert_eq!(story.rest(), State::Submitted);
    let (pen, at) = (story.pen.clone(), story.at);
    story.saga.reject(Some(0), "two is missing", &pen, at).unwrap();
    assert_eq!(story.rest(), State::Rejected);
    story.pass(Duration::from_secs(100));
    story.submit(b"one two").unwrap();
    assert_eq!(story.rest(), State::Submitted);
    story.pass(Duration::from_secs(299));
    assert!(matches!(story.next(), Next::Wait(_)));
    story.pass(Duration::from_secs(1));
    assert_eq!(story.next(), Next::Step(Step::AcceptBySilence));
    assert_eq!(story.rest(), State::Completed);
    assert_eq!(story.kinds().len(), 9);
    story.chain();
}

#[test]
fn the_review_begins_when_the_receipt_is_logged_and_ends_with_its_deadline() {
    let mut story = Story::submitted();
    let (pen, day) = (story.pen.clone(), DAY);
    // The log is down for longer than the review takes.
    story.pass(day);
    assert_eq!(story.saga.reject(Some(0), "no", &pen, story.at), Err(DomainError::Pending));
    assert_eq!(story.rest(), State::Submitted);
    assert_eq!(story.next(), Next::Wait(story.at.mesh.after(Duration::from_secs(300))));
    let mut last_moment = story.saga.clone();
    story.pass(Duration::from_secs(299));
    last_moment.reject(Some(0), "no", &pen, story.at).unwrap();
    // Silence has accepted, though nobody has written so yet.
    story.pass(Duration::from_secs(1));
    let late = story.saga.reject(Some(0), "no", &pen, story.at);
    assert_eq!(late, Err(DomainError::State(State::Releasing)));
    assert_eq!(story.rest(), State::Completed);
}

#[test]
fn the_time_for_another_result_begins_when_the_rejection_is_logged() {
    let mut story = Story::submitted();
    story.rest();
    let (pen, at) = (story.pen.clone(), story.at);
    story.saga.reject(Some(0), "two is missing", &pen, at).unwrap();
    // The log is down for longer than that time.
    story.pass(DAY);
    assert_eq!(story.saga.may_submit(story.at), Err(DomainError::Pending));
    assert_eq!(story.rest(), State::Rejected);
    story.pass(Duration::from_secs(299));
    story.submit(b"one two").unwrap();
    assert_eq!(story.rest(), State::Submitted);
}

#[test]
fn a_result_is_taken_only_where_it_was_held_against_the_terms_of_that_very_task() {
    let mut story = story(ReleasePolicy::OnAttestation);
    story.rest();
    story.claim().unwrap();
    story.rest();
    // The criterion wants a byte.
    assert!(matches!(story.submit(b""), Err(DomainError::Criterion(_))));
    // Checked against these terms, and given to a task with others.
    story.saga.offer.terms = Digest::of(b"other terms");
    assert_eq!(story.submit(b"one"), Err(DomainError::Unchecked));
    assert_eq!(story.saga.status.state, State::Claimed);
}

#[test]
fn a_lease_that_is_too_short_is_refused_unless_the_offers_is_shorter_still() {
    let mut usual = story(ReleasePolicy::OnAttestation);
    usual.rest();
    let refused = Err(DomainError::Chain("leaseSeconds".to_owned()));
    assert_eq!(usual.claim_for(9), refused);
    assert_eq!(usual.saga.status.state, State::Open);
    usual.claim_for(10).unwrap();

    let mut quick = story(ReleasePolicy::OnAttestation);
    quick.saga.offer.lease = Duration::from_secs(5);
    quick.rest();
    assert_eq!(quick.claim_for(4), refused);
    quick.claim_for(5).unwrap();
}

#[test]
fn accepting_twice_and_cancelling_twice_change_nothing_the_second_time() {
    let mut accepted = story(ReleasePolicy::OnAcceptance);
    accepted.rest();
    accepted.claim().unwrap();
    accepted.rest();
    accepted.submit(b"one").unwrap();
    accepted.rest();
    let (pen, at) = (accepted.pen.clone(), accepted.at);
    assert_eq!(accepted.saga.accept(&pen, at), Ok(true));
    let version = accepted.saga.status.version;
    assert_eq!(accepted.saga.accept(&pen, at), Ok(false));
    assert_eq!(accepted.saga.status.version, version);
    assert_eq!(accepted.saga.cancel(&pen, at), Err(DomainError::State(State::Releasing)));

    let mut cancelled = story(ReleasePolicy::OnAcceptance);
    cancelled.rest();
    assert_eq!(cancelled.saga.cancel(&pen, at), Ok(true));
    assert_eq!(cancelled.saga.cancel(&pen, at), Ok(false));
    assert_eq!(cancelled.rest(), State::Canceled);
    assert_eq!(cancelled.saga.cancel(&pen, at), Ok(false));
    assert_eq!(cancelled.saga.accept(&pen, at), Err(DomainError::State(State::Canceled)));
    assert_eq!(cancelled.kinds(), [Kind::TermsOffered, Kind::Settlement]);
}

#[test]
fn before_an_acceptance_is_logged_nothing_else_happens_to_the_claim() {
    let mut story = story(ReleasePolicy::OnAttestation);
    story.rest();
    story.claim().unwrap();
    // The lease is over, and yet it must be known first whether the acceptance was logged.
    story.pass(Duration::from_secs(61));
    assert_eq!(story.next(), Next::Step(Step::Append(2)));
    assert_eq!(story.saga.clone().statement_refused(2, "no", story.at), Ok(true));
    story.step();
    assert_eq!(story.next(), Next::Step(Step::LapseClaim));
    assert_eq!(story.rest(), State::Open);
    story.claim().unwrap();
    assert_eq!(story.saga.status.claims, 2);
}

#[test]
fn a_refused_claim_never_was_and_a_refused_receipt_leaves_the_claim() {
    let mut story = story(ReleasePolicy::OnAttestation);
    story.rest();
    story.claim().unwrap();
    assert_eq!(story.saga.statement_refused(2, "retired", story.at), Ok(true));
    // The number stays used: a late copy of the call may yet log the claim, and the next must be above it.
    assert_eq!((story.saga.status.state, story.saga.status.claims), (State::Open, 1));
    assert!(story.saga.status.claim.is_none());
    assert_eq!(story.saga.refused.len(), 1);

    story.claim().unwrap();
    story.rest();
    story.submit(b"one").unwrap();
    assert_eq!(story.saga.statement_refused(3, "retired", story.at), Ok(true));
    assert_eq!((story.saga.status.state, story.saga.status.submissions), (State::Claimed, 0));
    story.submit(b"one").unwrap();
    assert_eq!(story.rest(), State::Completed);
}

#[test]
fn what_escrow_refuses_to_hold_is_refunded_to_void_and_leaves_no_chain() {
    let mut story = story(ReleasePolicy::OnAttestation);
    story.saga.refuse_funding("no sats", story.at).unwrap();
    assert_eq!(story.next(), Next::Step(Step::Refund));
    assert_eq!(story.rest(), State::Canceled);
    assert!(story.saga.statements.is_empty() && story.saga.status.token.is_none());
    assert_eq!(story.saga.refused.len(), 1);
}

#[test]
fn terms_that_are_refused_after_the_hold_give_the_price_back_without_a_chain() {
    let mut story = story(ReleasePolicy::OnAttestation);
    story.step();
    assert!(story.saga.status.held);
    assert_eq!(story.saga.statement_refused(1, "no", story.at), Ok(true));
    assert_eq!(story.rest(), State::Canceled);
    assert!(story.saga.statements.is_empty());
}

#[test]
fn a_payers_token_that_ended_holds_nothing() {
    let mut story = story(ReleasePolicy::OnAttestation);
    story.at.wall += DAY;
    assert_eq!(story.next(), Next::Step(Step::AbandonFunding));
    assert_eq!(story.rest(), State::Canceled);
}

#[test]
fn a_platforms_statement_that_is_refused_is_a_bug_and_moves_nothing() {
    let mut story = story(ReleasePolicy::OnAttestation);
    story.rest();
    story.claim().unwrap();
    story.rest();
    story.submit(b"one").unwrap();
    story.step();
    assert_eq!(story.saga.status.state, State::Releasing);
    let seq = story.saga.pending().unwrap().seq;
    assert_eq!(story.saga.statement_refused(seq, "no", story.at), Ok(false));
    assert_eq!(story.saga.status.state, State::Releasing);
}

#[test]
fn a_task_takes_no_more_results_than_fit_one_message_to_escrow() {
    let mut story = story(ReleasePolicy::OnAcceptance);
    story.rest();
    story.claim().unwrap();
    story.rest();
    let (pen, at) = (story.pen.clone(), story.at);
    for _ in 0..work::MAX_SUBMISSIONS {
        story.submit(b"one").unwrap();
        story.rest();
        story.saga.reject(Some(0), "no", &pen, at).unwrap();
        story.rest();
    }
    assert_eq!(story.submit(b"one"), Err(DomainError::State(State::Rejected)));
    story.pass(Duration::from_secs(301));
    assert_eq!(story.rest(), State::Expired);
    story.chain();
}

/// Random verbs, refusals, deadlines and steps: whatever happens, only legal edges are taken (or `go` would refuse),
/// the chain holds, and the task comes to its end once nobody acts any more.
#[test]
fn whatever_anybody_does_the_chain_holds_and_the_task_ends() {
    for seed in 0..60 {
        let dice = SeededEntropy::new(seed);
        let policy = if seed % 2 == 0 { ReleasePolicy::OnAcceptance } else { ReleasePolicy::OnAttestation };
        let mut story = story(policy);
        let (pen, mut seen) = (story.pen.clone(), Vec::new());
        for _ in 0..60 {
            let at = story.at;
            // A verb that the state does not allow is refused; that is its test.
            match dice.next_u64() % 12 {
                0 => drop(story.claim()),
                1 if story.saga.has(Kind::TermsAccepted) => drop(story.submit(b"one")),
                2 => drop(story.saga.accept(&pen, at)),
                3 => drop(story.saga.reject(Some(0), "no", &pen, at)),
                4 if dice.next_u64().is_multiple_of(6) => drop(story.saga.cancel(&pen, at)),
                5 => drop(story.saga.release("back", at)),
                6 => drop(story.saga.renew(at)),
                7 => story.pass(Duration::from_secs(dice.next_u64() % 90)),
                8 => {
                    if let Next::Step(Step::Append(seq)) = story.next() {
                        drop(story.saga.statement_refused(seq, "no", at));
                    }
                }
                _ => drop(story.step()),
            }
            seen.push(story.saga.status.state);
            let chain = chain_of(&story.papers(), &[story.pen.signer]);
            assert!(chain.is_ok(), "seed {seed}: {:?} after {seen:?}", story.kinds());
        }
        for _ in 0..6 {
            story.rest();
            story.pass(DAY);
        }
        assert!(story.saga.status.state.is_end(), "seed {seed}: {seen:?}");
        assert_eq!(story.next(), Next::End, "seed {seed}");
        assert!(story.saga.pending().is_none(), "seed {seed}");
    }
}
