//! An escrow's state machine: which verb does what in which state.

use poa_common::{AccountId, EscrowId, Msat, TaskId, Timestamp, TransferId};
use proof_of_agent::{Digest, Rail};

use super::command::Observation;
use super::hold_invoice::HoldInvoice;

/// Where an escrow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The sats are held.
    Held,
    /// The payee was paid.
    Released,
    /// The payer has the sats back.
    Refunded,
    /// It was refunded before anything was held: nothing ever can be.
    Void,
    /// Its hold invoice waits to be paid.
    Awaiting,
    /// Its hold invoice is paid: the payer's sats are locked, and not ours.
    Accepted,
    /// We mean to take the locked sats: no refund until they are held.
    Settling,
    /// We mean to give the locked sats back.
    Canceling,
    /// The hold invoice was given back or never paid: nothing was ever ours.
    Canceled,
    /// The locked sats went back although we meant to take them: nothing was released.
    FundingLost,
}

/// What is asked of an escrow, or seen of its hold invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Hold sats of the balance.
    Hold,
    /// Make a hold invoice.
    Invoice,
    /// Pay the payee.
    Capture,
    /// Take locked sats into the ledger.
    Secure,
    /// Give the sats back.
    Refund,
    /// Seen: the hold invoice is paid.
    Accept,
    /// Seen: it is paid in a way that we do not take.
    Reject,
    /// Seen: it is settled, for good.
    Fund,
    /// Seen: it is cancelled.
    Cancel,
    /// Seen: it is settled, and the sats are lost all the same.
    Lose,
}

/// What a verb means in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is carried out, and leads to this state.
    Apply(State),
    /// It was carried out before, or seen before: the same answer again.
    Repeat,
    /// The payee was paid.
    AlreadyReleased,
    /// The payer has the sats back, or nothing was ever held.
    AlreadyRefunded,
    /// The locked sats went back to the payer.
    FundingLost,
    /// Not in this state: a verb is refused until it changes, a sight is an alarm.
    WrongState,
    /// There is no such escrow.
    NotFound,
}

/// An escrow. The narrow part that changes; what was agreed is the mandate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Escrow {
    pub(crate) id: EscrowId,
    pub(crate) task: TaskId,
    pub(crate) state: State,
    /// None of a void escrow.
    pub(crate) payer: Option<AccountId>,
    /// Known once released.
    pub(crate) payee: Option<AccountId>,
    /// What is held in all: fee and payee's part.
    pub(crate) amount: Msat,
    /// The platform's part at release.
    pub(crate) fee: Msat,
    /// The payee's part at release.
    pub(crate) payee_net: Msat,
    /// By which the fee was computed.
    pub(crate) fee_basis_points: u32,
    /// The digest of the mandate's terms; none of a void escrow.
    pub(crate) terms: Option<Digest>,
    /// By which the sats came to be held: out of the balance, or in by the hold invoice.
    pub(crate) hold_transfer: Option<TransferId>,
    /// The capture or the refund.
    pub(crate) end_transfer: Option<TransferId>,
    pub(crate) create_time: Timestamp,
    pub(crate) end_time: Option<Timestamp>,
    /// What funds it, where the balance does not.
    pub(crate) hold_invoice: Option<HoldInvoice>,
}

/// The whole state machine.
pub(crate) fn verdict(state: Option<State>, verb: Verb) -> Verdict {
    match state {
        None => match verb {
            Verb::Hold => Verdict::Apply(State::Held),
            Verb::Invoice => Verdict::Apply(State::Awaiting),
            Verb::Refund => Verdict::Apply(State::Void),
            Verb::Capture
            | Verb::Secure
            | Verb::Accept
            | Verb::Reject
            | Verb::Fund
            | Verb::Cancel
            | Verb::Lose => Verdict::NotFound,
        },
        Some(state @ (State::Awaiting | State::Accepted | State::Settling | State::Canceling)) => {
            of_open_invoice(state, verb)
        }
        Some(State::Held) => match verb {
            Verb::Capture => Verdict::Apply(State::Released),
            Verb::Refund => Verdict::Apply(State::Refunded),
            Verb::Hold | Verb::Invoice | Verb::Secure | Verb::Accept | Verb::Reject | Verb::Fund => {
                Verdict::Repeat
            }
            Verb::Cancel | Verb::Lose => Verdict::WrongState,
        },
        Some(State::Released) => match verb {
            Verb::Refund => Verdict::AlreadyReleased,
            Verb::Hold
            | Verb::Invoice
            | Verb::Capture
            | Verb::Secure
            | Verb::Accept
            | Verb::Reject
            | Verb::Fund => Verdict::Repeat,
            Verb::Cancel | Verb::Lose => Verdict::WrongState,
        },
        Some(State::Refunded | State::Void) => match verb {
            Verb::Refund | Verb::Accept | Verb::Reject | Verb::Fund => Verdict::Repeat,
            Verb::Hold | Verb::Invoice | Verb::Capture | Verb::Secure => Verdict::AlreadyRefunded,
            Verb::Cancel | Verb::Lose => Verdict::WrongState,
        },
        Some(State::Canceled) => match verb {
            Verb::Hold | Verb::Invoice | Verb::Refund | Verb::Accept | Verb::Reject | Verb::Cancel => {
                Verdict::Repeat
            }
            Verb::Capture | Verb::Secure => Verdict::AlreadyRefunded,
            Verb::Fund | Verb::Lose => Verdict::WrongState,
        },
        Some(State::FundingLost) => match verb {
            Verb::Hold | Verb::Invoice | Verb::Capture | Verb::Secure => Verdict::FundingLost,
            // What there was to give back has gone back.
            Verb::Refund | Verb::Accept | Verb::Reject | Verb::Cancel | Verb::Lose => Verdict::Repeat,
            Verb::Fund => Verdict::WrongState,
        },
    }
}

/// The part about hold invoices that are not at their end.
fn of_open_invoice(state: State, verb: Verb) -> Verdict {
    match (state, verb) {
        (_, Verb::Hold | Verb::Invoice) => Verdict::Repeat,
        (State::Awaiting, Verb::Accept) => Verdict::Apply(State::Accepted),
        (State::Awaiting, Verb::Reject) => Verdict::Apply(State::Canceling),
        // Seen late.
        (_, Verb::Accept | Verb::Reject) => Verdict::Repeat,
        (State::Accepted, Verb::Capture | Verb::Secure) => Verdict::Apply(State::Settling),
        (State::Settling, Verb::Capture | Verb::Secure) => Verdict::Repeat,
        (State::Canceling, Verb::Capture | Verb::Secure) => Verdict::AlreadyRefunded,
        (_, Verb::Capture | Verb::Secure) => Verdict::WrongState,
        (State::Settling, Verb::Refund) => Verdict::WrongState,
        (State::Canceling, Verb::Refund) => Verdict::Repeat,
        (_, Verb::Refund) => Verdict::Apply(State::Canceling),
        (State::Settling, Verb::Cancel | Verb::Lose) => Verdict::Apply(State::FundingLost),
        (_, Verb::Cancel) => Verdict::Apply(State::Canceled),
        (State::Settling, Verb::Fund) => Verdict::Apply(State::Held),
        // The node can settle only what we have told it to.
        (_, Verb::Fund | Verb::Lose) => Verdict::WrongState,
    }
}

// === impl State ===

impl State {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::Held,
        Self::Released,
        Self::Refunded,
        Self::Void,
        Self::Awaiting,
        Self::Accepted,
        Self::Settling,
        Self::Canceling,
        Self::Canceled,
        Self::FundingLost,
    ];

    /// The name in the database and in messages.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Released => "released",
            Self::Refunded => "refunded",
            Self::Void => "void",
            Self::Awaiting => "awaiting",
            Self::Accepted => "accepted",
            Self::Settling => "settling",
            Self::Canceling => "canceling",
            Self::Canceled => "canceled",
            Self::FundingLost => "funding_lost",
        }
    }

    /// Whether nothing follows it.
    pub(crate) const fn is_end(self) -> bool {
        match self {
            Self::Released | Self::Refunded | Self::Void | Self::Canceled | Self::FundingLost => true,
            Self::Held | Self::Awaiting | Self::Accepted | Self::Settling | Self::Canceling => false,
        }
    }

    /// The state of a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

// === impl Escrow ===

impl Escrow {
    /// What the terms must say of how it is funded.
    pub(crate) fn rail(&self) -> Rail {
        if self.hold_invoice.is_some() { Rail::HoldInvoice } else { Rail::Balance }
    }

    /// Whether it shows the effect of an observation.
    pub(crate) fn shows(&self, seen: &Observation) -> bool {
        let Some(invoice) = &self.hold_invoice else { return false };
        match seen {
            Observation::Made { .. } => invoice.bolt11.is_some(),
            Observation::Accepted { .. } => invoice.memo.is_some(),
            Observation::Guard => invoice.guard_time.is_some(),
            Observation::Final { .. } => self.hold_transfer.is_some(),
            Observation::Canceled => matches!(self.state, State::Canceled | State::FundingLost),
            Observation::GivenUp => self.state != State::Awaiting || invoice.bolt11.is_some(),
            Observation::Lost => self.state == State::FundingLost,
        }
    }
}

/// The name of a rail in the database.
pub(crate) const fn rail_name(rail: Rail) -> &'static str {
    match rail {
        Rail::Balance => "balance",
        Rail::HoldInvoice => "hold_invoice",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERBS: [Verb; 10] = [
        Verb::Hold,
        Verb::Invoice,
        Verb::Capture,
        Verb::Secure,
        Verb::Refund,
        Verb::Accept,
        Verb::Reject,
        Verb::Fund,
        Verb::Cancel,
        Verb::Lose,
    ];

    /// The lines of a diagram in the README, between its fence and the next one.
    pub(crate) fn diagram(name: &str) -> Vec<String> {
        let readme = include_str!("../../README.md");
        let from = readme.split(&format!("<!-- {name} -->")).nth(1).unwrap();
        let mut lines: Vec<String> = from
            .split("```")
            .nth(1)
            .unwrap()
            .lines()
            .filter(|line| line.contains("-->"))
            .map(|line| line.trim().to_owned())
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn the_diagram_in_the_readme_has_every_legal_edge_and_no_other() {
        let mut edges = Vec::new();
        for state in [None].into_iter().chain(State::ALL.map(Some)) {
            for verb in VERBS {
                if let Verdict::Apply(to) = verdict(state, verb) {
                    let from = state.map_or("[*]", State::as_str);
                    edges.push(format!("{from} --> {}: {}", to.as_str(), format!("{verb:?}").to_lowercase()));
                }
            }
        }
        edges.sort();
        assert_eq!(edges, diagram("escrow"));
    }

    #[test]
    fn an_end_is_final_and_its_own_verb_repeats() {
        for state in State::ALL {
            let applies = VERBS.iter().any(|verb| matches!(verdict(Some(state), *verb), Verdict::Apply(_)));
            assert_eq!(applies, !state.is_end(), "{state:?}");
        }
        assert_eq!(verdict(Some(State::Released), Verb::Capture), Verdict::Repeat);
        assert_eq!(verdict(Some(State::Refunded), Verb::Refund), Verdict::Repeat);
        assert_eq!(verdict(Some(State::Canceled), Verb::Refund), Verdict::Repeat);
        assert_eq!(verdict(Some(State::Void), Verb::Hold), Verdict::AlreadyRefunded);
        assert_eq!(verdict(Some(State::FundingLost), Verb::Capture), Verdict::FundingLost);
    }

    /// A state that was left is never come back to, whatever happens in whatever order.
    #[test]
    fn state_went_backwards_is_impossible_by_any_verb() {
        for start in State::ALL {
            let mut reached = vec![start];
            let mut at = 0;
            while let Some(state) = reached.get(at).copied() {
                for verb in VERBS {
                    if let Verdict::Apply(to) = verdict(Some(state), verb) {
                        assert_ne!(to, start, "{state:?} {verb:?}");
                        if !reached.contains(&to) {
                            reached.push(to);
                        }
                    }
                }
                at += 1;
            }
        }
    }

    #[test]
    fn no_refund_is_possible_between_the_intent_to_settle_and_its_end() {
        assert_eq!(verdict(Some(State::Settling), Verb::Refund), Verdict::WrongState);
        for verb in VERBS {
            let after = verdict(Some(State::Settling), verb);
            let fine = match after {
                Verdict::Apply(to) => matches!(to, State::Held | State::FundingLost),
                Verdict::Repeat | Verdict::WrongState => true,
                Verdict::AlreadyReleased
                | Verdict::AlreadyRefunded
                | Verdict::FundingLost
                | Verdict::NotFound => false,
            };
            assert!(fine, "{verb:?} {after:?}");
        }
    }

    #[test]
    fn only_what_is_held_for_good_is_ever_released() {
        for state in [None].into_iter().chain(State::ALL.map(Some)) {
            for verb in VERBS {
                let released = verdict(state, verb) == Verdict::Apply(State::Released);
                assert_eq!(
                    released,
                    (state, verb) == (Some(State::Held), Verb::Capture),
                    "{state:?} {verb:?}"
                );
            }
        }
    }
}
