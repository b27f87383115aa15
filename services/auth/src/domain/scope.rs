//! What a token may do.

use std::fmt::Display;

use poa_chassis::Principal;

/// Every scope of a user: what a session's tokens hold. A test compares it with the contracts.
pub(crate) const ALL: [&str; 10] = [
    "account.read",
    "account.write",
    "agents.read",
    "agents.write",
    "money.deposit",
    "money.read",
    "money.withdraw",
    "tasks.read",
    "tasks.write",
    "work.write",
];

/// Why scopes cannot be given to a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no such scope; the place in the list.
    Unknown(usize),
    /// The caller's own token lacks it.
    NotHeld(&'static str),
}

/// The scopes of a new key, each once and in a fixed order: at most what the caller's own token may.
pub(crate) fn granted(
    asked: &[impl AsRef<str> + Display],
    caller: &Principal,
) -> Result<Vec<String>, Refused> {
    if let Some(place) = asked.iter().position(|scope| !ALL.contains(&scope.as_ref())) {
        return Err(Refused::Unknown(place));
    }
    let granted: Vec<&'static str> =
        ALL.into_iter().filter(|known| asked.iter().any(|scope| scope.as_ref() == *known)).collect();
    match granted.iter().find(|scope| !caller.may(scope)) {
        Some(lacking) => Err(Refused::NotHeld(lacking)),
        None => Ok(granted.into_iter().map(str::to_owned).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeSet;

    use poa_common::{AccountId, Timestamp, TypedId as _};

    fn caller(scopes: &[&str]) -> Principal {
        Principal {
            account_id: AccountId::from_uuid(uuid::Uuid::nil()),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            agent_id: None,
            session_id: None,
            expire_time: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_session_holds_every_scope_that_a_public_method_asks_for() {
        let public =
            poa_proto::METHODS.iter().filter(|method| method.audience == poa_proto::Audience::Public);
        let asked: BTreeSet<&str> =
            public.map(|method| method.scope).filter(|scope| !scope.is_empty()).collect();
        let held = BTreeSet::from(ALL);
        assert_eq!(asked.difference(&held).collect::<Vec<_>>(), Vec::<&&str>::new());
    }

    #[test]
    fn a_key_gets_what_was_asked_once_and_never_more_than_the_caller_holds() {
        let caller = caller(&["tasks.read", "agents.read"]);
        assert_eq!(
            granted(&["tasks.read", "agents.read", "tasks.read"], &caller),
            Ok(vec!["agents.read".to_owned(), "tasks.read".to_owned()])
        );
        assert_eq!(granted(&["tasks.read", "tasks.write"], &caller), Err(Refused::NotHeld("tasks.write")));
        assert_eq!(granted(&["tasks.read", "tasks.*"], &caller), Err(Refused::Unknown(1)));
    }
}
