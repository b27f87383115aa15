//! GetReceiptBundle: a task's receipt as one file.

use std::collections::HashMap;

use poa_common::{AgentId, TaskId};
use poa_proto::attestation::v1::{GetReceiptBundleRequest, GetReceiptBundleResponse};
use proof_of_agent::chain::{MAX_STATEMENTS, receipt_path};
use proof_of_agent::tlog::{self, LogEntry, Node};
use proof_of_agent::{Bundle, BundleEntry, Digest, Envelope, NoticeEntry, Statement};
use tonic::Request;

use super::Service;
use crate::error::Error;
use crate::store;
use crate::store::checkpoints::Published;
use crate::store::notices::Stated;

pub(super) async fn handle(
    service: &Service,
    request: Request<GetReceiptBundleRequest>,
) -> Result<GetReceiptBundleResponse, Error> {
    let account = poa_chassis::account(&request)?;
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    let absent = || Error::NotFound { resource: "task" };
    let task: TaskId = message.task_id.parse().map_err(|_| absent())?;
    if !store::chains::may_read(service.db.read(), task, account).await? {
        return Err(absent());
    }
    // The checkpoints first: the trees under them are complete, whatever is appended meanwhile.
    let newest = service.newest_checkpoint().await?;
    let witnessed = service.witnessed_checkpoint().await?;
    let stored = store::statements::of_task(service.db.read(), task, 0, MAX_STATEMENTS).await?;
    let envelopes = stored
        .iter()
        .map(|stored| Envelope::from_json(&stored.envelope))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::bug)?;
    let statements = envelopes
        .iter()
        .map(|envelope| Statement::parse(envelope.payload()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::bug)?;
    let path = receipt_path(&statements);

    let indices = || path.iter().map(|place| stored[*place].log_index);
    // One that the witnesses have seen, where it reaches as far.
    let reaches = |checkpoint: &Published| indices().all(|index| index < checkpoint.size);
    let witnessed = witnessed.filter(reaches);
    let is_witnessed = witnessed.is_some();
    let checkpoint = witnessed.unwrap_or(newest);
    let size = checkpoint.size;
    let agent = Agent::of(&statements, &path);
    let notices = agent.notices(service, size).await?;
    let mut wanted = Vec::new();
    for index in indices().chain(notices.indices()).filter(|index| *index < size) {
        wanted.extend(tlog::nodes_needed_for_inclusion(index, size).map_err(Error::bug)?);
    }
    let records = store::log::entries_at(service.db.read(), &indices().collect::<Vec<u64>>()).await?;
    let nodes = store::log::nodes(service.db.read(), wanted).await?;
    let mut entries = Vec::with_capacity(path.len());
    for (place, log_index) in path.iter().zip(indices()) {
        // What the published tree does not reach yet has no proof, and the bundle shows that.
        let proof = if log_index < size {
            tlog::inclusion_proof(log_index, size, &nodes).map_err(Error::bug)?
        } else {
            Vec::new()
        };
        let entry = records.get(&log_index).ok_or_else(|| Error::bug("a statement without its entry"))?;
        let record = LogEntry::decode(entry).map_err(Error::bug)?.record;
        entries.push(BundleEntry { envelope: envelopes[*place].clone(), log_index, proof, record });
    }
    let logged = reaches(&checkpoint);
    let mut bundle = Bundle::new(service.keys.network(), task, entries, checkpoint.note);
    bundle.key_events = notices.proved(&notices.key_events, size, &nodes)?;
    bundle.agent_version = notices.proved(notices.version.as_slice(), size, &nodes)?.pop();
    // Of no published version it shows nothing, and a verifier refuses it.
    if let Some(digest) = agent.evidence.filter(|_| bundle.agent_version.is_some()) {
        bundle.tee_evidence = store::evidence::find(service.db.read(), task, digest).await?;
    }
    Ok(GetReceiptBundleResponse {
        bundle: bundle.to_json().map_err(Error::bug)?,
        logged,
        witnessed: is_witnessed,
    })
}

/// The agent that a receipt is about, and the build and the evidence that it names.
struct Agent {
    id: Option<AgentId>,
    build: Option<Digest>,
    evidence: Option<Digest>,
}

/// What the log says of that agent.
struct Notices {
    key_events: Vec<Stated>,
    version: Option<Stated>,
}

// === impl Agent ===

impl Agent {
    fn of(statements: &[Statement], path: &[usize]) -> Self {
        let bodies = || path.iter().rev().map(|place| statements[*place].body());
        let work = bodies().find_map(|body| body.as_work_submitted());
        Self {
            id: bodies().find_map(|body| body.as_terms_accepted()).map(|accepted| accepted.agent),
            build: work.and_then(|work| work.build_digest),
            evidence: work.and_then(|work| work.tee_evidence_digest),
        }
    }

    async fn notices(&self, service: &Service, size: u64) -> Result<Notices, Error> {
        let Some(id) = self.id else {
            return Ok(Notices { key_events: Vec::new(), version: None });
        };
        let key_events = store::notices::key_events(service.db.read(), id, size).await?;
        let version = match self.build {
            Some(build) => store::notices::version_of_build(service.db.read(), id, build, size).await?,
            None => None,
        };
        Ok(Notices { key_events, version })
    }
}

// === impl Notices ===

impl Notices {
    fn indices(&self) -> impl Iterator<Item = u64> + '_ {
        self.key_events.iter().chain(&self.version).map(|stated| stated.log_index)
    }

    fn proved(
        &self,
        stated: &[Stated],
        size: u64,
        nodes: &HashMap<Node, Digest>,
    ) -> Result<Vec<NoticeEntry>, Error> {
        let entry = |stated: &Stated| {
            Ok(NoticeEntry {
                envelope: Envelope::from_json(&stated.envelope).map_err(Error::bug)?,
                log_index: stated.log_index,
                proof: tlog::inclusion_proof(stated.log_index, size, nodes).map_err(Error::bug)?,
            })
        };
        stated.iter().map(entry).collect()
    }
}
