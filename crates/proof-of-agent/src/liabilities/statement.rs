//! The signed statement: root, total and number of the leaves.

use poa_common::{LiabilitiesId, Msat, Timestamp};
use serde::{Deserialize, Serialize};

use super::tree::MAX_LEAVES;
use crate::digest::Digest;
use crate::json;
use crate::notice::{Notice, NoticeStatement};
use crate::statement::{Role, StatementError};
use crate::tlog::{EntryKind, Slot};

/// What the platform owes at a moment. It is signed in the role `platform`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liabilities {
    /// The snapshot of the balances.
    pub snapshot: LiabilitiesId,
    /// The root of the tree.
    pub root: Digest,
    /// What all leaves are owed together: the sum of the root.
    pub liabilities: Msat,
    /// How many leaves the tree has.
    pub leaf_count: u64,
    /// When the balances were read.
    pub snapshot_time: Timestamp,
}

/// The statement of it, well-formed by itself.
pub type LiabilitiesStatement = NoticeStatement<Liabilities>;

/// The body's JSON. The root is the subject.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiabilitiesBody {
    snapshot: LiabilitiesId,
    #[serde(with = "json::msat")]
    liabilities_msat: Msat,
    leaf_count: u64,
    #[serde(with = "json::utc")]
    snapshot_time: Timestamp,
}

impl Notice for Liabilities {
    type Wire = LiabilitiesBody;

    const NAME: &'static str = "Liabilities";
    const SUBJECT: &'static str = "liabilities";
    const ROLE: Role = Role::Platform;
    const ENTRY: EntryKind = EntryKind::Liabilities;

    fn to_wire(&self) -> (Digest, LiabilitiesBody) {
        let body = LiabilitiesBody {
            snapshot: self.snapshot,
            liabilities_msat: self.liabilities,
            leaf_count: self.leaf_count,
            snapshot_time: self.snapshot_time,
        };
        (self.root, body)
    }

    fn from_wire(subject: Digest, body: LiabilitiesBody) -> Result<Self, StatementError> {
        if !(1..=MAX_LEAVES).contains(&body.leaf_count) {
            return Err(StatementError::Invalid { field: "leafCount", problem: "expected 1 to 2^40" });
        }
        Ok(Self {
            snapshot: body.snapshot,
            root: subject,
            liabilities: body.liabilities_msat,
            leaf_count: body.leaf_count,
            snapshot_time: body.snapshot_time,
        })
    }

    fn slot(&self) -> Slot {
        Slot::liabilities(&self.snapshot)
    }
}
