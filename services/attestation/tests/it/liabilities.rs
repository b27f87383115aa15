//! AppendLiabilities: what the platform owes is signed once, and stands in the same log.

use std::sync::Arc;

use poa_common::{AccountId, LiabilitiesId, Msat, Timestamp, TypedId as _};
use poa_proto::attestation::v1::watch_attestation_events_response::Update;
use poa_proto::attestation::v1::{
    AppendLiabilitiesRequest, AppendLiabilitiesResponse, GetInclusionProofRequest,
    WatchAttestationEventsRequest,
};
use poa_testkit::eventually;
use proof_of_agent::liabilities::{Parts, leaf};
use proof_of_agent::{BalanceProof, Digest, Envelope, verify_balance};
use tokio::task::JoinSet;
use tonic::Status;

use crate::fixture::{Cast, Play, refusal};
use crate::server::{Deployment, Replica, SOON};

/// The liabilities of one account: the leaf is the root.
struct Owed {
    snapshot: LiabilitiesId,
    account: AccountId,
    balance: Msat,
    time: Timestamp,
}

fn owed(deployment: &Deployment, msat: i64) -> Owed {
    let env = &deployment.env;
    Owed { snapshot: env.new_id(), account: env.new_id(), balance: Msat::new(msat), time: env.now() }
}

fn request(owed: &Owed) -> AppendLiabilitiesRequest {
    let root = leaf(owed.account, &[7; 32], owed.balance).unwrap();
    AppendLiabilitiesRequest {
        snapshot_id: owed.snapshot.to_string(),
        root: root.hash.to_vec(),
        liabilities_msat: root.sum.get(),
        leaf_count: 1,
        snapshot_time: Some(prost_types::Timestamp {
            seconds: owed.time.unix_timestamp(),
            nanos: i32::try_from(owed.time.nanosecond()).unwrap(),
        }),
    }
}

async fn append(
    deployment: &Deployment,
    replica: &Replica,
    request: AppendLiabilitiesRequest,
) -> Result<AppendLiabilitiesResponse, Status> {
    let mut client = deployment.as_service("escrow", replica.pipe());
    client.append_liabilities(request).await.map(tonic::Response::into_inner)
}

/// Asks until a checkpoint covers it.
async fn covered(
    deployment: &Deployment,
    replica: &Replica,
    request: &AppendLiabilitiesRequest,
) -> AppendLiabilitiesResponse {
    let mut last = append(deployment, replica, request.clone()).await.unwrap();
    eventually(SOON, "a checkpoint covers it", async || {
        last = append(deployment, replica, request.clone()).await.unwrap();
        !last.checkpoint.is_empty()
    })
    .await;
    last
}

/// The proof that escrow would give the account.
fn proof(deployment: &Deployment, owed: &Owed, logged: &AppendLiabilitiesResponse) -> BalanceProof {
    BalanceProof::new(Parts {
        network: deployment.trust_root.network(),
        snapshot: owed.snapshot,
        account: owed.account,
        balance: owed.balance,
        salt: [7; 32],
        leaf_index: 0,
        path: Vec::new(),
        envelope: Envelope::from_json(&logged.envelope).unwrap(),
        log_index: u64::try_from(logged.log_index).unwrap(),
        log_proof: logged
            .inclusion_proof
            .iter()
            .map(|hash| Digest::try_from(hash.as_slice()).unwrap())
            .collect(),
        checkpoint: logged.checkpoint.clone(),
    })
}

#[tokio::test]
async fn what_is_owed_is_signed_and_logged_between_the_statements_of_tasks() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::logged(&deployment).await;
    Play::new(&deployment, replica.pipe(), &cast).paid().await;
    let owed = owed(&deployment, 1_234_567);
    let logged = covered(&deployment, &replica, &request(&owed)).await;
    assert_eq!(logged.log_index, 7);
    Play::new(&deployment, replica.pipe(), &cast).paid().await;
    let later = covered(&deployment, &replica, &request(&owed)).await;
    assert_eq!(
        (later.log_index, &later.envelope),
        (logged.log_index, &logged.envelope),
        "the same statement"
    );
    for logged in [&logged, &later] {
        let proof = proof(&deployment, &owed, logged);
        let verified = verify_balance(&proof, &deployment.trust_root, 7, owed.time).unwrap();
        assert_eq!((verified.balance, verified.liabilities), (owed.balance, owed.balance));
        assert_eq!(verified.snapshot_time, owed.time);
    }
    // Anyone finds its leaf in the log.
    let wanted = GetInclusionProofRequest { log_index: 7, tree_size: 0 };
    let found = deployment.as_anyone(replica.pipe()).get_inclusion_proof(wanted).await.unwrap().into_inner();
    let entry = proof_of_agent::tlog::LogEntry::of_notice::<proof_of_agent::liabilities::Liabilities>(
        &Envelope::from_json(&logged.envelope).unwrap(),
    );
    assert_eq!(found.leaf_hash, entry.unwrap().leaf_hash().to_vec());
    replica.stop().await;
}

#[tokio::test]
async fn those_who_follow_tasks_do_not_hear_of_it_and_miss_nothing() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::new(&deployment);
    let mut expected = Vec::new();
    for _ in 0..3 {
        covered(&deployment, &replica, &request(&owed(&deployment, 1))).await;
        let play = Play::new(&deployment, replica.pipe(), &cast);
        let offer = play.offer();
        expected.push(play.platform(&offer).await.unwrap().attestation.unwrap().log_index);
        covered(&deployment, &replica, &request(&owed(&deployment, 1))).await;
    }
    let mut client = deployment.as_service("search", replica.pipe());
    let mut cursor = String::new();
    for index in expected {
        // A new stream each time: a cursor is good wherever it was given.
        let request = WatchAttestationEventsRequest { cursor };
        let mut stream = client.watch_attestation_events(request).await.unwrap().into_inner();
        cursor = loop {
            let message = tokio::time::timeout(SOON, stream.message()).await.unwrap().unwrap().unwrap();
            if let Some(Update::Event(event)) = message.update {
                assert_eq!(event.attestation.unwrap().log_index, index);
                break message.cursor;
            }
        };
    }
    replica.stop().await;
}

#[tokio::test]
async fn other_liabilities_of_a_snapshot_that_is_logged_are_refused() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let stated = owed(&deployment, 1_000);
    let first = append(&deployment, &replica, request(&stated)).await.unwrap();
    let other = AppendLiabilitiesRequest { root: vec![9; 32], ..request(&stated) };
    let more = AppendLiabilitiesRequest { liabilities_msat: 999, ..request(&stated) };
    let count = AppendLiabilitiesRequest { leaf_count: 2, ..request(&stated) };
    let mut later = request(&stated);
    later.snapshot_time.as_mut().unwrap().seconds += 1;
    for changed in [other, more, count, later] {
        assert_eq!(refusal(append(&deployment, &replica, changed).await).0, "REQUEST_ID_REUSED");
    }
    assert_eq!(append(&deployment, &replica, request(&stated)).await.unwrap().envelope, first.envelope);
    replica.stop().await;
}

#[tokio::test]
async fn many_calls_at_two_replicas_state_it_once() {
    let deployment = Arc::new(Deployment::new().await);
    let replicas = [Arc::new(deployment.replica().await), Arc::new(deployment.replica().await)];
    let stated = request(&owed(&deployment, 5));
    let mut calls = JoinSet::new();
    for place in 0..20 {
        let (deployment, replica) = (Arc::clone(&deployment), Arc::clone(&replicas[place % 2]));
        let request = stated.clone();
        calls.spawn(async move { append(&deployment, &replica, request).await.unwrap() });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|it| (it.log_index, &it.envelope) == (0, &answers[0].envelope)));
    covered(&deployment, &replicas[0], &stated).await;
}

#[tokio::test]
async fn only_escrow_states_what_is_owed_and_only_what_can_be() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let sound = request(&owed(&deployment, 1));
    let refused = deployment.as_task(replica.pipe()).append_liabilities(sound.clone()).await;
    assert_eq!(refusal(refused).0, "AUDIENCE_MISMATCH");
    for wrong in [
        AppendLiabilitiesRequest { snapshot_id: "liab_1".to_owned(), ..sound.clone() },
        AppendLiabilitiesRequest { root: vec![1; 31], ..sound.clone() },
        AppendLiabilitiesRequest { liabilities_msat: -1, ..sound.clone() },
        AppendLiabilitiesRequest { leaf_count: 0, ..sound.clone() },
        AppendLiabilitiesRequest { snapshot_time: None, ..sound.clone() },
    ] {
        assert_eq!(refusal(append(&deployment, &replica, wrong).await).0, "FIELDS_INVALID");
    }
    assert_eq!(LiabilitiesId::PREFIX, "liab");
    replica.stop().await;
}
