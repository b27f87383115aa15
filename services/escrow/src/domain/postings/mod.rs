//! The movements of the ledger, a file for each kind: which accounts it touches, with which sign.
//!
//! A movement is a set of postings over `available` and `held` that sums to zero. A sum of a user's postings is the
//! user's balance, and the sum over `lightning`, with a minus, is what the platform owes or has earned.

pub(crate) mod capture;
pub(crate) mod deposit;
pub(crate) mod fee;
pub(crate) mod fund;
pub(crate) mod hold;
pub(crate) mod refund;
pub(crate) mod transfer;
pub(crate) mod withdraw;
pub(crate) mod withdraw_reserve;
pub(crate) mod withdraw_return;

use poa_common::{Msat, MsatError, Timestamp, TransferId};
use uuid::Uuid;

use super::account::Owner;

/// What a movement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// See [`deposit`].
    Deposit,
    /// See [`hold`].
    Hold,
    /// See [`fund`].
    Fund,
    /// See [`capture`].
    Capture,
    /// See [`fee`].
    Fee,
    /// See [`refund`].
    Refund,
    /// See [`withdraw_reserve`].
    WithdrawReserve,
    /// See [`withdraw`].
    Withdraw,
    /// See [`withdraw_return`].
    WithdrawReturn,
    /// See [`transfer`].
    Transfer,
}

/// One account's part in a movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Posting {
    /// Whose account.
    pub(crate) owner: Owner,
    /// The change of what is available.
    pub(crate) available: Msat,
    /// The change of what is held.
    pub(crate) held: Msat,
}

/// A movement as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    /// Its id.
    pub(crate) id: TransferId,
    /// What it is for.
    pub(crate) kind: Kind,
    /// The deposit, escrow or withdrawal.
    pub(crate) subject: Uuid,
    /// When.
    pub(crate) time: Timestamp,
    /// Which accounts it moves, in the order in which it is written.
    pub(crate) postings: Vec<Posting>,
}

/// A posting that changes what is available.
fn available(owner: Owner, change: Msat) -> Posting {
    Posting { owner, available: change, held: Msat::ZERO }
}

/// A posting that changes what is held.
fn held(owner: Owner, change: Msat) -> Posting {
    Posting { owner, available: Msat::ZERO, held: change }
}

// === impl Kind ===

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::Deposit,
        Self::Hold,
        Self::Fund,
        Self::Capture,
        Self::Fee,
        Self::Refund,
        Self::WithdrawReserve,
        Self::Withdraw,
        Self::WithdrawReturn,
        Self::Transfer,
    ];

    /// The name in the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Hold => "hold",
            Self::Fund => "fund",
            Self::Capture => "capture",
            Self::Fee => "fee",
            Self::Refund => "refund",
            Self::WithdrawReserve => "withdraw_reserve",
            Self::Withdraw => "withdraw",
            Self::WithdrawReturn => "withdraw_return",
            Self::Transfer => "transfer",
        }
    }

    /// The kind of a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

// === impl Transfer ===

impl Transfer {
    /// The sum of all postings: zero, or the movement is wrong.
    pub(crate) fn sum(&self) -> Result<Msat, MsatError> {
        Msat::checked_sum(self.postings.iter().flat_map(|posting| [posting.available, posting.held]))
    }
}

#[cfg(test)]
pub(crate) mod table {
    //! Movements as rows that a reviewer checks by eye: account, available, held.

    use super::*;
    use poa_common::{AccountId, TypedId};

    pub(crate) fn alice() -> AccountId {
        AccountId::from_uuid(Uuid::from_u128(10))
    }

    pub(crate) fn bob() -> AccountId {
        AccountId::from_uuid(Uuid::from_u128(11))
    }

    pub(crate) fn check(postings: &[Posting], rows: &[(Owner, i64, i64)]) {
        let expected: Vec<Posting> = rows
            .iter()
            .map(|(owner, available, held)| Posting {
                owner: *owner,
                available: Msat::new(*available),
                held: Msat::new(*held),
            })
            .collect();
        assert_eq!(postings, expected);
        let sum: i64 = rows.iter().map(|(_, available, held)| available + held).sum();
        assert_eq!(sum, 0);
    }
}
