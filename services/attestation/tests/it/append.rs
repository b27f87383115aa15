//! AppendStatement: what enters, and what is answered again.

use std::collections::BTreeSet;
use std::sync::Arc;

use poa_proto::attestation::v1::{Attestation, attestation};
use proof_of_agent::tlog::LogEntry;
use proof_of_agent::{DecisionKind, DidKey, Envelope, Kind, ReleasePolicy};
use tokio::task::JoinSet;

use crate::fixture::{Cast, Play, opened};
use crate::server::Deployment;

#[tokio::test]
async fn a_submission_is_answered_with_the_platforms_receipt() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    let play = Play::new(&deployment, replica.pipe(), &cast);

    let offer = play.offer();
    let answer = play.platform(&offer).await.unwrap();
    assert_eq!(answer.countersignature, None);
    let attestation = answer.attestation.unwrap();
    assert_eq!(attestation.kind(), attestation::Kind::TermsOffered);
    assert_eq!(attestation.state(), attestation::State::Pending);
    assert_eq!(attestation.task_id, play.task.to_string());
    assert_eq!(opened(&attestation), offer);

    let acceptance = play.accept(&offer, 1);
    play.agent(&acceptance).await.unwrap();
    let submission = play.submit(&acceptance, &acceptance);
    let answer = play.agent(&submission).await.unwrap();
    let attestation = answer.attestation.unwrap();
    assert_eq!(opened(&attestation), submission);
    let countersignature = answer.countersignature.unwrap();
    assert_eq!(countersignature.kind(), attestation::Kind::WorkReceived);
    assert_eq!(countersignature.log_index, attestation.log_index + 1);
    let statement = opened(&countersignature);
    assert_eq!(statement.context().signer, play.receipt_key());
    assert_eq!(statement.context().predecessor, Some(submission.digest()));
    let received = statement.body().as_work_received().unwrap();
    assert_eq!(i64::try_from(received.submission_log_index), Ok(attestation.log_index));
    assert_eq!((received.account, received.agent), (cast.payee, cast.agent_id));
    replica.stop().await;
}

#[tokio::test]
async fn the_same_statement_again_gives_the_same_answer() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    let play = Play::new(&deployment, replica.pipe(), &cast);
    let place = |attestation: &Attestation| {
        (attestation.attestation_id.clone(), attestation.log_index, attestation.envelope.clone())
    };

    let offer = play.offer();
    let first = play.platform(&offer).await.unwrap();
    let acceptance = play.accept(&offer, 1);
    play.agent(&acceptance).await.unwrap();
    let submission = play.submit(&acceptance, &acceptance);
    let submitted = play.agent(&submission).await.unwrap();

    let again = play.platform(&offer).await.unwrap();
    assert_eq!(place(&again.attestation.unwrap()), place(&first.attestation.unwrap()));
    // Even where the agent could not make it any more.
    deployment.auth.retire(cast.agent_id, cast.payee, DidKey::of(&cast.key));
    let again = play.agent(&submission).await.unwrap();
    assert_eq!(place(&again.attestation.unwrap()), place(&submitted.attestation.unwrap()));
    assert_eq!(place(&again.countersignature.unwrap()), place(&submitted.countersignature.unwrap()));
    assert_eq!(statements(&deployment).await, 4);
    replica.stop().await;
}

#[tokio::test]
async fn duplicates_at_the_same_moment_append_once() {
    let deployment = Arc::new(Deployment::new().await);
    let (one, two) = (deployment.replica().await, deployment.replica().await);
    let cast = Cast::new(&deployment);
    let play = Play::new(&deployment, one.pipe(), &cast);
    let offer = play.offer();
    let mut calls = JoinSet::new();
    for number in 0..16 {
        let pipe = if number % 2 == 0 { one.pipe() } else { two.pipe() };
        let client = deployment.as_task(pipe);
        let (play, offer) = (Play { client, ..play.clone() }, offer.clone());
        calls.spawn(async move { play.platform(&offer).await.unwrap().attestation.unwrap() });
    }
    let answers = calls.join_all().await;
    let ids: BTreeSet<&str> = answers.iter().map(|answer| answer.attestation_id.as_str()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(statements(&deployment).await, 1);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn sixty_four_chains_at_once_get_dense_indices() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    let mut chains = JoinSet::new();
    for _ in 0..64 {
        let play = Play::new(&deployment, replica.pipe(), &cast);
        chains.spawn(async move { play.paid().await.len() });
    }
    assert_eq!(chains.join_all().await.into_iter().sum::<usize>(), 64 * 6);
    let indices: Vec<i64> = sqlx::query_scalar("SELECT log_index FROM log_entries ORDER BY log_index")
        .fetch_all(&deployment.database().await)
        .await
        .unwrap();
    // The agent's key event is one of them.
    assert_eq!(indices, (0..64 * 6 + 1).collect::<Vec<i64>>());
    replica.stop().await;
}

#[tokio::test]
async fn a_chain_goes_on_in_another_replica() {
    let deployment = Arc::new(Deployment::new().await);
    let (one, two) = (deployment.replica().await, deployment.replica().await);
    let cast = Cast::new(&deployment);
    let play = Play::new(&deployment, one.pipe(), &cast);
    let other = Play { client: deployment.as_task(two.pipe()), ..play.clone() };

    let offer = play.offer_under(ReleasePolicy::OnAcceptance);
    play.platform(&offer).await.unwrap();
    let first = play.accept(&offer, 1);
    other.agent(&first).await.unwrap();
    // The lease lapses, and the task is claimed again: the first replica's memory is of an older chain.
    let second = play.accept(&offer, 2);
    play.agent(&second).await.unwrap();
    let submission = play.submit(&second, &second);
    let answer = other.agent(&submission).await.unwrap();
    let received = opened(answer.countersignature.as_ref().unwrap());
    let rejection = play.decide(&received, DecisionKind::Rejected);
    play.platform(&rejection).await.unwrap();
    let resubmission = play.submit(&rejection, &second);
    let answer = other.agent(&resubmission).await.unwrap();
    assert_eq!(opened(&answer.countersignature.unwrap()).kind(), Kind::WorkReceived);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn other_signatures_are_dropped_from_an_envelope() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    let play = Play::new(&deployment, replica.pipe(), &cast);
    let offer = play.offer();
    play.platform(&offer).await.unwrap();
    let acceptance = play.accept(&offer, 1);
    let clean = Envelope::sign(&acceptance, &cast.key).unwrap();
    let json = String::from_utf8(clean.to_json()).unwrap();
    let witnessed =
        json.replace("\"signatures\":[", "\"signatures\":[{\"keyid\":\"witness\",\"sig\":\"AAAA\"},");
    assert_ne!(witnessed, json);
    let given = poa_proto::attestation::v1::append_statement_request::Statement::Envelope(witnessed.into());
    let stored = play.send(given, cast.payee.to_string()).await.unwrap().attestation.unwrap();
    assert_eq!(stored.envelope, clean.to_json());
    let entry: Vec<u8> = sqlx::query_scalar("SELECT entry FROM log_entries WHERE log_index = $1")
        .bind(stored.log_index)
        .fetch_one(&deployment.database().await)
        .await
        .unwrap();
    assert_eq!(entry, LogEntry::of(&clean).unwrap().encode());
    replica.stop().await;
}

async fn statements(deployment: &Deployment) -> i64 {
    let database = deployment.database().await;
    sqlx::query_scalar("SELECT count(*) FROM statements").fetch_one(&database).await.unwrap()
}
