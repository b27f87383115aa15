//! An escrow's state machine: which verb does what in which state.

use poa_common::{AccountId, EscrowId, Msat, TaskId, Timestamp, TransferId};
use proof_of_agent::Digest;

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
}

/// What is asked of an escrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Hold the sats.
    Hold,
    /// Pay the payee.
    Capture,
    /// Give the sats back.
    Refund,
}

/// What a verb means in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is carried out, and leads to this state.
    Apply(State),
    /// It was carried out before: the same answer again.
    Repeat,
    /// The payee was paid.
    AlreadyReleased,
    /// The payer has the sats back, or nothing was ever held.
    AlreadyRefunded,
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
    pub(crate) hold_transfer: Option<TransferId>,
    /// The capture or the refund.
    pub(crate) end_transfer: Option<TransferId>,
    pub(crate) create_time: Timestamp,
    pub(crate) end_time: Option<Timestamp>,
}

/// The whole state machine.
pub(crate) fn verdict(state: Option<State>, verb: Verb) -> Verdict {
    match (state, verb) {
        (None, Verb::Hold) => Verdict::Apply(State::Held),
        (None, Verb::Capture) => Verdict::NotFound,
        (None, Verb::Refund) => Verdict::Apply(State::Void),
        (Some(State::Held), Verb::Hold) => Verdict::Repeat,
        (Some(State::Held), Verb::Capture) => Verdict::Apply(State::Released),
        (Some(State::Held), Verb::Refund) => Verdict::Apply(State::Refunded),
        (Some(State::Released), Verb::Hold | Verb::Capture) => Verdict::Repeat,
        (Some(State::Released), Verb::Refund) => Verdict::AlreadyReleased,
        (Some(State::Refunded | State::Void), Verb::Hold | Verb::Capture) => Verdict::AlreadyRefunded,
        (Some(State::Refunded | State::Void), Verb::Refund) => Verdict::Repeat,
    }
}

// === impl State ===

impl State {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Held, Self::Released, Self::Refunded, Self::Void];

    /// The name in the database and in messages.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Released => "released",
            Self::Refunded => "refunded",
            Self::Void => "void",
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
            for verb in [Verb::Hold, Verb::Capture, Verb::Refund] {
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
        for state in [State::Released, State::Refunded, State::Void] {
            for verb in [Verb::Hold, Verb::Capture, Verb::Refund] {
                assert!(!matches!(verdict(Some(state), verb), Verdict::Apply(_)), "{state:?} {verb:?}");
            }
        }
        assert_eq!(verdict(Some(State::Released), Verb::Capture), Verdict::Repeat);
        assert_eq!(verdict(Some(State::Refunded), Verb::Refund), Verdict::Repeat);
        assert_eq!(verdict(Some(State::Void), Verb::Hold), Verdict::AlreadyRefunded);
    }
}
