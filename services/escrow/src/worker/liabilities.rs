//! States once a day what is owed: reads all balances, builds the tree, has it signed and logged, and keeps what each account
//! needs for its proof.
//!
//! Each step is committed before the next one, and each can be made again: after a restart the last snapshot goes on from
//! where it is. The call to attestation is made outside of any transaction, and is idempotent by the snapshot.

use std::sync::Arc;
use std::time::Duration;

use poa_chassis::client::PeerChannel;
use poa_common::{LiabilitiesId, TypedId as _};
use poa_proto::attestation::v1::attestation_internal_service_client::AttestationInternalServiceClient;
use poa_proto::attestation::v1::{AppendLiabilitiesRequest, AppendLiabilitiesResponse};
use poa_storage::secret;
use proof_of_agent::liabilities::LiabilitiesStatement;
use proof_of_agent::{Digest, Envelope};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::failpoint::{self, Failpoint};
use crate::metrics;
use crate::service::Service;
use crate::store::liabilities::{self as store, Answer, Progress, Snapshot};

/// What the secret of a snapshot's salts is derived for.
const SALT_LABEL: &str = "liabilities-salt";
/// How often is looked whether something is to be done; a shorter interval of snapshots makes it shorter.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Before a checkpoint is asked for again.
const UNCOVERED_PAUSE: Duration = Duration::from_millis(300);
/// The pause after a step that failed.
const FAILED_PAUSE: Duration = Duration::from_secs(5);
/// How long attestation may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// After how long a snapshot that is not published is told to somebody.
const LATE_AFTER: Duration = Duration::from_secs(3_600);

/// What attestation is asked with.
pub(crate) type Attestation = AttestationInternalServiceClient<PeerChannel>;

/// What a step has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stepped {
    /// Something was done: the next step is due.
    On,
    /// It is in the log, and no checkpoint covers it yet.
    Uncovered,
    /// Nothing is to be done.
    Idle,
}

/// Why a step was not made. It is made again.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the database gave no answer: {0}")]
    Storage(#[from] poa_storage::Error),
    #[error("attestation gave no answer: {0}")]
    Attestation(String),
    #[error("attestation has stated something else: {0}")]
    Other(&'static str),
    #[error("a step did not end in time")]
    TooLong,
}

/// Runs until the process stops.
pub(super) async fn run(service: Arc<Service>, attestation: Attestation, stopping: CancellationToken) {
    let every = Duration::from_secs(u64::from(service.config.liabilities.every_seconds));
    let look_every = every.min(LOOK_EVERY);
    let limit = Duration::from_millis(service.config.liabilities.step_timeout_ms);
    while !stopping.is_cancelled() {
        let stepped = tokio::select! {
            () = stopping.cancelled() => return,
            stepped = tokio::time::timeout(limit, step(&service, &attestation, every)) => stepped,
        };
        let stepped = stepped.unwrap_or(Err(Trouble::TooLong));
        let pause = match stepped {
            Ok(Stepped::On) => continue,
            Ok(Stepped::Uncovered) => UNCOVERED_PAUSE,
            Ok(Stepped::Idle) => look_every,
            Err(error) => {
                tracing::warn!(%error, "what is owed cannot be stated");
                FAILED_PAUSE.min(look_every)
            }
        };
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The next step: of the snapshot that is not published, else a new one, else what is old is forgotten.
async fn step(service: &Service, attestation: &Attestation, every: Duration) -> Result<Stepped, Trouble> {
    let now = service.env.now();
    if let Some(snapshot) = store::unfinished(&service.db).await? {
        if now - snapshot.time > LATE_AFTER {
            metrics::alarm("liabilities_unpublished");
            tracing::error!(snapshot_id = %snapshot.id, "what was owed is not in the log after an hour");
        }
        return advance(service, attestation, snapshot).await;
    }
    let id: LiabilitiesId = service.env.new_id();
    let salts = secret::derive(&service.keyring.secret(), SALT_LABEL, id.uuid());
    if store::take(&service.db, id, salts, now, every).await? {
        return Ok(Stepped::On);
    }
    let keep = Duration::from_secs(u64::from(service.config.liabilities.keep_days) * 24 * 3_600);
    let forgot = store::forget(&service.db, now - keep).await?;
    Ok(if forgot { Stepped::On } else { Stepped::Idle })
}

async fn advance(
    service: &Service,
    attestation: &Attestation,
    snapshot: Snapshot,
) -> Result<Stepped, Trouble> {
    let root = match snapshot.progress {
        Progress::Taken => {
            store::build(&service.db, &snapshot).await?;
            return Ok(Stepped::On);
        }
        Progress::Built { root } | Progress::Stated { root } => root,
        Progress::Published(_) => return Ok(Stepped::On),
    };
    let answer = state(attestation, &snapshot, root).await?;
    let covered = answer.checkpoint.is_some();
    store::note_answer(&service.db, snapshot.id, answer).await?;
    if !covered {
        return Ok(Stepped::Uncovered);
    }
    metrics::liabilities_stated(snapshot.liabilities, snapshot.time);
    tracing::info!(
        snapshot_id = %snapshot.id,
        liabilities_msat = snapshot.liabilities.get(),
        accounts = snapshot.leaf_count,
        "what is owed is in the log"
    );
    Ok(Stepped::On)
}

/// Has it signed and logged; the same answer for the same snapshot, however often it is asked.
async fn state(attestation: &Attestation, snapshot: &Snapshot, root: Digest) -> Result<Answer, Trouble> {
    let nanos = i32::try_from(snapshot.time.nanosecond()).unwrap_or(0);
    let request = AppendLiabilitiesRequest {
        snapshot_id: snapshot.id.to_string(),
        root: root.to_vec(),
        liabilities_msat: snapshot.liabilities.get(),
        leaf_count: i64::try_from(snapshot.leaf_count).unwrap_or(i64::MAX),
        snapshot_time: Some(prost_types::Timestamp { seconds: snapshot.time.unix_timestamp(), nanos }),
    };
    let mut client = attestation.clone();
    let asking = async move {
        let asked = tokio::time::timeout(CALL_TIMEOUT, client.append_liabilities(request)).await;
        asked.unwrap_or_else(|_elapsed| Err(Status::deadline_exceeded("no answer in time")))
    };
    let nothing_heard = Err(Status::unavailable("nothing was heard"));
    let said = failpoint::call(Failpoint::LIABILITIES, nothing_heard, asking).await;
    let answer = said.map_err(|status| Trouble::Attestation(poa_chassis::failure(&status).reason))?;
    read(answer.into_inner(), snapshot, root)
}

/// What was answered, where it is about what was asked.
fn read(answer: AppendLiabilitiesResponse, snapshot: &Snapshot, root: Digest) -> Result<Answer, Trouble> {
    let envelope = Envelope::from_json(&answer.envelope).map_err(|_| Trouble::Other("not an envelope"))?;
    let statement =
        LiabilitiesStatement::open(&envelope).map_err(|_| Trouble::Other("not a signed statement"))?;
    let stated = statement.notice();
    let same = stated.snapshot == snapshot.id
        && stated.root == root
        && stated.liabilities == snapshot.liabilities
        && stated.leaf_count == snapshot.leaf_count
        && stated.snapshot_time == snapshot.time;
    if !same {
        metrics::alarm("liabilities_misstated");
        tracing::error!(snapshot_id = %snapshot.id, "attestation has stated other liabilities than it was asked to");
        return Err(Trouble::Other("other liabilities"));
    }
    let proof: Result<Vec<Digest>, _> =
        answer.inclusion_proof.iter().map(|hash| Digest::try_from(hash.as_slice())).collect();
    let proof = proof.map_err(|_| Trouble::Other("a proof that is none"))?;
    Ok(Answer {
        envelope,
        log_index: u64::try_from(answer.log_index).map_err(|_| Trouble::Other("a place below zero"))?,
        checkpoint: (!answer.checkpoint.is_empty()).then_some((answer.checkpoint, proof)),
    })
}
