//! The transparency log: checkpoints, proofs, and that there is one history whatever dies.

use std::sync::Arc;
use std::time::Duration;

use poa_proto::attestation::v1::attestation_service_client::AttestationServiceClient;
use poa_proto::attestation::v1::{
    GetCheckpointRequest, GetConsistencyProofRequest, GetInclusionProofRequest,
};
use poa_testkit::eventually;
use proof_of_agent::tlog::{self, verify_consistency, verify_inclusion};
use proof_of_agent::{Checkpoint, Digest, Statement};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::fixture::{Cast, Play, refusal};
use crate::server::{Deployment, SOON};

#[tokio::test]
async fn the_empty_log_has_a_checkpoint() {
    let deployment = Deployment::new().await;
    let replica = deployment.replica().await;
    let checkpoint = newest(&deployment, &mut deployment.as_anyone(replica.pipe())).await;
    assert_eq!((checkpoint.size, checkpoint.root), (0, proof_of_agent::tlog::empty_root()));
    let mut client = deployment.as_anyone(replica.pipe());
    let nothing = GetInclusionProofRequest { log_index: 0, tree_size: 0 };
    assert_eq!(refusal(client.get_inclusion_proof(nothing).await).0, "RESOURCE_NOT_FOUND");
    replica.stop().await;
}

#[tokio::test]
async fn proofs_are_given_within_the_published_tree_alone() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::logged(&deployment).await;
    // The agent's key event, and five of a task.
    Play::new(&deployment, replica.pipe(), &cast).decided().await;
    let mut client = deployment.as_anyone(replica.pipe());
    all_published(&deployment, &mut client, 6).await;

    let inclusion = |log_index, tree_size| GetInclusionProofRequest { log_index, tree_size };
    let proof = client.get_inclusion_proof(inclusion(5, 0)).await.unwrap().into_inner();
    assert_eq!(proof.tree_size, 6);
    let earlier = client.get_inclusion_proof(inclusion(0, 1)).await.unwrap().into_inner();
    assert!(earlier.hashes.is_empty());
    assert_eq!(refusal(client.get_inclusion_proof(inclusion(0, 7)).await).0, "FIELDS_INVALID");
    assert_eq!(refusal(client.get_inclusion_proof(inclusion(6, 6)).await).0, "RESOURCE_NOT_FOUND");
    assert_eq!(refusal(client.get_inclusion_proof(inclusion(-1, 6)).await).0, "FIELDS_INVALID");

    let consistency = |first_size, second_size| GetConsistencyProofRequest { first_size, second_size };
    let proof = client.get_consistency_proof(consistency(3, 0)).await.unwrap().into_inner();
    assert_eq!(proof.second_size, 6);
    let same = client.get_consistency_proof(consistency(6, 6)).await.unwrap().into_inner();
    assert!(same.hashes.is_empty());
    for (first, second) in [(0, 6), (7, 0), (4, 3), (3, 7)] {
        let answer = client.get_consistency_proof(consistency(first, second)).await;
        assert_eq!(refusal(answer).0, "FIELDS_INVALID", "{first} {second}");
    }
    replica.stop().await;
}

#[tokio::test]
async fn two_sequencers_at_once_make_one_history() {
    let deployment = Arc::new(Deployment::new().await);
    let mut config = deployment.config();
    // As fast as it goes, so that they meet.
    config.log.checkpoint_interval_ms = 1;
    let one = deployment.replica_with(config.clone()).await;
    let two = deployment.replica_with(config).await;
    let cast = Cast::new(&deployment);
    let mut chains = JoinSet::new();
    for number in 0..60 {
        let pipe = if number % 2 == 0 { one.pipe() } else { two.pipe() };
        let play = Play::new(&deployment, pipe, &cast);
        chains.spawn(async move { play.paid().await });
    }
    chains.join_all().await;
    let mut client = deployment.as_anyone(one.pipe());
    all_published(&deployment, &mut client, 361).await;
    // Both say the same.
    let other = newest(&deployment, &mut deployment.as_anyone(two.pipe())).await;
    assert_eq!(other, newest(&deployment, &mut client).await);
    one_history(&deployment, &mut client).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn checkpoints_keep_their_distance_over_all_replicas() {
    let deployment = Arc::new(Deployment::new().await);
    let (one, two) = (deployment.replica().await, deployment.replica().await);
    let cast = Cast::new(&deployment);
    let mut client = deployment.as_anyone(one.pipe());
    for round in 1..=4 {
        for replica in [&one, &two] {
            Play::new(&deployment, replica.pipe(), &cast).paid().await;
        }
        all_published(&deployment, &mut client, 12 * round + 1).await;
    }
    let times: Vec<poa_common::Timestamp> =
        sqlx::query_scalar("SELECT created_at FROM checkpoints ORDER BY size")
            .fetch_all(&deployment.database().await)
            .await
            .unwrap();
    assert!(times.len() >= 5);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(250)));
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn fifty_killed_servers_leave_one_history_and_lose_nothing_that_was_answered() {
    const KILLS: usize = 50;
    const TASKS: usize = 12;
    let deployment = Arc::new(Deployment::new().await);
    let cast = Cast::new(&deployment);
    let mut config = deployment.config();
    // The sequencer is never idle, so that most kills find it at work.
    config.log.checkpoint_interval_ms = 1;
    let mut answered: Vec<(i64, Digest)> = Vec::new();
    let mut seen: Vec<Checkpoint> = Vec::new();
    for kill in 0..KILLS {
        let mortal = deployment.mortal(config.clone());
        let mut offers = JoinSet::new();
        for _ in 0..TASKS {
            let play = Play::new(&deployment, mortal.pipe(), &cast);
            let mut client = deployment.as_anyone(mortal.pipe());
            offers.spawn(async move {
                let offer = play.offer();
                let answer = play.platform(&offer).await.ok()?;
                // What somebody was shown before the kill may never be denied after it.
                let shown = client.get_checkpoint(GetCheckpointRequest {}).await.ok();
                Some((answer.attestation?.log_index, offer.digest(), shown?.into_inner().checkpoint))
            });
        }
        // Dies with calls in flight, at another point each time.
        let mut left = 1 + kill * TASKS / KILLS;
        let mut mortal = Some(mortal);
        while let Some(answer) = offers.join_next().await {
            if let Some((index, digest, note)) = answer.unwrap() {
                answered.push((index, digest));
                seen.push(Checkpoint::open(&note, deployment.trust_root.log_keys()).unwrap());
            }
            left -= usize::from(left > 0);
            if left == 0
                && let Some(mortal) = mortal.take()
            {
                mortal.kill();
            }
        }
    }
    assert!(answered.len() >= KILLS, "{} answers", answered.len());
    let replica = deployment.replica().await;
    let database = deployment.database().await;
    let stored: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT log_index, substring(entry FROM 3 FOR 32) FROM log_entries ORDER BY log_index",
    )
    .fetch_all(&database)
    .await
    .unwrap();
    assert!(stored.iter().map(|(index, _)| *index).eq(0..i64::try_from(stored.len()).unwrap()));
    for (index, digest) in answered {
        assert_eq!(stored[usize::try_from(index).unwrap()].1, digest.to_vec());
    }
    let mut client = deployment.as_anyone(replica.pipe());
    all_published(&deployment, &mut client, stored.len()).await;
    let history = one_history(&deployment, &mut client).await;
    for checkpoint in seen {
        assert!(history.contains(&checkpoint), "{checkpoint:?} was shown, and is no longer of the history");
    }
    replica.stop().await;
}

#[tokio::test]
async fn a_restarted_log_goes_on_where_it_was() {
    let deployment = Arc::new(Deployment::new().await);
    let cast = Cast::new(&deployment);
    let mut unfinished: Option<(Play, Statement)> = None;
    for round in 1..=3 {
        let replica = deployment.replica().await;
        if let Some((mut play, offer)) = unfinished.take() {
            play.client = deployment.as_task(replica.pipe());
            play.agent(&play.accept(&offer, 1)).await.unwrap();
        }
        let play = Play::new(&deployment, replica.pipe(), &cast);
        let offer = play.offer();
        play.platform(&offer).await.unwrap();
        unfinished = Some((play, offer));
        let mut client = deployment.as_anyone(replica.pipe());
        // An offer and a claim each round, but for the last claim; and the agent's key event.
        all_published(&deployment, &mut client, 2 * round).await;
        one_history(&deployment, &mut client).await;
        replica.stop().await;
    }
}

async fn newest(deployment: &Deployment, client: &mut AttestationServiceClient<Channel>) -> Checkpoint {
    let note = client.get_checkpoint(GetCheckpointRequest {}).await.unwrap().into_inner().checkpoint;
    Checkpoint::open(&note, deployment.trust_root.log_keys()).unwrap()
}

async fn all_published(
    deployment: &Deployment,
    client: &mut AttestationServiceClient<Channel>,
    statements: usize,
) {
    let size = u64::try_from(statements).unwrap();
    eventually(SOON, "all statements are published", async || newest(deployment, client).await.size == size)
        .await;
}

/// Every checkpoint ever stored is signed, each is the beginning of the next, and each leaf is in the last. Answers with all
/// of them.
async fn one_history(
    deployment: &Deployment,
    client: &mut AttestationServiceClient<Channel>,
) -> Vec<Checkpoint> {
    let database = deployment.database().await;
    let notes: Vec<String> =
        sqlx::query_scalar("SELECT note FROM checkpoints ORDER BY size").fetch_all(&database).await.unwrap();
    let checkpoints: Vec<Checkpoint> =
        notes.iter().map(|note| Checkpoint::open(note, deployment.trust_root.log_keys()).unwrap()).collect();
    for pair in checkpoints.windows(2).filter(|pair| pair[0].size > 0) {
        let request = GetConsistencyProofRequest {
            first_size: i64::try_from(pair[0].size).unwrap(),
            second_size: i64::try_from(pair[1].size).unwrap(),
        };
        let answer = client.get_consistency_proof(request).await.unwrap().into_inner();
        let proof = digests(&answer.hashes);
        verify_consistency(pair[0].size, &pair[0].root, pair[1].size, &pair[1].root, &proof).unwrap();
    }
    let last = checkpoints.last().unwrap();
    let entries: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT entry FROM log_entries WHERE log_index < $1 ORDER BY log_index")
            .bind(i64::try_from(last.size).unwrap())
            .fetch_all(&database)
            .await
            .unwrap();
    for (index, entry) in (0..).zip(&entries) {
        let request = GetInclusionProofRequest {
            log_index: i64::try_from(index).unwrap(),
            tree_size: i64::try_from(last.size).unwrap(),
        };
        let answer = client.get_inclusion_proof(request).await.unwrap().into_inner();
        let leaf = tlog::leaf_hash(entry);
        assert_eq!(answer.leaf_hash, leaf.to_vec());
        verify_inclusion(&leaf, index, last.size, &digests(&answer.hashes), &last.root).unwrap();
    }
    checkpoints
}

fn digests(hashes: &[Vec<u8>]) -> Vec<Digest> {
    hashes.iter().map(|hash| Digest::try_from(hash.as_slice()).unwrap()).collect()
}
