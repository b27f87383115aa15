//! Whether an agent may make a statement.

use poa_common::{AccountId, AgentId};
use proof_of_agent::notice::{KeyEventKind, KeyReason};
use proof_of_agent::{AgentKeyState, DidKey, Digest, KeyEvent, Kind};

use super::{AgentSigner, Refusal};

/// An agent, as followed from auth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    /// The agent.
    pub(crate) agent_id: AgentId,
    /// The account that owns it and is paid.
    pub(crate) account_id: AccountId,
    /// It finishes what it claimed, and claims nothing new.
    pub(crate) retired: bool,
    /// How many events its keys have had.
    pub(crate) key_sequence: u32,
    /// All keys that it has or had.
    pub(crate) keys: Vec<AgentKey>,
}

/// One key of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AgentKey {
    /// The key.
    pub(crate) key: DidKey,
    /// The digest of the event that made it the agent's.
    pub(crate) event: Digest,
    /// What became of it.
    pub(crate) state: AgentKeyState,
}

/// Whether the agent that a statement names may make it: it is ours to know, of the account that the call came
/// from, signs with a key of its own, and is not retired where it would take on new work. A key that was replaced in good order
/// may still deliver what it has claimed; one that was compromised may nothing. Answers with the key.
pub(crate) fn admit(signer: &AgentSigner, kind: Kind, agent: Option<&Agent>) -> Result<AgentKey, Refusal> {
    let agent_id = signer.agent_id;
    let agent = agent.ok_or(Refusal::AgentUnknown { agent: agent_id })?;
    if agent.account_id != signer.account_id {
        return Err(Refusal::AgentNotActive { agent: agent_id, problem: "of another account" });
    }
    let key = agent.keys.iter().find(|key| key.key == signer.key);
    let key = key.ok_or(Refusal::Signature { problem: "key" })?;
    let claims = kind == Kind::TermsAccepted;
    let problem = match key.state {
        AgentKeyState::Compromised => Some("a key that was reported as compromised"),
        AgentKeyState::Superseded if claims => Some("a key that was replaced or revoked"),
        AgentKeyState::Active | AgentKeyState::Superseded => (agent.retired && claims).then_some("retired"),
    };
    match problem {
        Some(problem) => Err(Refusal::AgentNotActive { agent: agent_id, problem }),
        None => Ok(*key),
    }
}

// === impl Agent ===

impl Agent {
    /// The agent after an event of its keys, which comes next. `event` is the digest of the logged statement.
    pub(crate) fn after(mut self, change: &KeyEvent, event: Digest) -> Self {
        if let Some((ended, reason)) = change.ended() {
            for key in self.keys.iter_mut().filter(|key| key.key == ended) {
                key.state = match reason {
                    KeyReason::Superseded => AgentKeyState::Superseded,
                    KeyReason::Compromised => AgentKeyState::Compromised,
                };
            }
        }
        if change.kind != KeyEventKind::Revoked {
            self.keys.push(AgentKey { key: change.key, event, state: AgentKeyState::Active });
        }
        self.key_sequence = change.sequence;
        self
    }
}

#[cfg(test)]
mod tests {
    use poa_common::TypedId as _;
    use uuid::Uuid;

    use super::*;

    fn key(byte: u8) -> DidKey {
        DidKey::of(&ed25519_dalek::SigningKey::from_bytes(Digest::of(&[byte]).as_bytes()))
    }

    fn agent() -> Agent {
        Agent {
            agent_id: AgentId::from_uuid(Uuid::from_u128(1)),
            account_id: AccountId::from_uuid(Uuid::from_u128(2)),
            retired: false,
            key_sequence: 1,
            keys: vec![AgentKey { key: key(1), event: Digest::of(b"event"), state: AgentKeyState::Active }],
        }
    }

    fn signer() -> AgentSigner {
        let agent = agent();
        AgentSigner { agent_id: agent.agent_id, account_id: agent.account_id, key: agent.keys[0].key }
    }

    #[test]
    fn a_retired_agent_finishes_and_claims_nothing_new() {
        let retired = Agent { retired: true, ..agent() };
        assert!(admit(&signer(), Kind::WorkSubmitted, Some(&retired)).is_ok());
        let refused = admit(&signer(), Kind::TermsAccepted, Some(&retired));
        assert!(matches!(refused, Err(Refusal::AgentNotActive { .. })));
    }

    #[test]
    fn a_key_that_was_replaced_delivers_what_it_claimed_and_a_compromised_one_nothing() {
        let in_state = |state| {
            let mut agent = agent();
            agent.keys[0].state = state;
            agent
        };
        let superseded = in_state(AgentKeyState::Superseded);
        assert!(admit(&signer(), Kind::WorkSubmitted, Some(&superseded)).is_ok());
        let refused = admit(&signer(), Kind::TermsAccepted, Some(&superseded));
        assert!(matches!(refused, Err(Refusal::AgentNotActive { .. })));
        let compromised = in_state(AgentKeyState::Compromised);
        for kind in [Kind::WorkSubmitted, Kind::TermsAccepted] {
            let refused = admit(&signer(), kind, Some(&compromised));
            assert!(matches!(refused, Err(Refusal::AgentNotActive { .. })));
        }
    }

    #[test]
    fn an_agent_signs_with_a_key_of_its_own_and_for_its_own_account() {
        assert!(admit(&signer(), Kind::TermsAccepted, Some(&agent())).is_ok());
        let stolen = AgentSigner { key: key(2), ..signer() };
        let refused = admit(&stolen, Kind::TermsAccepted, Some(&agent()));
        assert!(matches!(refused, Err(Refusal::Signature { problem: "key" })));
        let stranger = AgentSigner { account_id: AccountId::from_uuid(Uuid::from_u128(9)), ..signer() };
        let refused = admit(&stranger, Kind::WorkSubmitted, Some(&agent()));
        assert!(matches!(refused, Err(Refusal::AgentNotActive { .. })));
        let refused = admit(&signer(), Kind::WorkSubmitted, None);
        assert!(matches!(refused, Err(Refusal::AgentUnknown { .. })));
    }
}
