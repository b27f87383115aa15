//! Accounts of the ledger: those of users, and the three of the platform.

use poa_common::{AccountId, Msat, MsatError, TypedId};
use uuid::Uuid;

use super::postings::Posting;

/// The world outside: its balance is what came in over Lightning and has not left, with a minus.
const LIGHTNING: Uuid = Uuid::from_u128(1);
/// What the platform has earned.
const FEES: Uuid = Uuid::from_u128(2);
/// What is between two legs of a release: empty after every commit.
const CLEARING: Uuid = Uuid::from_u128(3);

/// Whose account it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A user's. Never below zero.
    User(AccountId),
    /// The edge to the Lightning network.
    Lightning,
    /// The platform's fees.
    Fees,
    /// Between payer and payee.
    Clearing,
}

/// An account's balance: a cache of its postings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// What can be spent.
    pub(crate) available: Msat,
    /// What is set aside for escrows and withdrawals.
    pub(crate) held: Msat,
    /// How many postings there are: the last one's sequence.
    pub(crate) entries: i64,
}

// === impl Owner ===

impl Owner {
    /// The key under which the account is stored.
    pub(crate) fn uuid(self) -> Uuid {
        match self {
            Self::User(account) => account.uuid(),
            Self::Lightning => LIGHTNING,
            Self::Fees => FEES,
            Self::Clearing => CLEARING,
        }
    }

    /// Whether a key is one of the platform's, which no user can have.
    pub(crate) fn is_system(uuid: Uuid) -> bool {
        [LIGHTNING, FEES, CLEARING].contains(&uuid)
    }
}

// === impl Account ===

impl Account {
    /// The account after a posting. Whether it may be that low is for the book to say.
    pub(crate) fn after(self, posting: &Posting) -> Result<Self, MsatError> {
        Ok(Self {
            available: self.available.checked_add(posting.available)?,
            held: self.held.checked_add(posting.held)?,
            entries: self.entries.checked_add(1).ok_or(MsatError::Overflow)?,
        })
    }

    /// Whether a user's account may look like this.
    pub(crate) fn is_sound(self) -> bool {
        !self.available.is_negative() && !self.held.is_negative()
    }
}
