//! Shows each checkpoint to the configured witnesses, and stores what they sign.
//!
//! A witness answers synchronously (C2SP tlog-witness). One that is away or slow delays nothing but its own signatures; each is
//! called by a task of its own, with the newest checkpoint, so that it may pass over many.

use std::sync::Arc;
use std::time::Duration;

use poa_common::Env;
use poa_storage::Database;
use proof_of_agent::note::{Note, WitnessKey};
use proof_of_agent::tlog;
use proof_of_agent::witness::AddCheckpoint;
use reqwest::{StatusCode, Url};
use rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;

use crate::config::WitnessConfig;
use crate::error::Error;
use crate::keys::PlatformKeys;
use crate::{metrics, store};

/// The least time between two calls of one witness: checkpoints are shown once a second at most.
const PACE: Duration = Duration::from_secs(1);
/// The longest time between two calls of a witness that fails.
const LONGEST_PACE: Duration = Duration::from_secs(30);
/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read: a few signature lines.
const MAX_ANSWER_BYTES: usize = 16 * 1_024;

/// Shows checkpoints to one witness.
#[derive(Debug)]
pub(crate) struct Courier {
    env: Env,
    db: Database,
    keys: Arc<PlatformKeys>,
    key: WitnessKey,
    url: Url,
    client: reqwest::Client,
    /// What the witness has said that it has seen, where that is not what we know.
    told: Option<u64>,
}

/// Why a witness has not cosigned.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it is not reached")]
    Unreached(#[from] reqwest::Error),
    #[error("it answered {status}: {text}")]
    Refused { status: StatusCode, text: String },
    #[error("it answered without a signature of its key")]
    NoSignature,
    #[error(
        "it has seen {seen} entries, and the log has {stored}: the log was restored from an older backup, or forked"
    )]
    Ahead { seen: u64, stored: u64 },
    #[error(transparent)]
    Ours(#[from] Error),
}

// === impl Courier ===

impl Courier {
    /// One courier for each configured witness.
    ///
    /// # Errors
    /// A name that the trust root does not have, or an address that is none.
    pub(crate) fn all(
        config: &[WitnessConfig],
        env: &Env,
        db: &Database,
        keys: &Arc<PlatformKeys>,
    ) -> Result<Vec<Self>, String> {
        if config.is_empty() {
            return Ok(Vec::new());
        }
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .http1_only()
            .timeout(CALL_LIMIT)
            .build()
            .map_err(|error| error.to_string())?;
        let known = &keys.trust_root().trusted().witnesses.keys;
        let courier = |config: &WitnessConfig| {
            let key = known.iter().find(|key| key.name() == config.name);
            let key =
                key.ok_or_else(|| format!("log.witnesses: the trust root has no witness `{}`", config.name))?;
            let prefix = config.url.trim_end_matches('/');
            let url = Url::parse(&format!("{prefix}/add-checkpoint"));
            let url = url.map_err(|error| format!("log.witnesses: {}: {error}", config.url))?;
            Ok(Self {
                env: env.clone(),
                db: db.clone(),
                keys: Arc::clone(keys),
                key: key.clone(),
                url,
                client: client.clone(),
                told: None,
            })
        };
        config.iter().map(courier).collect()
    }

    /// Shows checkpoints until it is told to stop.
    pub(crate) async fn run(mut self, stopping: CancellationToken) {
        let mut pace = PACE;
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(pace) => {}
            }
            let name = self.key.name().to_owned();
            pace = match self.show().await {
                Ok(()) => PACE,
                Err(failure) => {
                    let behind = matches!(failure, Failure::Ahead { .. });
                    metrics::witness_failed(&name, behind);
                    tracing::warn!(witness = %name, error = %failure, "a witness has not cosigned");
                    (pace * 2).min(LONGEST_PACE)
                }
            };
        }
    }

    /// Shows the newest checkpoint, where the witness has not seen it.
    async fn show(&mut self) -> Result<(), Failure> {
        let origin = self.keys.origin().to_owned();
        let reader = self.db.read();
        let newest = store::checkpoints::newest(reader, &origin, &[], 0).await.map_err(Error::from)?;
        let Some(newest) = newest else { return Ok(()) };
        let known =
            store::checkpoints::seen_by(reader, &origin, self.key.name()).await.map_err(Error::from)?;
        let old_size = self.told.take().unwrap_or(known);
        if newest.size == 0 || known == newest.size {
            return Ok(());
        }
        if old_size > newest.size {
            return Err(Failure::Ahead { seen: old_size, stored: newest.size });
        }
        let needed = tlog::nodes_needed_for_consistency(old_size, newest.size).map_err(Error::bug)?;
        let nodes = store::log::nodes(reader, needed).await.map_err(Error::from)?;
        let proof = tlog::consistency_proof(old_size, newest.size, &nodes).map_err(Error::bug)?;
        let request = AddCheckpoint { old_size, proof, note: newest.note.clone() };
        let (status, text) = self.post(request.to_body()).await?;
        if status == StatusCode::CONFLICT {
            // It has seen another size than we know of: after another replica's call, a lost answer, or a restored backup.
            if let Ok(seen) = text.trim_end().parse::<u64>() {
                if seen > newest.size {
                    return Err(Failure::Ahead { seen, stored: newest.size });
                }
                self.told = Some(seen);
                return if seen == old_size { Err(Failure::Refused { status, text }) } else { Ok(()) };
            }
        }
        if status != StatusCode::OK {
            return Err(Failure::Refused { status, text });
        }
        let line = self.line(&newest.note, &text).ok_or(Failure::NoSignature)?;
        self.store(origin, newest.size, line).await?;
        metrics::witness_cosigned(self.key.name());
        Ok(())
    }

    async fn post(&self, body: String) -> Result<(StatusCode, String), Failure> {
        let mut response = self.client.post(self.url.clone()).body(body).send().await?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            let room = MAX_ANSWER_BYTES.saturating_sub(bytes.len());
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if bytes.len() >= MAX_ANSWER_BYTES {
                break;
            }
        }
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The witness's line, if its signature holds for our note.
    fn line(&self, note: &str, answer: &str) -> Option<String> {
        let holds = |line: &&str| {
            let signed = format!("{note}{line}\n");
            Note::parse(&signed).is_ok_and(|note| note.cosigned_by(&self.key).is_some())
        };
        answer.lines().find(holds).map(|line| format!("{line}\n"))
    }

    async fn store(&self, origin: String, size: u64, line: String) -> Result<(), Error> {
        let input = (origin, size, self.key.name().to_owned(), line, self.env.now());
        self.db
            .transact_with(input, |(origin, size, witness, line, now), tx| {
                Box::pin(
                    async move { store::checkpoints::cosigned(tx, origin, *size, witness, line, *now).await },
                )
            })
            .await?;
        Ok(())
    }
}
