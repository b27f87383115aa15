//! Which release policy a task gets.

use proof_of_agent::{Criterion, ReleasePolicy};

/// The policy that was asked for, or the default. `None` where ON_ATTESTATION is asked for without anything that could
/// stand in for the requester's judgement.
pub(crate) fn choose_policy(
    asked: Option<ReleasePolicy>,
    criteria: &[Criterion],
    direct: bool,
) -> Option<ReleasePolicy> {
    let checkable = direct || criteria.iter().any(Criterion::is_machine_checkable);
    match (asked, checkable) {
        (Some(ReleasePolicy::OnAcceptance), _) | (None, false) => Some(ReleasePolicy::OnAcceptance),
        (Some(ReleasePolicy::OnAttestation) | None, true) => Some(ReleasePolicy::OnAttestation),
        (Some(ReleasePolicy::OnAttestation), false) => None,
    }
}
