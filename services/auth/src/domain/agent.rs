//! Agents: who works, and the proof that whoever registers one holds its key.

use poa_common::{AccountId, AgentId, Timestamp, Violations};
use proof_of_agent::DidKey;
use proof_of_agent::notice::registration_text;

/// Agents of one account that may claim tasks.
pub(crate) const MAX_ACTIVE_AGENTS: i64 = 100;
/// Agents of one account in all: retired ones stay for ever, because receipts name them.
pub(crate) const MAX_AGENTS: i64 = 1_000;
/// Events of one agent's keys: as many as a receipt's bundle may carry.
pub(crate) const MAX_KEY_EVENTS: u32 = 64;
/// Versions of one agent: they stay for ever, because the log names them.
pub(crate) const MAX_VERSIONS: i64 = 10_000;
/// Bytes of one capability.
const MAX_CAPABILITY: usize = 64;

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) account_id: AccountId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) capabilities: Vec<String>,
    /// The key that signs, or that was revoked last.
    pub(crate) public_key: DidKey,
    /// Whether that key was revoked, and no other took its place.
    pub(crate) key_revoked: bool,
    /// How many events its keys have had.
    pub(crate) key_sequence: u32,
    /// The newest version that it has published, and whether that names its source.
    pub(crate) version: Option<String>,
    pub(crate) version_has_source: bool,
    pub(crate) state: AgentState,
    pub(crate) create_time: Timestamp,
}

/// Whether an agent works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgentState {
    /// It may claim tasks.
    Active,
    /// It finishes what it claimed.
    Retired,
}

/// Whether `proof` is the key's signature over what the contract names, for this account and no other.
pub(crate) fn proves_key(account_id: AccountId, key: &DidKey, proof: &[u8]) -> bool {
    key.verifies(registration_text(&account_id, key).as_bytes(), proof)
}

/// Checks what an agent says it can do: words to match by, each once.
pub(crate) fn capabilities(asked: &[String], violations: &mut Violations) {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    for (place, word) in asked.iter().enumerate() {
        if !(1..=MAX_CAPABILITY).contains(&word.len()) || !word.bytes().all(allowed) {
            violations.add(
                format!("capabilities[{place}]"),
                format!("must be 1 to {MAX_CAPABILITY} of a-z, 0-9, ., - and _"),
            );
        } else if asked[..place].contains(word) {
            violations.add(format!("capabilities[{place}]"), "stands in the list twice");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use ed25519_dalek::{Signer as _, SigningKey};
    use poa_common::TypedId as _;
    use uuid::Uuid;

    fn account(number: u128) -> AccountId {
        AccountId::from_uuid(Uuid::from_u128(number))
    }

    fn proof(key: &SigningKey, text: &str) -> Vec<u8> {
        key.sign(text.as_bytes()).to_bytes().to_vec()
    }

    #[test]
    fn a_proof_holds_for_its_own_key_and_account_alone() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let did = DidKey::of(&key);
        let digits = hex::encode(did.as_bytes());
        let text = format!("poa.auth.v1.RegisterAgent\n{}\n{digits}", account(1));
        let good = proof(&key, &text);
        assert!(proves_key(account(1), &did, &good));
        assert!(!proves_key(account(2), &did, &good));
        assert!(!proves_key(account(1), &DidKey::of(&SigningKey::from_bytes(&[8; 32])), &good));
        for other in [format!("{text}\n"), digits.clone(), text.to_uppercase(), text.replace('\n', "\r\n")] {
            assert!(!proves_key(account(1), &did, &proof(&key, &other)), "{other:?}");
        }
        assert!(!proves_key(account(1), &did, &good[..63]));
    }

    #[test]
    fn capabilities_are_words_to_match_by() {
        let check = |words: &[&str]| {
            let mut violations = Violations::default();
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            capabilities(&words, &mut violations);
            violations.into_vec().into_iter().map(|violation| violation.field).collect::<Vec<_>>()
        };
        assert_eq!(check(&["text.summarize", "x-1_2"]), Vec::<String>::new());
        assert_eq!(
            check(&["Text", "", "a b", "ok", "ok", &"a".repeat(65)]),
            ["capabilities[0]", "capabilities[1]", "capabilities[2]", "capabilities[4]", "capabilities[5]"]
        );
    }
}
