//! Tasks that a hold invoice funds.

use std::time::Duration;

use poa_common::Msat;
use poa_testkit::SeededEntropy;
use proof_of_agent::statement::Kind;
use proof_of_agent::{DecisionKind, Position, Rail, ReleasePolicy, SettlementKind};

use super::super::*;
use super::DAY;
use super::story::{Channel, Story, hold_story, story};

const POLICIES: [ReleasePolicy; 2] = [ReleasePolicy::OnAttestation, ReleasePolicy::OnAcceptance];

#[test]
fn a_task_waits_for_its_invoice_to_be_paid_and_its_time_begins_then() {
    let mut story = hold_story(ReleasePolicy::OnAttestation);
    assert_eq!(story.rest(), State::AwaitingFunds);
    assert!(story.saga.status.token.is_none() && !story.saga.status.held);
    // However long that takes: the requester's token is not needed any more.
    story.pass(DAY);
    story.at.wall += DAY;
    assert_eq!(story.next(), Next::Step(Step::HoldFunds));
    assert_eq!(story.rest(), State::AwaitingFunds);
    story.channel = Channel::Paid;
    assert_eq!(story.rest(), State::Open);
    assert_eq!(story.saga.status.open_due, Some(story.at.mesh.after(Duration::from_secs(3_600))));
    assert_eq!(story.saga.hold.as_ref().unwrap().lock.paid, Msat::new(10_000));
    story.claim().unwrap();
    story.rest();
    story.submit(b"one").unwrap();
    // It is taken when the agent is to be paid, and that takes its time.
    story.channel = Channel::Slow;
    assert_eq!(story.rest(), State::Releasing);
    assert_eq!(story.next(), Next::Step(Step::Capture));
    story.channel = Channel::Paid;
    assert_eq!(story.rest(), State::Completed);
    assert_eq!(story.kinds(), Kind::ALL);
    assert_eq!((story.settlement().rail, story.settlement().transfers.len()), (Rail::HoldInvoice, 1));
}

#[test]
fn an_invoice_that_is_not_paid_cancels_the_task_without_a_chain_and_the_request_keeps_its_answer() {
    let mut story = hold_story(ReleasePolicy::OnAttestation);
    story.rest();
    story.channel = Channel::Broken;
    assert_eq!(story.rest(), State::Canceled);
    assert!(story.saga.statements.is_empty());
    assert!(story.saga.refused.is_empty(), "the request has had its answer: the invoice");

    // Before the answer it may be tried again.
    let mut unanswered = hold_story(ReleasePolicy::OnAttestation);
    unanswered.channel = Channel::Broken;
    assert_eq!(unanswered.rest(), State::Canceled);
    assert_eq!(unanswered.saga.refused.len(), 1);
}

#[test]
fn a_task_that_waits_for_its_funds_may_be_cancelled_before_and_after_they_are_locked() {
    let mut unpaid = hold_story(ReleasePolicy::OnAttestation);
    unpaid.rest();
    let (pen, at) = (unpaid.pen.clone(), unpaid.at);
    assert_eq!(unpaid.saga.cancel(&pen, at), Ok(true));
    unpaid.channel = Channel::Slow;
    assert_eq!(unpaid.rest(), State::Refunding);
    unpaid.channel = Channel::Paid;
    assert_eq!(unpaid.rest(), State::Canceled);
    assert!(unpaid.saga.statements.is_empty());

    let mut paid = hold_story(ReleasePolicy::OnAttestation);
    paid.rest();
    paid.channel = Channel::Paid;
    assert!(paid.step() && paid.saga.status.held);
    assert_eq!(paid.saga.cancel(&pen, at), Ok(true));
    assert_eq!(paid.rest(), State::Canceled);
    // The terms may have been logged, so that the chain has an end. Nothing moved in the ledger.
    assert_eq!(paid.kinds(), [Kind::TermsOffered, Kind::Settlement]);
    let settlement = paid.settlement();
    assert_eq!((settlement.kind, settlement.transfers.len()), (SettlementKind::Refunded, 0));
}

#[test]
fn at_the_guard_height_what_nobody_has_delivered_for_ends_and_a_submission_is_refused() {
    let mut open = hold_story(ReleasePolicy::OnAttestation);
    open.channel = Channel::Paid;
    open.rest();
    open.guard();
    assert_eq!(open.claim(), Err(DomainError::State(State::Expired)));
    assert_eq!(open.next(), Next::Step(Step::GiveUp));
    assert_eq!(open.rest(), State::Expired);
    assert!(open.saga.status.note.contains("lock"), "{}", open.saga.status.note);
    assert_eq!(open.kinds(), [Kind::TermsOffered, Kind::Settlement]);

    let mut claimed = Story::claimed_on_hold(ReleasePolicy::OnAttestation);
    claimed.guard();
    assert_eq!(claimed.submit(b"one"), Err(DomainError::State(State::Claimed)));
    assert_eq!(claimed.rest(), State::Expired);
    assert_eq!(claimed.kinds(), [Kind::TermsOffered, Kind::TermsAccepted, Kind::Decision, Kind::Settlement]);
    assert!(claimed.settlement().transfers.is_empty());
    // Who worked on it can still see what became of it.
    assert!(claimed.saga.status.claim.is_some());
    assert_eq!(claimed.chain().position(), Position::Settled);
}

#[test]
fn a_claim_that_is_not_logged_yet_is_known_to_be_logged_before_the_guard_ends_it() {
    let mut story = hold_story(ReleasePolicy::OnAttestation);
    story.channel = Channel::Paid;
    story.rest();
    story.claim().unwrap();
    story.guard();
    assert_eq!(story.next(), Next::Step(Step::Append(2)));
    let mut refused = story.saga.clone();
    assert_eq!(refused.statement_refused(2, "no", story.at), Ok(true));
    assert_eq!(next_step(&refused, story.at), Next::Step(Step::GiveUp));
    assert_eq!(story.rest(), State::Expired);
}

#[test]
fn at_the_guard_height_a_result_is_secured_first_and_judged_as_ever() {
    for reject in [false, true] {
        let mut story = Story::claimed_on_hold(ReleasePolicy::OnAcceptance);
        story.submit(b"one").unwrap();
        // The log is down: nobody loses his pay for that.
        story.guard();
        assert_eq!(story.next(), Next::Step(Step::Secure));
        story.channel = Channel::Slow;
        assert_eq!(story.rest(), State::Submitted);
        story.channel = Channel::Paid;
        assert_eq!(story.rest(), State::Submitted);
        assert_eq!(story.saga.hold.as_ref().unwrap().fate, Fate::Secured);
        assert!(matches!(story.next(), Next::Wait(_)));
        let (pen, at) = (story.pen.clone(), story.at);
        if reject {
            story.saga.reject(Some(0), "no", &pen, at).unwrap();
            assert_eq!(story.rest(), State::Rejected);
            // There is no lock any more that would end.
            story.submit(b"one two").unwrap();
            story.rest();
            story.saga.reject(Some(0), "no", &pen, at).unwrap();
            story.rest();
            story.pass(DAY);
            assert_eq!(story.rest(), State::Expired);
            assert_eq!(story.settlement().transfers.len(), 1, "from the ledger");
        } else {
            story.saga.accept(&pen, at).unwrap();
            assert_eq!(story.rest(), State::Completed);
        }
    }
}

#[test]
fn a_rejected_result_is_secured_too_before_its_time_for_another_ends() {
    let mut story = Story::claimed_on_hold(ReleasePolicy::OnAcceptance);
    story.submit(b"one").unwrap();
    story.rest();
    let (pen, at) = (story.pen.clone(), story.at);
    story.saga.reject(Some(0), "no", &pen, at).unwrap();
    story.rest();
    story.guard();
    story.channel = Channel::Slow;
    story.pass(DAY);
    assert_eq!(story.next(), Next::Step(Step::Secure));
    assert_eq!(story.rest(), State::Rejected);
    story.channel = Channel::Paid;
    assert_eq!(story.rest(), State::Expired);
}

#[test]
fn a_decision_that_waits_for_the_log_does_not_let_the_lock_run_out() {
    let mut story = Story::claimed_on_hold(ReleasePolicy::OnAttestation);
    story.submit(b"one").unwrap();
    story.step();
    assert_eq!(story.saga.status.state, State::Releasing);
    assert!(matches!(story.next(), Next::Step(Step::Append(_))));
    story.guard();
    assert_eq!(story.next(), Next::Step(Step::Secure));
    assert_eq!(story.rest(), State::Completed);
}

#[test]
fn what_went_back_before_it_was_taken_ends_the_task_without_pay() {
    for policy in POLICIES {
        let mut story = Story::claimed_on_hold(policy);
        story.submit(b"one").unwrap();
        story.rest_before(Step::Capture);
        if policy == ReleasePolicy::OnAcceptance {
            let (pen, at) = (story.pen.clone(), story.at);
            story.saga.accept(&pen, at).unwrap();
            story.rest_before(Step::Capture);
        }
        story.channel = Channel::Broken;
        assert_eq!(story.rest(), State::Canceled);
        assert!(story.saga.status.note.contains("the funding was lost"), "{}", story.saga.status.note);
        let settlement = story.settlement();
        assert_eq!(settlement.kind, SettlementKind::FundingLost);
        assert_eq!((settlement.payee, settlement.payee_msat), (None, Msat::ZERO));
        assert_eq!(story.chain().position(), Position::Settled);
    }
}

#[test]
fn an_event_that_the_sats_went_back_ends_the_task_in_whatever_state_it_is() {
    let with = |fate, state| {
        let mut story = Story::claimed_on_hold(ReleasePolicy::OnAcceptance);
        let (pen, at) = (story.pen.clone(), story.at);
        match state {
            State::Open => story.saga.release("back", at).unwrap(),
            State::Submitted | State::Rejected | State::Releasing => {
                story.submit(b"one").unwrap();
                story.rest();
                match state {
                    State::Rejected => story.saga.reject(Some(0), "no", &pen, at).unwrap(),
                    State::Releasing => assert_eq!(story.saga.accept(&pen, at), Ok(true)),
                    _ => {}
                }
            }
            _ => {}
        }
        assert_eq!(story.saga.status.state, state);
        assert!(story.hears(fate));
        assert!(!story.hears(fate), "the same event again says nothing new");
        (story.rest(), story.settlement().kind, story.chain().position())
    };
    let refunded = (State::Expired, SettlementKind::Refunded, Position::Settled);
    let lost = (State::Canceled, SettlementKind::FundingLost, Position::Settled);
    for state in [State::Open, State::Claimed] {
        assert_eq!(with(Fate::Returned, state), refunded);
        assert_eq!(with(Fate::Lost, state), lost);
    }
    for state in [State::Submitted, State::Rejected, State::Releasing] {
        assert_eq!(with(Fate::Returned, state), lost);
        assert_eq!(with(Fate::Lost, state), lost);
    }
}

#[test]
fn what_is_lost_while_it_is_to_be_given_back_is_called_lost_and_ends_where_it_was_to_end() {
    let mut story = Story::claimed_on_hold(ReleasePolicy::OnAcceptance);
    story.submit(b"one").unwrap();
    story.rest();
    let (pen, at) = (story.pen.clone(), story.at);
    story.saga.reject(Some(0), "no", &pen, at).unwrap();
    story.rest();
    story.pass(DAY);
    assert_eq!(story.next(), Next::Step(Step::ExpireRejected));
    story.step();
    assert_eq!(story.next(), Next::Step(Step::Refund));
    story.saga.lost(&pen, story.at).unwrap();
    assert_eq!(story.rest(), State::Expired);
    assert_eq!(story.settlement().kind, SettlementKind::FundingLost);
    story.chain();
}

#[test]
fn old_events_and_repeated_ones_move_nothing_backwards() {
    let mut story = Story::claimed_on_hold(ReleasePolicy::OnAcceptance);
    story.submit(b"one").unwrap();
    story.guard();
    story.rest();
    let before = story.saga.clone();
    let unpaid = News { lock: Some(story.lock(0)), guard_reached: false, fate: None };
    assert!(!story.saga.hear(unpaid, story.at));
    let paid = News { lock: Some(story.lock(10_000)), guard_reached: true, fate: None };
    assert!(!story.saga.hear(paid, story.at));
    // It is in the ledger: what once was a lock says nothing.
    for fate in [Fate::Secured, Fate::Returned, Fate::Lost] {
        assert!(!story.hears(fate));
    }
    assert_eq!(story.saga.hold, before.hold);
    assert_eq!(story.saga.status.version, before.status.version);
    let (pen, at) = (story.pen.clone(), story.at);
    story.saga.accept(&pen, at).unwrap();
    assert_eq!(story.rest(), State::Completed);
    story.guard();
    assert_eq!(story.next(), Next::End);
}

#[test]
fn a_task_that_the_balance_funds_hears_no_events() {
    let mut story = story(ReleasePolicy::OnAttestation);
    story.rest();
    story.guard();
    assert!(!story.hears(Fate::Returned));
    assert!(story.saga.hold.is_none());
    assert!(matches!(story.next(), Next::Wait(_)));
}

#[test]
fn a_log_never_shows_an_invoice() {
    let mut story = hold_story(ReleasePolicy::OnAttestation);
    story.rest();
    assert!(!format!("{:?}", story.saga).contains("lnbcrt1"));
}

/// Random verbs, steps, refusals, events and a channel that does as it likes.
#[test]
fn whatever_the_channel_does_the_chain_holds_and_the_task_ends() {
    for seed in 0..200 {
        let dice = SeededEntropy::new(seed);
        let policy = if seed % 2 == 0 { ReleasePolicy::OnAcceptance } else { ReleasePolicy::OnAttestation };
        let mut story = hold_story(policy);
        let (pen, mut seen) = (story.pen.clone(), Vec::new());
        for _ in 0..60 {
            let at = story.at;
            // A verb that the state does not allow is refused; that is its test.
            match dice.next_u64() % 18 {
                0 => drop(story.claim()),
                1 if story.saga.has(Kind::TermsAccepted) => drop(story.submit(b"one")),
                2 => drop(story.saga.accept(&pen, at)),
                3 => drop(story.saga.reject(Some(0), "no", &pen, at)),
                4 if dice.next_u64().is_multiple_of(8) => drop(story.saga.cancel(&pen, at)),
                5 => drop(story.saga.release("back", at)),
                6 => story.pass(Duration::from_secs(dice.next_u64() % 90)),
                7 => {
                    if let Next::Step(Step::Append(seq)) = story.next() {
                        drop(story.saga.statement_refused(seq, "no", at));
                    }
                }
                8 if dice.next_u64().is_multiple_of(6) => story.guard(),
                9 if dice.next_u64().is_multiple_of(12) => story.channel = Channel::Broken,
                10 if story.channel != Channel::Broken => story.channel = Channel::Slow,
                11 | 12 if story.channel != Channel::Broken => story.channel = Channel::Paid,
                13 if story.channel == Channel::Broken && story.saga.status.held => {
                    let _new = story.hears(if seed % 3 == 0 { Fate::Lost } else { Fate::Returned });
                }
                _ => drop(story.step()),
            }
            seen.push(story.saga.status.state);
            let chain = chain_of(&story.papers(), &[story.pen.signer]);
            assert!(chain.is_ok(), "seed {seed}: {:?} after {seen:?}", story.kinds());
        }
        if story.channel != Channel::Paid {
            story.channel = Channel::Broken;
        }
        for _ in 0..6 {
            story.rest();
            story.pass(DAY);
        }
        assert!(story.saga.status.state.is_end(), "seed {seed}: {seen:?}");
        assert_eq!(story.next(), Next::End, "seed {seed}");
        assert!(story.saga.pending().is_none(), "seed {seed}");
        if story.saga.status.state == State::Completed {
            let decided = papers_of(&story, Kind::Decision);
            assert_ne!(decided, Some(DecisionKind::Expired), "seed {seed}");
        }
    }
}

/// The kind of the last decision.
fn papers_of(story: &Story, kind: Kind) -> Option<DecisionKind> {
    let last = story.saga.statements.iter().rfind(|entry| entry.kind == kind)?;
    Some(papers::statement_of(last.paper.as_ref()?).unwrap().body().as_decision()?.kind)
}
