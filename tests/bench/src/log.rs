//! `--log LEAVES`: what an append and a proof cost in a small log and in a large one. By hand, minutes.
//!
//! The entries of the large log are written in bulk, as copies of real ones with digests and agents of their own; the tree
//! over them is grown, signed and published by the sequencer of the server itself. Appends are AppendStatement with an
//! offer, as the task service calls it: each is signed, chained and committed before its answer. Proofs go through the
//! gateway, and each is verified against the published checkpoint.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use poa_chassis::Target;
use poa_chassis::client::{PeerChannel, Peers};
use poa_chassis::config::ServerConfig;
use poa_chassis::keyring::Keyring;
use poa_proto::attestation::v1::append_statement_request::Statement as Given;
use poa_proto::attestation::v1::attestation_internal_service_client::AttestationInternalServiceClient;
use poa_proto::attestation::v1::attestation_service_client::AttestationServiceClient;
use poa_proto::attestation::v1::{
    AppendStatementRequest, GetCheckpointRequest, GetInclusionProofRequest, GetTileRequest,
};
use poa_sdk::Env;
use poa_sdk::receipts::tlog::verify_inclusion;
use poa_sdk::receipts::{Author, Bundle, Checkpoint, Digest, Nonce, Statement, TermsOffered, TrustRoot};
use sqlx::AssertSqlSafe;
use tonic::transport::Channel;

use crate::cluster::Cluster;
use crate::load::{self, Latency};
use crate::mesh::Mesh;
use crate::numbers::per_second;
use crate::report::{Log, LogStep, Report, commit, now};
use crate::slices::{self, Trading};
use crate::{Failure, Plan, clients, receipts};

/// Leaves that the first step begins with, at least: what it appends comes on top.
const FEW: u64 = 1_000;
/// How long each figure is measured.
const SPAN: Duration = Duration::from_secs(10);
/// Callers that append at once: enough for the writer to gather batches.
const WRITERS: usize = 64;
/// How long the sequencer may take to grow the tree over all of it.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(600);
/// Copies of entries, under the lock of the log's head.
const GROW: &str = include_str!("../pgbench/grow_log.sql");
/// The database of the log.
const DATABASE: &str = "poa_attestation";

/// Those who append and read.
struct Parties {
    env: Env,
    trust_root: TrustRoot,
    terms: TermsOffered,
    writer: AttestationInternalServiceClient<PeerChannel>,
    reader: AttestationServiceClient<Channel>,
}

/// Measures in a small log, makes a large one, and measures again.
pub(crate) async fn run(plan: &Plan, leaves: u64) -> Result<(), Failure> {
    let folder = slices::workplace()?;
    let cluster = Cluster::start(folder.path()).await?;
    let mesh = Mesh::separate(&cluster, folder.path(), &plan.set).await?;
    let trading = Trading::open(mesh, plan.parties.min(16)).await?;
    // The first tasks give the patterns for the copies, and the agents are in the log.
    trading.capacity(&cluster, &trading.entry, 16, Duration::from_secs(3)).await?;
    let parties = Arc::new(Parties::new(&trading)?);
    let mut steps = Vec::new();
    for wanted in [FEW, leaves] {
        let (grown, took) = parties.grow(&cluster, wanted).await?;
        let appended = parties.appends().await?;
        let proved = parties.proofs().await?;
        let tiles = parties.tiles().await?;
        let step = LogStep {
            leaves: parties.checkpoint().await?.size,
            grown_per_second: per_second(grown, took),
            appends_per_second: appended.0,
            append: appended.1,
            proof: proved.0,
            proof_bytes: proved.1,
            tile: tiles,
        };
        println!("{step:?}");
        steps.push(step);
    }
    let log = Log { of: format!("{} at {}", now()?, commit()), writers: WRITERS, steps };
    let path = Report::write_by_hand(&plan.results(), "log", &log)?;
    println!("written to {}", path.display());
    trading.mesh.stop().await;
    cluster.stop().await
}

// === impl Parties ===

impl Parties {
    fn new(trading: &Trading) -> Result<Self, Failure> {
        let env = poa_sdk::system_env();
        let keys = trading.mesh.keys_dir();
        let trust_root = TrustRoot::from_json(&std::fs::read(keys.join("trust-root.json"))?)?;
        let bundle = Bundle::from_json(receipts::BUNDLE)?;
        let offer = bundle.entries.first().ok_or("the receipt has an offer")?.envelope.open()?;
        let terms = offer.body().as_terms_offered().ok_or("a receipt begins with an offer")?.clone();
        let keyring = Keyring::open(keys, "task", &ServerConfig::default().audience, &env)?;
        let address = trading.mesh.address("attestation").ok_or("attestation runs")?;
        let targets =
            BTreeMap::from([("attestation".to_owned(), Target::Address(format!("http://{address}")))]);
        let channel = Peers::new(targets, Arc::new(keyring)).identified("attestation")?;
        Ok(Self {
            env,
            trust_root,
            terms,
            writer: AttestationInternalServiceClient::new(channel),
            reader: AttestationServiceClient::new(clients::channel(&trading.mesh.endpoint())?),
        })
    }

    async fn checkpoint(&self) -> Result<Checkpoint, Failure> {
        let answer = self.reader.clone().get_checkpoint(GetCheckpointRequest {}).await?.into_inner();
        Ok(self.trust_root.open_checkpoint(&answer.checkpoint)?.0)
    }

    /// Fills the log up to a size, and waits until it is published; answers with the leaves that were added and the time that
    /// the sequencer took for them.
    async fn grow(&self, cluster: &Cluster, wanted: u64) -> Result<(u64, Duration), Failure> {
        let before = self.checkpoint().await?.size;
        let missing = wanted.saturating_sub(before);
        let mut connection = cluster.connect(DATABASE).await?;
        // The count is a number, and the script a file of this crate.
        let script = GROW.replace(":count", &missing.to_string());
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await?;
        let begun = Instant::now();
        while self.checkpoint().await?.size < wanted {
            if begun.elapsed() > PUBLISHED_WITHIN {
                return Err("the sequencer does not come to the end of the log".into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let took = begun.elapsed();
        sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await?;
        cluster.checkpoint().await?;
        Ok((missing, took))
    }

    async fn appends(self: &Arc<Self>) -> Result<(f64, Latency), Failure> {
        let this = Arc::clone(self);
        load::calls(WRITERS, SPAN, move |_| {
            let this = Arc::clone(&this);
            async move { this.append().await }
        })
        .await
    }

    async fn append(&self) -> Result<(), Failure> {
        let task = self.env.new_id();
        let key = *self.trust_root.receipt_keys().first().ok_or("a receipt key")?;
        let author = Author::platform_for_requester(key, Nonce::new(self.env.random()));
        let terms = TermsOffered { offered_time: self.env.now(), ..self.terms.clone() };
        let trust_root = &self.trust_root;
        let offer = Statement::offer(task, trust_root.network(), trust_root.origin(), author, terms)?;
        let request = AppendStatementRequest {
            task_id: task.to_string(),
            account_id: String::new(),
            statement: Some(Given::PlatformPayload(offer.payload().to_vec())),
        };
        self.writer.clone().append_statement(request).await?;
        Ok(())
    }

    /// Latency of one caller's proofs in the newest tree, and the bytes of the longest.
    async fn proofs(self: &Arc<Self>) -> Result<(Latency, usize), Failure> {
        let checkpoint = self.checkpoint().await?;
        let longest = self.prove(&checkpoint, 0).await?;
        let (this, tree) = (Arc::clone(self), checkpoint);
        let latency = one_by_one(move |turn| {
            let (this, tree) = (Arc::clone(&this), tree.clone());
            async move { this.prove(&tree, turn.wrapping_mul(receipts::STRIDE) % tree.size).await.map(drop) }
        })
        .await?;
        Ok((latency, longest))
    }

    /// Asks for the proof of a place, holds it against the checkpoint, and answers with its bytes.
    async fn prove(&self, tree: &Checkpoint, index: u64) -> Result<usize, Failure> {
        let request = GetInclusionProofRequest {
            log_index: i64::try_from(index)?,
            tree_size: i64::try_from(tree.size)?,
        };
        let answer = self.reader.clone().get_inclusion_proof(request).await?.into_inner();
        let hashes = answer.hashes.iter().map(|hash| Digest::try_from(hash.as_slice()));
        let hashes: Vec<Digest> = hashes.collect::<Result<_, _>>()?;
        let leaf = Digest::try_from(answer.leaf_hash.as_slice())?;
        verify_inclusion(&leaf, index, tree.size, &hashes, &tree.root)?;
        Ok(answer.hashes.iter().map(Vec::len).sum())
    }

    /// Latency of one caller's tiles of hashes: what an auditor reads.
    async fn tiles(self: &Arc<Self>) -> Result<Latency, Failure> {
        let full = self.checkpoint().await?.size / 256;
        let this = Arc::clone(self);
        one_by_one(move |turn| {
            let this = Arc::clone(&this);
            let number = turn.wrapping_mul(receipts::STRIDE) % full.max(1);
            let path = match number {
                0..=999 => format!("0/{number:03}"),
                _ => format!("0/x{:03}/{:03}", number / 1_000, number % 1_000),
            };
            async move {
                this.reader.clone().get_tile(GetTileRequest { path }).await?;
                Ok(())
            }
        })
        .await
    }
}

/// What one caller waits for each answer.
async fn one_by_one<F, Fut>(work: F) -> Result<Latency, Failure>
where
    F: Fn(u64) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    Ok(load::calls(1, SPAN, work).await?.1)
}
