//! Witnesses, and what a database from an older backup meets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ed25519_dalek::SigningKey;
use poa_attestation::{Config, WitnessConfig};
use poa_proto::attestation::v1::{
    GetCheckpointRequest, GetReceiptBundleRequest, ListAttestationsRequest, attestation,
};
use poa_testkit::eventually;
use proof_of_agent::witness::{AddCheckpoint, Seen, WitnessRefusal};
use proof_of_agent::{
    Bundle, Checkpoint, CheckpointError, DidKey, LogKey, Policy, TrustRoot, Trusted, VerifyError, WitnessKey,
    Witnesses, verify,
};

use crate::fixture::{Cast, Play};
use crate::server::{Deployment, Replica, SOON};

const NAME: &str = "witness.example/w1";

/// A witness that remembers what it has seen, and can be told to be away.
#[derive(Clone)]
struct Witness {
    signing: SigningKey,
    log_keys: Vec<LogKey>,
    seen: Arc<Mutex<Option<Seen>>>,
    is_away: Arc<Mutex<bool>>,
}

async fn add_checkpoint(State(witness): State<Witness>, body: String) -> Response {
    if *witness.is_away.lock().unwrap() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let mut seen = witness.seen.lock().unwrap();
    let judged =
        AddCheckpoint::parse(body.as_bytes()).and_then(|asked| asked.judge(&witness.log_keys, *seen));
    match judged {
        Ok(checkpoint) => {
            *seen = Some(Seen { size: checkpoint.size, root: checkpoint.root });
            let key = WitnessKey::new(NAME, DidKey::of(&witness.signing)).unwrap();
            key.cosign(&checkpoint.text(), 1_800_000_000, &witness.signing).into_response()
        }
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status()).unwrap();
            match refusal {
                WitnessRefusal::OldSize(size) => {
                    (status, [(header::CONTENT_TYPE, "text/x.tlog.size")], format!("{size}\n"))
                        .into_response()
                }
                other => (status, other.to_string()).into_response(),
            }
        }
    }
}

impl Witness {
    /// A witness of a deployment's log, serving.
    async fn of(deployment: &Deployment) -> (Self, SocketAddr) {
        let witness = Self {
            signing: SigningKey::from_bytes(&deployment.env.random()),
            log_keys: deployment.trust_root.log_keys().to_vec(),
            seen: Arc::default(),
            is_away: Arc::default(),
        };
        let router = axum::Router::new()
            .route("/add-checkpoint", axum::routing::post(add_checkpoint))
            .with_state(witness.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (witness, address)
    }

    fn size(&self) -> u64 {
        self.seen.lock().unwrap().map_or(0, |seen| seen.size)
    }
}

/// Names the witness in the trust root, and asks for it.
fn trust(deployment: &mut Deployment, witness: &Witness) {
    let key = WitnessKey::new(NAME, DidKey::of(&witness.signing)).unwrap();
    let trusted = deployment.trust_root.trusted().clone();
    let trusted = Trusted {
        witnesses: Witnesses { quorum: 1, keys: vec![key] },
        signatures: Vec::new(),
        revision: trusted.revision + 1,
        ..trusted
    };
    write(deployment, trusted);
}

fn write(deployment: &mut Deployment, trusted: Trusted) {
    deployment.trust_root = TrustRoot::of(trusted).unwrap();
    let file = deployment.trust_root.to_json().unwrap();
    std::fs::write(deployment.keys.path().join("trust-root.json"), file).unwrap();
}

fn calling(deployment: &Deployment, address: SocketAddr) -> Config {
    let mut config = deployment.config();
    config.log.witnesses = vec![WitnessConfig { name: NAME.to_owned(), url: format!("http://{address}/") }];
    config
}

async fn note(deployment: &Deployment, replica: &Replica) -> String {
    let mut client = deployment.as_anyone(replica.pipe());
    client.get_checkpoint(GetCheckpointRequest {}).await.unwrap().into_inner().checkpoint
}

#[tokio::test]
async fn a_receipt_is_believed_once_enough_witnesses_have_seen_its_checkpoint() {
    let mut deployment = Deployment::new().await;
    let (witness, address) = Witness::of(&deployment).await;
    trust(&mut deployment, &witness);
    let deployment = Arc::new(deployment);
    *witness.is_away.lock().unwrap() = true;
    let replica = deployment.replica_with(calling(&deployment, address)).await;
    let cast = Cast::logged(&deployment).await;
    let play = Play::new(&deployment, replica.pipe(), &cast);
    play.paid().await;
    let receipt = async || {
        let request = GetReceiptBundleRequest { task_id: play.task.to_string() };
        let request = deployment.signed_in(cast.requester, request);
        deployment.as_anyone(replica.pipe()).get_receipt_bundle(request).await.unwrap().into_inner()
    };
    let check = |bundle: &[u8]| {
        let bundle = Bundle::from_json(bundle).unwrap();
        verify(&bundle, &deployment.trust_root, &Policy::default(), deployment.env.now())
    };
    eventually(SOON, "the receipt is logged", async || receipt().await.logged).await;
    let unseen = receipt().await;
    assert!(!unseen.witnessed);
    let refused = VerifyError::Checkpoint(CheckpointError::NotWitnessed { quorum: 1, found: 0 });
    assert_eq!(check(&unseen.bundle), Err(refused));

    *witness.is_away.lock().unwrap() = false;
    eventually(SOON, "the receipt is witnessed", async || receipt().await.witnessed).await;
    let verified = check(&receipt().await.bundle).unwrap();
    assert_eq!(verified.witnesses, 1);
    // Whoever asks for the checkpoint gets one that was seen.
    let (checkpoint, witnesses) =
        deployment.trust_root.open_checkpoint(&note(&deployment, &replica).await).unwrap();
    assert_eq!((checkpoint.size, witnesses), (witness.size(), 1));
    let request = ListAttestationsRequest { task_id: play.task.to_string(), ..Default::default() };
    let request = deployment.signed_in(cast.requester, request);
    let listed = deployment.as_anyone(replica.pipe()).list_attestations(request).await.unwrap().into_inner();
    assert!(listed.attestations.iter().all(|it| it.state() == attestation::State::Witnessed));
    replica.stop().await;
}

#[tokio::test]
async fn a_witness_that_has_seen_another_size_tells_it_and_is_shown_a_proof_from_there() {
    let mut deployment = Deployment::new().await;
    let (witness, address) = Witness::of(&deployment).await;
    trust(&mut deployment, &witness);
    let deployment = Arc::new(deployment);
    let replica = deployment.replica_with(calling(&deployment, address)).await;
    let cast = Cast::logged(&deployment).await;
    Play::new(&deployment, replica.pipe(), &cast).paid().await;
    eventually(SOON, "the witness has seen all", async || witness.size() == 7).await;
    // As after a lost answer: what it has cosigned is not known here.
    sqlx::query("DELETE FROM cosignatures").execute(&deployment.database().await).await.unwrap();
    Play::new(&deployment, replica.pipe(), &cast).paid().await;
    eventually(SOON, "the witness has seen all of it", async || witness.size() == 13).await;
    replica.stop().await;
}

#[tokio::test]
async fn a_name_that_the_trust_root_does_not_have_is_refused_at_the_start() {
    let deployment = Deployment::new().await;
    let mut config = deployment.config();
    config.log.witnesses =
        vec![WitnessConfig { name: NAME.to_owned(), url: "http://127.0.0.1:1".to_owned() }];
    let refused = deployment.try_build_with(config).await.expect_err("it must not start").to_string();
    assert!(refused.contains(NAME) && refused.contains("trust root"), "{refused}");
}

/// A log of a few entries that was published, and the file that keeps its last checkpoint.
async fn published() -> (Deployment, Config, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let deployment = Arc::new(Deployment::new().await);
    let mut config = deployment.config();
    config.log.kept_checkpoint = Some(folder.path().join("log-checkpoint"));
    let replica = deployment.replica_with(config.clone()).await;
    let cast = Cast::logged(&deployment).await;
    Play::new(&deployment, replica.pipe(), &cast).paid().await;
    let file = folder.path().join("log-checkpoint");
    eventually(SOON, "the last checkpoint is kept", async || {
        let note = std::fs::read_to_string(&file).unwrap_or_default();
        Checkpoint::read_unverified(&note).is_ok_and(|kept| kept.size == 7)
    })
    .await;
    replica.stop().await;
    (Arc::into_inner(deployment).unwrap(), config, folder)
}

/// Goes back to the first three entries, as a backup has them.
async fn restore(deployment: &Deployment) {
    let database = deployment.database().await;
    for statement in [
        "DELETE FROM checkpoints WHERE size > 3",
        "DELETE FROM log_nodes WHERE (node_index + 1) << level > 3",
        "DELETE FROM log_entries WHERE log_index >= 3",
        "DELETE FROM statements WHERE log_index >= 3",
        "UPDATE log_head SET next_index = 3",
        "UPDATE log_tree SET size = 3",
    ] {
        sqlx::query(statement).execute(&database).await.unwrap();
    }
}

#[tokio::test]
async fn a_log_goes_on_where_its_kept_checkpoint_is_in_the_database() {
    let (deployment, config, _folder) = published().await;
    deployment.replica_with(config).await.stop().await;
}

#[tokio::test]
async fn a_database_from_an_older_backup_is_refused_and_goes_on_under_a_new_origin() {
    let (mut deployment, config, _folder) = published().await;
    restore(&deployment).await;
    let refused = deployment.try_build_with(config.clone()).await.expect_err("it would fork").to_string();
    assert!(refused.contains("older backup") && refused.contains("new-origin"), "{refused}");

    let trusted = deployment.trust_root.trusted().clone();
    let origin = "simulated.poa/tests-2";
    write(
        &mut deployment,
        Trusted {
            revision: trusted.revision + 1,
            prior_origins: vec![trusted.origin.clone()],
            log_keys: vec![LogKey::new(origin, trusted.log_keys[0].key()).unwrap()],
            origin: origin.to_owned(),
            signatures: Vec::new(),
            ..trusted
        },
    );
    let replica = deployment.replica_with(config).await;
    let first = deployment.trust_root.open_checkpoint(&note(&deployment, &replica).await).unwrap().0;
    assert_eq!((first.origin.as_str(), first.size), (origin, 3));
    let deployment = Arc::new(deployment);
    let cast = Cast::unregistered(&deployment);
    let play = Play::new(&deployment, replica.pipe(), &cast);
    play.platform(&play.offer()).await.unwrap();
    eventually(SOON, "the log goes on", async || {
        let now = deployment.trust_root.open_checkpoint(&note(&deployment, &replica).await).unwrap().0;
        now.size >= 4
    })
    .await;
    replica.stop().await;
}

#[tokio::test]
async fn a_database_that_holds_another_history_is_refused() {
    let (deployment, config, _folder) = published().await;
    let database = deployment.database().await;
    sqlx::query("UPDATE log_nodes SET hash = sha256(hash) WHERE level = 2").execute(&database).await.unwrap();
    let refused = deployment.try_build_with(config).await.expect_err("it is another log").to_string();
    assert!(refused.contains("other entries"), "{refused}");
}
