//! A withdrawal's state machine: what an observation of the node means for the user's sats.
//!
//! `reserved → dispatched → succeeded | failed`. Between the commit of `dispatched` and an end, nothing but a word of the
//! node about this hash decides. No answer is never an answer.

use poa_common::{AccountId, DepositId, Msat, MsatError, Timestamp, WithdrawalId};
use poa_payment::{Doubt, NodeId, Outcome, PaymentHash, Preimage};
use uuid::Uuid;

/// How often a terminal failure must be seen, in looks apart from each other, before the sats go back.
const SIGHTINGS: i16 = 2;

/// Where a withdrawal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The sats are reserved, and nothing was sent.
    Reserved,
    /// The intent to send is committed: the payment may be on its way.
    Dispatched,
    /// Paid.
    Succeeded,
    /// Certainly not paid; the sats are back.
    Failed,
}

/// A withdrawal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Withdrawal {
    pub(crate) id: WithdrawalId,
    pub(crate) account: AccountId,
    /// The caller's id of the request, and the digest of what it asked.
    pub(crate) request: (Uuid, [u8; 32]),
    /// Where it came from, beside an invoice of the caller's.
    pub(crate) origin: Origin,
    pub(crate) state: State,
    pub(crate) amount: Msat,
    pub(crate) fee_limit: Msat,
    /// What the route took.
    pub(crate) fee: Msat,
    pub(crate) invoice: String,
    pub(crate) hash: PaymentHash,
    pub(crate) invoice_expire_time: Timestamp,
    /// Who is paid; none where the ledger pays.
    pub(crate) payee: Option<NodeId>,
    /// The deposit that the invoice belongs to: then the ledger pays it, and nothing is ever sent.
    pub(crate) deposit: Option<DepositId>,
    /// The node that was told to pay, or to cancel the deposit's invoice.
    pub(crate) node: Option<NodeId>,
    /// Until when it may try, by the latest deadline of all dispatches.
    pub(crate) deadline: Option<Timestamp>,
    /// How often it was told: 0 while reserved.
    pub(crate) dispatches: i32,
    /// How often a failure was seen.
    pub(crate) failures_seen: i16,
    /// Whether a node was seen to have it in flight.
    pub(crate) node_knew: bool,
    pub(crate) preimage: Option<Preimage>,
    pub(crate) failure: Option<String>,
    pub(crate) create_time: Timestamp,
    pub(crate) end_time: Option<Timestamp>,
}

/// How a withdrawal came about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The Lightning address that gave the invoice.
    pub(crate) address: Option<String>,
    /// The failed withdrawal that it takes the place of.
    pub(crate) replaces: Option<WithdrawalId>,
    /// The withdrawal that takes its place. Read alone: it follows from the other one's row.
    pub(crate) replaced_by: Option<WithdrawalId>,
    /// Whether the platform began it, because the balance reached its threshold.
    pub(crate) automatic: bool,
}

/// What was heard of a payment, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The answer to the first dispatch of this hash, heard by the one who sent it.
    FirstDispatch(Outcome),
    /// The answer to a later dispatch.
    LaterDispatch(Outcome),
    /// The answer to a lookup.
    Lookup(Outcome),
}

/// What else decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Circumstances {
    /// Whether the node that answers is the one in the intent.
    pub(crate) same_node: bool,
    /// Whether the invoice can still be paid.
    pub(crate) payable: bool,
    /// Whether it expired so long ago, by the wall clock and by our own running time, that no dispatch can still arrive.
    pub(crate) long_expired: bool,
    /// Whether the deadline of every dispatch passed so long ago, by both clocks, that none can still reach the node.
    pub(crate) all_arrived: bool,
    /// Whether the node's word that it does not know a payment ever counts.
    pub(crate) absence_is_final: bool,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Paid: book it.
    Settle {
        /// The proof.
        preimage: Preimage,
        /// What the route took.
        fee: Msat,
    },
    /// Certainly not paid: give the sats back. Why, for people.
    Return(&'static str),
    /// A failure, seen for the first time: note it and look again.
    NoteFailure,
    /// The node has it: note that, once, and that no failure counts that was seen before.
    NoteInFlight,
    /// The node never heard of it, and it can still be paid: send the same hash again.
    SendAgain,
    /// Nothing is known, or nothing has changed: look again later.
    Wait,
    /// What was heard cannot be: a person must look. Nothing moves.
    Alarm(&'static str),
}

/// What an observation means for a dispatched withdrawal. The whole table.
pub(crate) fn next(withdrawal: &Withdrawal, seen: Seen, circumstances: Circumstances) -> Step {
    let (outcome, first) = match seen {
        Seen::FirstDispatch(outcome) => (outcome, true),
        Seen::LaterDispatch(outcome) | Seen::Lookup(outcome) => (outcome, false),
    };
    match outcome {
        Outcome::Settled { preimage, fee } => {
            if preimage.hash() != withdrawal.hash {
                return Step::Alarm("the node shows a preimage of another hash");
            }
            if fee.is_negative() || fee > Msat::SUPPLY {
                return Step::Alarm("the node shows a fee that cannot be");
            }
            Step::Settle { preimage, fee }
        }
        // Only the first dispatch can say that nothing was sent: later, it says nothing of the first.
        Outcome::NotSent(refusal) if first => Step::Return(refusal.as_str()),
        Outcome::NotSent(_) => Step::Wait,
        // Another node's failure is not this payment's.
        Outcome::Failed(_) if !circumstances.same_node => Step::Alarm("another node answers"),
        // Of one dispatch; another one may still reach the node, which then tries again.
        Outcome::Failed(_) if withdrawal.dispatches > 1 && !circumstances.all_arrived => Step::Wait,
        Outcome::Failed(reason) => sighted(withdrawal, reason.as_str()),
        Outcome::InFlight if withdrawal.failures_seen > 0 || !withdrawal.node_knew => Step::NoteInFlight,
        Outcome::InFlight | Outcome::Unknown(Doubt::NoAnswer) => Step::Wait,
        Outcome::Unknown(Doubt::NotFound) if !circumstances.same_node => Step::Alarm("another node answers"),
        // It had it, and has lost its memory: neither is it safe to send again, nor to give back.
        Outcome::Unknown(Doubt::NotFound) if withdrawal.node_knew => {
            Step::Alarm("the node has forgotten a payment that it had: an operator decides")
        }
        Outcome::Unknown(Doubt::NotFound) if circumstances.payable => Step::SendAgain,
        Outcome::Unknown(Doubt::NotFound)
            if circumstances.long_expired && !circumstances.absence_is_final =>
        {
            Step::Alarm("the node does not know the payment: an operator decides")
        }
        Outcome::Unknown(Doubt::NotFound) if circumstances.long_expired => sighted(withdrawal, "expired"),
        Outcome::Unknown(Doubt::NotFound) => Step::Wait,
    }
}

fn sighted(withdrawal: &Withdrawal, reason: &'static str) -> Step {
    if withdrawal.failures_seen.saturating_add(1) >= SIGHTINGS {
        Step::Return(reason)
    } else {
        Step::NoteFailure
    }
}

// === impl Withdrawal ===

impl Withdrawal {
    /// What is reserved: the amount and the largest fee.
    pub(crate) fn reserve(&self) -> Result<Msat, MsatError> {
        self.amount.checked_add(self.fee_limit)
    }
}

// === impl State ===

impl State {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Reserved, Self::Dispatched, Self::Succeeded, Self::Failed];

    /// The name in the database and in messages.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Dispatched => "dispatched",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// The state of a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poa_common::TypedId;
    use poa_payment::{FailureReason, Refusal};

    const PREIMAGE: Preimage = Preimage::new([7; 32]);
    const HERE: Circumstances = Circumstances {
        same_node: true,
        payable: true,
        long_expired: false,
        all_arrived: false,
        absence_is_final: true,
    };
    const ARRIVED: Circumstances = Circumstances { all_arrived: true, ..HERE };
    const LATE: Circumstances = Circumstances { payable: false, ..HERE };
    const LONG_AGO: Circumstances = Circumstances { payable: false, long_expired: true, ..ARRIVED };
    const ELSEWHERE: Circumstances = Circumstances { same_node: false, long_expired: true, ..ARRIVED };

    fn dispatched(failures_seen: i16) -> Withdrawal {
        Withdrawal {
            id: WithdrawalId::from_uuid(Uuid::from_u128(1)),
            account: AccountId::from_uuid(Uuid::from_u128(10)),
            request: (Uuid::nil(), [0; 32]),
            origin: Origin::default(),
            state: State::Dispatched,
            amount: Msat::new(1_000),
            fee_limit: Msat::new(10),
            fee: Msat::ZERO,
            invoice: String::new(),
            hash: PREIMAGE.hash(),
            invoice_expire_time: Timestamp::UNIX_EPOCH,
            payee: None,
            deposit: None,
            node: None,
            deadline: Some(Timestamp::UNIX_EPOCH),
            dispatches: 1,
            failures_seen,
            node_knew: false,
            preimage: None,
            failure: None,
            create_time: Timestamp::UNIX_EPOCH,
            end_time: None,
        }
    }

    fn look(failures_seen: i16, outcome: Outcome, circumstances: Circumstances) -> Step {
        next(&dispatched(failures_seen), Seen::Lookup(outcome), circumstances)
    }

    #[test]
    fn a_failure_returns_the_sats_when_it_is_seen_twice() {
        let failed = || Outcome::Failed(FailureReason::NoRoute);
        assert_eq!(look(0, failed(), HERE), Step::NoteFailure);
        assert_eq!(look(1, failed(), HERE), Step::Return("no_route"));
        assert_eq!(look(1, Outcome::InFlight, HERE), Step::NoteInFlight);
        assert_eq!(look(1, Outcome::Unknown(Doubt::NoAnswer), HERE), Step::Wait);
    }

    #[test]
    fn after_several_dispatches_a_failure_counts_once_none_can_still_arrive() {
        let failed = || Outcome::Failed(FailureReason::NoRoute);
        let twice = |failures_seen| Withdrawal { dispatches: 2, ..dispatched(failures_seen) };
        for seen in [Seen::Lookup(failed()), Seen::LaterDispatch(failed())] {
            for circumstances in [HERE, LATE] {
                assert_eq!(next(&twice(1), seen.clone(), circumstances), Step::Wait, "{circumstances:?}");
            }
            assert_eq!(next(&twice(0), seen.clone(), ARRIVED), Step::NoteFailure);
            assert_eq!(next(&twice(1), seen, ARRIVED), Step::Return("no_route"));
        }
    }

    #[test]
    fn a_refusal_counts_as_the_answer_to_the_first_dispatch_alone() {
        let expired = || Outcome::NotSent(Refusal::Expired);
        let fresh = dispatched(0);
        assert_eq!(next(&fresh, Seen::FirstDispatch(expired()), HERE), Step::Return("expired"));
        assert_eq!(next(&fresh, Seen::LaterDispatch(expired()), HERE), Step::Wait);
        assert_eq!(next(&fresh, Seen::Lookup(expired()), LONG_AGO), Step::Wait);
    }

    #[test]
    fn no_answer_frees_nothing_however_late() {
        for circumstances in [HERE, LATE, LONG_AGO, ELSEWHERE] {
            let seen = look(1, Outcome::Unknown(Doubt::NoAnswer), circumstances);
            assert_eq!(seen, Step::Wait, "{circumstances:?}");
        }
    }

    #[test]
    fn an_unknown_hash_is_sent_again_while_it_can_be_paid_and_returned_long_after() {
        let unknown = || Outcome::Unknown(Doubt::NotFound);
        assert_eq!(look(0, unknown(), HERE), Step::SendAgain);
        assert_eq!(look(1, unknown(), LATE), Step::Wait);
        assert_eq!(look(0, unknown(), LONG_AGO), Step::NoteFailure);
        assert_eq!(look(1, unknown(), LONG_AGO), Step::Return("expired"));
    }

    #[test]
    fn what_the_node_had_and_does_not_know_any_more_is_neither_sent_again_nor_returned() {
        let known = Withdrawal { node_knew: true, ..dispatched(0) };
        for circumstances in [HERE, LATE, LONG_AGO] {
            let seen = next(&known, Seen::Lookup(Outcome::Unknown(Doubt::NotFound)), circumstances);
            assert!(matches!(seen, Step::Alarm(_)), "{circumstances:?}: {seen:?}");
        }
        assert_eq!(next(&known, Seen::Lookup(Outcome::InFlight), HERE), Step::Wait);
        assert_eq!(look(0, Outcome::InFlight, HERE), Step::NoteInFlight);
        let failed = Outcome::Failed(FailureReason::NoRoute);
        assert_eq!(next(&known, Seen::Lookup(failed), HERE), Step::NoteFailure);
    }

    #[test]
    fn where_a_node_may_forget_an_operator_decides() {
        let forgets = Circumstances { absence_is_final: false, ..LONG_AGO };
        for failures_seen in [0, 1] {
            let seen = look(failures_seen, Outcome::Unknown(Doubt::NotFound), forgets);
            assert!(matches!(seen, Step::Alarm(_)), "{seen:?}");
        }
        let failed = Outcome::Failed(FailureReason::NoRoute);
        assert_eq!(look(1, failed, forgets), Step::Return("no_route"));
    }

    #[test]
    fn another_node_proves_nothing_but_a_preimage() {
        for outcome in [Outcome::Unknown(Doubt::NotFound), Outcome::Failed(FailureReason::NoRoute)] {
            assert!(matches!(look(1, outcome, ELSEWHERE), Step::Alarm(_)));
        }
        let settled = Outcome::Settled { preimage: PREIMAGE, fee: Msat::new(1) };
        assert!(matches!(look(1, settled, ELSEWHERE), Step::Settle { .. }));
    }

    #[test]
    fn a_preimage_of_another_hash_settles_nothing() {
        let wrong = Outcome::Settled { preimage: Preimage::new([8; 32]), fee: Msat::ZERO };
        assert!(matches!(look(0, wrong, HERE), Step::Alarm(_)));
    }
}
