//! GetReceiptBundle: a receipt that verifies offline.

use std::sync::Arc;

use poa_common::{AccountId, Network, TaskId};
use poa_proto::attestation::v1::{GetReceiptBundleRequest, GetReceiptBundleResponse};
use poa_testkit::eventually;
use proof_of_agent::{
    Bundle, DecisionKind, Outcome, Policy, ReleasePolicy, SettlementKind, VerifyError, verify,
};
use tonic::Status;

use crate::fixture::{Cast, Play, opened, refusal};
use crate::server::{Deployment, Replica, SOON};

const PAID: Policy = Policy {
    require_paid: true,
    network: Some(Network::Simulated),
    min_log_size: 0,
    reproduced_build: None,
    min_level: None,
};

#[tokio::test]
async fn a_paid_tasks_receipt_verifies_against_the_trust_root() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    // Others' statements stand between this task's.
    let others = Play::new(&deployment, replica.pipe(), &cast);
    let play = Play::new(&deployment, replica.pipe(), &cast);
    let (statements, _) = tokio::join!(play.paid(), others.paid());

    let bundle = logged(&deployment, &replica, play.task, cast.requester).await;
    assert_eq!(bundle.entries.len(), 6);
    let verified = verify(&bundle, &deployment.trust_root, &PAID, deployment.env.now()).unwrap();
    assert_eq!(verified.terms, statements[0].digest());
    assert_eq!(verified.agent, Some(cast.agent_id));
    assert_eq!(verified.account, Some(cast.payee));
    assert!(matches!(verified.outcome, Outcome::Paid { .. }));
    // The payee sees the same.
    let theirs = logged(&deployment, &replica, play.task, cast.payee).await;
    assert_eq!(theirs.entries, bundle.entries);
    replica.stop().await;
}

#[tokio::test]
async fn a_receipt_leaves_out_claims_that_lapsed_and_keeps_rejections() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    let play = Play::new(&deployment, replica.pipe(), &cast);
    let offer = play.offer_under(ReleasePolicy::OnAcceptance);
    play.platform(&offer).await.unwrap();
    play.agent(&play.accept(&offer, 1)).await.unwrap();
    let acceptance = play.accept(&offer, 3);
    play.agent(&acceptance).await.unwrap();
    let submission = play.submit(&acceptance, &acceptance);
    let received = opened(&play.agent(&submission).await.unwrap().countersignature.unwrap());
    let rejection = play.decide(&received, DecisionKind::Rejected);
    play.platform(&rejection).await.unwrap();
    let resubmission = play.submit(&rejection, &acceptance);
    let received = opened(&play.agent(&resubmission).await.unwrap().countersignature.unwrap());
    let decision = play.decide(&received, DecisionKind::Accepted);
    play.platform(&decision).await.unwrap();
    play.platform(&play.settle(&decision, SettlementKind::Released)).await.unwrap();

    let bundle = logged(&deployment, &replica, play.task, cast.payee).await;
    assert_eq!(bundle.entries.len(), 9);
    verify(&bundle, &deployment.trust_root, &PAID, deployment.env.now()).unwrap();
    replica.stop().await;
}

#[tokio::test]
async fn what_is_not_published_yet_comes_without_a_proof_and_is_not_believed() {
    let deployment = Arc::new(Deployment::new().await);
    let mut config = deployment.config();
    // The empty log has just got its checkpoint: the next may come in ten seconds.
    config.log.checkpoint_interval_ms = 10_000;
    let replica = deployment.replica_with(config).await;
    let cast = Cast::new(&deployment);
    let play = Play::new(&deployment, replica.pipe(), &cast);
    play.platform(&play.offer()).await.unwrap();
    let answer = fetch(&deployment, &replica, play.task, cast.requester).await.unwrap();
    assert!(!answer.logged);
    let bundle = Bundle::from_json(&answer.bundle).unwrap();
    assert!(bundle.entries[0].proof.is_empty());
    let refused = verify(&bundle, &deployment.trust_root, &Policy::default(), deployment.env.now());
    assert_eq!(refused, Err(VerifyError::Pending { place: 0 }));
    replica.stop().await;
}

#[tokio::test]
async fn a_receipt_is_nobody_elses() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    let play = Play::new(&deployment, replica.pipe(), &cast);
    let offer = play.offer();
    play.platform(&offer).await.unwrap();
    // Not even the agent's, before it has claimed.
    for stranger in [cast.payee, deployment.env.new_id()] {
        let answer = fetch(&deployment, &replica, play.task, stranger).await;
        assert_eq!(refusal(answer).0, "RESOURCE_NOT_FOUND");
    }
    let answer = fetch(&deployment, &replica, deployment.env.new_id(), cast.requester).await;
    assert_eq!(refusal(answer).0, "RESOURCE_NOT_FOUND");
    let request = GetReceiptBundleRequest { task_id: play.task.to_string() };
    let answer = deployment.as_anyone(replica.pipe()).get_receipt_bundle(request).await;
    assert_eq!(refusal(answer).0, "CREDENTIALS_INVALID");
    replica.stop().await;
}

async fn fetch(
    deployment: &Deployment,
    replica: &Replica,
    task: TaskId,
    account: AccountId,
) -> Result<GetReceiptBundleResponse, Status> {
    let request = GetReceiptBundleRequest { task_id: task.to_string() };
    let request = deployment.signed_in(account, request);
    Ok(deployment.as_anyone(replica.pipe()).get_receipt_bundle(request).await?.into_inner())
}

/// The bundle, once all of it is in the published tree.
async fn logged(deployment: &Deployment, replica: &Replica, task: TaskId, account: AccountId) -> Bundle {
    let mut bundle = None;
    eventually(SOON, "every statement is logged", async || {
        let answer = fetch(deployment, replica, task, account).await.unwrap();
        bundle = answer.logged.then(|| Bundle::from_json(&answer.bundle).unwrap());
        bundle.is_some()
    })
    .await;
    bundle.unwrap()
}
