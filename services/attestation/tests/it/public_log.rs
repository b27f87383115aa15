//! The log as anybody reads it: entries, tiles, records.

use std::sync::Arc;

use poa_proto::attestation::v1::{
    GetCheckpointRequest, GetLogEntriesRequest, GetLogEntriesResponse, GetReputationRequest, GetTileRequest,
    Reputation,
};
use poa_testkit::eventually;
use proof_of_agent::reputation::{self, Ledger};
use proof_of_agent::tlog::{
    self, EntryKind, LogEntry, Slot, Tile, TileKind, leaf_hash, new_nodes_for_append, read_entries,
    read_hashes,
};
use proof_of_agent::{Checkpoint, DecisionKind, Envelope, KeyEvent, ReleasePolicy};

use crate::fixture::{Cast, Play, notices, refusal};
use crate::server::{Deployment, Replica, SOON};

/// All entries, once the published tree has so many.
async fn entries(deployment: &Deployment, replica: &Replica, size: i64) -> GetLogEntriesResponse {
    let mut client = deployment.as_anyone(replica.pipe());
    let mut found = None;
    eventually(SOON, "the entries are published", async || {
        let request = GetLogEntriesRequest { first_index: 0, page_size: 1_000 };
        let answer = client.get_log_entries(request).await.unwrap().into_inner();
        found = (answer.tree_size >= size).then_some(answer);
        found.is_some()
    })
    .await;
    found.unwrap()
}

async fn reputation(deployment: &Deployment, replica: &Replica, cast: &Cast) -> Reputation {
    let request = GetReputationRequest { agent_id: cast.agent_id.to_string() };
    let answer = deployment.as_anyone(replica.pipe()).get_reputation(request).await.unwrap();
    answer.into_inner().reputation.unwrap()
}

#[tokio::test]
async fn whoever_reads_the_log_gets_the_signed_root_and_what_is_public() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::logged(&deployment).await;
    let play = Play::new(&deployment, replica.pipe(), &cast);
    let statements = play.paid().await;
    let read = entries(&deployment, &replica, 7).await;
    assert_eq!(read.entries.len(), 7);
    let leaves: Vec<_> = read.entries.iter().map(|entry| leaf_hash(&entry.entry)).collect();
    let nodes = new_nodes_for_append(0, &leaves, &std::collections::HashMap::new()).unwrap();
    let nodes = nodes.into_iter().collect::<std::collections::HashMap<_, _>>();
    let mut client = deployment.as_anyone(replica.pipe());
    let note = client.get_checkpoint(GetCheckpointRequest {}).await.unwrap().into_inner().checkpoint;
    let checkpoint = Checkpoint::open(&note, deployment.trust_root.log_keys()).unwrap();
    assert_eq!(tlog::root(7, &nodes).unwrap(), checkpoint.root);

    let decoded: Vec<LogEntry> =
        read.entries.iter().map(|entry| LogEntry::decode(&entry.entry).unwrap()).collect();
    let event = Envelope::from_json(&read.entries[0].envelope).unwrap();
    assert_eq!(decoded[0].kind, EntryKind::KeyEvent);
    assert_eq!(LogEntry::of_notice::<KeyEvent>(&event).unwrap(), decoded[0]);
    for (entry, statement) in decoded[1..].iter().zip(&statements) {
        assert_eq!((entry.statement, entry.slot), (statement.digest(), statement.slot()));
    }
    assert_eq!(decoded[1].slot, Slot::offer(&play.task));
    // What a task says is nobody else's.
    assert!(read.entries[1..].iter().all(|entry| entry.envelope.is_empty()));
    let recorded: Vec<bool> = decoded.iter().map(|entry| entry.record.is_some()).collect();
    assert_eq!(recorded, [false, false, false, false, false, false, true]);
    replica.stop().await;
}

#[tokio::test]
async fn tiles_hold_what_the_tree_holds_and_never_change() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::logged(&deployment).await;
    let mut chains = tokio::task::JoinSet::new();
    for _ in 0..43 {
        let play = Play::new(&deployment, replica.pipe(), &cast);
        chains.spawn(async move { play.paid().await });
    }
    chains.join_all().await;
    let size = 43 * 6 + 1;
    let read = entries(&deployment, &replica, size).await;
    let mut client = deployment.as_anyone(replica.pipe());
    let mut tile = async |path: &str| {
        let request = GetTileRequest { path: path.to_owned() };
        Ok::<_, tonic::Status>(client.get_tile(request).await?.into_inner().data)
    };
    let full = tile("entries/000").await.unwrap();
    let bundle = read_entries(&full).unwrap();
    assert_eq!(bundle.len(), 256);
    let leaves: Vec<_> = read.entries.iter().map(|entry| leaf_hash(&entry.entry)).collect();
    assert_eq!(read_hashes(&tile("0/000").await.unwrap()).unwrap(), leaves[..256]);
    assert_eq!(read_hashes(&tile("0/001.p/3").await.unwrap()).unwrap(), leaves[256..]);
    assert_eq!(read_hashes(&tile("0/000.p/7").await.unwrap()).unwrap(), leaves[..7]);
    let top = read_hashes(&tile("1/000.p/1").await.unwrap()).unwrap();
    let nodes = new_nodes_for_append(0, &leaves[..256], &std::collections::HashMap::new()).unwrap();
    assert_eq!(top, [nodes.last().unwrap().1]);
    assert_eq!(Tile::in_tree(TileKind::Hashes(0), 1, 259).unwrap().to_string(), "0/001.p/3");
    for beyond in ["0/001", "0/001.p/4", "0/002.p/1", "1/000.p/2", "2/000.p/1", "entries/001"] {
        assert_eq!(refusal(tile(beyond).await).0, "RESOURCE_NOT_FOUND", "{beyond}");
    }
    for nonsense in ["", "0", "0/0", "0/000.p/0", "0/000.p/256", "9/000", "entries/x000/000", "../0/000"] {
        assert_eq!(refusal(tile(nonsense).await).0, "FIELDS_INVALID", "{nonsense}");
    }
    replica.stop().await;
}

#[tokio::test]
async fn a_reputation_is_what_anybody_computes_from_the_log() {
    let deployment = Arc::new(Deployment::new().await);
    let replica = deployment.replica().await;
    let cast = Cast::logged(&deployment).await;
    let nobody = reputation(&deployment, &replica, &Cast::unregistered(&deployment)).await;
    assert_eq!((nobody.score, nobody.quality_basis_points), (0, 5_000));
    for _ in 0..3 {
        Play::new(&deployment, replica.pipe(), &cast).paid().await;
    }
    let other = Cast { requester: deployment.env.new_id(), ..cast.clone() };
    Play::new(&deployment, replica.pipe(), &other).paid().await;
    // Rejected, and then another claim that nothing comes of.
    let play = Play::new(&deployment, replica.pipe(), &cast);
    let received = play.up_to_received(ReleasePolicy::OnAttestation).await;
    play.platform(&play.decide(&received[3], DecisionKind::Rejected)).await.unwrap();
    for claim in [2, 3] {
        play.agent(&play.accept(&received[0], claim)).await.unwrap();
    }
    // Its own task.
    let own = Cast { requester: cast.payee, ..cast.clone() };
    Play::new(&deployment, replica.pipe(), &own).paid().await;
    let read = entries(&deployment, &replica, 1 + 5 * 6 + 7).await;
    let shown = reputation(&deployment, &replica, &cast).await;
    assert_eq!((shown.completed, shown.rejected, shown.lapsed, shown.self_dealing), (4, 1, 1, 1));
    assert_eq!((shown.requesters, shown.repeat_requesters, shown.on_time), (2, 1, 4));
    let mut ledger = Ledger::default();
    for entry in &read.entries {
        ledger.extend(LogEntry::decode(&entry.entry).unwrap().record);
    }
    let computed = ledger.reputation(cast.agent_id, u32::try_from(shown.day).unwrap());
    assert_eq!(
        (shown.score, shown.quality_basis_points, shown.experience_msat),
        (
            i64::try_from(computed.score).unwrap(),
            i64::try_from(computed.quality).unwrap(),
            i64::try_from(computed.experience_msat).unwrap()
        )
    );
    assert_eq!(shown.formula_version, i32::try_from(reputation::FORMULA_VERSION).unwrap());
    notices(&deployment, 1).await;
    replica.stop().await;
}
