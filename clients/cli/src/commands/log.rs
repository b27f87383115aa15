//! `log`: the transparency log, each answer checked against the trust root.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use poa_sdk::Client;
use poa_sdk::receipts::tlog::{verify_consistency, verify_inclusion};
use poa_sdk::receipts::{Checkpoint, Digest};
use serde_json::json;

use super::log_audit;
use crate::app::{App, read_file};
use crate::failure::{Exit, Failure};
use crate::trust;

/// Bytes of a kept checkpoint.
const MAX_CHECKPOINT_BYTES: usize = 16 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Fetch the newest checkpoint and check its signature. Keep it: a later one must be consistent with it.
    Checkpoint {
        /// Whom to believe [default: the pinned trust root].
        #[arg(long, value_name = "FILE")]
        trust_root: Option<PathBuf>,
    },
    /// Follow the log: every new entry, twins, forks, omissions, key events. Trusts the trust root alone.
    Audit(log_audit::AuditArgs),
    /// Fetch the proof that a leaf is in the log, and check it against the newest checkpoint.
    Prove {
        /// The leaf's place, from 0.
        log_index: u64,
        /// Whom to believe [default: the pinned trust root].
        #[arg(long, value_name = "FILE")]
        trust_root: Option<PathBuf>,
    },
    /// Fetch the proof that the log of one size is the beginning of the log of a larger one.
    Consistency {
        /// The smaller size. With --from, its root is checked too.
        first_size: u64,
        /// The larger size [default: that of the newest checkpoint].
        second_size: Option<u64>,
        /// A checkpoint that was kept before, of the smaller size.
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Whom to believe [default: the pinned trust root].
        #[arg(long, value_name = "FILE")]
        trust_root: Option<PathBuf>,
    },
}

pub(crate) async fn run(app: &App, command: LogCommand) -> Result<(), Failure> {
    let client = app.client()?;
    match command {
        LogCommand::Audit(args) => Box::pin(log_audit::run(app, args)).await,
        LogCommand::Checkpoint { trust_root } => {
            let (note, checkpoint) = newest(app, &client, trust_root.as_deref()).await?;
            app.out.either(
                || {
                    json!({
                        "origin": checkpoint.origin, "size": checkpoint.size.to_string(),
                        "root": checkpoint.root.to_string(), "note": note,
                    })
                },
                || note.trim_end().to_owned(),
            )
        }
        LogCommand::Prove { log_index, trust_root } => {
            prove(app, &client, log_index, trust_root.as_deref()).await
        }
        LogCommand::Consistency { first_size, second_size, from, trust_root } => {
            let sizes = (first_size, second_size);
            consistency(app, &client, sizes, from.as_deref(), trust_root.as_deref()).await
        }
    }
}

/// The newest checkpoint, its signature checked.
async fn newest(
    app: &App,
    client: &Client,
    trust_root: Option<&Path>,
) -> Result<(String, Checkpoint), Failure> {
    let root = trust::believed(app, client, trust_root).await?;
    let note = client.checkpoint().await?;
    let checkpoint =
        Checkpoint::open(&note, root.log_keys()).map_err(|error| unverified(&error.to_string()))?;
    Ok((note, checkpoint))
}

async fn prove(app: &App, client: &Client, log_index: u64, trust_root: Option<&Path>) -> Result<(), Failure> {
    let (_, checkpoint) = newest(app, client, trust_root).await?;
    let answer = client.inclusion_proof(number(log_index)?, number(checkpoint.size)?).await?;
    let leaf = digest(&answer.leaf_hash)?;
    let proof = digests(&answer.hashes)?;
    verify_inclusion(&leaf, log_index, checkpoint.size, &proof, &checkpoint.root)
        .map_err(|error| unverified(&error.to_string()))?;
    app.out.either(
        || json!({
            "verified": true, "log_index": log_index.to_string(), "size": checkpoint.size.to_string(),
            "leaf_hash": leaf.to_string(), "hashes": proof.iter().map(Digest::to_string).collect::<Vec<_>>(),
        }),
        || format!("VERIFIED  the leaf {leaf} is at {log_index} in the log of size {}", checkpoint.size),
    )
}

async fn consistency(
    app: &App,
    client: &Client,
    (first_size, second_size): (u64, Option<u64>),
    from: Option<&Path>,
    trust_root: Option<&Path>,
) -> Result<(), Failure> {
    let (_, checkpoint) = newest(app, client, trust_root).await?;
    let second_size = second_size.unwrap_or(checkpoint.size);
    let answer = client.consistency_proof(number(first_size)?, number(second_size)?).await?;
    let proof = digests(&answer.hashes)?;
    let checked = match from {
        // Only between two signed roots is there something to check.
        Some(path) if second_size == checkpoint.size => {
            let kept = kept(app, client, path, trust_root).await?;
            if kept.size != first_size {
                let message = format!("the kept checkpoint is of size {}, not {first_size}", kept.size);
                return Err(Failure::new(Exit::Usage, message));
            }
            verify_consistency(kept.size, &kept.root, second_size, &checkpoint.root, &proof)
                .map_err(|error| unverified(&error.to_string()))?;
            true
        }
        Some(_) => {
            let message = "a kept checkpoint is checked against the newest: leave the larger size out";
            return Err(Failure::new(Exit::Usage, message));
        }
        None => false,
    };
    app.out.either(
        || json!({
            "verified": checked, "first_size": first_size.to_string(), "second_size": second_size.to_string(),
            "hashes": proof.iter().map(Digest::to_string).collect::<Vec<_>>(),
        }),
        || {
            let hashes: Vec<String> = proof.iter().map(Digest::to_string).collect();
            let head = if checked {
                format!("VERIFIED  the log of size {second_size} begins with the one of size {first_size}")
            } else {
                "The proof, unchecked: give the earlier checkpoint with --from FILE to check it.".to_owned()
            };
            format!("{head}\n{}", hashes.join("\n")).trim_end().to_owned()
        },
    )
}

/// A checkpoint that was kept in a file, its signature checked.
async fn kept(
    app: &App,
    client: &Client,
    path: &Path,
    trust_root: Option<&Path>,
) -> Result<Checkpoint, Failure> {
    let root = trust::believed(app, client, trust_root).await?;
    let mut note = String::from_utf8(read_file(path, MAX_CHECKPOINT_BYTES)?)
        .map_err(|_| Failure::new(Exit::Usage, format!("{} is not text", path.display())))?;
    // Shells strip the last line break.
    if !note.ends_with('\n') {
        note.push('\n');
    }
    Checkpoint::open(&note, root.log_keys()).map_err(|error| unverified(&error.to_string()))
}

fn unverified(message: &str) -> Failure {
    Failure::new(Exit::Unverified, message)
}

fn number(number: u64) -> Result<i64, Failure> {
    i64::try_from(number).map_err(|_| Failure::new(Exit::Usage, format!("{number} is too large")))
}

fn digest(bytes: &[u8]) -> Result<Digest, Failure> {
    Digest::try_from(bytes).map_err(|_| unverified("the proof holds something that is not a hash"))
}

fn digests(hashes: &[Vec<u8>]) -> Result<Vec<Digest>, Failure> {
    hashes.iter().map(|hash| digest(hash)).collect()
}
