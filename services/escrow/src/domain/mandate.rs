//! The mandate: what the payer agreed to when the sats were held. It bounds every later release.

use poa_common::hold::{LockTooLong, cltv_blocks};
use poa_common::{AccountId, AgentId, EscrowId, Msat, Network, TaskId, Timestamp, Violations};
use proof_of_agent::{Digest, Rail, ReleasePolicy, Statement, TermsOffered};

use super::fee::{BasisPoints, Split, split};
use super::fee_schedule::Fees;

/// What is stored of the terms, for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mandate {
    /// The exact payload of the TermsOffered statement.
    pub(crate) terms: Vec<u8>,
    /// Its digest: the chain that releases must be about these very bytes.
    pub(crate) digest: Digest,
    /// When the sats are released.
    pub(crate) policy: ReleasePolicy,
    /// The one agent that may take the task, if it is not open to all.
    pub(crate) direct_agent: Option<AgentId>,
    /// What funds it. Stands in the terms, and is not stored beside them.
    pub(crate) funding: Funding,
}

/// What funds a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Funding {
    /// The payer's balance.
    Balance,
    /// A hold invoice that locks the payer's sats for so many blocks.
    HoldInvoice(Result<u16, LockTooLong>),
}

/// What a hold says beside the terms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) escrow: EscrowId,
    pub(crate) task: TaskId,
    pub(crate) payer: AccountId,
    pub(crate) amount: Msat,
}

/// What this platform says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct House<'a> {
    pub(crate) network: Network,
    /// The payer's.
    pub(crate) fees: &'a Fees,
    pub(crate) now: Timestamp,
}

/// Terms that this platform keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) mandate: Mandate,
    /// The fee that the terms name. It was in force when they were offered.
    pub(crate) fee: BasisPoints,
    pub(crate) split: Split,
}

/// Reads the terms and holds them against the order and the platform's own fee. Every difference is a violation.
pub(crate) fn read(terms: &[u8], order: &Order, house: &House<'_>, wrong: &mut Violations) -> Option<Agreed> {
    let statement = match Statement::parse(terms) {
        Ok(statement) => statement,
        Err(error) => {
            wrong.add("terms", error.to_string());
            return None;
        }
    };
    let Some(offered) = statement.body().as_terms_offered() else {
        wrong.add("terms", "is not a TermsOffered statement");
        return None;
    };
    let fee = BasisPoints::try_from(offered.fee_bps).ok();
    let fee = fee.filter(|fee| house.fees.allows(*fee, offered.offered_time, house.now));
    let parts = fee.and_then(|fee| split(order.amount, fee).ok());
    let rules = [
        (offered.escrow == order.escrow, "names another escrow"),
        (statement.context().task == order.task, "names another task"),
        (offered.requester == order.payer, "names another payer"),
        (offered.price_msat == order.amount, "names another price"),
        (statement.context().network == house.network, "is of another network"),
        (fee.is_some(), "names another fee in basis points than this platform's"),
        (parts.is_some_and(|parts| offered.fee_msat == parts.fee), "names another fee than this platform's"),
        (
            parts.is_some_and(|parts| offered.payee_net_msat == parts.payee),
            "names another payee's part than this platform's",
        ),
    ];
    let mut sound = true;
    for (_, problem) in rules.into_iter().filter(|(holds, _)| !holds) {
        wrong.add("terms", problem);
        sound = false;
    }
    let (fee, split) = fee.zip(parts)?;
    sound.then(|| Agreed {
        mandate: Mandate {
            terms: terms.to_vec(),
            digest: statement.digest(),
            policy: offered.policy,
            direct_agent: offered.direct_agent,
            funding: funding(offered),
        },
        fee,
        split,
    })
}

fn funding(offered: &TermsOffered) -> Funding {
    let TermsOffered { expires_in_seconds, work_seconds, review_seconds, .. } = offered;
    match offered.rail {
        Rail::Balance => Funding::Balance,
        Rail::HoldInvoice => {
            Funding::HoldInvoice(cltv_blocks(*expires_in_seconds, *work_seconds, *review_seconds))
        }
    }
}

/// The name of a policy in the database.
pub(crate) fn policy_name(policy: ReleasePolicy) -> &'static str {
    match policy {
        ReleasePolicy::OnAttestation => "on_attestation",
        ReleasePolicy::OnAcceptance => "on_acceptance",
    }
}
