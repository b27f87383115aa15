//! Terms are held against what the server says of the task before anything is signed.

use poa_common::TaskId;
use poa_proto::auth::v1::Agent;
use poa_proto::task::v1::OpenTask;
use proof_of_agent::{Statement, TermsOffered, TrustRoot};

use crate::error::Error;
use crate::key::{AcceptanceTerms, SigningError, expect};

/// What an agent that signs these terms agrees to.
pub(super) struct CheckedTerms {
    task: TaskId,
    pub(super) terms: TermsOffered,
}

/// Reads the terms and holds them against the task as it was shown and against the trust root.
pub(super) fn check(open: &OpenTask, trust_root: &TrustRoot) -> Result<CheckedTerms, Error> {
    let offer = Statement::parse(&open.terms).map_err(SigningError::from)?;
    let context = offer.context();
    let Some(terms) = offer.body().as_terms_offered() else {
        return Err(Error::Contract("the terms of an open task are a statement of another kind".to_owned()));
    };
    expect("network", &trust_root.network(), &context.network)?;
    expect("logOrigin", &trust_root.origin().to_owned(), &context.origin)?;
    expect("task", &open.task_id, &context.task.to_string())?;
    expect("priceMsat", &open.price_msat, &terms.price_msat.get())?;
    expect("payeeNetMsat", &open.payee_msat, &terms.payee_net_msat.get())?;
    Ok(CheckedTerms { task: context.task, terms: terms.clone() })
}

/// What an agent accepts of an open task, once its terms are checked.
pub(super) fn acceptance(
    open: &OpenTask,
    trust_root: &TrustRoot,
    agent: &Agent,
) -> Result<(AcceptanceTerms, CheckedTerms), Error> {
    let checked = check(open, trust_root)?;
    let broken = |what: &str| Error::Contract(format!("{what} is malformed"));
    let accepted = AcceptanceTerms {
        task: checked.task,
        agent: agent.agent_id.parse().map_err(|_| broken("the agent's id"))?,
        account: agent.account_id.parse().map_err(|_| broken("the agent's account"))?,
        claim_number: u32::try_from(open.next_claim_number).map_err(|_| broken("the claim number"))?,
    };
    Ok((accepted, checked))
}

#[cfg(test)]
mod tests {
    use poa_proto::auth::v1::GetServerInfoResponse;

    use super::*;
    use crate::env::system_env;
    use crate::key::tests::offer;
    use crate::trust::pinned_trust_root;

    fn trust_root(origin: &str) -> TrustRoot {
        let key = crate::AgentKey::generate(&system_env()).public_key().to_vec();
        pinned_trust_root(&GetServerInfoResponse {
            network: "simulated".to_owned(),
            log_origin: origin.to_owned(),
            log_public_key: key.clone(),
            receipt_public_key: key,
            ..GetServerInfoResponse::default()
        })
        .unwrap()
    }

    #[test]
    fn terms_that_say_something_else_than_the_feed_are_not_signed() {
        let env = system_env();
        let task: TaskId = env.new_id();
        let open = OpenTask {
            task_id: task.to_string(),
            price_msat: 10_000,
            payee_msat: 9_500,
            terms: offer(&env, task).0.payload().to_vec(),
            next_claim_number: 1,
            ..OpenTask::default()
        };
        let root = trust_root("simulated.poa/1");
        assert!(check(&open, &root).is_ok());
        let refused = |open: OpenTask, root: &TrustRoot| match check(&open, root) {
            Err(Error::Signing(SigningError::Mismatch { field, .. })) => field,
            other => panic!("expected a mismatch: {:?}", other.is_ok()),
        };
        assert_eq!(refused(open.clone(), &trust_root("simulated.poa/2")), "logOrigin");
        assert_eq!(refused(OpenTask { payee_msat: 9_501, ..open.clone() }, &root), "payeeNetMsat");
        assert_eq!(refused(OpenTask { price_msat: 9_999, ..open.clone() }, &root), "priceMsat");
        assert_eq!(refused(OpenTask { task_id: "task_2".to_owned(), ..open }, &root), "task");
    }
}
