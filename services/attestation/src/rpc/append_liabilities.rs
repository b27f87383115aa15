//! AppendLiabilities: what the platform owes is signed and enters the log.
//!
//! It happens once a day, so that it takes the lock of the log's head by itself, and no place in the writer of statements.

use poa_common::{LiabilitiesId, Msat, Timestamp, Violations};
use poa_proto::attestation::v1::{AppendLiabilitiesRequest, AppendLiabilitiesResponse};
use proof_of_agent::liabilities::{Liabilities, LiabilitiesStatement};
use proof_of_agent::notice::Notice as _;
use proof_of_agent::tlog::{self, LogEntry};
use proof_of_agent::{Digest, Envelope, Nonce};

use super::Service;
use super::convert::{count, hashes};
use crate::domain::Refusal;
use crate::error::Error;
use crate::failpoint::{Failpoint, before_commit, committed};
use crate::store;
use crate::store::notices::{New, Stated};

pub(super) async fn handle(
    service: &Service,
    message: AppendLiabilitiesRequest,
) -> Result<AppendLiabilitiesResponse, Error> {
    poa_chassis::validate(&message)?;
    let liabilities = read(&message)?;
    let stated = match store::notices::find(service.db.read(), liabilities.slot()).await? {
        Some(stated) => stated,
        None => append(service, &liabilities).await?,
    };
    // Said again is the same; said otherwise is another statement under the same name.
    let envelope = Envelope::from_json(&stated.envelope).map_err(Error::bug)?;
    let before = LiabilitiesStatement::parse(envelope.payload()).map_err(Error::bug)?;
    if *before.notice() != liabilities {
        return Err(Refusal::OtherLiabilities.into());
    }
    prove(service, stated).await
}

/// The request as it is signed, or all that is wrong with it.
fn read(message: &AppendLiabilitiesRequest) -> Result<Liabilities, Error> {
    let mut violations = Violations::default();
    let snapshot: Option<LiabilitiesId> = violations.parse("snapshot_id", &message.snapshot_id);
    let root = Digest::try_from(message.root.as_slice()).ok();
    let leaf_count = u64::try_from(message.leaf_count).ok();
    let snapshot_time = message.snapshot_time.and_then(|time| {
        let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
        Timestamp::from_unix_timestamp_nanos(nanos).ok()
    });
    if snapshot_time.is_none() {
        violations.add("snapshot_time", "is no moment of the calendar");
    }
    match (snapshot, root, leaf_count, snapshot_time) {
        (Some(snapshot), Some(root), Some(leaf_count), Some(snapshot_time)) => Ok(Liabilities {
            snapshot,
            root,
            liabilities: Msat::new(message.liabilities_msat),
            leaf_count,
            snapshot_time,
        }),
        (_, _, _, _) => Err(poa_chassis::Error::FieldsInvalid(violations.into_vec()).into()),
    }
}

/// Signs and appends, unless another call has meanwhile.
async fn append(service: &Service, liabilities: &Liabilities) -> Result<Stated, Error> {
    let keys = &service.keys;
    let nonce = Nonce::new(service.env.random());
    let statement =
        LiabilitiesStatement::new(keys.network(), keys.origin(), keys.receipt_key(), nonce, liabilities)
            .map_err(|error| Refusal::of_statement("liabilities", &error))?;
    let envelope = keys.sign_notice(&statement).map_err(Error::bug)?;
    let new = New {
        entry: LogEntry::of_notice::<Liabilities>(&envelope).map_err(Error::bug)?,
        agent: None,
        subject: liabilities.root,
        envelope: envelope.to_json(),
        now: service.env.now(),
    };
    let (stated, is_new) = service
        .db
        .transact_idempotent(new, |new, tx| {
            Box::pin(async move {
                let log_index = store::log::lock_head(tx).await?;
                // Under the lock: whoever was first has committed.
                if let Some(stated) = store::notices::find(tx.conn(), new.entry.slot).await? {
                    return Ok((stated, false));
                }
                store::notices::insert(tx, log_index, std::slice::from_ref(new)).await?;
                store::log::set_head(tx, log_index.saturating_add(1)).await?;
                before_commit(Failpoint::LiabilitiesBeforeCommit).await?;
                Ok::<_, poa_storage::Error>((Stated { log_index, envelope: new.envelope.clone() }, true))
            })
        })
        .await?;
    if is_new {
        committed(Failpoint::LiabilitiesCommitted).await?;
        tracing::info!(
            snapshot_id = %liabilities.snapshot,
            liabilities_msat = liabilities.liabilities.get(),
            leaf_count = liabilities.leaf_count,
            log_index = stated.log_index,
            "liabilities are logged"
        );
    }
    service.sequencer.appended();
    Ok(stated)
}

/// The statement with its proof, once the published tree reaches it.
async fn prove(service: &Service, stated: Stated) -> Result<AppendLiabilitiesResponse, Error> {
    let newest = service.newest_checkpoint().await?;
    let Stated { log_index, envelope } = stated;
    let mut answer = AppendLiabilitiesResponse {
        envelope,
        log_index: count(log_index)?,
        checkpoint: String::new(),
        inclusion_proof: Vec::new(),
    };
    if log_index < newest.size {
        let wanted = tlog::nodes_needed_for_inclusion(log_index, newest.size).map_err(Error::bug)?;
        let nodes = store::log::nodes(service.db.read(), wanted).await?;
        let proof = tlog::inclusion_proof(log_index, newest.size, &nodes).map_err(Error::bug)?;
        answer.inclusion_proof = hashes(&proof);
        answer.checkpoint = newest.note;
    }
    Ok(answer)
}
