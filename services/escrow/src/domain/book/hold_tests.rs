//! Hold invoices against a model of the node: whatever happens in whatever order, what is released is ours for good, and what
//! is given back was never ours.

use poa_common::{AccountId, Msat, Timestamp, TypedId};
use poa_payment::{InvoiceState, NodeId, Preimage};
use proof_of_agent::{DecisionKind, DidKey, Digest, ReleasePolicy};
use uuid::Uuid;

use super::Book;
use crate::domain::account::{Account, Owner};
use crate::domain::command::{
    Capture, Command, Hold, HoldByInvoice, Observation, Observe, Refund, Reply, Secure,
};
use crate::domain::escrow::{Escrow, State};
use crate::domain::fee::{BasisPoints, split};
use crate::domain::hold_invoice::{Circumstances, HoldInvoice, Limits, Memo, Step, next};
use crate::domain::mandate::{Funding, Mandate};
use crate::domain::refusal::Refusal;
use crate::domain::release::Evidence;

const TIME: Timestamp = Timestamp::UNIX_EPOCH;
const PRICE: Msat = Msat::new(1_000_999);
const LIMITS: Limits =
    Limits { max_parts: 362, max_parts_of_payer: 36, max_msat_of_payer: Msat::new(5_000_000_000) };
/// The height of a new chain, and the lock of the invoice.
const HEIGHT: u32 = 800_000;
const LOCK: u32 = 80;

fn id<T: TypedId>(number: u128) -> T {
    T::from_uuid(Uuid::from_u128(number))
}

fn payer(number: u128) -> AccountId {
    id(1_000 + number)
}

fn book() -> Book {
    let mut book = Book::default();
    for owner in [Owner::Lightning, Owner::Fees, Owner::Clearing].map(Owner::uuid) {
        book.accounts.load(owner, Account::default());
    }
    for number in 0..4 {
        book.accounts.load(payer(number).uuid(), Account::default());
    }
    book
}

fn order(escrow: u128, of: u128, limits: Limits) -> Command {
    let fee = BasisPoints::DEFAULT;
    Command::HoldByInvoice(Box::new(HoldByInvoice {
        hold: Hold {
            escrow: id(escrow),
            task: id(escrow),
            payer: payer(of),
            amount: PRICE,
            fee,
            split: split(PRICE, fee).unwrap(),
            mandate: Mandate {
                terms: Vec::new(),
                digest: Digest::of(b"terms"),
                policy: ReleasePolicy::OnAcceptance,
                direct_agent: None,
                funding: Funding::HoldInvoice(Ok(80)),
            },
            transfer: id(1),
            time: TIME,
        },
        invoice: HoldInvoice {
            hash: Preimage::new([7; 32]).hash(),
            node: NodeId::new([2; 33]),
            cltv_blocks: 80,
            expiry_seconds: 600,
            bolt11: None,
            expire_time: None,
            memo: None,
            guard_time: None,
        },
        sealed: vec![0; 60],
        limits,
        event: id(1),
    }))
}

fn observe(escrow: u128, seen: Observation) -> Command {
    Command::Observe(Observe { escrow: id(escrow), seen, event: id(2), time: TIME })
}

fn made() -> Observation {
    Observation::Made { bolt11: "lnsb".to_owned(), expire_time: TIME }
}

fn accepted(paid: Msat, parts: u32) -> Observation {
    let memo = Memo { paid, parts, expiry_height: HEIGHT + LOCK, accept_time: TIME };
    Observation::Accepted { memo, limits: LIMITS }
}

fn capture(escrow: u128) -> Command {
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    Command::Capture(Box::new(Capture {
        escrow: id(escrow),
        payee: payer(3),
        evidence: Evidence {
            agent: id(1),
            agent_key: DidKey::of(&key),
            terms: Digest::of(b"terms"),
            output: Digest::of(b"result"),
            decision: Digest::of(b"decision"),
            decision_kind: DecisionKind::Accepted,
        },
        transfer: id(20),
        fee_transfer: id(21),
        event: id(3),
        time: TIME,
    }))
}

fn refund(escrow: u128) -> Command {
    Command::Refund(Refund {
        escrow: id(escrow),
        task: id(escrow),
        transfer: id(30),
        event: id(4),
        time: TIME,
    })
}

fn secure(escrow: u128) -> Command {
    Command::Secure(Secure { escrow: id(escrow), task: id(escrow), event: id(5), time: TIME })
}

fn decide(book: &mut Book, command: &Command) -> Result<Escrow, Refusal> {
    match book.decide(command)? {
        Reply::Escrow(escrow) => Ok(*escrow),
        Reply::Deposit(_) | Reply::Withdrawal(_) => panic!("an escrow is asked for"),
    }
}

fn state(book: &Book, escrow: u128) -> State {
    book.escrows.get(&id(escrow)).unwrap().state
}

#[test]
fn nothing_is_posted_before_the_sats_are_ours_for_good() {
    let mut book = book();
    decide(&mut book, &order(1, 0, LIMITS)).unwrap();
    decide(&mut book, &observe(1, made())).unwrap();
    decide(&mut book, &observe(1, accepted(Msat::new(1_500_000), 2))).unwrap();
    let settling = decide(&mut book, &capture(1)).unwrap();
    assert_eq!((settling.state, settling.payee, settling.hold_transfer), (State::Settling, None, None));
    assert!(book.lines.is_empty() && book.transfers.is_empty() && book.releases.is_empty());

    let seen = Observation::Final { paid: Msat::new(1_500_000), transfer: id(10) };
    let held = decide(&mut book, &observe(1, seen)).unwrap();
    assert_eq!((held.state, held.hold_transfer), (State::Held, Some(id(10))));
    let account =
        |book: &Book, owner: Owner| (book.account(owner).available.get(), book.account(owner).held.get());
    assert_eq!(account(&book, Owner::User(payer(0))), (499_001, 1_000_999));
    assert_eq!(account(&book, Owner::Lightning), (-1_500_000, 0));
    let released = decide(&mut book, &capture(1)).unwrap();
    assert_eq!((released.state, released.payee), (State::Released, Some(payer(3))));
    assert_eq!(account(&book, Owner::User(payer(0))), (499_001, 0));
    assert_eq!(account(&book, Owner::User(payer(3))), (950_950, 0));
    assert_eq!(account(&book, Owner::Fees), (50_049, 0));
}

#[test]
fn overpaid_up_to_twice_is_taken_and_more_or_less_or_in_too_many_parts_goes_back() {
    let twice = Msat::new(2 * PRICE.get());
    let more = Msat::new(2 * PRICE.get() + 1);
    let less = Msat::new(PRICE.get() - 1);
    for (paid, parts, expected) in [
        (PRICE, 1, State::Accepted),
        (twice, 36, State::Accepted),
        (more, 1, State::Canceling),
        (less, 1, State::Canceling),
        (PRICE, 37, State::Canceling),
        (PRICE, 0, State::Canceling),
    ] {
        let mut book = book();
        decide(&mut book, &order(1, 0, LIMITS)).unwrap();
        decide(&mut book, &observe(1, made())).unwrap();
        let seen = decide(&mut book, &observe(1, accepted(paid, parts))).unwrap();
        assert_eq!(seen.state, expected, "{paid} in {parts}");
        // Seen again, with whatever else: what was decided stands.
        let again = decide(&mut book, &observe(1, accepted(PRICE, 1))).unwrap();
        assert_eq!(again, seen);
    }
}

#[test]
fn parts_are_counted_over_all_and_parts_and_sats_of_each_payer() {
    let limits =
        Limits { max_parts: 4, max_parts_of_payer: 2, max_msat_of_payer: Msat::new(3 * PRICE.get()) };
    let mut book = book();
    let refused = |limit: i64| Err(Refusal::TooMuchLocked { limit });
    for escrow in [1, 2] {
        decide(&mut book, &order(escrow, 0, limits)).unwrap();
    }
    assert_eq!(decide(&mut book, &order(3, 0, limits)), refused(2));
    // An unpaid invoice counts for its payer alone; a payment takes as many places of all as it has parts.
    for (escrow, payer) in [(4, 1), (8, 2)] {
        decide(&mut book, &order(escrow, payer, limits)).unwrap();
        decide(&mut book, &observe(escrow, made())).unwrap();
        let memo = Memo { paid: PRICE, parts: 2, expiry_height: 1_000, accept_time: TIME };
        decide(&mut book, &observe(escrow, Observation::Accepted { memo, limits })).unwrap();
        assert_eq!(state(&book, escrow), State::Accepted);
    }
    assert_eq!(decide(&mut book, &order(5, 3, limits)), refused(4));
    let tight = Limits { max_parts: 9, max_msat_of_payer: Msat::new(2 * PRICE.get() - 1), ..limits };
    decide(&mut book, &order(6, 3, tight)).unwrap();
    assert_eq!(decide(&mut book, &order(7, 3, tight)), refused(2 * PRICE.get() - 1));
    // A known one is answered, however full it is.
    assert!(decide(&mut book, &order(1, 0, limits)).is_ok());
}

#[test]
fn lost_update_a_stale_sight_changes_nothing() {
    let mut book = book();
    decide(&mut book, &order(1, 0, LIMITS)).unwrap();
    decide(&mut book, &observe(1, made())).unwrap();
    decide(&mut book, &refund(1)).unwrap();
    let stale = [accepted(PRICE, 1), accepted(PRICE, 400), made(), Observation::Guard];
    for seen in &stale {
        assert_eq!(decide(&mut book, &observe(1, seen.clone())).unwrap().state, State::Canceling);
    }
    decide(&mut book, &observe(1, Observation::Canceled)).unwrap();
    let events = book.events.len();
    for seen in stale.iter().chain([&Observation::Canceled]) {
        assert_eq!(decide(&mut book, &observe(1, seen.clone())).unwrap().state, State::Canceled);
    }
    assert_eq!(book.events.len(), events, "and tells nobody");
    // A settlement of what was given back cannot be: it is refused, and nothing moves.
    let settled = Observation::Final { paid: PRICE, transfer: id(10) };
    let refused = decide(&mut book, &observe(1, settled)).unwrap_err();
    assert_eq!(refused, Refusal::EscrowState { state: "canceled" });
    assert!(book.lines.is_empty());
}

#[test]
fn an_invoice_that_is_made_after_the_refund_is_never_handed_out() {
    let mut book = book();
    decide(&mut book, &order(1, 0, LIMITS)).unwrap();
    decide(&mut book, &refund(1)).unwrap();
    let late = decide(&mut book, &observe(1, made())).unwrap();
    assert_eq!(late.hold_invoice.unwrap().bolt11, None);
}

#[test]
fn a_verb_of_another_task_moves_nothing() {
    let mut book = book();
    decide(&mut book, &order(1, 0, LIMITS)).unwrap();
    let other = Secure { escrow: id(1), task: id(2), event: id(5), time: TIME };
    assert_eq!(decide(&mut book, &Command::Secure(other)), Err(Refusal::OtherTask));
    let other = Refund { escrow: id(1), task: id(2), transfer: id(30), event: id(5), time: TIME };
    assert_eq!(decide(&mut book, &Command::Refund(other)), Err(Refusal::OtherTask));
}

/// A node with one hold invoice, as the providers' contract has it.
struct Node {
    invoice: InvoiceState,
    height: u32,
    /// Whether what is settled is lost all the same.
    loses: bool,
}

impl Node {
    fn payment_arrives(&mut self) {
        if self.invoice == InvoiceState::Open {
            let lowest_expiry_height = self.height + LOCK;
            self.invoice = InvoiceState::Accepted { paid: PRICE, parts: 1, lowest_expiry_height };
        }
    }

    fn settle(&mut self) {
        if let InvoiceState::Accepted { paid, .. } = self.invoice {
            self.invoice = InvoiceState::Settled { paid, at: TIME, preimage: None };
        }
    }

    fn cancel(&mut self) {
        if !self.invoice.is_terminal() {
            self.invoice = InvoiceState::Canceled;
        }
    }

    fn mine(&mut self, blocks: u32) {
        self.height += blocks;
        if let InvoiceState::Accepted { lowest_expiry_height, .. } = self.invoice
            && self.height + 18 >= lowest_expiry_height
        {
            self.invoice = InvoiceState::Canceled;
        }
    }
}

/// A worker in the middle of a look: what it read, and what it means to do.
#[derive(Default)]
struct Worker {
    read: Option<Escrow>,
    seen: Option<Option<InvoiceState>>,
    step: Option<Step>,
}

impl Worker {
    /// Does the next thing of a look, so that anything can come between any two.
    fn go_on(&mut self, book: &mut Book, node: &mut Node, silent: bool) {
        let Some(escrow) = &self.read else {
            self.read = book.escrows.get(&id(1)).cloned();
            return;
        };
        let Some(seen) = &self.seen else {
            // A node that does not answer, or not the truth yet.
            self.seen = Some(if silent { None } else { Some(node.invoice.clone()) });
            return;
        };
        let Some(step) = self.step else {
            let around = Circumstances { now: TIME, height: node.height };
            self.step = Some(next(escrow, seen.as_ref(), around));
            return;
        };
        let read = escrow.state;
        *self = Self::default();
        let seen = match step {
            Step::Wait => return,
            Step::Accept(memo) => Observation::Accepted { memo, limits: LIMITS },
            Step::Guard => Observation::Guard,
            Step::Settle => {
                return if silent { /* the request is lost */
                } else {
                    node.settle()
                };
            }
            Step::Cancel => {
                return if silent { /* the request is lost */
                } else {
                    node.cancel()
                };
            }
            Step::AskFinality { .. } if silent => return,
            Step::AskFinality { .. } if node.loses => Observation::Lost,
            Step::AskFinality { paid } => Observation::Final { paid, transfer: id(10) },
            Step::Canceled => Observation::Canceled,
            // What was meant since the row was read is no alarm.
            Step::Alarm(_) if state(book, 1) != read => return,
            Step::Alarm(what) => panic!("{what}"),
        };
        let noted = decide(book, &observe(1, seen.clone()));
        // What is refused cannot be: no interleaving may come to it.
        assert!(noted.is_ok(), "{seen:?}: {noted:?}");
    }
}

/// The next number of a seed (splitmix64).
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What must hold of the escrow and the node at every moment.
fn check(book: &Book, node: &Node, refunded: bool) {
    let state = state(book, 1);
    let settled = matches!(node.invoice, InvoiceState::Settled { .. });
    match state {
        // Nothing of it is ours, so the node has not taken it.
        State::Awaiting | State::Accepted | State::Canceling | State::Canceled => {
            assert!(!settled, "{state:?}");
            assert!(book.lines.is_empty(), "{state:?}");
        }
        State::Settling => assert!(book.lines.is_empty() && !refunded),
        State::Held | State::Released | State::Refunded => {
            assert!(settled && !node.loses, "{state:?} {:?}", node.invoice);
        }
        State::FundingLost => {
            assert!(node.loses || node.invoice == InvoiceState::Canceled, "{:?}", node.invoice);
            assert!(book.lines.is_empty());
        }
        State::Void => panic!("it was made"),
    }
    if state == State::Canceled {
        assert_ne!(node.invoice, InvoiceState::Open, "it can be paid, and nobody looks");
        assert!(!matches!(node.invoice, InvoiceState::Accepted { .. }), "it stays locked, and nobody looks");
    }
}

/// One seeded interleaving of everything that can happen, then calm. The states that an observer saw, and the last one.
fn interleaving(mut seed: u64) -> Vec<State> {
    let mut book = book();
    let mut node =
        Node { invoice: InvoiceState::Open, height: HEIGHT, loses: random(&mut seed).is_multiple_of(8) };
    decide(&mut book, &order(1, 0, LIMITS)).unwrap();
    decide(&mut book, &observe(1, made())).unwrap();
    let mut workers = [Worker::default(), Worker::default()];
    let mut states = vec![state(&book, 1)];
    let mut refunded = false;
    for _ in 0..60 {
        match random(&mut seed) % 16 {
            0 => node.payment_arrives(),
            1 => refunded |= decide(&mut book, &refund(1)).is_ok(),
            2 => drop(decide(&mut book, &capture(1))),
            3 => drop(decide(&mut book, &secure(1))),
            4 => node.mine(u32::try_from(random(&mut seed) % 30).unwrap()),
            _ => {
                let worker = usize::try_from(random(&mut seed) % 2).unwrap();
                let silent = random(&mut seed).is_multiple_of(4);
                workers[worker].go_on(&mut book, &mut node, silent);
            }
        }
        // What was refunded from the ledger is no refund of what is locked.
        let refunded = refunded && book.escrows.get(&id(1)).unwrap().hold_transfer.is_none();
        check(&book, &node, refunded);
        if states.last() != Some(&state(&book, 1)) {
            states.push(state(&book, 1));
        }
    }
    // Nobody asks any more, and the node answers: everything that was meant comes to its end.
    for _ in 0..40 {
        for worker in &mut workers {
            worker.go_on(&mut book, &mut node, false);
        }
    }
    check(&book, &node, false);
    let last = state(&book, 1);
    assert!(!matches!(last, State::Settling | State::Canceling), "{last:?} {:?}", node.invoice);
    if let InvoiceState::Canceled = node.invoice {
        assert!(last.is_end(), "{last:?}");
    }
    if states.last() != Some(&last) {
        states.push(last);
    }
    states
}

/// "Cancelled what was just paid": every order of paying, cancelling, settling and looking, with answers that are lost.
#[test]
fn ten_thousand_interleavings_of_cancel_and_pay_and_of_settle_and_cancel_keep_every_promise() {
    let mut ends = std::collections::BTreeMap::<&str, u32>::new();
    for seed in 0..10_000 {
        let states = interleaving(seed);
        *ends.entry(states.last().unwrap().as_str()).or_default() += 1;
        // An observer sees legal edges only, and no state twice.
        for (place, state) in states.iter().enumerate() {
            assert!(!states[..place].contains(state), "seed {seed}: {states:?}");
        }
    }
    for end in ["canceled", "funding_lost", "held", "released", "refunded"] {
        assert!(ends.get(end).is_some_and(|count| *count > 20), "{end}: {ends:?}");
    }
}
