//! Sessions: what a presented refresh token buys.
//!
//! Each token has one successor. The answer to a refresh may get lost, so for a few seconds the same token buys the
//! same successor again; after that, a spent token in somebody's hand means that it was copied, and the whole family
//! ends: thief and owner both have to sign in again, and only one of them can.

use std::time::Duration;

use poa_common::{AccountId, SessionId, Timestamp};

/// How long a session lasts in all, however often it is refreshed.
const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How long a spent token still buys the same successor.
pub(crate) const RETRY_WINDOW: Duration = Duration::from_secs(10);
/// Live sessions of one account; a new one ends the oldest beyond.
pub(crate) const MAX_SESSIONS: i64 = 100;

/// One sign-in: a family of refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) account_id: AccountId,
    /// The newest refresh token.
    pub(crate) generation: i32,
    pub(crate) create_time: Timestamp,
    pub(crate) expire_time: Timestamp,
    pub(crate) revoke_time: Option<Timestamp>,
}

/// What the service knows of a presented token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presented {
    /// The newest one, never used.
    Newest,
    /// Used at this time, by a row that is still kept.
    Spent(Timestamp),
    /// Used so long ago that its row is gone; its derivation proves that it was one of ours.
    LongSpent,
    /// Never one of this session's.
    Foreign,
}

/// What it buys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// A successor, issued now.
    Successor,
    /// The successor that was issued at this time.
    SameSuccessor(Timestamp),
    /// Nothing, and the family ends.
    Revoke,
    /// Nothing.
    Refuse,
}

/// What a presented token buys.
pub(crate) fn decide(session: &Session, presented: Presented, now: Timestamp) -> Refresh {
    if session.has_ended(now) {
        return Refresh::Refuse;
    }
    match presented {
        Presented::Newest => Refresh::Successor,
        Presented::Spent(at) if now < at + RETRY_WINDOW => Refresh::SameSuccessor(at),
        Presented::Spent(_) | Presented::LongSpent => Refresh::Revoke,
        Presented::Foreign => Refresh::Refuse,
    }
}

// === impl Session ===

impl Session {
    /// A session that begins now.
    pub(crate) fn begin(id: SessionId, account_id: AccountId, now: Timestamp) -> Self {
        Self {
            id,
            account_id,
            generation: 0,
            create_time: now,
            expire_time: now + SESSION_LIFETIME,
            revoke_time: None,
        }
    }

    /// Whether it was revoked or has run out.
    pub(crate) fn has_ended(&self, now: Timestamp) -> bool {
        self.revoke_time.is_some() || now >= self.expire_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use poa_common::TypedId as _;
    use time::macros::datetime;
    use uuid::Uuid;

    const NOW: Timestamp = datetime!(2026-03-01 12:00 UTC);

    fn session() -> Session {
        let id = SessionId::from_uuid(Uuid::from_u128(1));
        Session::begin(id, AccountId::from_uuid(Uuid::from_u128(2)), NOW)
    }

    #[test]
    fn a_live_session_answers_each_kind_of_token_in_its_own_way() {
        let second = Duration::from_secs(1);
        for (presented, bought) in [
            (Presented::Newest, Refresh::Successor),
            (Presented::Spent(NOW), Refresh::SameSuccessor(NOW)),
            (Presented::Spent(NOW - 9 * second), Refresh::SameSuccessor(NOW - 9 * second)),
            // Two requests at once: the clock of the second was read before the first had committed.
            (Presented::Spent(NOW + second), Refresh::SameSuccessor(NOW + second)),
            (Presented::Spent(NOW - RETRY_WINDOW), Refresh::Revoke),
            (Presented::LongSpent, Refresh::Revoke),
            (Presented::Foreign, Refresh::Refuse),
        ] {
            assert_eq!(decide(&session(), presented, NOW), bought, "{presented:?}");
        }
    }

    #[test]
    fn an_ended_session_buys_nothing_whatever_is_presented() {
        let revoked = Session { revoke_time: Some(NOW), ..session() };
        for presented in [Presented::Newest, Presented::Spent(NOW), Presented::LongSpent, Presented::Foreign]
        {
            assert_eq!(decide(&revoked, presented, NOW), Refresh::Refuse, "{presented:?}");
            let end = session().expire_time;
            assert_eq!(decide(&session(), presented, end), Refresh::Refuse, "{presented:?}");
        }
    }
}
