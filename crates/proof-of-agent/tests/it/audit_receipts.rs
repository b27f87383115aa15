//! What others hold, against the tree that an auditor has read.

use proof_of_agent::AgentKeyState;
use proof_of_agent::audit::{Auditor, FindingKind, Settled, State};
use proof_of_agent::notice::{KeyEventKind, KeyReason};
use proof_of_agent::tlog::LogEntry;
use time::Duration;

use super::audit_log::{Log, auditor, change, kinds};
use super::fixture::{NOW, ORIGIN, World, submitted};

#[test]
fn a_receipt_whose_leaf_was_rewritten_or_is_not_shown_is_told() {
    let (world, root) = (World::new(), World::new().trust_root());
    let mut log = Log::default();
    log.key_event(&world, &world.registration());
    let (statements, places) = log.paid_task(&world);
    let bundle = log.bundle(&world, &statements, &places, log.size());
    let forged = log.rewritten(usize::try_from(places[4]).unwrap(), &Log::other(9_999));
    let mut auditor = auditor(&root);
    forged.audit(&mut auditor, &world, forged.size());
    let size = forged.size();
    auditor.receipt("r", &bundle, |place| forged.leaf(place, size), NOW);
    let findings = auditor.take_findings();
    assert_eq!((findings[0].kind, findings[0].log_index), (FindingKind::RewrittenLeaf, Some(places[4])));
    assert_eq!(findings.len(), 1, "{findings:?}");
    let hidden = places[4];
    auditor.receipt("again", &bundle, |place| forged.leaf(place, size).filter(|_| place != hidden), NOW);
    assert_eq!(kinds(&mut auditor), [FindingKind::Omission]);
}

#[test]
fn a_pending_receipt_is_an_omission_after_the_merge_delay_and_is_remembered() {
    let (world, root) = (World::new(), World::new().trust_root());
    let mut log = Log::default();
    log.key_event(&world, &world.registration());
    let before = log.size();
    let (statements, places) = log.paid_task(&world);
    let mut auditor = auditor(&root);
    log.audit(&mut auditor, &world, before);
    let bundle = log.bundle(&world, &statements, &places, before);
    let look =
        |auditor: &mut Auditor<'_>| auditor.receipt("r", &bundle, |place| log.leaf(place, before), NOW);
    assert_eq!(look(&mut auditor), Settled::Ahead);
    assert!(auditor.is_waiting());
    auditor.overdue(NOW + Duration::seconds(9));
    assert_eq!(auditor.take_findings(), []);
    auditor.overdue(NOW + Duration::seconds(11));
    assert_eq!(kinds(&mut auditor), vec![FindingKind::Omission; 6]);
    // Remembered: when the place is published with another leaf, nobody need give the receipt again.
    let state = State::decode(&auditor.state().encode(), ORIGIN).unwrap();
    let mut later = Auditor::new(&root, state.clone());
    log.audit(&mut later, &world, log.size());
    assert_eq!(later.take_findings(), []);
    assert!(!later.is_waiting());
    let forged = log.rewritten(usize::try_from(places[2]).unwrap(), &Log::other(9_999));
    let mut later = Auditor::new(&root, state);
    forged.audit(&mut later, &world, forged.size());
    assert_eq!(kinds(&mut later), [FindingKind::RewrittenLeaf]);
}

#[test]
fn a_receipt_without_its_key_event_or_with_another_key_state_is_told() {
    let (world, root) = (World::new(), World::new().trust_root());
    let audit = |log: &mut Log, state| {
        let (statements, places) = log.task(&world, state);
        let bundle = log.bundle(&world, &statements, &places, log.size());
        let mut auditor = auditor(&root);
        log.audit(&mut auditor, &world, log.size());
        let size = log.size();
        auditor.receipt("r", &bundle, |place| log.leaf(place, size), NOW);
        kinds(&mut auditor)
    };
    assert_eq!(audit(&mut Log::default(), AgentKeyState::Active), [FindingKind::Omission]);
    let mut log = Log::default();
    log.key_event(&world, &world.registration());
    assert_eq!(audit(&mut log.clone(), AgentKeyState::Active), []);
    log.key_event(&world, &change(&world, 2, KeyEventKind::Rotated, KeyReason::Superseded));
    assert_eq!(audit(&mut log.clone(), AgentKeyState::Superseded), []);
    assert_eq!(audit(&mut log, AgentKeyState::Active), [FindingKind::WrongKeyState]);
}

#[test]
fn two_receipts_of_one_task_that_disagree_are_twins() {
    let (world, root) = (World::new(), World::new().trust_root());
    let mut log = Log::default();
    log.key_event(&world, &world.registration());
    let (statements, places) = log.paid_task(&world);
    let mut auditor = auditor(&root);
    log.audit(&mut auditor, &world, log.size());
    let size = log.size();
    let one = log.bundle(&world, &statements, &places, size);
    auditor.receipt("one", &one, |place| log.leaf(place, size), NOW);
    auditor.receipt("a copy", &one, |place| log.leaf(place, size), NOW);
    assert_eq!(auditor.take_findings(), []);
    // The agent has another submission for the same acceptance, and the log has its leaf elsewhere.
    let acceptance = &statements[1];
    let other = acceptance.successor(world.by_agent(), submitted(acceptance)).unwrap();
    let chain = [statements[0].clone(), statements[1].clone(), other];
    let place = log.push(&LogEntry::of(&world.sign(&chain[2])).unwrap());
    let other = log.bundle(&world, &chain, &[places[0], places[1], place], log.size());
    log.audit(&mut auditor, &world, log.size());
    assert_eq!(kinds(&mut auditor), [FindingKind::Twin], "the log shows it by itself");
    let size = log.size();
    auditor.receipt("other", &other, |place| log.leaf(place, size), NOW);
    assert_eq!(kinds(&mut auditor), [FindingKind::Twin], "and so do the receipts");
}

#[test]
fn a_receipt_that_somebody_made_up_accuses_nobody() {
    let (world, root) = (World::new(), World::new().trust_root());
    let mut log = Log::default();
    log.key_event(&world, &world.registration());
    let (statements, places) = log.paid_task(&world);
    let mut auditor = auditor(&root);
    log.audit(&mut auditor, &world, log.size());
    let mut bundle = log.bundle(&world, &statements, &places, log.size());
    bundle.entries[1].log_index = places[1] + 1;
    auditor.receipt("r", &bundle, |_| None, NOW);
    assert_eq!(kinds(&mut auditor), [FindingKind::BadReceipt]);
}
