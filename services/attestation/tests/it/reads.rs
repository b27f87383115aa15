//! GetAttestation and ListAttestations.

use std::sync::Arc;

use poa_common::AccountId;
use poa_proto::attestation::v1::{
    Attestation, GetAttestationRequest, ListAttestationsRequest, ListAttestationsResponse, attestation,
};
use poa_testkit::eventually;
use tonic::Status;

use crate::fixture::{Cast, Play, refusal};
use crate::server::{Deployment, Replica, SOON};

#[tokio::test]
async fn a_statement_is_read_by_requester_and_payee_and_becomes_logged() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    let play = Play::new(&deployment, replica.pipe(), &cast);
    let offer = play.offer();
    let appended = play.platform(&offer).await.unwrap().attestation.unwrap();
    let id = appended.attestation_id.as_str();
    eventually(SOON, "the statement is logged", async || {
        let shown = get(&deployment, &replica, id, cast.requester).await.unwrap();
        assert_eq!(Attestation { state: appended.state, ..shown.clone() }, appended);
        shown.state() == attestation::State::Logged
    })
    .await;
    let early = get(&deployment, &replica, id, cast.payee).await;
    assert_eq!(refusal(early).0, "RESOURCE_NOT_FOUND");
    play.agent(&play.accept(&offer, 1)).await.unwrap();
    assert!(get(&deployment, &replica, id, cast.payee).await.is_ok());
    let stranger = get(&deployment, &replica, id, deployment.env.new_id()).await;
    assert_eq!(refusal(stranger).0, "RESOURCE_NOT_FOUND");
    let no_id = get(&deployment, &replica, "att_nonsense", cast.requester).await;
    assert_eq!(refusal(no_id).0, "RESOURCE_NOT_FOUND");
    replica.stop().await;
}

#[tokio::test]
async fn a_chain_is_listed_in_order_and_in_pages() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    let play = Play::new(&deployment, replica.pipe(), &cast);
    let digests: Vec<Vec<u8>> =
        play.paid().await.iter().map(|statement| statement.digest().to_vec()).collect();

    let mut request = ListAttestationsRequest { task_id: play.task.to_string(), ..Default::default() };
    let all = list(&deployment, &replica, request.clone(), cast.payee).await.unwrap();
    assert_eq!(all.next_page_token, "");
    let listed = |answer: &ListAttestationsResponse| -> Vec<Vec<u8>> {
        answer.attestations.iter().map(|attestation| attestation.digest.clone()).collect()
    };
    assert_eq!(listed(&all), digests);

    request.page_size = 4;
    let first = list(&deployment, &replica, request.clone(), cast.requester).await.unwrap();
    assert_eq!(listed(&first), digests[..4]);
    request.page_token = first.next_page_token.clone();
    // A changed page_size is fine.
    request.page_size = 50;
    let second = list(&deployment, &replica, request.clone(), cast.requester).await.unwrap();
    assert_eq!(listed(&second), digests[4..]);
    assert_eq!(second.next_page_token, "");

    // Another's token, or one for another task, is none.
    let others = list(&deployment, &replica, request.clone(), cast.payee).await;
    assert_eq!(refusal(others).0, "PAGE_TOKEN_INVALID");
    let other_task = Play::new(&deployment, replica.pipe(), &cast);
    other_task.paid().await;
    request.task_id = other_task.task.to_string();
    let answer = list(&deployment, &replica, request, cast.requester).await;
    assert_eq!(refusal(answer).0, "PAGE_TOKEN_INVALID");
    replica.stop().await;
}

#[tokio::test]
async fn a_list_is_nobody_elses_and_has_bounds() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    let play = Play::new(&deployment, replica.pipe(), &cast);
    play.platform(&play.offer()).await.unwrap();
    let request = ListAttestationsRequest { task_id: play.task.to_string(), ..Default::default() };
    let answer = list(&deployment, &replica, request.clone(), deployment.env.new_id()).await;
    assert_eq!(refusal(answer).0, "RESOURCE_NOT_FOUND");
    let too_large = ListAttestationsRequest { page_size: 201, ..request };
    let answer = list(&deployment, &replica, too_large, cast.requester).await;
    assert_eq!(refusal(answer).0, "FIELDS_INVALID");
    replica.stop().await;
}

async fn get(
    deployment: &Deployment,
    replica: &Replica,
    id: &str,
    account: AccountId,
) -> Result<Attestation, Status> {
    let request = deployment.signed_in(account, GetAttestationRequest { attestation_id: id.to_owned() });
    let answer = deployment.as_anyone(replica.pipe()).get_attestation(request).await?;
    Ok(answer.into_inner().attestation.unwrap())
}

async fn list(
    deployment: &Deployment,
    replica: &Replica,
    request: ListAttestationsRequest,
    account: AccountId,
) -> Result<ListAttestationsResponse, Status> {
    let request = deployment.signed_in(account, request);
    Ok(deployment.as_anyone(replica.pipe()).list_attestations(request).await?.into_inner())
}
