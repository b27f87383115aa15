//! Whether an agent may make a statement.

use poa_common::{AccountId, AgentId, Timestamp};
use proof_of_agent::{DidKey, Kind};

use super::{AgentSigner, Refusal};

/// An agent, as followed from auth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    /// The agent.
    pub(crate) agent_id: AgentId,
    /// The account that owns it and is paid.
    pub(crate) account_id: AccountId,
    /// Its active key.
    pub(crate) key: DidKey,
    /// It finishes what it claimed, and claims nothing new.
    pub(crate) retired: bool,
    /// When this became so.
    pub(crate) changed_at: Timestamp,
}

/// Whether the agent that a statement names may make it: it is ours to know, of the account that the call came
/// from, signs with its active key, and is not retired where it would take on new work.
pub(crate) fn admit(signer: &AgentSigner, kind: Kind, agent: Option<&Agent>) -> Result<(), Refusal> {
    let agent_id = signer.agent_id;
    let agent = agent.ok_or(Refusal::AgentUnknown { agent: agent_id })?;
    if agent.account_id != signer.account_id {
        return Err(Refusal::AgentNotActive { agent: agent_id, problem: "of another account" });
    }
    if agent.key != signer.key {
        return Err(Refusal::Signature { problem: "key" });
    }
    if agent.retired && kind == Kind::TermsAccepted {
        return Err(Refusal::AgentNotActive { agent: agent_id, problem: "retired" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use poa_common::TypedId as _;
    use proof_of_agent::Digest;
    use uuid::Uuid;

    use super::*;

    fn key(byte: u8) -> DidKey {
        DidKey::of(&ed25519_dalek::SigningKey::from_bytes(Digest::of(&[byte]).as_bytes()))
    }

    fn agent() -> Agent {
        Agent {
            agent_id: AgentId::from_uuid(Uuid::from_u128(1)),
            account_id: AccountId::from_uuid(Uuid::from_u128(2)),
            key: key(1),
            retired: false,
            changed_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn signer() -> AgentSigner {
        let agent = agent();
        AgentSigner { agent_id: agent.agent_id, account_id: agent.account_id, key: agent.key }
    }

    #[test]
    fn a_retired_agent_finishes_and_claims_nothing_new() {
        let retired = Agent { retired: true, ..agent() };
        assert!(admit(&signer(), Kind::WorkSubmitted, Some(&retired)).is_ok());
        let refused = admit(&signer(), Kind::TermsAccepted, Some(&retired));
        assert!(matches!(refused, Err(Refusal::AgentNotActive { .. })));
    }

    #[test]
    fn an_agent_signs_with_its_active_key_and_for_its_own_account() {
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
