//! Terms are held against what the server says of the task before anything is signed.

use poa_common::TaskId;
use poa_proto::task::v1::OpenTask;
use proof_of_agent::{Statement, TermsOffered, TrustRoot};

use crate::error::Error;
use crate::key::{SigningError, expect};

/// What an agent that signs these terms agrees to.
pub(super) struct CheckedTerms {
    pub(super) task: TaskId,
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
