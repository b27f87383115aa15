//! The mandate: what the payer agreed to when the sats were held. It bounds every later release.

use poa_common::{AccountId, AgentId, EscrowId, Msat, Network, TaskId, Violations};
use proof_of_agent::{Digest, Rail, ReleasePolicy, Statement};

use super::fee::{BasisPoints, Split};

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
pub(crate) struct House {
    pub(crate) network: Network,
    pub(crate) fee: BasisPoints,
    pub(crate) split: Split,
}

/// Reads the terms and holds them against the order and the platform's own fee. Every difference is a violation.
pub(crate) fn read(terms: &[u8], order: &Order, house: &House, wrong: &mut Violations) -> Option<Mandate> {
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
    let fee_bps = house.fee.get();
    let rules = [
        (offered.escrow == order.escrow, "names another escrow"),
        (statement.context().task == order.task, "names another task"),
        (offered.requester == order.payer, "names another payer"),
        (offered.price_msat == order.amount, "names another price"),
        (offered.rail == Rail::Balance, "is not funded from the balance"),
        (statement.context().network == house.network, "is of another network"),
        (offered.fee_bps == fee_bps, "names another fee in basis points than this platform's"),
        (offered.fee_msat == house.split.fee, "names another fee than this platform's"),
        (offered.payee_net_msat == house.split.payee, "names another payee's part than this platform's"),
    ];
    let mut sound = true;
    for (_, problem) in rules.into_iter().filter(|(holds, _)| !holds) {
        wrong.add("terms", problem);
        sound = false;
    }
    sound.then(|| Mandate {
        terms: terms.to_vec(),
        digest: statement.digest(),
        policy: offered.policy,
        direct_agent: offered.direct_agent,
    })
}

/// The name of a policy in the database.
pub(crate) fn policy_name(policy: ReleasePolicy) -> &'static str {
    match policy {
        ReleasePolicy::OnAttestation => "on_attestation",
        ReleasePolicy::OnAcceptance => "on_acceptance",
    }
}
